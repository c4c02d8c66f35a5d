//! What a server does beside requests: it collects, from its start on, and stops doing so in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use roost::domain::Timestamp;
use roost::store::attachments::{Attachments as _, NewAttachment};
use roost::store::sqlite::{DataDir, SqliteOptions};
use roost::store::{Accounts as _, SqliteStore};
use uuid::Uuid;

use crate::support::app::PATIENCE;
use crate::support::process::Process;
use crate::support::store::{Recorder, staff};
use crate::support::temp::TempDir;

/// Puts a file into the store and its folder as if it had been uploaded at that instant.
async fn upload(data: &Path, at: Timestamp) -> PathBuf {
    let dir = DataDir::prepare(data).unwrap();
    let store = SqliteStore::open(&dir, &SqliteOptions::default(), Arc::new(Recorder::default()), at).unwrap();
    let uuid = Uuid::new_v4();
    let user_id = store.add_user(staff(&uuid.to_string())).await.unwrap().id;
    let (name, mime) = ("a.txt".to_owned(), "text/plain".to_owned());
    store.add_attachment(NewAttachment { uuid, user_id, name, mime, size: 1, has_thumbnail: false, at }).await.unwrap();
    store.close();
    let shelf = data.join("objects").join(&uuid.to_string()[..2]);
    std::fs::create_dir_all(&shelf).unwrap();
    let file = shelf.join(uuid.to_string());
    std::fs::write(&file, "a").unwrap();
    file
}

#[tokio::test]
async fn a_server_collects_what_is_loose_and_ends_in_order() {
    if crate::support::engine::is_other("what a folder of its own is cleared of") {
        return;
    }
    let dir = TempDir::new();
    let now = roost::clock::Clock::system().now();
    let old = upload(dir.path(), Timestamp(now.0 - 25 * 3_600_000_000)).await;
    let new = upload(dir.path(), now).await;
    let half = new.with_file_name("half#1");
    std::fs::write(&half, "h").unwrap();
    let mut server = Process::start(dir.path(), &[]);
    assert!(!half.exists(), "what a crash left is cleared before it serves");
    let collected = async {
        while old.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, collected).await.expect("it is collected");
    assert!(new.exists());
    server.terminate();
    assert!(server.wait(PATIENCE).success());
    assert!(!dir.path().join("roost.db-wal").exists(), "nobody held the store any more");
}
