//! Messages that come, or go, together.

use roost::domain::{ConversationId, ParticipantKind};
use roost::error::{Error, Subject};
use roost::store::{NewMessage, StateChange};

use super::benches;
use crate::support::store::{assert_dense, assistant_session, at, from_guest, from_staff, letter, texts, with_key};

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

/// They wait together, and go to the database together as far as they can.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_those_that_are_sent_together_each_fares_as_if_it_were_alone() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        let (open, closed, answered) = (bench.chat("a").await, bench.chat("b").await, bench.chat("c").await);
        let (session, pair) = (bench.add(assistant_session("s")).await, bench.pair().await);
        let direct = &pair.direct.conversation;
        let known = || with_key("known", from_guest(open.id, "known"));
        let first = bench.append(known()).await;
        for chat in [&closed, &answered, &session] {
            bench.store.change_state(chat.id, StateChange::Close, at(1)).await.unwrap();
        }
        let wrote = |text: &str| letter(&pair.direct, &pair.ana, &pair.ben, text);
        let sends = vec![
            from_guest(closed.id, "is anybody there?"),
            from_guest(open.id, "one"),
            from_staff(answered.id, lan.id, "we are closed"),
            known(),
            with_key("new", from_guest(open.id, "two")),
            from_guest(ConversationId(999_999), "nobody"),
            from_staff(open.id, lan.id, "hello"),
            from_guest(session.id, "what is the time?"),
            wrote("dear Ben"),
            from_staff(open.id, lan.id, "hello again"),
            from_staff(open.id, minh.id, "me too"),
            wrote("dearest Ben"),
        ];
        let sent = futures_util::future::join_all(sends.iter().map(|new| bench.store.append(new.clone()))).await;
        for (new, sent) in sends.iter().zip(sent) {
            match sent {
                Ok(sent) if sent.replayed => assert_eq!(sent.message, first),
                Ok(sent) => {
                    assert_eq!((&sent.message.uuid, sent.message.text.as_str()), (&new.uuid, new.text.as_str()));
                }
                Err(error) => {
                    assert_eq!(new.conversation_id.0, 999_999, "{error:?}");
                    assert!(matches!(error, Error::NotFound(Subject::Conversation)), "{error:?}");
                }
            }
        }
        let told = bench.messages(open.id).await;
        assert_eq!(texts(&told).len(), 6, "the key's message is there once: {told:?}");
        for (chat, is_active) in [(&open, true), (&closed, true), (&answered, false), (&session, false)] {
            assert_dense(&bench.log(chat).await);
            assert_eq!(bench.now(chat).await.state.is_active, is_active, "{}", chat.key);
        }
        assert_dense(&bench.log(direct).await);
        assert_eq!(bench.unread(&pair).await, (0, 2));
        let staff = bench.store.participants(open.id).await.unwrap();
        let staff = staff.iter().filter(|one| one.kind == ParticipantKind::Staff);
        assert_eq!(staff.count(), 2, "who writes twice joins once");
    }
}
