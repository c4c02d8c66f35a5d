//! Copies: a backup while the server runs, and putting one back.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roost::domain::{ConversationKind, EventId};
use roost::store::sqlite::{backup_file, restore};
use roost::store::{ConversationFilter, Store};
use rusqlite::Connection;

use super::{Place, fast};
use crate::support::store::{assert_dense, at, everything, from_guest, live_chat, texts};

/// A store that holds a few hundred messages, closed, and a backup of it.
async fn backed_up(place: &Place) -> PathBuf {
    let store = place.open(&fast());
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    for n in 0..300 {
        store.append(from_guest(chat.id, &format!("message {n} {}", "x".repeat(200)))).await.unwrap();
    }
    store.close();
    let copy = place.folder.path().join("backup.db");
    backup_file(&place.dir.database(), &copy).unwrap();
    copy
}

async fn messages_in(place: &Place) -> usize {
    let store = place.open(&fast());
    let filter = ConversationFilter { limit: 1, ..ConversationFilter::default() };
    let chats = store.conversations(ConversationKind::LiveChat, filter).await.unwrap();
    let count = store.messages(chats.items[0].id, everything()).await.unwrap().len();
    store.close();
    count
}

/// Every file of the folder but the lock, by name and content.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("roost.lock"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_is_taken_while_everybody_writes_and_holds_one_moment() {
    let place = Place::new();
    let store = Arc::new(place.open(&fast()));
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (store, chat, stopped) = (Arc::clone(&store), chat.id, stopped.clone());
            tokio::spawn(async move {
                while !*stopped.borrow() {
                    store.append(from_guest(chat, "hello")).await.unwrap();
                }
            })
        })
        .collect();
    let acknowledged = store.append(from_guest(chat.id, "before the backup")).await.unwrap().message;
    let copy = place.folder.path().join("backup.db");
    let (database, to) = (place.dir.database(), copy.clone());
    tokio::task::spawn_blocking(move || backup_file(&database, &to)).await.unwrap().unwrap();
    stop.send(true).unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    let log = store.events(chat.id, EventId::START, 1_000_000).await.unwrap();

    let elsewhere = Place::new();
    let held = elsewhere.dir.lock().unwrap();
    let restored = restore(&elsewhere.dir, &held, &copy, true, at(1)).unwrap();
    assert_eq!(restored.previous, None);
    let audit = restored.audit.unwrap();
    assert!(audit.is_sound() && audit.messages >= acknowledged.seq, "{audit}");
    let again = elsewhere.open(&fast());
    let copied = again.events(chat.id, EventId::START, 1_000_000).await.unwrap();
    assert_dense(&copied);
    assert_eq!(copied, log[..copied.len()], "the log as it was at one moment");
    assert!(copied.iter().any(|event| event.id == acknowledged.id), "with all that was acknowledged by then");
    again.close();
}

#[tokio::test]
async fn a_backup_is_one_file_and_never_overwrites() {
    let place = Place::new();
    let copy = backed_up(&place).await;
    let parts = |(path, _): (PathBuf, _)| path.to_string_lossy().contains(".part").then_some(path);
    assert_eq!(contents(place.folder.path()).into_iter().find_map(parts), None, "none is left beside it");
    let mode: String = Connection::open(&copy).unwrap().query_row("pragma journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete", "no second file belongs to it");
    let before = fs::read(&copy).unwrap();
    let refusal = backup_file(&place.dir.database(), &copy).unwrap_err().to_string();
    assert!(refusal.contains("exists already"), "{refusal}");
    assert!(fs::read(&copy).unwrap() == before);
}

/// What lies beside a backup is somebody's, whatever it is called.
#[tokio::test]
async fn a_copy_in_the_making_takes_nobodys_place() {
    let place = Place::new();
    let copy = backed_up(&place).await;
    let names = ["x.part", "x.db.part", "x.db.part-1", "x.restore", "roost.part", "roost.restore", "roost.db.part-1"];
    let others = names.map(|name| place.folder.path().join(name));
    for other in &others {
        fs::write(other, "dear diary").unwrap();
    }
    backup_file(&place.dir.database(), &place.folder.path().join("x.db")).unwrap();
    restore(&place.dir, &place.dir.lock().unwrap(), &copy, false, at(1)).unwrap();
    for other in &others {
        assert_eq!(fs::read_to_string(other).unwrap(), "dear diary", "{}", other.display());
    }
    assert!(!place.folder.path().join("x.db.part-2").exists());
}

#[test]
fn there_is_no_backup_of_what_is_no_store() {
    let place = Place::new();
    let copy = place.folder.path().join("backup.db");
    backup_file(&place.dir.database(), &copy).unwrap_err();
    assert!(!copy.exists() && !place.dir.database().exists(), "nor is one made by asking");
    place.sql().execute_batch("create table recipes (id integer primary key)").unwrap();
    let refusal = backup_file(&place.dir.database(), &copy).unwrap_err().to_string();
    assert!(refusal.contains("not one of Roost's"), "{refusal}");
    assert!(!copy.exists());
}

#[tokio::test]
async fn a_restore_keeps_the_store_that_was_there() {
    let place = Place::new();
    let copy = backed_up(&place).await;
    let store = place.open(&fast());
    let chat = store.open_conversation(live_chat("a")).await.unwrap().0;
    store.append(from_guest(chat.id, "after the backup")).await.unwrap();
    store.close();

    let held = place.dir.lock().unwrap();
    let kept = restore(&place.dir, &held, &copy, false, at(1)).unwrap().previous.unwrap();
    assert!(kept.starts_with(place.dir.snapshots()));
    assert!(!place.folder.path().join("roost.db.part-1").exists());
    assert_eq!(messages_in(&place).await, 300);
    let back = restore(&place.dir, &held, &kept, true, at(2)).unwrap();
    assert_eq!(back.audit.unwrap().messages, 301);
    assert_eq!(messages_in(&place).await, 301, "and the restore can be undone");
    assert!(place.audit().is_sound());
}

/// A number is a client's cursor: given out twice, it hides what came with it the second time.
#[tokio::test]
async fn a_restore_gives_no_number_out_again() {
    let place = Place::new();
    let copy = backed_up(&place).await;
    let held = place.dir.lock().unwrap();
    let say = async |text: &str| {
        let store = place.open(&fast());
        let chat = store.open_conversation(live_chat("a")).await.unwrap().0;
        let said = store.append(from_guest(chat.id, text)).await.unwrap().message.id;
        store.close();
        said
    };
    let mut last = EventId::START;
    for round in 1..4 {
        let before = say("after the backup").await;
        restore(&place.dir, &held, &copy, round > 1, at(round)).unwrap();
        let after = say("after the restore").await;
        assert!(last < before && before < after, "{last:?}, {before:?}, {after:?}");
        last = after;
    }
    assert!(place.audit().is_sound());
    // When nobody knows any more what was given out, a good deal is stepped over.
    fs::write(place.dir.database(), "broken".repeat(2000)).unwrap();
    restore(&place.dir, &held, &copy, true, at(9)).unwrap();
    let after = say("after the loss").await;
    assert!((1_000_000..1 << 52).contains(&after.0), "{after:?}");
}

/// A server that was killed leaves its last messages in the write-ahead log.
#[tokio::test]
async fn a_restore_keeps_also_what_was_not_copied_into_the_database_yet() {
    let place = Place::new();
    let copy = backed_up(&place).await;
    let store = place.open(&fast());
    let chat = store.open_conversation(live_chat("a")).await.unwrap().0;
    store.append(from_guest(chat.id, "in the log only")).await.unwrap();
    let killed = Place::new();
    for name in ["roost.db", "roost.db-wal"] {
        fs::copy(place.folder.path().join(name), killed.folder.path().join(name)).unwrap();
    }
    store.close();
    let held = killed.dir.lock().unwrap();
    let kept = restore(&killed.dir, &held, &copy, true, at(1)).unwrap().previous.unwrap();
    assert_eq!(messages_in(&killed).await, 300, "nothing of the old log is read into the new store");
    assert!(killed.audit().is_sound());
    restore(&killed.dir, &held, &kept, true, at(2)).unwrap();
    assert_eq!(messages_in(&killed).await, 301);
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_nothing_is_changed() {
    let place = Place::new();
    let copy = backed_up(&place).await;
    let held = place.dir.lock().unwrap();
    let sound = fs::read(&copy).unwrap();
    let pages = sound.len() / 4096;
    assert!(pages > 20);
    for page in [0, 1, pages / 2, pages - 1] {
        let mut damaged = sound.clone();
        damaged[page * 4096..(page + 1) * 4096].iter_mut().for_each(|byte| *byte ^= 0xFF);
        fs::write(&copy, damaged).unwrap();
        assert_refused(&place, &held, &copy, &format!("page {page}"));
    }
    fs::write(&copy, &sound[..sound.len() / 2]).unwrap();
    assert_refused(&place, &held, &copy, "cut in half");
    fs::write(&copy, "").unwrap();
    assert_refused(&place, &held, &copy, "empty");
    fs::remove_file(&copy).unwrap();
    assert_refused(&place, &held, &copy, "absent");
    assert_eq!(messages_in(&place).await, 300);
}

#[track_caller]
fn assert_refused(place: &Place, held: &roost::store::sqlite::DataDirLock, copy: &Path, what: &str) {
    let before = contents(place.folder.path());
    let refusal = match restore(&place.dir, held, copy, true, at(1)) {
        Ok(done) => panic!("{what}: {done:?}"),
        Err(error) => error.to_string(),
    };
    assert!(refusal.contains("backup.db"), "{what}: it names the file: {refusal}");
    assert!(contents(place.folder.path()) == before, "{what}: the folder is as it was");
    assert!(!place.dir.snapshots().exists(), "{what}");
}

/// An empty file is a legal database, and the worst of backups.
#[tokio::test]
async fn a_backup_that_holds_no_store_is_refused_also_unchecked() {
    let place = Place::new();
    let copy = backed_up(&place).await;
    let held = place.dir.lock().unwrap();
    fs::write(&copy, "").unwrap();
    let refusal = restore(&place.dir, &held, &copy, false, at(1)).unwrap_err().to_string();
    assert!(refusal.contains("there is no store in it"), "{refusal}");
    fs::rename(&copy, place.dir.database()).unwrap();
    let refusal = backup_file(&place.dir.database(), &copy).unwrap_err().to_string();
    assert!(refusal.contains("there is no store in it"), "{refusal}");
}

/// What is damaged beyond a copy is kept as it is: restoring is the cure for it.
#[tokio::test]
async fn a_store_that_cannot_be_read_is_put_aside_as_it_is() {
    let place = Place::new();
    let copy = backed_up(&place).await;
    let broken = "broken".repeat(2000);
    fs::write(place.dir.database(), &broken).unwrap();
    let held = place.dir.lock().unwrap();
    let kept = restore(&place.dir, &held, &copy, true, at(1)).unwrap().previous.unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), broken);
    assert_eq!(messages_in(&place).await, 300);
}

/// A hole in the numbers is no damage to SQLite, but it is to us.
#[tokio::test]
async fn a_backup_with_a_hole_in_a_log_is_refused() {
    let place = Place::new();
    let copy = backed_up(&place).await;
    Connection::open(&copy).unwrap().execute("delete from messages where seq = 7", []).unwrap();
    let held = place.dir.lock().unwrap();
    let refusal = restore(&place.dir, &held, &copy, true, at(1)).unwrap_err().to_string();
    assert!(refusal.contains("1 conversations with a hole in their numbers"), "{refusal}");
    restore(&place.dir, &held, &copy, false, at(1)).expect("who does not ask for the check gets what there is");
    let store = place.open(&fast());
    let chat = store.open_conversation(live_chat("a")).await.unwrap().0;
    let said = store.messages(chat.id, everything()).await.unwrap();
    assert_eq!(texts(&said).len(), 299);
    store.close();
}
