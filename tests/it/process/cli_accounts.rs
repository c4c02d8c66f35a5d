//! The command line for tenants, accounts and tokens.

use std::path::Path;

use serde_json::{Value, json};

use super::{client, complaint, run, run_with_input, said};
use crate::support::process::{Process, roost};
use crate::support::temp::TempDir;

/// Runs `roost` over a data folder and returns what it said.
fn on(data: &Path, arguments: &[&str]) -> String {
    said(&run(roost().args(arguments).arg("--data").arg(data)))
}

fn json_on(data: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&on(data, &[arguments, &["--json"]].concat())).expect("JSON")
}

fn refused(data: &Path, arguments: &[&str]) -> String {
    complaint(&run(roost().args(arguments).arg("--data").arg(data)))
}

/// A platform's public key.
fn platform(data: &Path, name: &str) -> String {
    let added = json_on(data, &["platform", "add", "--name", name]);
    let keys: Vec<_> = added.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["public_key", "secret"]);
    added["public_key"].as_str().expect("a key").to_owned()
}

fn user(data: &Path, name: &str, more: &[&str]) -> Value {
    let email = format!("{name}@example.test");
    json_on(data, &[&["user", "add", "--email", &email, "--name", name], more].concat())
}

#[test]
fn platforms_are_made_and_listed() {
    let dir = TempDir::new();
    assert_eq!(json_on(dir.path(), &["platform", "list"]), json!([]));
    let acme = platform(dir.path(), "Acme Shop");
    let other = on(dir.path(), &["platform", "add", "--name", "Other"]);
    assert!(other.starts_with("added platform 2 Other\npublic key: "), "{other}");
    let listed = json_on(dir.path(), &["platform", "list"]);
    assert_eq!((&listed[0]["public_key"], &listed[0]["slug"]), (&acme.as_str().into(), &"acme-shop".into()));
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    let text = on(dir.path(), &["platform", "list"]);
    assert!(text.starts_with(&format!("{acme}  Acme Shop\n")), "{text}");
    assert!(!listed.to_string().contains("secret") && !text.contains("secret"));
    let shown = json_on(dir.path(), &["platform", "show", &acme]);
    assert_eq!((&shown["public_key"], &shown["name"]), (&acme.as_str().into(), &"Acme Shop".into()));
    let secret = shown["secret"].as_str().expect("what its backend signs with");
    let told = on(dir.path(), &["platform", "show", &acme]);
    assert!(told.contains(&acme) && told.contains(secret), "{told}");
    assert!(refused(dir.path(), &["platform", "show", "nobody"]).contains("there is no platform"));
    assert!(refused(dir.path(), &["platform", "add", "--name", " "]).contains("needs a name"));
    assert!(refused(dir.path(), &["platform", "add", "--name", &"a".repeat(256)]).contains("at most 255"));
}

#[test]
fn accounts_are_listed_with_where_they_belong_and_how_they_stand() {
    let dir = TempDir::new();
    let acme = platform(dir.path(), "Acme");
    user(dir.path(), "mai", &["--staff"]);
    user(dir.path(), "lan", &["--platform", &acme]);
    user(dir.path(), "mai", &["--platform", &acme]);
    on(dir.path(), &["user", "disable", "--user", "lan@example.test", "--platform", &acme]);
    let all = json_on(dir.path(), &["user", "list"]);
    let row = |at: usize| (all[at]["email"].clone(), all[at]["platform"].clone(), all[at]["is_active"].clone());
    let key = Value::from(acme.as_str());
    assert_eq!(row(0), ("mai@example.test".into(), Value::Null, true.into()));
    assert_eq!(row(1), ("lan@example.test".into(), key.clone(), false.into()));
    assert_eq!(row(2), ("mai@example.test".into(), key, true.into()));
    assert_eq!(json_on(dir.path(), &["user", "list", "--platform", &acme]), json!([all[1], all[2]]));
    let text = on(dir.path(), &["user", "list"]);
    let want = [
        "1  mai <mai@example.test>, staff".to_owned(),
        format!("2  lan <lan@example.test>, off, platform {acme}"),
        format!("3  mai <mai@example.test>, platform {acme}"),
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), want);
}

/// What is meant for one tenant's user may not fall on another's with the same address.
#[test]
fn an_account_on_a_platform_is_named_with_it() {
    let dir = TempDir::new();
    let acme = platform(dir.path(), "Acme");
    user(dir.path(), "lan", &["--platform", &acme]);
    let nobody = uuid::Uuid::nil().to_string();
    let lan = ["--user", "lan@example.test"];
    for (command, platform, want) in [
        (&["user", "disable"], &[][..], "say which with --platform"),
        (&["token", "add"], &[], "say which with --platform"),
        (&["token", "list"], &[], "say which with --platform"),
        (&["user", "enable"], &["--platform", &nobody], "there is no platform with the public key"),
        (&["user", "enable"], &["--platform", "acme"], "there is no platform with the public key"),
    ] {
        let said = refused(dir.path(), &[command, &lan[..], platform].concat());
        assert!(said.contains(want), "{command:?}: {said}");
    }
    let again = ["user", "add", "--email", "lan@example.test", "--name", "Lan", "--platform", &acme];
    assert!(refused(dir.path(), &again).contains("has an account already"));
    on(dir.path(), &["token", "add", "--user", "lan@example.test", "--platform", &acme]);
}

#[tokio::test]
async fn a_token_is_made_for_a_while_listed_and_revoked_beside_a_server() {
    let dir = TempDir::new();
    user(dir.path(), "mai", &["--staff"]);
    let mut server = Process::start(dir.path(), &[]);
    let me = async |token: &str| {
        let request = client().get(format!("{}/api/v1/auth/me", server.url)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    let add = ["token", "add", "--user", "mai@example.test", "--name", "desk", "--ability", "staff"];
    let short = on(dir.path(), &[&add[..], &["--hours", "2"]].concat()).trim().to_owned();
    let endless = on(dir.path(), &add).trim().to_owned();
    assert_eq!((me(&short).await, me(&endless).await), (200, 200));
    let listed = on(dir.path(), &["token", "list", "--user", "mai@example.test"]);
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines[0].starts_with("1  desk (staff), made 20") && lines[0].contains("Z, ends 20"), "{listed}");
    assert!(lines[1].starts_with("2  desk (staff), made 20") && !lines[1].contains("ends"), "{listed}");
    assert!(!listed.contains(short.split_once('|').expect("a number and a secret").1), "the secret is not shown");

    assert_eq!(on(dir.path(), &["token", "revoke", "2"]), "token 2 is revoked\n");
    assert_eq!((me(&short).await, me(&endless).await), (200, 401));
    assert!(refused(dir.path(), &["token", "revoke", "2"]).contains("there is no token 2"));
    let off = on(dir.path(), &["user", "disable", "--user", "mai@example.test"]);
    assert_eq!(off, "user 1 <mai@example.test> is off\n");
    assert_eq!(me(&short).await, 401);
    assert_eq!(on(dir.path(), &["token", "list", "--user", "mai@example.test"]), "");
    server.terminate();
    assert!(server.wait(crate::support::app::PATIENCE).success());
}

#[tokio::test]
async fn who_is_switched_off_cannot_sign_in_until_switched_on() {
    let dir = TempDir::new();
    let add = ["user", "add", "--email", "mai@example.test", "--name", "Mai", "--password-stdin"];
    said(&run_with_input(roost().args(add).arg("--data").arg(dir.path()), "a good password\n"));
    let server = Process::start(dir.path(), &[]);
    let body = json!({"email": "mai@example.test", "password": "a good password"});
    for (action, want) in [("disable", 403), ("enable", 200)] {
        on(dir.path(), &["user", action, "--user", "mai@example.test"]);
        let answer = client().post(format!("{}/api/v1/auth/login", server.url)).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), want, "{action}");
    }
    for hours in ["0", "-1", "x"] {
        complaint(&run(roost().args(["token", "add", "--user", "mai@example.test", "--hours", hours])));
    }
}
