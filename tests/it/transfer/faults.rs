//! What is not the same is found before anybody uses it.

use roost::domain::ConversationId;
use roost::store::Store;
use roost::store::transfer::{self, Move};

use super::{Ground, close};
use crate::support::store::{everything, from_guest, live_chat};

/// Twenty conversations of ten messages, all copied and compared, while a server seems to run.
async fn copied() -> Option<Ground> {
    let ground = Ground::new().await?;
    let store = ground.open();
    for n in 0..20 {
        let chat = store.create_conversation(live_chat(&format!("chat {n}"))).await.unwrap();
        let said = (0..10).map(|n| from_guest(chat.id, &format!("text {n}"))).collect();
        store.append_all(said).await.unwrap();
    }
    close(store);
    let held = ground.dir.lock().unwrap();
    ground.run().await.unwrap_err();
    drop(held);
    Some(ground)
}

/// Runs the cut-over, which has to refuse; and once more, after which all is well.
async fn refused(ground: &Ground, check_all: bool) -> String {
    let plan = Move { check_all, ..ground.plan() };
    let refused = transfer::run(&plan, &|_| {}).await.unwrap_err().to_string();
    assert!(ground.try_target().await.is_err(), "nobody uses it");
    close(ground.open());
    let again = Move { check_all: true, ..ground.plan() };
    let mut outcome = transfer::run(&again, &|_| {}).await;
    if outcome.is_err() && !check_all {
        outcome = transfer::run(&again, &|_| {}).await;
    }
    outcome.unwrap();
    let target = ground.target().await;
    for id in 1..=20 {
        assert_eq!(target.messages(ConversationId(id), everything()).await.unwrap().len(), 10);
    }
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_text_is_found() {
    let Some(ground) = copied().await else { return };
    ground.sql("update messages set text = 'another' where conversation_id = 7 and seq = 3").await;
    let refused = refused(&ground, true).await;
    assert!(refused.contains("conversation 7: here 10 messages") && !refused.contains("conversation 8:"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_message_is_found_and_named() {
    let Some(ground) = copied().await else { return };
    ground.sql("delete from messages where conversation_id = 9 and seq = 10").await;
    let refused = refused(&ground, true).await;
    assert!(refused.contains("conversation 9: here 10 messages") && refused.contains("there 9 messages"), "{refused}");
}

/// Also when conversations that were compared before are not compared again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_row_is_found_by_the_count() {
    let Some(ground) = copied().await else { return };
    ground.sql("delete from participants where conversation_id = 9").await;
    let refused = refused(&ground, false).await;
    assert!(refused.contains("participants: 20 rows here, 19 there"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_messages_in_each_others_place_are_found() {
    let Some(ground) = copied().await else { return };
    ground.sql("update messages set seq = 9 - seq where conversation_id = 5 and seq in (4, 5)").await;
    let refused = refused(&ground, true).await;
    assert!(refused.contains("conversation 5: "), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_leads_elsewhere_is_found() {
    let Some(ground) = copied().await else { return };
    ground.sql("update conversation_keys set conversation_id = 3 where key = 'chat 7'").await;
    let plan = ground.plan();
    let refused = transfer::run(&plan, &|_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("conversation_keys: "), "{refused}");
    ground.run().await.expect("they are made anew");
}
