//! Same key, same message, for ever.

use std::collections::HashSet;
use std::sync::Arc;

use roost::error::{Conflict, Error};
use tokio::task::JoinSet;

use super::benches;
use crate::support::store::{assistant_session, at, from_guest, from_staff, texts, with_key};

#[tokio::test]
async fn a_retry_returns_the_first_message_and_stores_nothing() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let hello = || with_key("key", from_guest(chat.id, "hello"));
        let first = bench.store.append(hello()).await.unwrap();
        bench.say(&chat, "something else").await;
        let retry = bench.store.append(hello()).await.unwrap();
        assert_eq!((first.replayed, retry.replayed), (false, true));
        assert_eq!(retry.message, first.message, "also its uuid, though the retry brought another");
        assert_eq!(bench.log(&chat).await.len(), 2);
        assert_eq!(bench.heard.events().len(), 2, "a replay is not announced");
    }
}

#[tokio::test]
async fn a_key_is_not_used_for_another_body() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        bench.append(with_key("key", from_guest(chat.id, "hello"))).await;
        let other = bench.store.append(with_key("key", from_guest(chat.id, "good-bye"))).await;
        assert!(matches!(other, Err(Error::Conflict(Conflict::IdempotencyKeyReused))), "{other:?}");
        assert_eq!(texts(&bench.messages(chat.id).await), ["hello"]);
        assert_eq!(bench.heard.events().len(), 1);
    }
}

/// What asks whether a message was sent must not send it.
#[tokio::test]
async fn a_retry_can_be_recognised_without_sending() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let hello = || with_key("key", from_guest(chat.id, "hello"));
        assert_eq!(bench.store.sent_before(hello()).await.unwrap(), None);
        assert!(bench.messages(chat.id).await.is_empty());
        let sent = bench.append(hello()).await;
        assert_eq!(bench.store.sent_before(hello()).await.unwrap(), Some(sent));
        assert_eq!(bench.store.sent_before(from_guest(chat.id, "hello")).await.unwrap(), None, "no key, no retry");
        let other = bench.store.sent_before(with_key("key", from_guest(chat.id, "good-bye"))).await;
        assert!(matches!(other, Err(Error::Conflict(Conflict::IdempotencyKeyReused))), "{other:?}");
    }
}

#[tokio::test]
async fn a_key_is_its_authors_own() {
    for bench in benches().await {
        let (chat, other) = (bench.chat("a").await, bench.chat("b").await);
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        for new in [
            from_guest(chat.id, "the guest"),
            from_staff(chat.id, lan.id, "Lan"),
            from_staff(chat.id, minh.id, "Minh"),
            from_guest(other.id, "another guest"),
        ] {
            assert!(!bench.store.append(with_key("key", new)).await.unwrap().replayed);
        }
        assert_eq!(texts(&bench.messages(chat.id).await), ["the guest", "Lan", "Minh"]);
        assert_eq!(texts(&bench.messages(other.id).await), ["another guest"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_retries_at_once_store_one_message() {
    for bench in benches().await {
        let chat = bench.add(assistant_session("a")).await;
        let mut retries = JoinSet::new();
        for _ in 0..50 {
            let (store, new) = (Arc::clone(&bench.store), with_key("key", from_guest(chat.id, "hello")));
            retries.spawn(async move { store.append(new).await.unwrap() });
        }
        let answers = retries.join_all().await;
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        assert_eq!(answers.iter().map(|answer| answer.message.id).collect::<HashSet<_>>().len(), 1);
        assert_eq!(bench.log(&chat).await.len(), 1);
        assert_eq!(bench.heard.events().len(), 1);
    }
}

#[tokio::test]
async fn a_key_outlives_a_restart() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let hello = || with_key("key", from_guest(chat.id, "hello"));
        let first = bench.append(hello()).await;
        let bench = bench.reopen().await;
        let retry = bench.store.append(hello()).await.unwrap();
        assert!(retry.replayed);
        assert_eq!(retry.message, first);
    }
}

#[tokio::test]
async fn a_key_outlives_its_message() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let hello = || with_key("key", from_guest(chat.id, "hello"));
        let first = bench.append(hello()).await;
        bench.store.delete_message(chat.id, first.id, at(1)).await.unwrap();
        let retry = bench.store.append(hello()).await.unwrap();
        assert!(retry.replayed, "a late retry does not bring back what was deleted");
        assert_eq!((retry.message.id, retry.message.uuid), (first.id, first.uuid));
        assert!(bench.messages(chat.id).await.is_empty());
    }
}
