//! Power loss after an acknowledgement: a disk that forgets everything that was not fsynced still
//! has every acknowledged message.
//!
//! The server runs on a disk that can be looked at as if the power had failed at this moment (see
//! `tests/power/shim.c`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Client;
use roost::store::sqlite::audit;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::support::process::{Process, roost};
use crate::support::temp::TempDir;

const WRITERS: usize = 8;
const ACKNOWLEDGED: usize = 150;

/// Compiles the forgetful disk; `None`, with a word about it, where that cannot be done.
fn shim(dir: &Path) -> Option<PathBuf> {
    let library = dir.join("power.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/shim.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .args(["-ldl", "-lpthread"])
        .stderr(Stdio::null())
        .status();
    if compiled.is_ok_and(|status| status.success()) && cfg!(target_os = "linux") {
        return Some(library);
    }
    crate::support::left_out("power loss", "it needs Linux and a C compiler");
    None
}

fn start(library: &Path, data: &Path, kept: &Path, lie: &str, checkpoint_mib: &str) -> Process {
    let mut command = roost();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command.env("ROOST_LIMITS_ENABLED", "false").env("ROOST_LOG_FILTER", "warn");
    command.env("ROOST_STORE_WAL_MIB", checkpoint_mib);
    command.env("LD_PRELOAD", library).env("POWER_FROM", data).env("POWER_TO", kept).env("POWER_LIE", lie);
    Process::spawn(command)
}

/// Sends until enough is acknowledged; each acknowledged text, in no order.
async fn send(url: &str) -> Vec<String> {
    let client = Client::builder().no_proxy().build().unwrap();
    let made: Value = post(&client, format!("{url}/api/v1/chat/guest/session"), json!({})).await;
    let key = made["data"]["session"]["session_key"].as_str().unwrap().to_owned();
    let count = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (client, count) = (client.clone(), Arc::clone(&count));
        let path = format!("{url}/api/v1/chat/guest/{key}/message");
        writers.push(tokio::spawn(async move {
            let mut texts = Vec::new();
            while count.fetch_add(1, Ordering::Relaxed) < ACKNOWLEDGED {
                let text = format!("{writer}-{} {}", texts.len(), "x".repeat(400));
                let body = post(&client, path.clone(), json!({"message": text})).await;
                assert_eq!(body["success"], true, "{body}");
                texts.push(text);
            }
            texts
        }));
    }
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.await.unwrap());
    }
    all
}

async fn post(client: &Client, url: String, body: Value) -> Value {
    client.post(url).json(&body).send().await.unwrap().json().await.unwrap()
}

/// How many of the texts a disk holds after the power failed.
fn found(kept: &Path, texts: &[String]) -> usize {
    let Ok(store) = Connection::open_with_flags(kept.join("roost.db"), OpenFlags::SQLITE_OPEN_READ_WRITE) else {
        return 0;
    };
    let found = audit(&store).unwrap();
    assert!(found.is_sound(), "{found}");
    let there = |text: &&String| {
        let sql = "select count(*) from messages where text = ?1";
        store.query_row(sql, [text.as_str()], |row| row.get::<_, i64>(0)).unwrap() == 1
    };
    texts.iter().filter(there).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_forgets_what_was_not_fsynced_has_every_acknowledged_message() {
    let tools = TempDir::new();
    let Some(library) = shim(tools.path()) else { return };
    // With the large log everything is still in it; with the small one it is copied meanwhile.
    for checkpoint_mib in ["64", "1"] {
        let (data, kept) = (TempDir::new(), TempDir::new());
        let server = start(&library, data.path(), kept.path(), "0", checkpoint_mib);
        let texts = send(&server.url).await;
        server.kill();
        assert_eq!(found(kept.path(), &texts), texts.len(), "with a log of {checkpoint_mib} MiB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lies_about_fsync_is_noticed_by_this_test() {
    let tools = TempDir::new();
    let Some(library) = shim(tools.path()) else { return };
    let (data, kept) = (TempDir::new(), TempDir::new());
    let server = start(&library, data.path(), kept.path(), "1", "64");
    let texts = send(&server.url).await;
    server.kill();
    assert_eq!(found(kept.path(), &texts), 0);
}
