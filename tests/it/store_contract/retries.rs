//! Same key, same message, for ever.

use std::collections::HashSet;
use std::sync::Arc;

use roost::domain::User;
use roost::error::{Conflict, Error};
use roost::store::{Idempotency, KEYS_MAX};
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

#[tokio::test]
async fn a_key_of_what_is_no_message_stands_for_one_body_too() {
    for bench in benches().await {
        let (lan, mai) = (bench.staff("lan").await, bench.staff("mai").await);
        let key = |name: &str, body: u8| Idempotency { key: name.to_owned(), fingerprint: [body; 16] };
        let claim = async |user: &User, scope, key| bench.store.claim_key(user.id, scope, key, at(1)).await;
        assert!(!claim(&lan, "opening", key("k", 1)).await.unwrap());
        assert!(claim(&lan, "opening", key("k", 1)).await.unwrap());
        let other = claim(&lan, "opening", key("k", 2)).await;
        assert!(matches!(other, Err(Error::Conflict(Conflict::IdempotencyKeyReused))), "{other:?}");
        // Another user's, another scope's, another key.
        assert!(!claim(&mai, "opening", key("k", 2)).await.unwrap());
        assert!(!claim(&lan, "closing", key("k", 2)).await.unwrap());
        assert!(!claim(&lan, "opening", key("K", 2)).await.unwrap());
        let bench = bench.reopen().await;
        assert!(bench.store.claim_key(lan.id, "opening", key("k", 1), at(2)).await.unwrap());
        // The oldest makes room; what is claimed again does not become younger.
        for number in 0..KEYS_MAX - 1 {
            let new = bench.store.claim_key(lan.id, "opening", key(&number.to_string(), 1), at(3)).await;
            assert!(!new.unwrap(), "{number}");
        }
        assert!(bench.store.claim_key(lan.id, "opening", key("0", 1), at(4)).await.unwrap());
        assert!(!bench.store.claim_key(lan.id, "opening", key("k", 3), at(4)).await.unwrap());
        assert!(bench.store.claim_key(mai.id, "opening", key("k", 2), at(4)).await.unwrap());
    }
}
