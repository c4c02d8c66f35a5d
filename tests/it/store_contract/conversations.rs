//! Conversations: opened, found, removed, and who takes part; listing, changing and transferring have files of their own.

mod changes;
mod lists;
mod transfers;

use std::sync::Arc;

use roost::domain::{
    Change, Contact, Conversation, ConversationId, ConversationKind, ConversationState, Event, EventBody, EventId,
    Participant, ParticipantKind, Role, User,
};
use roost::error::{Error, FieldError, Rule, Subject};
use roost::store::{ConversationFilter, Locator, NewConversation, NewMessage, StateChange};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Bench, benches};
use crate::support::store::{answer, assert_dense, assistant_session, at, from_guest, from_staff, live_chat, texts};

const CHATS: ConversationKind = ConversationKind::LiveChat;
const SESSIONS: ConversationKind = ConversationKind::AssistantSession;

fn with_contact(new: NewConversation, contact: Contact) -> NewConversation {
    NewConversation { state: ConversationState { contact, ..new.state.clone() }, ..new }
}

fn visited_by(visitor: &str, new: NewConversation) -> NewConversation {
    let state = ConversationState { external_user_id: Some(visitor.to_owned()), ..new.state.clone() };
    NewConversation { state, ..new }
}

/// The state that the event carries, and why.
fn state_of(event: &Event) -> (Change, &ConversationState) {
    match &event.body {
        EventBody::StateChanged { change, state } => (*change, state),
        other => panic!("not a change of state: {other:?}"),
    }
}

fn assert_key_is_taken<T: std::fmt::Debug>(result: Result<T, Error>) {
    let Err(Error::Invalid(fields)) = result else { panic!("{result:?}") };
    assert_eq!(fields, [FieldError { field: "session_id".into(), rule: Rule::Unique }]);
}

impl Bench {
    pub(super) async fn change(&self, chat: &Conversation, change: StateChange) -> Conversation {
        self.store.change_state(chat.id, change, at(1)).await.unwrap().expect("the conversation is there")
    }

    async fn find(&self, kind: ConversationKind, name: Locator<'_>) -> Option<ConversationId> {
        self.store.conversation(kind, name).await.unwrap().map(|found| found.id)
    }
}

#[tokio::test]
async fn opening_creates_once_and_then_finds() {
    for bench in benches().await {
        let contact = Contact { name: Some("An".to_owned()), ..Contact::default() };
        let new = NewConversation { at: at(2), ..with_contact(live_chat("a"), contact) };
        let (made, created) = bench.store.open_conversation(new.clone()).await.unwrap();
        assert!(created);
        assert_eq!((made.uuid, made.kind, made.key.as_str(), &made.state), (new.uuid, CHATS, "a", &new.state));
        assert_eq!((made.created_at, made.last_activity_at, made.head.seq), (at(2), at(2), 0));

        let again = NewConversation { at: at(9), ..live_chat("a") };
        let (found, created) = bench.store.open_conversation(again).await.unwrap();
        assert!(!created);
        let want = Conversation { last_activity_at: at(9), updated_at: at(9), ..made };
        assert_eq!(found, want, "its activity is renewed, the rest of what was asked for is ignored");
        assert_eq!(bench.now(&found).await, want, "and that is what is stored");
        assert!(bench.heard.events().is_empty(), "nothing of the log changed");
    }
}

#[tokio::test]
async fn opening_again_adds_what_is_known_of_the_contact() {
    for bench in benches().await {
        let known = Contact { name: Some("An".to_owned()), email: Some("an@example.test".to_owned()), phone: None };
        let chat = bench.add(with_contact(live_chat("a"), known)).await;
        let newer = Contact { name: Some("Bình".to_owned()), email: None, phone: Some("+84".to_owned()) };
        for _ in 0..2 {
            let new = with_contact(live_chat("a"), newer.clone());
            let (found, _) = bench.store.open_conversation(new).await.unwrap();
            let merged = Contact { email: Some("an@example.test".to_owned()), ..newer.clone() };
            assert_eq!(found.state.contact, merged);
            assert_eq!(bench.now(&chat).await, found);
        }
        let log = bench.log(&chat).await;
        assert_eq!(log.len(), 1, "the second time there was nothing new");
        assert_eq!(state_of(&log[0]), (Change::Edited, &bench.now(&chat).await.state));
        assert_eq!(bench.heard.events(), log);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn opened_by_many_at_once_it_is_made_once() {
    for bench in benches().await {
        let mut guests = JoinSet::new();
        for _ in 0..20 {
            let store = Arc::clone(&bench.store);
            guests.spawn(async move { store.open_conversation(live_chat("a")).await.unwrap() });
        }
        let opened = guests.join_all().await;
        assert_eq!(opened.iter().filter(|(_, created)| *created).count(), 1);
        assert!(opened.iter().all(|(chat, _)| chat.id == opened[0].0.id));
    }
}

#[tokio::test]
async fn a_key_is_unique_within_its_kind() {
    for bench in benches().await {
        let chat = bench.store.create_conversation(live_chat("a")).await.unwrap();
        assert_key_is_taken(bench.store.create_conversation(live_chat("a")).await);
        let session = bench.store.create_conversation(assistant_session("a")).await.unwrap();
        assert_ne!(chat.id, session.id);
        let total = bench.store.conversations(CHATS, ConversationFilter::default()).await.unwrap().total;
        assert_eq!(total, 1, "the refused one is not counted");
    }
}

#[tokio::test]
async fn a_conversation_is_found_by_each_of_its_names_and_within_its_kind_only() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let name = chat.uuid.to_string();
        for locator in [
            Locator::Key("a"),
            Locator::Uuid(chat.uuid),
            Locator::Id(chat.id),
            Locator::Name("a"),
            Locator::Name(&name),
        ] {
            assert_eq!(bench.find(CHATS, locator).await, Some(chat.id), "{locator:?}");
            assert_eq!(bench.find(SESSIONS, locator).await, None, "{locator:?}");
        }
        for nothing in [Locator::Key(&name), Locator::Key("A"), Locator::Key(""), Locator::Uuid(Uuid::new_v4())] {
            assert_eq!(bench.find(CHATS, nothing).await, None, "{nothing:?}");
        }
        let read = bench.store.conversation(CHATS, Locator::Key("a")).await.unwrap();
        assert_eq!(read, Some(chat));
    }
}

#[tokio::test]
async fn a_name_is_an_identifier_before_it_is_a_key() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let name = chat.uuid.to_string();
        let impostor = bench.chat(&name).await;
        assert_eq!(bench.find(CHATS, Locator::Name(&name)).await, Some(chat.id));
        assert_eq!(bench.find(CHATS, Locator::Key(&name)).await, Some(impostor.id));
        bench.store.remove_conversation(chat.id).await.unwrap();
        assert_eq!(bench.find(CHATS, Locator::Name(&name)).await, Some(impostor.id), "else by its key");
    }
}

#[tokio::test]
async fn removing_leaves_nothing() {
    for bench in benches().await {
        let (chat, kept) = (bench.chat("a").await, bench.chat("kept").await);
        let message = bench.say(&chat, "hello").await;
        bench.append(answer(&message, "hi")).await;
        bench.change(&chat, StateChange::Close).await;
        bench.say(&kept, "hello").await;
        assert!(bench.store.remove_conversation(chat.id).await.unwrap());
        assert_eq!(bench.heard.removals(), [chat.id]);

        assert_eq!(bench.find(CHATS, Locator::Id(chat.id)).await, None);
        assert!(bench.store.tail(chat.id, 9).await.unwrap().is_none());
        assert_eq!(bench.log(&chat).await, []);
        assert_eq!(bench.messages(chat.id).await, []);
        assert_eq!(bench.store.message(CHATS, message.uuid).await.unwrap(), None);
        assert_eq!(bench.store.answer_to(chat.id, message.id).await.unwrap(), None);
        assert_eq!(bench.store.participants(chat.id).await.unwrap(), []);
        let refused = bench.store.append(from_guest(chat.id, "anybody?")).await;
        assert!(matches!(refused, Err(Error::NotFound(Subject::Conversation))), "{refused:?}");

        assert!(!bench.store.remove_conversation(chat.id).await.unwrap());
        assert_eq!(bench.heard.removals(), [chat.id], "announced once");
        assert_eq!(texts(&bench.messages(kept.id).await), ["hello"]);
        assert_ne!(bench.chat("a").await.id, chat.id, "the key is free, the number is not");
    }
}

#[tokio::test]
async fn participants_are_listed_in_the_order_of_joining() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        let chat = bench.chat("a").await;
        bench.append(NewMessage { at: at(3), ..from_staff(chat.id, minh.id, "hello") }).await;
        bench.store.change_state(chat.id, StateChange::Assign(lan.id), at(4)).await.unwrap();
        let question = bench.append(NewMessage { at: at(5), ..from_guest(chat.id, "?") }).await;
        for seconds in [6, 7] {
            bench.append(NewMessage { at: at(seconds), ..answer(&question, "!") }).await;
        }
        bench.append(from_staff(chat.id, minh.id, "still here")).await;
        let joined = |kind, user: Option<&User>, seconds| Participant {
            kind,
            user_id: user.map(|user| user.id),
            joined_at: at(seconds),
        };
        assert_eq!(
            bench.store.participants(chat.id).await.unwrap(),
            [
                joined(ParticipantKind::Guest, None, 0),
                joined(ParticipantKind::Staff, Some(&minh), 3),
                joined(ParticipantKind::Staff, Some(&lan), 4),
                joined(ParticipantKind::Assistant, None, 6),
            ]
        );
    }
}

/// While the clock stands still or goes back, everybody joins at the same instant.
#[tokio::test]
async fn the_order_of_joining_does_not_rest_on_the_clock() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        let chat = bench.chat("a").await;
        bench.append(from_staff(chat.id, minh.id, "hello")).await;
        bench.append(NewMessage { role: Role::Assistant, ..from_guest(chat.id, "hello") }).await;
        bench.append(from_staff(chat.id, lan.id, "hello")).await;
        let joined = bench.store.participants(chat.id).await.unwrap();
        let who: Vec<_> = joined.iter().map(|one| (one.kind, one.user_id)).collect();
        assert_eq!(
            who,
            [
                (ParticipantKind::Guest, None),
                (ParticipantKind::Staff, Some(minh.id)),
                (ParticipantKind::Assistant, None),
                (ParticipantKind::Staff, Some(lan.id)),
            ]
        );
    }
}

#[tokio::test]
async fn a_signed_in_owner_takes_part_by_name() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let chat = bench.add(NewConversation { user_id: Some(lan.id), ..live_chat("a") }).await;
        assert_eq!(chat.user_id, Some(lan.id));
        let owner = Participant { kind: ParticipantKind::User, user_id: Some(lan.id), joined_at: at(0) };
        assert_eq!(bench.store.participants(chat.id).await.unwrap(), [owner]);
    }
}

#[tokio::test]
async fn everything_is_there_again_after_a_restart() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let chat = bench.chat("a").await;
        bench.transfer(&chat, 0).await;
        let said = bench.say(&chat, "hello").await;
        bench.store.delete_message(chat.id, said.id, at(2)).await.unwrap();
        bench.change(&chat, StateChange::Close).await;
        let (before, log) = (bench.now(&chat).await, bench.log(&chat).await);
        let bench = bench.reopen().await;
        assert_eq!((bench.now(&chat).await, bench.log(&chat).await), (before, log.clone()));
        assert_dense(&log);
        assert!(bench.now(&chat).await.is_assigned_to(lan.id));
        assert_eq!(bench.store.events(chat.id, log[2].id, 9).await.unwrap(), log[3..]);
        assert_eq!(bench.store.events(chat.id, EventId(i64::MAX), 9).await.unwrap(), []);
    }
}
