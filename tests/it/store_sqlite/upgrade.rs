//! From the first schema to today's: what was there is there, and sound.
//!
//! The old store is filled by SQL and not through the engine, which writes today's rows only.

use roost::domain::{Ability, ConversationKind, Email, EventId, Language, Role, Timestamp, TokenId, User, UserId};
use roost::store::migrate::SQLITE;
use roost::store::sqlite::SqliteOptions;
use roost::store::{Accounts, CodeCheck, Locator, NewUser, Store};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::{Place, fast};
use crate::support::store::{at, everything, from_staff, staff, texts};

/// The schema of the first Roost.
fn first() -> SqliteOptions {
    SqliteOptions { migrations: &SQLITE[..1], ..fast() }
}

fn uuid(number: u8) -> Uuid {
    Uuid::from_bytes([number; 16])
}

/// Two members of staff, a guest who registered, their tokens and a code, two conversations with their
/// whole log.
fn fill(conn: &Connection) {
    let users = "insert into users (id, uuid, email, name, phone, avatar, language, password_hash, is_staff, \
                 is_active, is_verified, abilities, created_at) values ";
    let row = "(?1, ?2, ?3, ?4, '+84 1', 'https://x.test/a.png', 'vi', 'hash', ?5, 1, ?6, '*', ?7)";
    for (id, name, is_staff, is_verified) in [(1, "mai", 1, 1), (2, "tam", 1, 1), (5, "lan", 0, 0)] {
        let email = format!("{name}@example.test");
        let public = uuid(id);
        let values = params![id, public.as_bytes(), email, name, is_staff, is_verified, at(i64::from(id)).0];
        conn.execute(&format!("{users}{row}"), values).unwrap();
    }
    let at = at(9).0;
    for (id, user) in [(3, 1), (4, 5)] {
        let token = "insert into tokens (id, user_id, name, hash, abilities, created_at) values (?1, ?2, 'phone', ?3, \
                     'staff chat', ?4)";
        conn.execute(token, params![id, user, [7_u8; 32], at]).unwrap();
    }
    conn.execute("insert into codes values (5, ?1, 2, ?2, ?2 + 60000000)", params![[1_u8; 32], at]).unwrap();
    let conversation = "insert into conversations (id, uuid, kind, key, user_id, contact_name, metadata, created_at) \
                        values (?1, ?2, ?3, ?4, ?5, 'Lan', '{\"a\":1}', ?6)";
    conn.execute(conversation, params![1, uuid(11).as_bytes(), "live_chat", "a", Some(5), at]).unwrap();
    conn.execute(conversation, params![2, uuid(12).as_bytes(), "assistant_session", "b", None::<i64>, at]).unwrap();
    conn.execute_batch(&format!(
        "insert into heads values (1, 3, 13, 12, {at}, 1, 1, {at}, {at}, {at}, {listed});
         insert into heads values (2, 1, 14, 14, {at}, 1, null, null, {at}, {at}, null);
         insert into conversation_counts values ('live_chat', 1, 1), ('assistant_session', 1, 1);
         insert into participants (conversation_id, kind, user_id, joined_at)
             values (1, 'user', 5, {at}), (1, 'staff', 1, {at}), (2, 'guest', 0, {at});
         insert into messages (id, uuid, conversation_id, seq, role, user_id, text, created_at, updated_at)
             values (11, x'{one}', 1, 1, 'user', 5, 'hello', {at}, {at}), (12, x'{two}', 1, 2, 'staff', 1, 'yes?', {at}, {at}),
                    (14, x'{three}', 2, 1, 'user', null, 'what is AI?', {at}, {at});
         insert into events (id, conversation_id, seq, kind, message_id, message_uuid, at)
             values (13, 1, 3, 'message_deleted', 11, x'{one}', {at});
         update messages set deleted_at = {at} where id = 11;
         insert into runs (conversation_id, question_id, text, outcome, started_at) values (2, 14, 'It', null, {at});
         update sequences set value = 14;",
        listed = at / 16_000_000,
        one = uuid(21).simple(),
        two = uuid(22).simple(),
        three = uuid(23).simple(),
    ))
    .unwrap();
}

/// An old store, filled.
fn old_store() -> Place {
    let place = Place::new();
    place.open(&first()).close();
    let conn = place.sql();
    conn.pragma_update(None, "foreign_keys", true).unwrap();
    fill(&conn);
    place
}

fn mai() -> User {
    User {
        id: UserId(1),
        uuid: uuid(1),
        platform_id: None,
        email: Email::parse("mai@example.test").unwrap(),
        name: "mai".to_owned(),
        phone: Some("+84 1".to_owned()),
        avatar: Some("https://x.test/a.png".to_owned()),
        language: Some(Language::Vi),
        is_staff: true,
        is_active: true,
        is_verified: true,
        abilities: vec![Ability::any()],
        created_at: at(1),
        updated_at: at(1),
    }
}

#[tokio::test]
async fn accounts_tokens_and_codes_of_the_first_schema_are_kept() {
    let place = old_store();
    let store = place.open(&fast());
    let mai = mai();
    assert_eq!(store.user_by_email(None, &mai.email).await.unwrap(), Some((mai.clone(), Some("hash".to_owned()))));
    let lan = store.user(UserId(5)).await.unwrap().unwrap();
    assert_eq!((lan.uuid, lan.is_staff, lan.is_verified, lan.updated_at), (uuid(5), false, false, at(5)));
    let token = store.token(TokenId(3)).await.unwrap().expect("dropping the old table did not take it along");
    assert_eq!((token.user, token.hash, token.expires_at), (mai, [7; 32], None));
    assert_eq!(token.abilities.iter().map(Ability::as_str).collect::<Vec<_>>(), ["staff", "chat"]);
    assert_eq!(store.tokens(lan.id).await.unwrap().len(), 1);
    assert_eq!(store.check_code(lan.id, [2; 32], 4, at(10)).await.unwrap(), CodeCheck::Refused);
    assert_eq!(store.check_code(lan.id, [1; 32], 4, at(10)).await.unwrap(), CodeCheck::Verified);

    // Numbers go on after the highest one, and what was unique still is.
    let twice = store.add_user(NewUser { uuid: uuid(99), ..staff("mai") }).await;
    assert!(matches!(twice, Err(roost::error::Error::Invalid(_))), "{twice:?}");
    assert!(store.add_user(staff("minh")).await.unwrap().id > lan.id);
    store.close();
    assert!(place.audit().is_sound(), "{}", place.audit());
}

#[tokio::test]
async fn conversations_of_the_first_schema_are_kept_and_go_on() {
    let place = old_store();
    let store = place.open(&fast());
    let live = store.conversation(ConversationKind::LiveChat, Locator::Key("a")).await.unwrap().unwrap();
    assert_eq!((live.uuid, live.head.seq, live.head.message_id), (uuid(11), 3, EventId(12)));
    assert!(live.is_assigned_to(UserId(1)));
    assert_eq!((live.state.contact.name.as_deref(), live.state.metadata.0.as_str()), (Some("Lan"), r#"{"a":1}"#));
    assert_eq!(store.participants(live.id).await.unwrap().len(), 2);
    let said = store.messages(live.id, everything()).await.unwrap();
    assert_eq!((texts(&said), said[0].role, said[0].user_id), (vec!["yes?"], Role::Staff, Some(UserId(1))));
    assert_eq!(store.events(live.id, EventId::START, 9).await.unwrap().len(), 3);
    let session = store.conversation(ConversationKind::AssistantSession, Locator::Uuid(uuid(12))).await.unwrap();
    assert_eq!(texts(&store.messages(session.unwrap().id, everything()).await.unwrap()), ["what is AI?"]);
    assert_eq!(store.open_runs(Timestamp(i64::MAX)).await.unwrap().len(), 1);

    let sent = store.append(from_staff(live.id, UserId(2), "still here")).await.unwrap().message;
    assert_eq!((sent.id, sent.seq), (EventId(15), 4));
    store.close();
    assert!(place.audit().is_sound(), "{}", place.audit());
}

/// References are not enforced while the table of users is made anew; from then on they are again.
#[tokio::test]
async fn references_hold_after_the_upgrade() {
    let place = old_store();
    place.open(&fast()).close();
    let conn = place.sql();
    conn.pragma_update(None, "foreign_keys", true).unwrap();
    let broken =
        conn.execute("insert into tokens (user_id, name, hash, abilities, created_at) values (99, '', x'', '', 0)", []);
    assert!(broken.is_err(), "a token of nobody");
    assert!(conn.execute("delete from users where id = 1", []).is_err(), "a conversation refers to her");
    conn.execute("update conversations set user_id = null where user_id = 5", []).unwrap();
    conn.execute("update messages set user_id = null where user_id = 5", []).unwrap();
    conn.execute("delete from users where id = 5", []).unwrap();
    let left: i64 = conn.query_row("select count(*) from tokens where user_id = 5", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "tokens go with their user");
}

#[tokio::test]
async fn the_snapshot_before_the_upgrade_is_the_old_store() {
    let place = old_store();
    let store = place.open(&fast());
    let snapshot = store.snapshot().expect("there was something to lose").to_owned();
    store.close();
    let old = Connection::open(&snapshot).unwrap();
    let version: u32 = old.query_row("pragma user_version", [], |row| row.get(0)).unwrap();
    let users: i64 = old.query_row("select count(*) from users", [], |row| row.get(0)).unwrap();
    let has_platforms = "select exists (select 1 from sqlite_master where name = 'platforms')";
    let has_platforms: bool = old.query_row(has_platforms, [], |row| row.get(0)).unwrap();
    assert_eq!((version, users, has_platforms), (1, 3, false));
    drop(old);
    let held = place.dir.lock().unwrap();
    roost::store::sqlite::restore(&place.dir, &held, &snapshot, true, at(20)).unwrap();
    place.open(&first()).close();
    let store = place.open(&fast());
    assert_eq!(store.user(UserId(1)).await.unwrap(), Some(mai()), "and it can be upgraded again");
    store.close();
}
