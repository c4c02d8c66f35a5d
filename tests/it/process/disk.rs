//! Disks that are full, fail or cannot be written, for real.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::json;

use super::{Guest, complaint, run};
use crate::support::app::PATIENCE;
use crate::support::left_out;
use crate::support::process::{Process, roost};
use crate::support::temp::TempDir;

/// A server whose folder is a small disk of its own, which only the server sees; `None` where that
/// is not allowed.
fn on_a_small_disk(test: &str, dir: &Path, mount_options: &str) -> Option<Command> {
    let may = Command::new("unshare").args(["-Urm", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        left_out(test, "unshare -Urm is not permitted here");
        return None;
    }
    let mut command = roost();
    let roost = command.get_program().to_owned();
    let settings: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    command = Command::new("unshare");
    for name in settings {
        command.env_remove(name);
    }
    let script = format!(
        "mount -t tmpfs -o {mount_options} none \"$1\" && exec \"$2\" serve --listen 127.0.0.1:0 --data \"$1\""
    );
    command.args(["-Urm", "sh", "-c", &script, "sh"]).arg(dir).arg(roost);
    command.env("ROOST_LIMITS_ENABLED", "false").env("ROOST_LOG_FILTER", "off");
    Some(command)
}

/// A file on the server's disk, seen from here.
fn inside(server: &Process, file: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", server.pid().as_raw_nonzero(), file.display()))
}

impl Guest<'_> {
    /// Waits until the server says of itself what it has to.
    async fn awaits_readiness(&self, want: u16) {
        let began = Instant::now();
        loop {
            let (status, body) = self.get("/readyz").await;
            assert_eq!(body["ready"], json!(status == 200));
            if status == want {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "readiness stays {status}");
            tokio::task::yield_now().await;
        }
    }
}

/// Sends until that is refused: what was acknowledged.
async fn send_until_full(guest: &Guest<'_>) -> Vec<i64> {
    let text = "x".repeat(1000);
    let mut acknowledged = Vec::new();
    loop {
        match guest.says(&text).await {
            Ok(id) => acknowledged.push(id),
            Err(refused) => {
                assert_eq!(refused, (507, "STORAGE_FULL".to_owned()));
                return acknowledged;
            }
        }
        assert!(acknowledged.len() < 20_000, "the disk does not fill");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_sends_and_loses_nothing() {
    if crate::support::engine::is_other("a disk under the file") {
        return;
    }
    let dir = TempDir::new();
    let Some(mut command) = on_a_small_disk("a full disk", dir.path(), "size=6m") else { return };
    command.env("ROOST_STORE_DURABILITY", "relaxed");
    let server = Process::spawn(command);
    let guest = Guest::of(&server).await;
    let filler = inside(&server, &dir.path().join("filler"));
    std::fs::write(&filler, vec![0; 4 << 20]).unwrap();
    let acknowledged = send_until_full(&guest).await;
    assert!(!acknowledged.is_empty());
    guest.awaits_readiness(503).await;
    assert_eq!(guest.get("/livez").await.0, 200);
    for _ in 0..5 {
        assert_eq!(guest.says("still full").await, Err((507, "STORAGE_FULL".to_owned())));
        assert_eq!(guest.polls().await, acknowledged, "reads go on and nothing acknowledged is lost");
    }
    std::fs::remove_file(&filler).unwrap();
    let more = guest.says("room again").await.expect("sending works again");
    guest.awaits_readiness(200).await;
    assert_eq!(guest.polls().await, [acknowledged, vec![more]].concat());
}

#[tokio::test]
async fn a_store_at_its_configured_size_is_not_ready_either() {
    if crate::support::engine::is_other("a disk under the file") {
        return;
    }
    let dir = TempDir::new();
    let server =
        Process::start(dir.path(), &[("ROOST_STORE_SIZE_MIB_MAX", "1"), ("ROOST_STORE_DURABILITY", "relaxed")]);
    let guest = Guest::of(&server).await;
    let acknowledged = send_until_full(&guest).await;
    guest.awaits_readiness(503).await;
    assert_eq!(guest.polls().await, acknowledged);
}

#[tokio::test]
async fn a_disk_that_fails_refuses_sends_until_it_works_again() {
    if crate::support::engine::is_other("a disk under the file") {
        return;
    }
    let dir = TempDir::new();
    let mut command = Command::new("sh");
    // A file that would grow past the limit answers an error, once the signal for it is ignored.
    command.args(["-c", "trap '' XFSZ; exec \"$0\" serve --listen 127.0.0.1:0 --data \"$1\""]);
    command.arg(roost().get_program()).arg(dir.path());
    command.env("ROOST_LIMITS_ENABLED", "false").env("ROOST_LOG_FILTER", "off");
    let server = Process::spawn(command);
    let guest = Guest::of(&server).await;
    let before = guest.says("before").await.unwrap();
    let limit = |current| {
        prlimit(Some(server.pid()), Resource::Fsize, Rlimit { current, maximum: None }).expect("its parent may");
    };
    limit(Some(1));
    for _ in 0..3 {
        assert_eq!(guest.says("lost").await, Err((503, "STORAGE_READ_ONLY".to_owned())));
        assert_eq!(guest.polls().await, [before]);
        guest.awaits_readiness(503).await;
    }
    limit(None);
    let after = guest.says("after").await.expect("sending works again");
    assert_eq!(guest.polls().await, [before, after]);
    guest.awaits_readiness(200).await;
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_at_the_start() {
    if crate::support::engine::is_other("a folder that one server has for itself") {
        return;
    }
    let dir = TempDir::new();
    let Some(mut command) = on_a_small_disk("a read-only disk", dir.path(), "size=1m,ro") else { return };
    let said = complaint(&run(&mut command));
    assert!(said.contains("the data folder") && said.contains("cannot be written"), "{said}");
    let file = dir.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    let said = complaint(&run(&mut super::plain(&file)));
    assert!(said.contains("the data folder"), "{said}");
}
