//! The log: numbers, announcements, instants, deletion, and the ways to read it.

use std::sync::Arc;

use roost::domain::{Change, ConversationId, ConversationKind, EventBody, EventId, Json, Message, Role};
use roost::error::{Error, Subject};
use roost::store::{EVENT_BYTES_MAX, MessageFilter, NewMessage, StateChange};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Bench, benches};
use crate::support::store::{
    answer, assert_dense, assistant_session, at, everything, from_guest, from_staff, numbers, texts, with_key,
};

impl Bench {
    /// That many guests, each of whom says one thing at the same time as the others.
    async fn crowd(&self, chats: &[ConversationId], size: usize) -> Vec<Arc<Message>> {
        let mut guests = JoinSet::new();
        for guest in 0..size {
            let (store, heard) = (Arc::clone(&self.store), Arc::clone(&self.heard));
            let new = from_guest(chats[guest % chats.len()], &format!("guest {guest}"));
            guests.spawn(async move {
                let sent = store.append(new).await.unwrap().message;
                assert!(heard.has_heard(sent.id), "answered before it was announced");
                sent
            });
        }
        guests.join_all().await
    }

    async fn found(&self, chat: ConversationId, filter: MessageFilter) -> Vec<String> {
        let found = self.store.messages(chat, filter).await.unwrap();
        found.iter().map(|message| message.text.clone()).collect()
    }

    async fn search(&self, chat: ConversationId, part: &str) -> Vec<String> {
        self.found(chat, MessageFilter { search: Some(part.to_owned()), ..everything() }).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_guests_at_once_get_dense_numbers() {
    for bench in benches().await {
        let mut chats = Vec::new();
        for key in ["a", "b", "c", "d"] {
            chats.push(bench.chat(key).await);
        }
        let sent = bench.crowd(&chats.iter().map(|chat| chat.id).collect::<Vec<_>>(), 50).await;
        let mut stored = 0;
        for chat in &chats {
            let log = bench.log(chat).await;
            assert_dense(&log);
            stored += log.len();
            let head = bench.now(chat).await.head;
            assert_eq!((head.seq, head.event_id), (log.len() as u64, log.last().unwrap().id));
        }
        assert_eq!(stored, sent.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn announcements_come_in_commit_order_and_before_the_answer() {
    for bench in benches().await {
        let (one, two) = (bench.chat("one").await, bench.chat("two").await);
        bench.crowd(&[one.id, two.id], 50).await;
        let heard = bench.heard.events();
        assert_eq!(heard.len(), 50);
        for chat in [&one, &two] {
            let of_chat = bench.heard.events_of(chat.id);
            assert!(of_chat.windows(2).all(|pair| pair[0].id < pair[1].id), "ids grow with the numbers");
            assert_eq!(of_chat, bench.log(chat).await, "what was announced is what is stored");
        }
    }
}

#[tokio::test]
async fn a_refused_command_announces_nothing_and_wastes_no_number() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let nowhere = ConversationId(chat.id.0 + 1);
        let refused = bench.store.append(from_guest(nowhere, "hello?")).await;
        assert!(matches!(refused, Err(Error::NotFound(Subject::Conversation))), "{refused:?}");
        let first = bench.say(&chat, "hello").await;
        assert_eq!((first.seq, bench.heard.events().len()), (1, 1));
    }
}

#[tokio::test]
async fn ids_are_never_given_out_again() {
    for bench in benches().await {
        let (kept, gone) = (bench.chat("kept").await, bench.chat("gone").await);
        let before = bench.say(&kept, "one").await;
        let last = bench.say(&gone, "two").await;
        assert!(before.id < last.id);
        assert!(bench.store.remove_conversation(gone.id).await.unwrap());
        let bench = bench.reopen().await;
        let after = bench.say(&kept, "three").await;
        assert!(after.id > last.id, "{} was {} before", after.id, last.id);
        assert!(bench.chat("new").await.id > gone.id, "a conversation's number is not given out again either");
    }
}

#[tokio::test]
async fn a_message_is_read_back_as_it_was_sent() {
    for bench in benches().await {
        let (chat, lan) = (bench.chat("a").await, bench.staff("lan").await);
        let question = bench.say(&chat, "?").await;
        let new = NewMessage {
            metadata: Some(Json(r#"{"a": [1, "ü"]}"#.to_owned())),
            reply_to: Some(question.id),
            at: at(7),
            ..from_staff(chat.id, lan.id, "'; drop table messages; -- \n\t\"Xin chào\" 👩‍👩‍👧 \\ %_")
        };
        let sent = bench.append(new.clone()).await;
        assert_eq!(
            *sent,
            Message {
                id: sent.id,
                uuid: new.uuid,
                conversation_id: chat.id,
                seq: 2,
                role: Role::Staff,
                user_id: Some(lan.id),
                text: new.text.as_str().to_owned(),
                metadata: new.metadata,
                reply_to: new.reply_to,
                created_at: at(7),
                updated_at: at(7),
                edited_at: None,
                letter: None,
            }
        );
        let log = bench.log(&chat).await;
        assert_eq!(log[1].body, EventBody::MessageAdded(Arc::clone(&sent)));
        assert_eq!((log[1].id, log[1].at), (sent.id, at(7)), "a message's id is its event's");
        assert_eq!(bench.messages(chat.id).await, [question, Arc::clone(&sent)]);
        let head = bench.now(&chat).await.head;
        assert_eq!((head.message_id, head.message_at), (sent.id, Some(at(7))));
    }
}

#[tokio::test]
async fn order_does_not_rest_on_the_clock() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let late = bench.append(NewMessage { at: at(3600), ..from_guest(chat.id, "at noon") }).await;
        let back = bench.append(NewMessage { at: at(0), ..from_guest(chat.id, "an hour back") }).await;
        assert!(back.id > late.id && back.created_at >= late.created_at);
        bench.store.change_state(chat.id, StateChange::Close, at(1)).await.unwrap();
        bench.append(NewMessage { at: at(2), ..from_guest(chat.id, "reopened") }).await;
        bench.store.delete_message(chat.id, back.id, at(3)).await.unwrap();
        let log = bench.log(&chat).await;
        assert_dense(&log);
        assert!(log.iter().all(|event| event.at == at(3600)), "instants stand still until the clock is there again");
        assert_eq!(bench.now(&chat).await.last_activity_at, at(3600));
    }
}

#[tokio::test]
async fn a_guest_reopens_a_closed_chat() {
    for bench in benches().await {
        let (chat, lan) = (bench.chat("a").await, bench.staff("lan").await);
        bench.store.change_state(chat.id, StateChange::Close, at(1)).await.unwrap();

        bench.append(from_staff(chat.id, lan.id, "we are closed")).await;
        assert!(!bench.now(&chat).await.state.is_active, "staff may add a line without reopening");

        let sent = bench.append(NewMessage { at: at(2), ..from_guest(chat.id, "I am back") }).await;
        let log = bench.log(&chat).await;
        assert_eq!(numbers(&log), [1, 2, 3, 4]);
        let EventBody::StateChanged { change: Change::Reopened, state } = &log[2].body else { panic!("{log:?}") };
        assert!(state.is_active);
        assert_eq!((log[3].id, log[3].seq), (sent.id, sent.seq));
        assert_eq!(bench.now(&chat).await.state, **state);
        assert_eq!(bench.heard.events_of(chat.id), log, "both are announced");
    }
}

#[tokio::test]
async fn only_a_new_message_in_a_live_chat_reopens_it() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let hello = with_key("k", from_guest(chat.id, "hello"));
        bench.append(hello.clone()).await;
        let session = bench.add(assistant_session("s")).await;
        for closed in [&chat, &session] {
            bench.store.change_state(closed.id, StateChange::Close, at(1)).await.unwrap();
        }
        bench.append(hello).await;
        bench.say(&session, "are you there?").await;
        for closed in [&chat, &session] {
            assert!(!bench.now(closed).await.state.is_active, "{}", closed.key);
        }
    }
}

#[tokio::test]
async fn a_deleted_message_leaves_its_number_and_nothing_else() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let question = bench.say(&chat, "what is your name?").await;
        let secret = bench.append(answer(&question, "my password is hunter2")).await;
        assert!(bench.store.delete_message(chat.id, secret.id, at(5)).await.unwrap());

        let log = bench.log(&chat).await;
        assert_dense(&log);
        assert_eq!(log[1].body, EventBody::MessageGone);
        assert_eq!(log[2].body, EventBody::MessageDeleted { message_id: secret.id, uuid: secret.uuid });
        assert_eq!(bench.heard.events_of(chat.id)[2], log[2]);
        assert!(!format!("{log:?}").contains("hunter2"), "the text is not shown again");

        assert_eq!(texts(&bench.messages(chat.id).await), ["what is your name?"]);
        assert_eq!(bench.store.message(ConversationKind::LiveChat, secret.uuid).await.unwrap(), None);
        assert_eq!(bench.store.answer_to(chat.id, question.id).await.unwrap(), None);
        assert_eq!(bench.search(chat.id, "hunter2").await, [""; 0]);
        let head = bench.now(&chat).await.head;
        assert_eq!((head.seq, head.message_id), (3, secret.id), "the head keeps the last message that was added");
        assert_eq!(bench.say(&chat, "go on").await.seq, 4);
    }
}

#[tokio::test]
async fn a_message_is_deleted_once_and_only_in_its_own_conversation() {
    for bench in benches().await {
        let (chat, other) = (bench.chat("a").await, bench.chat("b").await);
        let message = bench.say(&chat, "mine").await;
        for (conversation, id) in [
            (other.id, message.id),
            (ConversationId(0), message.id),
            (chat.id, EventId(message.id.0 + 1)),
            (chat.id, EventId::START),
        ] {
            assert!(!bench.store.delete_message(conversation, id, at(1)).await.unwrap());
        }
        assert_eq!(texts(&bench.messages(chat.id).await), ["mine"]);
        assert!(bench.store.delete_message(chat.id, message.id, at(1)).await.unwrap());
        assert!(!bench.store.delete_message(chat.id, message.id, at(1)).await.unwrap());
        assert_eq!((bench.log(&chat).await.len(), bench.log(&other).await.len()), (2, 0));
    }
}

#[tokio::test]
async fn a_message_is_found_by_its_name_within_its_kind() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let sent = bench.say(&chat, "hello").await;
        let found = bench.store.message(ConversationKind::LiveChat, sent.uuid).await.unwrap();
        assert_eq!(found, Some((Arc::clone(&sent), bench.now(&chat).await)));
        for (kind, uuid) in [
            (ConversationKind::AssistantSession, sent.uuid),
            (ConversationKind::LiveChat, Uuid::new_v4()),
            (ConversationKind::LiveChat, chat.uuid),
        ] {
            assert_eq!(bench.store.message(kind, uuid).await.unwrap(), None);
        }
    }
}

/// A list that is continued from a message must not break when that message is deleted.
#[tokio::test]
async fn a_messages_place_outlives_its_deletion() {
    for bench in benches().await {
        let (chat, other) = (bench.chat("a").await, bench.chat("b").await);
        let sent = bench.say(&chat, "hello").await;
        bench.store.delete_message(chat.id, sent.id, at(1)).await.unwrap();
        assert_eq!(bench.store.message_id(chat.id, sent.uuid).await.unwrap(), Some(sent.id));
        assert_eq!(bench.store.message_id(other.id, sent.uuid).await.unwrap(), None, "not from another's log");
        assert_eq!(bench.store.message_id(chat.id, Uuid::new_v4()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_answer_is_found_by_its_question_within_the_conversation() {
    for bench in benches().await {
        let (chat, other) = (bench.add(assistant_session("a")).await, bench.add(assistant_session("b")).await);
        let question = bench.say(&chat, "?").await;
        assert_eq!(bench.store.answer_to(chat.id, question.id).await.unwrap(), None);
        let first = bench.append(answer(&question, "42")).await;
        let second = bench.append(answer(&question, "43")).await;
        assert_eq!(bench.store.answer_to(chat.id, question.id).await.unwrap(), Some(Arc::clone(&first)));
        bench.store.delete_message(chat.id, first.id, at(1)).await.unwrap();
        assert_eq!(bench.store.answer_to(chat.id, question.id).await.unwrap(), Some(second));
        assert_eq!(bench.store.answer_to(other.id, question.id).await.unwrap(), None, "not from another's log");
    }
}

#[tokio::test]
async fn a_tail_is_the_end_of_the_log_and_says_where_its_knowledge_begins() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        assert!(bench.store.tail(ConversationId(chat.id.0 + 1), 5).await.unwrap().is_none());
        let empty = bench.store.tail(chat.id, 5).await.unwrap().unwrap();
        assert_eq!((empty.events.len(), empty.complete_after), (0, EventId::START));

        let second = bench.chat("between").await;
        for text in ["one", "two", "three"] {
            bench.say(&chat, text).await;
            bench.say(&second, "ids of one log have holes").await;
        }
        bench.store.change_state(chat.id, StateChange::Close, at(1)).await.unwrap();
        let log = bench.log(&chat).await;
        for count in 0..=log.len() + 1 {
            let tail = bench.store.tail(chat.id, count).await.unwrap().unwrap();
            let (before, end) = log.split_at(log.len().saturating_sub(count));
            assert_eq!(tail.events, end);
            assert_eq!(tail.complete_after, before.last().map_or(EventId::START, |event| event.id));
            assert_eq!(tail.conversation.head.event_id, log.last().unwrap().id);
            assert!(!tail.conversation.state.is_active, "the conversation is as of the last event");
        }
    }
}

#[tokio::test]
async fn a_log_is_read_page_by_page_without_a_gap() {
    for bench in benches().await {
        let (chat, other) = (bench.chat("a").await, bench.chat("b").await);
        for round in 0..4 {
            let sent = bench.say(&chat, &format!("round {round}")).await;
            bench.say(&other, "not yours").await;
            bench.store.delete_message(chat.id, sent.id, at(round)).await.unwrap();
            bench.store.change_state(chat.id, StateChange::Close, at(round)).await.unwrap();
        }
        let log = bench.log(&chat).await;
        assert_eq!(log.len(), 15, "four rounds of three, and reopened three times");
        assert_dense(&log);
        let (mut read, mut cursor) = (Vec::new(), EventId::START);
        loop {
            let page = bench.store.events(chat.id, cursor, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 2);
            cursor = last.id;
            read.extend(page);
        }
        assert_eq!(read, log);
        let nowhere = ConversationId(other.id.0 + 1);
        assert_eq!(bench.store.events(nowhere, EventId::START, 9).await.unwrap(), []);
    }
}

#[tokio::test]
async fn messages_are_read_forwards_from_a_cursor_or_backwards() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let mut ids = Vec::new();
        for text in ["1", "2", "3", "4", "5"] {
            ids.push(bench.say(&chat, text).await.id);
        }
        let some = |after: Option<usize>, before: Option<usize>, limit| MessageFilter {
            after: after.map(|at| ids[at]),
            before: before.map(|at| ids[at]),
            limit,
            ..MessageFilter::default()
        };
        for (filter, want) in [
            (some(None, None, 2), vec!["1", "2"]),
            (some(None, None, 0), vec![]),
            (some(Some(1), None, 9), vec!["3", "4", "5"]),
            (some(Some(1), None, 2), vec!["3", "4"]),
            (some(Some(4), None, 9), vec![]),
            (some(None, Some(4), 2), vec!["3", "4"]),
            (some(None, Some(0), 2), vec![]),
            (some(Some(0), Some(4), 9), vec!["2", "3", "4"]),
            (some(Some(0), Some(4), 2), vec!["2", "3"]),
            (some(Some(0), None, usize::MAX), vec!["2", "3", "4", "5"]),
            (some(None, None, usize::MAX), vec!["1", "2", "3", "4", "5"]),
        ] {
            let said = format!("{filter:?}");
            assert_eq!(bench.found(chat.id, filter).await, want, "{said}");
        }
    }
}

#[tokio::test]
async fn a_page_ends_with_what_fills_it() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let large = "x".repeat(EVENT_BYTES_MAX / 2);
        for text in ["1", "22", "333", &large, &large, "the end"] {
            bench.say(&chat, text).await;
        }
        let within = |bytes_max, before| MessageFilter { bytes_max: Some(bytes_max), before, ..everything() };
        for (bytes_max, count) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (6, 3), (7, 4)] {
            assert_eq!(bench.found(chat.id, within(bytes_max, None)).await.len(), count, "{bytes_max} bytes");
        }
        let last = bench.store.tail(chat.id, usize::MAX).await.unwrap().unwrap();
        assert_eq!(last.events.len(), 6, "a tail is not cut: the head table has a bound of its own");
        let end = Some(EventId(last.events[5].id.0 + 1));
        assert_eq!(bench.found(chat.id, within(7, end)).await, ["the end"], "backwards it ends as well");
        let page = bench.store.events(chat.id, EventId::START, 100).await.unwrap();
        assert_eq!(numbers(&page), [1, 2, 3, 4, 5], "the event that fills it is in it");
        let rest = bench.store.events(chat.id, page[4].id, 100).await.unwrap();
        assert_eq!(numbers(&rest), [6]);
    }
}

#[tokio::test]
async fn messages_are_filtered_by_role() {
    for bench in benches().await {
        let (chat, lan) = (bench.chat("a").await, bench.staff("lan").await);
        let question = bench.say(&chat, "guest").await;
        bench.append(answer(&question, "assistant")).await;
        bench.append(from_staff(chat.id, lan.id, "staff")).await;
        bench.append(NewMessage { role: Role::System, ..from_guest(chat.id, "system") }).await;
        for (role, want) in
            [(Role::User, "guest"), (Role::Assistant, "assistant"), (Role::Staff, "staff"), (Role::System, "system")]
        {
            let filter = MessageFilter { role: Some(role), ..everything() };
            assert_eq!(bench.found(chat.id, filter).await, [want]);
        }
    }
}

#[tokio::test]
async fn a_search_takes_what_is_typed_literally() {
    for bench in benches().await {
        let (chat, other) = (bench.chat("a").await, bench.chat("b").await);
        for text in ["100% sure", "100 per cent", "snake_case", "snakeXcase", r"C:\temp", "it's \"quoted\""] {
            bench.say(&chat, text).await;
        }
        bench.say(&other, "100% someone else's").await;
        for (part, want) in [
            ("100%", "100% sure"),
            ("%", "100% sure"),
            ("snake_", "snake_case"),
            ("_", "snake_case"),
            (r"\", r"C:\temp"),
            (r":\t", r"C:\temp"),
            ("'s \"q", "it's \"quoted\""),
        ] {
            assert_eq!(bench.search(chat.id, part).await, [want], "{part:?}");
        }
        assert_eq!(bench.search(chat.id, "").await.len(), 6);
        assert_eq!(bench.search(chat.id, &"x".repeat(60_000)).await, [""; 0], "a long search is no error");
    }
}

#[tokio::test]
async fn a_search_ignores_letter_case_in_every_script() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        for text in ["HELLO there", "Xin Chào ĐÀ NẴNG", "Ünïcödé"] {
            bench.say(&chat, text).await;
        }
        for (part, want) in
            [("hello", "HELLO there"), ("THERE", "HELLO there"), ("đà nẵng", "Xin Chào ĐÀ NẴNG"), ("üNÏ", "Ünïcödé")]
        {
            assert_eq!(bench.search(chat.id, part).await, [want], "{part:?}");
        }
    }
}
