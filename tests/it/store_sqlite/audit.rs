//! The audit: each kind of damage is reported as what it is.

use roost::store::sqlite::Audit;
use roost::store::{StateChange, Store};
use rusqlite::Connection;

use super::{Place, fast};
use crate::support::store::{at, from_guest, live_chat};

/// Two chats with four events each, then whatever `sql` does to them behind the store's back.
async fn audit_after(sql: &str) -> Audit {
    let place = Place::new();
    let store = place.open(&fast());
    for key in ["a", "b"] {
        let chat = store.create_conversation(live_chat(key)).await.unwrap();
        let first = store.append(from_guest(chat.id, "one")).await.unwrap().message;
        store.append(from_guest(chat.id, "two")).await.unwrap();
        store.change_state(chat.id, StateChange::Close, at(1)).await.unwrap();
        store.delete_message(chat.id, first.id, at(2)).await.unwrap();
    }
    store.close();
    let conn = place.sql();
    conn.pragma_update(None, "foreign_keys", false).unwrap();
    conn.execute_batch(sql).unwrap();
    roost::store::sqlite::audit(&conn).unwrap()
}

fn counts(found: &Audit) -> (u64, u64, u64, u64) {
    (found.orphans, found.not_dense, found.out_of_order, found.past_sequence)
}

#[tokio::test]
async fn a_sound_store_is_sound() {
    let found = audit_after("").await;
    assert!(found.is_sound());
    assert_eq!(found.to_string(), "2 conversations, 4 messages, 4 other events, all sound");
}

#[tokio::test]
async fn a_row_without_its_parent_is_found() {
    let found =
        audit_after("insert into runs (conversation_id, question_id, text, started_at) values (99, 1, '', 0)").await;
    assert_eq!(counts(&found), (1, 0, 0, 0));
    assert!(found.to_string().contains("1 rows without their parent"), "{found}");
}

#[tokio::test]
async fn a_hole_in_the_numbers_is_found_wherever_it_is() {
    for sql in [
        "delete from messages where conversation_id = 1 and seq = 1",
        "delete from messages where conversation_id = 1 and seq = 2",
        "delete from events where conversation_id = 1 and seq = 4",
        "delete from messages where conversation_id = 1; delete from events where conversation_id = 1",
        "update heads set seq = 5 where conversation_id = 1",
        "update heads set seq = 0 where conversation_id = 1",
        "update events set seq = 2 where conversation_id = 1 and seq = 3",
    ] {
        let found = audit_after(sql).await;
        assert_eq!(found.not_dense, 1, "{sql}: {found}");
        assert!(found.to_string().contains("1 conversations with a hole in their numbers"), "{found}");
    }
}

/// Without its head a conversation is invisible, as if it had been removed.
#[tokio::test]
async fn a_conversation_that_lost_its_head_is_found() {
    let found = audit_after("delete from heads where conversation_id = 1").await;
    assert_eq!(counts(&found), (0, 1, 0, 0), "{found}");
}

#[tokio::test]
async fn ids_that_do_not_grow_with_the_numbers_are_found() {
    let found = audit_after(
        "update messages set seq = 99 where conversation_id = 1 and seq = 1;
         update messages set seq = 1 where conversation_id = 1 and seq = 2;
         update messages set seq = 2 where conversation_id = 1 and seq = 99;",
    )
    .await;
    assert_eq!(counts(&found), (0, 0, 1, 0), "{found}");
    assert!(found.to_string().contains("1 conversations out of order"), "{found}");
}

#[tokio::test]
async fn an_instant_that_goes_back_is_found() {
    let found = audit_after("update events set at = 0 where conversation_id = 1 and seq = 3").await;
    assert_eq!(counts(&found), (0, 0, 1, 0), "{found}");
}

/// A snapshot hands the head's cursor to its readers: one that is too late makes them miss events.
#[tokio::test]
async fn a_head_that_does_not_agree_with_its_log_is_found() {
    for sql in [
        "update heads set event_id = event_id + 1 where conversation_id = 1",
        "update heads set message_id = 1 where conversation_id = 1",
    ] {
        let found = audit_after(sql).await;
        assert_eq!((found.stale_heads, counts(&found)), (1, (0, 0, 0, 0)), "{sql}: {found}");
        assert!(!found.is_sound());
        assert!(found.to_string().contains("1 conversations whose head is not the end of their log"), "{found}");
    }
}

/// The next event would be given an id that somebody has seen already.
#[tokio::test]
async fn a_sequence_that_fell_behind_is_found() {
    let found = audit_after("update sequences set value = 6 where name = 'event'").await;
    assert_eq!(counts(&found), (0, 0, 0, 2), "{found}");
    assert!(found.to_string().contains("2 ids past the sequence"), "{found}");
}

#[tokio::test]
async fn an_index_that_does_not_agree_with_its_table_is_found() {
    let place = Place::new();
    let store = place.open(&fast());
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    store.append(from_guest(chat.id, "one")).await.unwrap();
    store.close();
    redefine_index(&place.sql(), "create index messages_of on messages (conversation_id) where false");
    place.sql().execute("delete from messages where id = 1", []).unwrap();
    redefine_index(&place.sql(), "create index messages_of on messages (conversation_id)");
    let found = place.audit();
    assert!(!found.damage.is_empty(), "{found}");
    assert!(found.to_string().contains("messages_of"), "it says where: {found}");
}

/// Changes what an index is meant to hold and not what it holds. Seen by the next connection.
fn redefine_index(conn: &Connection, sql: &str) {
    conn.pragma_update(None, "writable_schema", true).unwrap();
    conn.execute("update sqlite_master set sql = ?1 where name = 'messages_of'", [sql]).unwrap();
}

/// Lists show these counts instead of counting: a wrong one would stay wrong.
#[tokio::test]
async fn a_wrong_count_is_found() {
    for sql in [
        "insert into participants (conversation_id, kind, user_id, joined_at, unread) values (1, 'user', 5, 0, 1)",
        "insert into device_counts (conversation_id, device_kind, total) values (1, 'web', 2)",
    ] {
        let found = audit_after(sql).await;
        assert_eq!((found.miscounted, counts(&found)), (1, (0, 0, 0, 0)), "{sql}: {found}");
        assert!(found.to_string().contains("1 counts of letters that are wrong"), "{found}");
    }
}
