//! Opening: upgrades that can be undone, and what is refused with a sentence for the operator.

use std::fs;
use std::path::Path;

use roost::domain::EventId;
use roost::store::SqliteStore;
use roost::store::Store;
use roost::store::migrate::{Migration, SQLITE};
use roost::store::sqlite::{DataDir, SqliteOptions, restore};
use rusqlite::Connection;

use super::{Place, fast};
use crate::support::store::{at, everything, from_guest, live_chat, texts};

/// Today's last version.
const TODAY: u32 = SQLITE[SQLITE.len() - 1].version;

/// Today's schema and those steps.
const fn and_then<const N: usize>(steps: &[Migration]) -> [Migration; N] {
    let mut all = [SQLITE[0]; N];
    let mut at = 1;
    while at < N {
        all[at] = if at < SQLITE.len() { SQLITE[at] } else { steps[at - SQLITE.len()] };
        at += 1;
    }
    all
}

const MOODS: Migration = Migration {
    version: TODAY + 1,
    name: "moods",
    sql: "create table moods (id integer primary key, mood text not null)",
};

/// The schema of a Roost to come.
const NEXT: &[Migration] = &and_then::<{ SQLITE.len() + 1 }>(&[MOODS]);

/// One whose last step fails half-way.
const BROKEN: &[Migration] = &and_then::<{ SQLITE.len() + 2 }>(&[
    MOODS,
    Migration { version: TODAY + 2, name: "colours", sql: "create table colours (id); create table colours (id)" },
]);

/// Today's schema, with another text of its last step.
const EDITED: &[Migration] = &{
    let mut all = and_then::<{ SQLITE.len() }>(&[]);
    all[SQLITE.len() - 1].sql = "create table log (id)";
    all
};

fn with(migrations: &'static [Migration]) -> SqliteOptions {
    SqliteOptions { migrations, ..fast() }
}

/// A store at today's schema that holds one message.
async fn one_message(place: &Place) {
    let store = place.open(&fast());
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    store.append(from_guest(chat.id, "hello")).await.unwrap();
    store.close();
}

/// Everything that was said in the store's only conversation.
async fn said(place: &Place, options: &SqliteOptions) -> Vec<String> {
    let store = place.open(options);
    let chats = store.conversations(roost::domain::ConversationKind::LiveChat, filter()).await.unwrap();
    let messages = store.messages(chats.items[0].id, everything()).await.unwrap();
    store.close();
    texts(&messages).into_iter().map(str::to_owned).collect()
}

fn filter() -> roost::store::ConversationFilter {
    roost::store::ConversationFilter { limit: 1, ..Default::default() }
}

/// Who works beside a server has to know whether opening the store would change it under the server.
#[tokio::test]
async fn a_store_says_that_it_is_behind() {
    let place = Place::new();
    let is_behind = |migrations| SqliteStore::is_behind(&place.dir, migrations);
    assert!(is_behind(SQLITE).unwrap() && !place.dir.database().exists(), "and none is made by asking");
    one_message(&place).await;
    assert!(!is_behind(SQLITE).unwrap() && is_behind(NEXT).unwrap() && !has_moods(&place.dir.database()));
    place.open(&with(NEXT)).close();
    assert!(!is_behind(NEXT).unwrap());
    assert!(is_behind(SQLITE).unwrap_err().to_string().contains("start the newer Roost"));
}

fn has_moods(file: &Path) -> bool {
    let conn = Connection::open(file).unwrap();
    conn.query_row("select exists (select 1 from sqlite_master where name = 'moods')", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_new_store_takes_no_snapshot() {
    let place = Place::new();
    let store = place.open(&fast());
    assert_eq!(store.snapshot(), None);
    store.close();
    assert!(!place.dir.snapshots().exists());
    assert!(place.audit().is_sound());
}

#[tokio::test]
async fn an_upgrade_takes_a_snapshot_first_and_can_be_undone() {
    let place = Place::new();
    one_message(&place).await;
    let store = place.open(&with(NEXT));
    let snapshot = store.snapshot().expect("there was something to lose").to_owned();
    assert!(snapshot.starts_with(place.dir.snapshots()));
    let chat = store.open_conversation(live_chat("a")).await.unwrap().0;
    store.append(from_guest(chat.id, "said after the upgrade")).await.unwrap();
    store.close();
    assert!(has_moods(&place.dir.database()) && !has_moods(&snapshot));
    assert!(
        place.refusal(&fast()).contains(&format!("schema {}", TODAY + 1)),
        "today's binary refuses the newer store"
    );

    let held = place.dir.lock().unwrap();
    let restored = restore(&place.dir, &held, &snapshot, true, at(9)).unwrap();
    assert_eq!(said(&place, &fast()).await, ["hello"]);
    assert!(has_moods(&restored.previous.unwrap()), "what was there is kept");
    assert_eq!(said(&place, &with(NEXT)).await, ["hello"], "and the upgrade can be made again");
}

#[tokio::test]
async fn a_store_that_is_up_to_date_takes_no_snapshot() {
    let place = Place::new();
    one_message(&place).await;
    let store = place.open(&fast());
    assert_eq!(store.snapshot(), None);
    store.close();
}

/// A service manager starts what failed again and again: a snapshot left by each attempt would fill
/// the disk.
#[tokio::test]
async fn an_upgrade_that_fails_changes_nothing_and_leaves_nothing() {
    let place = Place::new();
    one_message(&place).await;
    for _ in 0..3 {
        let refusal = place.refusal(&with(BROKEN));
        assert!(refusal.contains("cannot be opened"), "{refusal}");
        assert!(!has_moods(&place.dir.database()), "not even the step before the one that failed is there");
        assert_eq!(fs::read_dir(place.dir.snapshots()).unwrap().count(), 0);
    }
    assert_eq!(said(&place, &fast()).await, ["hello"]);
}

#[tokio::test]
async fn a_newer_store_is_refused_and_left_alone() {
    let place = Place::new();
    place.open(&with(NEXT)).close();
    let before = fs::read(place.dir.database()).unwrap();
    let refusal = place.refusal(&fast());
    assert!(refusal.contains(&format!("schema {} and this binary knows {TODAY}", TODAY + 1)), "{refusal}");
    assert_eq!(fs::read(place.dir.database()).unwrap(), before);
}

#[tokio::test]
async fn a_half_done_migration_is_refused() {
    let place = Place::new();
    one_message(&place).await;
    place.sql().execute("update migrations set finished_at = null", []).unwrap();
    let refusal = place.refusal(&fast());
    assert!(refusal.contains("migration 1 was begun and not finished"), "{refusal}");
    assert!(refusal.contains("snapshots/") && refusal.contains("roost restore"), "it says what to do: {refusal}");
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let place = Place::new();
    one_message(&place).await;
    let refusal = place.refusal(&with(EDITED));
    assert!(refusal.contains(&format!("migration {TODAY} was applied with another text")), "{refusal}");
}

#[test]
fn anothers_database_is_refused_and_left_alone() {
    let place = Place::new();
    place.sql().execute_batch("create table recipes (id integer primary key)").unwrap();
    let before = fs::read(place.dir.database()).unwrap();
    let refusal = place.refusal(&fast());
    assert!(refusal.contains("not one of Roost's"), "{refusal}");
    assert!(fs::read(place.dir.database()).unwrap() == before, "not even its journal mode is changed");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let place = Place::new();
    let letter = "Dear An, ".repeat(1000);
    fs::write(place.dir.database(), &letter).unwrap();
    let refusal = place.refusal(&fast());
    assert!(refusal.contains("not a database"), "{refusal}");
    assert_eq!(fs::read_to_string(place.dir.database()).unwrap(), letter);
}

#[test]
fn a_folder_belongs_to_one_server() {
    let place = Place::new();
    let held = place.dir.lock().unwrap();
    let second = DataDir::prepare(place.folder.path()).unwrap().lock().unwrap_err().to_string();
    assert!(second.contains("another roost uses the data folder"), "{second}");
    drop(held);
    place.dir.lock().expect("let go, it can be taken again");
}

#[test]
fn a_folder_that_cannot_be_made_or_written_is_refused() {
    let place = Place::new();
    let file = place.folder.path().join("a-file");
    fs::write(&file, "").unwrap();
    let refusal = DataDir::prepare(&file.join("data")).unwrap_err().to_string();
    assert!(refusal.contains("cannot be made"), "{refusal}");
    // Nobody makes files in /proc, not even root, whom permissions do not stop.
    let refusal = DataDir::prepare(Path::new("/proc")).unwrap_err().to_string();
    assert!(refusal.contains("/proc cannot be written"), "{refusal}");
}

#[test]
fn a_new_folder_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let inner = place.folder.path().join("deep/data");
    DataDir::prepare(&inner).unwrap();
    assert_eq!(fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
}

/// A server that was killed leaves its log behind; the next start reads it.
#[tokio::test]
async fn what_was_acknowledged_is_there_without_a_farewell() {
    let place = Place::new();
    let store = place.open(&SqliteOptions::default());
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    store.append(from_guest(chat.id, "hello")).await.unwrap();
    let killed = Place::new();
    for suffix in ["", "-wal"] {
        let name = format!("roost.db{suffix}");
        fs::copy(place.folder.path().join(&name), killed.folder.path().join(&name)).unwrap();
    }
    assert_eq!(said(&killed, &fast()).await, ["hello"]);
    assert!(killed.audit().is_sound());
    store.close();
}

#[tokio::test]
async fn a_closed_store_is_one_file() {
    let place = Place::new();
    let store = place.open(&fast());
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    store.append(from_guest(chat.id, "hello")).await.unwrap();
    assert_eq!(store.events(chat.id, EventId::START, 9).await.unwrap().len(), 1);
    store.close();
    for suffix in ["-wal", "-shm"] {
        assert!(!place.folder.path().join(format!("roost.db{suffix}")).exists(), "{suffix} is left");
    }
}

/// What a removal takes along is found by an index, and not by a look at everybody's rows.
#[test]
fn what_goes_with_its_parent_is_found_by_an_index() {
    let place = Place::new();
    place.open(&fast()).close();
    let conn = place.sql();
    let mut cascades = conn
        .prepare(
            "select t.name, f.\"from\" from sqlite_master t join pragma_foreign_key_list (t.name) f \
             where t.type = 'table' and f.on_delete = 'CASCADE'",
        )
        .unwrap();
    let cascades = cascades.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    let cascades: Vec<_> = cascades.map(Result::unwrap).collect();
    assert!(cascades.len() > 10, "{cascades:?}");
    for (table, column) in cascades {
        let plan = format!("explain query plan delete from {table} where {column} = ?1");
        let step: String = conn.query_row(&plan, [1], |row| row.get(3)).unwrap();
        assert!(step.starts_with("SEARCH"), "{table}.{column}: {step}");
    }
}
