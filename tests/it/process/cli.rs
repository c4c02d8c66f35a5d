//! The command line: configuration, accounts, tokens, copies, and what it says when it cannot.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use roost::store::sqlite::DataDir;
use serde_json::Value;

use super::{Guest, client, complaint, plain, run, run_with_input, said};
use crate::support::process::{Process, roost};
use crate::support::sse::Events;
use crate::support::temp::TempDir;

fn with(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = roost();
    command.args(arguments).envs(environment.iter().copied());
    command
}

fn on(data: &Path, arguments: &[&str]) -> Command {
    let mut command = with(arguments, &[]);
    command.arg("--data").arg(data);
    command
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let dir = TempDir::new();
    let file = dir.path().join("roost.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:1111\"\n[store]\nreaders = 5\n[log]\nfilter = \"warn\"\n").unwrap();
    let file = file.to_str().unwrap();
    let show = |arguments: &[&str], environment: &[(&str, &str)]| {
        let all = [&["config", "show"], arguments].concat();
        toml::from_str::<toml::Table>(&said(&run(&mut with(&all, environment)))).expect("it shows a file")
    };
    let defaults = show(&[], &[]);
    assert_eq!((&defaults["listen"], &defaults["store"]["readers"]), (&"127.0.0.1:8080".into(), &2.into()));
    let from_file = show(&["--config", file], &[]);
    assert_eq!((&from_file["listen"], &from_file["store"]["readers"]), (&"127.0.0.1:1111".into(), &5.into()));
    let both = show(&["--config", file], &[("ROOST_STORE_READERS", "7")]);
    assert_eq!((&both["store"]["readers"], &both["log"]["filter"]), (&7.into(), &"warn".into()));
    assert_eq!(show(&[], &[("ROOST_CONFIG", file)]), from_file);
    let all = show(&["--config", file, "--data", "/from/the/flag"], &[("ROOST_DATA", "/from/the/environment")]);
    assert_eq!(all["data"], "/from/the/flag".into());
    let secret =
        show(&[], &[("ROOST_MAIL_SMTP_URL", "smtp://user:hunter2@mail.test"), ("ROOST_MAIL_FROM", "a@b.test")]);
    assert!(!secret.to_string().contains("hunter2"), "{secret}");
    let keys = [("ROOST_ATTACHMENTS_S3_ACCESS_KEY", "hidden-id"), ("ROOST_ATTACHMENTS_S3_SECRET_KEY", "hidden-key")];
    let shown = show(&[], &keys);
    assert_eq!(shown["attachments"]["s3_secret_key"], "(set, not shown)".into());
    assert!(!shown.to_string().contains("hidden"), "{shown}");
}

#[test]
fn the_defaults_are_a_file_that_is_valid() {
    let dir = TempDir::new();
    let file = dir.path().join("roost.toml");
    std::fs::write(&file, said(&run(&mut with(&["config", "defaults"], &[])))).unwrap();
    let check = run(&mut with(&["config", "check", "--config", file.to_str().unwrap()], &[]));
    assert_eq!(said(&check).trim(), "the configuration is valid");
}

#[test]
fn what_is_misspelt_is_named_with_what_was_meant() {
    let dir = TempDir::new();
    let file = dir.path().join("roost.toml");
    for (text, want) in [
        ("[store]\nreders = 3\n", "unknown option store.reders"),
        ("[store]\nreders = 3\n", "did you mean readers?"),
        ("[stoer]\nreaders = 3\n", "did you mean store?"),
        ("[store]\nreaders = \"many\"\n", "store.readers"),
        ("[store]\nreaders = 0\n", "store.readers must be at least 1"),
        ("[assistant]\nprovider = \"oracle\"\n", "assistant.provider"),
        ("[log]\nfilter = \"roost=loud\"\n", "log.filter"),
        ("[mail]\nfrom = \"nobody\"\n", "mail.from"),
        ("[mail]\nfrom = \"a@b.test\"\nsmtp_url = \"mail.test\"\n", "mail.smtp_url"),
        ("[redis]\nurl = \"http://:hunter2@cache.test\"\n", "redis.url"),
        ("[store]\nurl = \"mysql://db.test\"\n", "store.url"),
        ("[cluster]\nlease_s = 1\n", "cluster.lease_s"),
        ("[attachments]\nstore = \"s3\"\n", "attachments.s3_bucket"),
        ("[attachments]\nstore = \"s3\"\ns3_bucket = \"b\"\ns3_endpoint = \"s3.test\"\n", "attachments.s3_endpoint"),
        ("[attachments]\nstore = \"s3\"\ns3_bucket = \"b\"\ns3_access_key = \"k\"\n", "attachments.s3_secret_key"),
        ("[attachments]\ntypes = [\"png\"]\n", "attachments.types"),
        ("[attachments]\nuploads_max = 0\n", "attachments.uploads_max must be at least 1"),
        ("[assistant]\nprovider = \"openai\"\n", "assistant.openai.model"),
        ("[assistant.prompts]\ndefault = \"Hi {{name}}\"\n", "there is no variable \"name\""),
        ("[assistant.providers.x]\nkind = \"openai\"\nmodle = \"m\"\n", "modle"),
        ("not toml", "roost.toml"),
    ] {
        std::fs::write(&file, text).unwrap();
        let said = complaint(&run(&mut with(&["config", "check", "--config", file.to_str().unwrap()], &[])));
        assert!(said.contains(want), "{text:?}: {said}");
    }
    for (name, value, want) in [
        ("ROOST_STORE_REDERS", "3", "did you mean readers?"),
        ("ROOST_STORE_REDERS", "3", "unknown option ROOST_STORE_REDERS"),
        ("ROOST_STOER_READERS", "3", "unknown option ROOST_STOER_READERS"),
        ("ROOST_PORT", "9000", "unknown option ROOST_PORT"),
        ("ROOST_ASSISTANT_OPENAI_MODLE", "m", "unknown option ROOST_ASSISTANT_OPENAI_MODLE"),
        ("ROOST_LISTEM", "127.0.0.1:1", "did you mean listen?"),
        ("ROOST_LISTEN", "nowhere", "listen"),
        ("ROOST_LIMITS_ENABLED", "perhaps", "limits.enabled"),
    ] {
        let said = complaint(&run(&mut with(&["config", "check"], &[(name, value)])));
        assert!(said.contains(want) && said.contains("environment"), "{name}={value}: {said}");
    }
    let said = complaint(&run(&mut with(&["config", "check", "--config", "/nowhere/roost.toml"], &[])));
    assert!(said.contains("there is no configuration file /nowhere/roost.toml"), "{said}");
    complaint(&run(&mut with(&["sevre"], &[])));
}

#[test]
fn a_provider_is_named_by_the_environment_and_its_key_is_not_shown() {
    let told = [
        ("ROOST_ASSISTANT_PROVIDER", "openai"),
        ("ROOST_ASSISTANT_OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"),
        ("ROOST_ASSISTANT_OPENAI_API_KEY", "sk-hunter2"),
        ("ROOST_ASSISTANT_OPENAI_MODEL", "llama3.2"),
    ];
    let text = said(&run(&mut with(&["config", "show"], &told)));
    let shown: toml::Table = toml::from_str(&text).expect("it shows a file");
    let openai = &shown["assistant"]["openai"];
    assert_eq!(shown["assistant"]["provider"], "openai".into());
    assert_eq!((&openai["base_url"], &openai["model"]), (&told[1].1.into(), &told[3].1.into()));
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(said(&run(&mut with(&["config", "check"], &told))).trim(), "the configuration is valid");
}

/// What Kubernetes tells a container of a service called roost.
#[test]
fn a_service_of_the_same_name_is_no_option() {
    let told = [
        ("ROOST_SERVICE_HOST", "10.0.0.1"),
        ("ROOST_SERVICE_PORT", "8080"),
        ("ROOST_SERVICE_PORT_HTTP", "8080"),
        ("ROOST_PORT", "tcp://10.0.0.1:8080"),
        ("ROOST_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("ROOST_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("ROOST_LISTEN", "127.0.0.1:1111"),
    ];
    let shown = said(&run(&mut with(&["config", "show"], &told)));
    assert!(shown.contains("127.0.0.1:1111"), "{shown}");
}

#[tokio::test]
async fn an_account_and_a_token_made_here_open_the_door() {
    let dir = TempDir::new();
    let add = ["user", "add", "--email", "Mai@example.test", "--name", "Mai", "--staff", "--json"];
    let made = said(&run_with_input(on(dir.path(), &add).arg("--password-stdin"), "a good password\n"));
    let made: Value = serde_json::from_str(&made).expect("JSON");
    assert_eq!(
        (&made["email"], &made["is_staff"], &made["password"]),
        (&"mai@example.test".into(), &true.into(), &Value::Null)
    );
    let again = complaint(&run_with_input(on(dir.path(), &add).arg("--password-stdin"), "a good password\n"));
    assert!(again.contains("has an account already"), "{again}");
    let token = ["token", "add", "--user", "mai@example.test", "--ability", "staff", "--json"];
    let token: Value = serde_json::from_str(&said(&run(&mut on(dir.path(), &token)))).expect("JSON");
    let mut server = Process::start(dir.path(), &[]);
    let me = client().get(format!("{}/api/v1/auth/me", server.url)).bearer_auth(token["token"].as_str().unwrap());
    let me: Value = me.send().await.unwrap().json().await.unwrap();
    assert_eq!(me["data"]["name"], "Mai");
    // Beside a running server, too.
    let tam = ["user", "add", "--email", "tam@example.test", "--name", "Tam", "--json"];
    let made: Value = serde_json::from_str(&said(&run(&mut on(dir.path(), &tam)))).expect("JSON");
    for (email, password, want) in [
        ("mai@example.test", "a good password", 200),
        ("tam@example.test", made["password"].as_str().expect("one was made"), 200),
        ("tam@example.test", "a good password", 401),
    ] {
        let body = serde_json::json!({"email": email, "password": password});
        let answer = client().post(format!("{}/api/v1/auth/login", server.url)).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), want, "{email}");
    }
    server.terminate();
    assert!(server.wait(crate::support::app::PATIENCE).success());
}

/// A store that has to be made or upgraded is not touched under a server, which may be an older one.
#[test]
fn an_account_upgrades_no_store_under_a_server() {
    if crate::support::engine::is_other("an older file") {
        return;
    }
    let dir = TempDir::new();
    let place = DataDir::prepare(dir.path()).unwrap();
    std::fs::write(place.database(), "").unwrap();
    let add = |name: &str| {
        let email = format!("{name}@b.test");
        run(&mut on(dir.path(), &["user", "add", "--email", &email, "--name", name]))
    };
    let held = place.lock().unwrap();
    let refused = complaint(&add("a"));
    assert!(refused.contains("upgrade") && refused.contains("another roost uses the data folder"), "{refused}");
    assert_eq!(std::fs::read(place.database()).unwrap(), b"");
    drop(held);
    said(&add("a"));
    let _held = place.lock().unwrap();
    said(&add("b"));
}

#[test]
fn what_cannot_be_an_account_or_a_token_is_refused() {
    let dir = TempDir::new();
    for (arguments, input, want) in [
        (&["user", "add", "--email", "nobody", "--name", "a"][..], "", "is not an e-mail address"),
        (&["user", "add", "--email", "a@b.test", "--name", "a", "--password-stdin"], "short\n", "8 to 255 characters"),
        (&["user", "add", "--email", "a@b.test", "--name", "a", "--ability", "a b"], "", "is no ability"),
        (&["user", "add", "--email", "a@b.test"], "", "--name"),
        (&["token", "add", "--user", "a@b.test"], "", "has no account"),
        (&["token", "add", "--user", "a@b.test", "--ability", ""], "", "is no ability"),
    ] {
        let said = complaint(&run_with_input(&mut on(dir.path(), arguments), input));
        assert!(said.contains(want), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn a_backup_is_taken_while_the_server_serves_and_can_be_put_in_its_place() {
    if crate::support::engine::is_other("backups of a file") {
        return;
    }
    let (dir, other) = (TempDir::new(), TempDir::new());
    let copy = other.path().join("copy.db");
    let mut server = Process::start(dir.path(), &[]);
    let guest = Guest::of(&server).await;
    let kept = guest.says("before the backup").await.unwrap();
    said(&run(on(dir.path(), &["backup"]).arg(&copy)));
    guest.says("after the backup").await.unwrap();
    let again = complaint(&run(on(dir.path(), &["backup"]).arg(&copy)));
    assert!(again.contains("copy.db"), "{again}");
    let busy = complaint(&run(on(dir.path(), &["restore", "--verify"]).arg(&copy)));
    assert!(busy.contains("another roost uses the data folder"), "{busy}");
    server.terminate();
    assert!(server.wait(crate::support::app::PATIENCE).success());
    let restored = said(&run(on(dir.path(), &["restore", "--verify"]).arg(&copy)));
    assert!(restored.contains("verified:") && restored.contains("is kept as"), "{restored}");
    let server = Process::start(dir.path(), &[]);
    assert_eq!(Guest::of(&server).await.polls().await, [kept]);
    let nothing = complaint(&run(on(TempDir::new().path(), &["backup"]).arg(other.path().join("none.db"))));
    assert!(nothing.contains("there is no store"), "{nothing}");
}

/// Also in a folder that others may enter, and whatever the umask of who starts it.
#[test]
fn what_is_stored_is_its_owners_alone() {
    if crate::support::engine::is_other("backups of a file") {
        return;
    }
    let (dir, other) = (TempDir::new(), TempDir::new());
    for folder in [dir.path(), other.path()] {
        std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    }
    let copy = other.path().join("copy.db");
    let server = Process::start(dir.path(), &[]);
    said(&run(on(dir.path(), &["backup"]).arg(&copy)));
    let modes = |paths: &[PathBuf]| {
        for path in paths {
            let mode = std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions();
            assert_eq!(mode.mode() & 0o077, 0, "{} is {:o}", path.display(), mode.mode());
        }
    };
    modes(&[copy.clone(), dir.path().join("roost.db"), dir.path().join("roost.db-wal"), dir.path().join("roost.lock")]);
    server.kill();
    said(&run(on(dir.path(), &["restore"]).arg(&copy)));
    let snapshots = dir.path().join("snapshots");
    let kept = std::fs::read_dir(&snapshots).unwrap().map(|entry| entry.unwrap().path());
    modes(&kept.chain([snapshots.clone(), dir.path().join("roost.db")]).collect::<Vec<_>>());
}

/// Whoever polls or follows with a cursor of the store before misses nothing of the restored one.
#[tokio::test]
async fn a_cursor_outlives_a_restore() {
    if crate::support::engine::is_other("backups of a file") {
        return;
    }
    let (dir, other) = (TempDir::new(), TempDir::new());
    let copy = other.path().join("copy.db");
    let mut server = Process::start(dir.path(), &[]);
    let guest = Guest::of(&server).await;
    guest.says("before the backup").await.unwrap();
    said(&run(on(dir.path(), &["backup"]).arg(&copy)));
    let mut cursor = 0;
    for text in ["one", "two", "three"] {
        cursor = guest.says(text).await.unwrap();
    }
    server.terminate();
    assert!(server.wait(crate::support::app::PATIENCE).success());
    said(&run(on(dir.path(), &["restore"]).arg(&copy)));
    let server = Process::start(dir.path(), &[]);
    let guest = Guest::of(&server).await;
    let follow = client().get(guest.url(&super::path("events"))).header("last-event-id", cursor);
    let mut events = Events::open(follow).await;
    let id = guest.says("after the restore").await.unwrap();
    assert!(id > cursor, "{id} was given out before: the cursor is {cursor}");
    let (_, body) = guest.get(&super::path(&format!("messages?last_message_id={cursor}"))).await;
    assert_eq!(body["data"][0]["id"], id, "{body}");
    while events.next().await.expect("the new message").id != Some(id) {}
}

#[test]
fn a_server_says_where_it_is_and_a_second_one_why_it_is_not() {
    if crate::support::engine::is_other("a folder that one server has for itself") {
        return;
    }
    let (dir, other) = (TempDir::new(), TempDir::new());
    let server = Process::start(dir.path(), &[]);
    let lines = server.said.join("\n");
    for want in ["listens on http://127.0.0.1:", dir.path().to_str().unwrap(), "echo", "/docs"] {
        assert!(lines.contains(want), "{want} in {lines}");
    }
    let second = complaint(&run(&mut plain(dir.path())));
    assert!(second.contains("another roost uses the data folder"), "{second}");
    let port = server.url.trim_start_matches("http://");
    let taken = complaint(&run(roost().args(["--listen", port, "--data"]).arg(other.path())));
    assert!(taken.contains(port) && taken.contains("choose another --listen"), "{taken}");
    std::fs::write(other.path().join("roost.db"), "this is no database, though it is long enough".repeat(100)).unwrap();
    let foreign = complaint(&run(&mut plain(other.path())));
    assert!(foreign.contains("roost.db"), "{foreign}");
}

#[tokio::test]
async fn a_conversations_log_is_printed_while_it_grows() {
    let dir = TempDir::new();
    let server = Process::start(dir.path(), &[]);
    let guest = Guest::of(&server).await;
    guest.says("one").await.unwrap();
    let tail = |arguments: &[&str]| -> Vec<Value> {
        let all = [&["tail"], arguments].concat();
        said(&run(&mut on(dir.path(), &all)))
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    };
    let lines = tail(&["a-guest-of-this-process"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (&lines[0]["event"], &lines[0]["text"], &lines[0]["seq"]),
        (&"message_added".into(), &"one".into(), &1.into())
    );
    guest.says("two").await.unwrap();
    let cursor = lines[0]["id"].to_string();
    let later = tail(&["a-guest-of-this-process", "--after", &cursor]);
    assert_eq!((later.len(), &later[0]["text"]), (1, &"two".into()));
    assert_eq!(tail(&["1"]).len(), 2, "by its number, too");
    assert!(complaint(&run(&mut on(dir.path(), &["tail", "nobody"]))).contains("no conversation"));
}
