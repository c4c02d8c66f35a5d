//! Messages that come, or go, together.

use roost::error::Error;
use roost::store::NewMessage;

use super::benches;
use crate::support::store::{assert_dense, at, from_guest, texts, with_key};

#[tokio::test]
async fn a_batch_is_appended_whole_and_in_order() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let keyed = |texts: &[&str]| -> Vec<NewMessage> {
            let new = texts.iter().enumerate().map(|(n, text)| with_key(&format!("k {n}"), from_guest(chat.id, text)));
            new.collect()
        };
        let sent = bench.store.append_all(keyed(&["one", "two", "three"])).await.unwrap();
        let ids: Vec<_> = sent.iter().map(|sent| sent.message.id.0).collect();
        assert_eq!(ids, (ids[0]..ids[0] + 3).collect::<Vec<_>>(), "consecutive");
        let again = bench.store.append_all(keyed(&["one", "two", "three"])).await.unwrap();
        assert!(again.iter().all(|sent| sent.replayed));
        let clash = bench.store.append_all(vec![from_guest(chat.id, "new"), keyed(&["other"]).remove(0)]).await;
        assert!(matches!(clash, Err(Error::Conflict(_))), "{clash:?}");
        assert_eq!(texts(&bench.messages(chat.id).await), ["one", "two", "three"], "all or none");
        assert_dense(&bench.log(&chat).await);
    }
}

#[tokio::test]
async fn messages_are_deleted_together_if_nothing_came_between() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let ids = [bench.say(&chat, "one").await.id, bench.say(&chat, "two").await.id];
        let seq = bench.now(&chat).await.head.seq;
        bench.say(&chat, "three").await;
        assert!(!bench.store.delete_messages(chat.id, ids.to_vec(), seq, at(1)).await.unwrap());
        assert!(bench.store.delete_messages(chat.id, ids.to_vec(), seq + 1, at(1)).await.unwrap());
        assert_eq!(texts(&bench.messages(chat.id).await), ["three"]);
        assert_dense(&bench.log(&chat).await);
    }
}
