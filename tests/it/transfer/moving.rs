//! What arrives is what was there.

use roost::domain::{ConversationKind, EventId};
use roost::store::transfer;
use roost::store::{Locator, SharedStore, Store};

use super::filled::{Dice, World};
use super::{Ground, Lines, assert_same, close, reads};
use crate::support::store::{at, everything, from_guest, letter, live_chat, staff, with_key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_store_answers_every_read_the_same_and_goes_on() {
    let Some(ground) = Ground::new().await else { return };
    let store = ground.open();
    let world = World::fill(store.clone()).await;
    let uploads = world.uploads.clone();
    drop(world);
    let shared: SharedStore = store.clone();
    let here = reads::all(&shared, &uploads).await;
    let last = shared.newest_event().await.unwrap();
    drop(shared);
    close(store);

    let lines = Lines::default();
    let moved = transfer::run(&ground.plan(), &|line| lines.lock().unwrap().push(line)).await.unwrap();
    assert!(moved.messages > 40 && moved.events > 20 && moved.conversations > 5, "{moved:?}");
    let told = lines.lock().unwrap().join("\n");
    assert!(told.contains("messages: ") && told.contains("rows/s") && !told.contains("not the same"), "{told}");

    let target = ground.target().await;
    assert_same(&reads::all(&target, &uploads).await, &here);
    let first = with_key("first", from_guest(roost::domain::ConversationId(1), "hello"));
    if let Some(before) = target.sent_before(first.clone()).await.unwrap() {
        assert!(target.append(first).await.unwrap().replayed, "{before:?} was sent with that key");
    }
    let chat = target.create_conversation(live_chat("after the move")).await.unwrap();
    let said = target.append(from_guest(chat.id, "still here")).await.unwrap().message;
    assert!(said.id > last, "numbers go on");
    assert!(target.add_user(staff("new")).await.unwrap().id.0 > 4);
    let feed = target.feed(roost::domain::Scope::All, last, 10).await.unwrap();
    assert_eq!(feed.events.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_meanwhile_is_brought_by_rounds() {
    let Some(ground) = Ground::new().await else { return };
    let store = ground.open();
    let mut world = World::fill(store.clone()).await;
    let mut dice = Dice::new(7);
    for _ in 0..6 {
        let held = ground.dir.lock().unwrap();
        let refused = ground.run().await.unwrap_err().to_string();
        assert!(refused.contains("stop the server"), "{refused}");
        drop(held);
        world.play(&mut dice, 60).await;
        let early = ground.try_target().await.map(drop).unwrap_err().to_string();
        assert!(early.contains("a transfer that is not finished"), "{early}");
    }
    let uploads = world.uploads.clone();
    drop(world);
    let shared: SharedStore = store.clone();
    let here = reads::all(&shared, &uploads).await;
    drop(shared);
    close(store);
    ground.run().await.unwrap();
    assert_same(&reads::all(&ground.target().await, &uploads).await, &here);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_starts_on_a_folder_that_was_moved_unless_told_to() {
    let Some(ground) = Ground::new().await else { return };
    let store = ground.open();
    let chat = store_with_a_word(store.clone()).await;
    close(store);
    ground.run().await.unwrap();
    let refused = ground.try_open().map(drop).unwrap_err().to_string();
    assert!(refused.contains("was moved to PostgreSQL") && refused.contains("remove"), "{refused}");
    ground.run().await.expect("once more changes nothing");
    let mark = ground.path().join("MOVED");
    let text = std::fs::read_to_string(&mark).unwrap();
    assert!(text.contains("127.0.0.1") && !text.contains("roost:"), "no password: {text}");
    std::fs::remove_file(mark).unwrap();
    let again = ground.open();
    let said = again.messages(chat, everything()).await.unwrap();
    assert_eq!(said.len(), 1, "as it was");
    close(again);
    let refused = ground.run().await.unwrap_err().to_string();
    assert!(refused.contains("was moved there before"), "{refused}");
}

async fn store_with_a_word(store: SharedStore) -> roost::domain::ConversationId {
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    store.append(from_guest(chat.id, "a\0b")).await.unwrap();
    chat.id
}

/// Some doors let a NUL into a text, which PostgreSQL cannot hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn characters_that_the_target_cannot_hold_are_replaced() {
    let Some(ground) = Ground::new().await else { return };
    let store = ground.open();
    let chat = store_with_a_word(store.clone()).await;
    close(store);
    ground.run().await.unwrap();
    let target = ground.target().await;
    let said = target.messages(chat, everything()).await.unwrap();
    assert_eq!(said[0].text, "a\u{fffd}b");
    assert_eq!((said[0].id, said[0].seq), (EventId(1), 1));
    assert!(target.conversation(ConversationKind::LiveChat, Locator::Key("a")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_not_empty_is_refused() {
    let Some(ground) = Ground::new().await else { return };
    close(ground.open());
    let other = ground.target().await;
    other.secret("cookies", [1; 32]).await.unwrap();
    let refused = ground.run().await.unwrap_err().to_string();
    assert!(refused.contains("holds a store already"), "{refused}");
    assert_eq!(other.secret("cookies", [2; 32]).await.unwrap(), [1; 32]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_of_another_store_is_refused() {
    let (Some(ground), Some(other)) = (Ground::new().await, Ground::new().await) else { return };
    close(ground.open());
    let held = ground.dir.lock().unwrap();
    ground.run().await.unwrap_err();
    drop(held);
    let options = roost::store::sqlite::SqliteOptions::default();
    let listener = std::sync::Arc::new(crate::support::store::Recorder::default());
    roost::store::SqliteStore::open(&other.dir, &options, listener, at(9)).unwrap().close();
    let plan = transfer::Move { from: other.path().to_owned(), ..ground.plan() };
    let refused = transfer::run(&plan, &|_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("holds another store"), "{refused}");
}

/// A column that somebody adds to a migration and forgets in the list of what is moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_nobody_moves_stops_it() {
    let Some(ground) = Ground::new().await else { return };
    close(ground.open());
    drop(ground.try_target().await.unwrap());
    ground.sql("alter table users add column shoe_size bigint").await;
    let refused = ground.run().await.unwrap_err().to_string();
    assert!(refused.contains("users.shoe_size"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_store_is_named() {
    let Some(ground) = Ground::new().await else { return };
    let refused = ground.run().await.unwrap_err().to_string();
    assert!(refused.contains("there is no store in"), "{refused}");
}

/// The words of a letter are compared byte for byte with what PostgreSQL keeps of them, and a row may be larger than a
/// piece.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_of_any_script_and_length_arrive() {
    let Some(ground) = Ground::new().await else { return };
    let store = ground.open();
    let mut world = World::fill(store.clone()).await;
    world.between(0, 1).await;
    let direct = world.directs.last().expect("it was just made").clone();
    let (ana, ben) = (world.people[0].clone(), world.people[1].clone());
    let mut dice = Dice::new(11);
    let mut any = |_| char::from_u32(u32::try_from(dice.roll(0x3_0000)).unwrap()).unwrap_or(' ');
    let mut texts: Vec<String> = (0..300).map(|_| (0..60).map(&mut any).collect()).collect();
    texts.push((0..60_000).map(|n| format!("word{n} ")).collect());
    texts.push("long".repeat(1_500_000));
    for text in &texts {
        store.append(letter(&direct, &ana, &ben, text)).await.unwrap();
    }
    // To oneself: each word once, not twice.
    store.append(letter(&direct, &ana, &ana, "me and me")).await.unwrap();
    let count = texts.len() + 1;
    drop(world);
    close(store);
    ground.run().await.unwrap();
    let target = ground.target().await;
    let said = target.messages(direct.conversation.id, everything()).await.unwrap();
    assert_eq!(said.len(), count);
    for (said, text) in said.iter().zip(&texts) {
        assert_eq!(said.text, text.replace('\0', "\u{fffd}"));
    }
    assert_eq!(target.search_letters(ben.id, vec!["word59".to_owned()], None, 9).await.unwrap().len(), 1);
}
