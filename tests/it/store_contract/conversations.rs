//! Conversations: opening, finding, listing, changing, transferring, removing.

use std::sync::Arc;

use roost::domain::{
    Assignment, Change, Contact, Conversation, ConversationId, ConversationKind, ConversationState, Event, EventBody,
    EventId, Json, Participant, ParticipantKind, Role, User, UserId, WhileAnswering,
};
use roost::error::{Error, FieldError, Rule, Subject};
use roost::store::{ConversationFilter, Desk, Locator, NewConversation, NewMessage, NewUser, StateChange, StateEdit};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Bench, benches};
use crate::support::store::{
    answer, assert_dense, assistant_session, at, from_guest, from_staff, keys, live_chat, staff, texts,
};

const CHATS: ConversationKind = ConversationKind::LiveChat;
const SESSIONS: ConversationKind = ConversationKind::AssistantSession;

fn greeting(name: &str) -> String {
    format!("Hello, I am {name}.")
}

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

    async fn transfer(&self, chat: &Conversation, dice: u64) -> Option<User> {
        self.store.transfer(chat.id, dice, greeting, Uuid::new_v4(), at(1)).await.unwrap()
    }

    async fn find(&self, kind: ConversationKind, name: Locator<'_>) -> Option<ConversationId> {
        self.store.conversation(kind, name).await.unwrap().map(|found| found.id)
    }

    async fn list(&self, filter: ConversationFilter) -> (u64, Vec<String>) {
        let page = self.store.conversations(SESSIONS, filter).await.unwrap();
        (page.total, keys(&page.items).into_iter().map(str::to_owned).collect())
    }

    async fn on_desk(&self, desk: Desk, limit: usize) -> Vec<String> {
        let listed = self.store.desk(desk, limit).await.unwrap();
        keys(&listed).into_iter().map(str::to_owned).collect()
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
async fn lists_are_newest_first_with_the_number_of_all() {
    for bench in benches().await {
        bench.chat("a live chat").await;
        for key in ["1", "2", "3", "4"] {
            let session = bench.add(assistant_session(key)).await;
            if key == "2" {
                bench.change(&session, StateChange::Close).await;
            }
        }
        let all = ConversationFilter { limit: 9, ..ConversationFilter::default() };
        let active = |is_active| ConversationFilter { is_active: Some(is_active), ..all.clone() };
        for (filter, total, want) in [
            (all.clone(), 4, vec!["4", "3", "2", "1"]),
            (ConversationFilter { limit: 2, ..all.clone() }, 4, vec!["4", "3"]),
            (ConversationFilter { limit: 2, offset: 3, ..all.clone() }, 4, vec!["1"]),
            (ConversationFilter { offset: 4, ..all.clone() }, 4, vec![]),
            (ConversationFilter { limit: 0, ..all.clone() }, 4, vec![]),
            (active(true), 3, vec!["4", "3", "1"]),
            (active(false), 1, vec!["2"]),
        ] {
            let said = format!("{filter:?}");
            assert_eq!(bench.list(filter).await, (total, want.into_iter().map(str::to_owned).collect()), "{said}");
        }
    }
}

#[tokio::test]
async fn totals_follow_every_change() {
    for bench in benches().await {
        let (one, two) = (bench.chat("1").await, bench.chat("2").await);
        let totals = async || {
            let mut totals = Vec::new();
            for is_active in [None, Some(true), Some(false)] {
                let filter = ConversationFilter { is_active, ..ConversationFilter::default() };
                totals.push(bench.store.conversations(CHATS, filter).await.unwrap().total);
            }
            totals
        };
        assert_eq!(totals().await, [2, 2, 0]);
        for _ in 0..2 {
            bench.change(&one, StateChange::Close).await;
            assert_eq!(totals().await, [2, 1, 1]);
        }
        bench.say(&one, "back").await;
        assert_eq!(totals().await, [2, 2, 0]);
        bench.change(&two, StateChange::Edit(StateEdit { is_active: Some(false), ..StateEdit::default() })).await;
        bench.store.remove_conversation(two.id).await.unwrap();
        assert_eq!(totals().await, [1, 1, 0]);
    }
}

#[tokio::test]
async fn lists_are_filtered_by_visitor_and_searched() {
    for bench in benches().await {
        bench.add(visited_by("u-1", assistant_session("Order_1"))).await;
        bench.add(visited_by("U%2", assistant_session("orderX1"))).await;
        bench.add(assistant_session("GIỎ HÀNG")).await;
        let all = ConversationFilter { limit: 9, ..ConversationFilter::default() };
        let visitor = ConversationFilter { external_user_id: Some("u-1".to_owned()), ..all.clone() };
        assert_eq!(bench.list(visitor.clone()).await, (1, vec!["Order_1".to_owned()]));
        let both = ConversationFilter { search: Some("orderx".to_owned()), ..visitor };
        assert_eq!(bench.list(both).await, (0, vec![]));
        for (part, want) in [
            ("ORDER", vec!["orderX1", "Order_1"]),
            ("order_", vec!["Order_1"]),
            ("%", vec!["orderX1"]),
            ("u", vec!["orderX1", "Order_1"]),
            ("giỏ", vec!["GIỎ HÀNG"]),
            ("nowhere", vec![]),
        ] {
            let filter = ConversationFilter { search: Some(part.to_owned()), limit: 1, ..all.clone() };
            let (total, page) = bench.list(filter).await;
            assert_eq!(total, want.len() as u64, "{part}: all are counted, not the page");
            assert_eq!(page, want[..want.len().min(1)], "{part}");
        }
    }
}

#[tokio::test]
async fn a_desk_shows_open_chats_the_most_recently_active_first() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        bench.add(assistant_session("not a live chat")).await;
        let mut chats = Vec::new();
        for key in ["1", "2", "3", "4"] {
            chats.push(bench.chat(key).await);
        }
        // Some of the instants are close together, some far apart: a list may group by time.
        for (chat, seconds) in [(0, 1), (1, 2), (2, 500), (3, 501), (0, 502), (1, 1000)] {
            bench.append(NewMessage { at: at(seconds), ..from_guest(chats[chat].id, "hello") }).await;
        }
        assert_eq!(bench.on_desk(Desk::All, 9).await, ["2", "1", "4", "3"]);
        assert_eq!(bench.on_desk(Desk::All, 2).await, ["2", "1"]);
        bench.change(&chats[0], StateChange::Assign(lan.id)).await;
        bench.change(&chats[3], StateChange::Close).await;
        assert_eq!(bench.on_desk(Desk::Unassigned, 9).await, ["2", "3"]);
        assert_eq!(bench.on_desk(Desk::Of(lan.id), 9).await, ["1"]);
        assert_eq!(bench.on_desk(Desk::Of(UserId(lan.id.0 + 1)), 9).await, [""; 0]);
        assert_eq!(bench.on_desk(Desk::All, 9).await, ["2", "1", "3"]);
        bench.append(NewMessage { at: at(2000), ..from_guest(chats[3].id, "back") }).await;
        assert_eq!(bench.on_desk(Desk::All, 9).await, ["4", "2", "1", "3"]);
    }
}

#[tokio::test]
async fn closing_is_one_event_however_often_it_is_asked() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let closed = bench.store.change_state(chat.id, StateChange::Close, at(3)).await.unwrap().unwrap();
        assert!(!closed.state.is_active);
        assert_eq!((closed.head.seq, closed.updated_at), (1, at(3)));
        let again = bench.store.change_state(chat.id, StateChange::Close, at(4)).await.unwrap().unwrap();
        assert_eq!(again, closed);
        assert_eq!(bench.now(&chat).await, closed);
        let log = bench.log(&chat).await;
        assert_eq!((log.len(), log[0].at), (1, at(3)));
        assert_eq!(state_of(&log[0]), (Change::Closed, &closed.state));
        assert_eq!(bench.heard.events(), log);
        let nowhere = bench.store.change_state(ConversationId(chat.id.0 + 1), StateChange::Close, at(1)).await;
        assert_eq!(nowhere.unwrap(), None);
    }
}

#[tokio::test]
async fn who_was_assigned_first_keeps_it() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        let chat = bench.chat("a").await;
        let assigned = bench.change(&chat, StateChange::Assign(lan.id)).await;
        assert_eq!(assigned.state.assigned, Some(Assignment { user_id: lan.id, at: at(1) }));
        for other in [minh.id, lan.id] {
            assert_eq!(bench.change(&chat, StateChange::Assign(other)).await, assigned);
        }
        let log = bench.log(&chat).await;
        assert_eq!(log.len(), 1);
        assert_eq!(state_of(&log[0]), (Change::Assigned, &assigned.state));
        let who: Vec<_> = bench.store.participants(chat.id).await.unwrap().iter().map(|one| one.user_id).collect();
        assert_eq!(who, [None, Some(lan.id)], "who was not assigned does not take part");
    }
}

#[tokio::test]
async fn an_edit_replaces_what_it_names() {
    for bench in benches().await {
        let session = bench.add(visited_by("u-1", assistant_session("a"))).await;
        let edit = StateEdit {
            key: Some("b".to_owned()),
            is_active: Some(false),
            expires_at: Some(at(90)),
            external_user_id: Some(Some("u-2".to_owned())),
            metadata: Some(Json(r#"{"a":1}"#.to_owned())),
            title: Some("Rooms".to_owned()),
            is_archived: Some(true),
            while_answering: Some(Some(WhileAnswering::Queue)),
        };
        let edited = bench.change(&session, StateChange::Edit(edit.clone())).await;
        let want = ConversationState {
            is_active: false,
            expires_at: Some(at(90)),
            external_user_id: Some("u-2".to_owned()),
            metadata: Json(r#"{"a":1}"#.to_owned()),
            title: Some("Rooms".to_owned()),
            is_archived: true,
            while_answering: Some(WhileAnswering::Queue),
            ..session.state.clone()
        };
        assert_eq!((edited.key.as_str(), &edited.state), ("b", &want));
        assert_eq!(bench.find(SESSIONS, Locator::Key("b")).await, Some(session.id));
        assert_eq!(bench.find(SESSIONS, Locator::Key("a")).await, None);

        assert_eq!(bench.change(&session, StateChange::Edit(edit)).await, edited, "the same again is no change");
        let nobody = StateEdit { external_user_id: Some(None), while_answering: Some(None), ..StateEdit::default() };
        let cleared = bench.change(&session, StateChange::Edit(nobody)).await;
        assert_eq!(cleared.state, ConversationState { external_user_id: None, while_answering: None, ..want.clone() });
        let log = bench.log(&session).await;
        assert_eq!(
            log.iter().map(state_of).collect::<Vec<_>>(),
            [(Change::Edited, &want), (Change::Edited, &cleared.state)]
        );
    }
}

/// The key is not part of the state that events carry, but it is part of the conversation, and who
/// follows has to hear that it changed.
#[tokio::test]
async fn a_new_key_alone_is_a_change_too() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let rename = StateChange::Edit(StateEdit { key: Some("b".to_owned()), ..StateEdit::default() });
        let renamed = bench.store.change_state(session.id, rename, at(3)).await.unwrap().unwrap();
        assert_eq!((renamed.key.as_str(), renamed.updated_at), ("b", at(3)));
        assert_eq!((&renamed.state, renamed.created_at), (&session.state, at(0)));
        assert_eq!(bench.log(&renamed).await.len(), 1);
        assert_eq!(bench.now(&session).await, renamed);
    }
}

#[tokio::test]
async fn an_edit_to_anothers_key_changes_nothing() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        bench.add(assistant_session("b")).await;
        bench.chat("c").await;
        let rename = |key: &str| {
            StateChange::Edit(StateEdit { key: Some(key.to_owned()), is_active: Some(false), ..StateEdit::default() })
        };
        assert_key_is_taken(bench.store.change_state(session.id, rename("b"), at(1)).await);
        assert_eq!(bench.now(&session).await, session);
        assert!(bench.heard.events().is_empty());
        assert_eq!(bench.change(&session, rename("c")).await.key, "c", "another kind's key is free");
    }
}

#[tokio::test]
async fn a_transfer_assigns_and_greets() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let chat = bench.chat("a").await;
        let line = Uuid::new_v4();
        let joined = bench.store.transfer(chat.id, 0, greeting, line, at(5)).await.unwrap();
        assert_eq!(joined, Some(lan.clone()));
        let log = bench.log(&chat).await;
        assert_eq!(log.len(), 2);
        let (why, state) = state_of(&log[0]);
        assert_eq!((why, state.assigned), (Change::Assigned, Some(Assignment { user_id: lan.id, at: at(5) })));
        let EventBody::MessageAdded(said) = &log[1].body else { panic!("{log:?}") };
        assert_eq!((said.uuid, said.role, said.user_id), (line, Role::Staff, Some(lan.id)));
        assert_eq!(said.text, "Hello, I am lan.");
        assert_eq!(bench.heard.events(), log);

        assert_eq!(bench.transfer(&chat, 0).await, Some(lan), "who has it keeps it");
        assert_eq!(bench.log(&chat).await.len(), 2, "and does not greet again");
    }
}

#[tokio::test]
async fn a_transfer_goes_to_somebody_who_is_free() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        bench.store.add_user(NewUser { is_verified: false, ..staff("unverified") }).await.unwrap();
        bench.store.add_user(NewUser { is_staff: false, ..staff("not_staff") }).await.unwrap();
        let (one, two, three) = (bench.chat("1").await, bench.chat("2").await, bench.chat("3").await);
        assert_eq!(bench.transfer(&one, 1).await, Some(minh.clone()), "the dice chose the second of two");
        assert_eq!(bench.transfer(&two, u64::MAX).await, Some(lan), "and now there is one");
        assert_eq!(bench.transfer(&three, 7).await, None);
        assert_eq!(bench.now(&three).await, three, "nobody was free, nothing was written");
        bench.change(&one, StateChange::Close).await;
        assert_eq!(bench.transfer(&three, 7).await, Some(minh), "who closed a chat is free again");
    }
}

#[tokio::test]
async fn a_closed_chat_is_handed_to_nobody_until_its_guest_speaks() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let (free, taken) = (bench.chat("free").await, bench.chat("taken").await);
        bench.change(&taken, StateChange::Assign(lan.id)).await;
        for chat in [&free, &taken] {
            bench.change(chat, StateChange::Close).await;
            let closed = bench.now(chat).await;
            assert_eq!(bench.transfer(chat, 0).await, None, "it would be on nobody's desk");
            assert_eq!(bench.now(chat).await, closed, "nothing was written");
        }
        bench.say(&taken, "Are you there?").await;
        assert_eq!(bench.transfer(&taken, 0).await, Some(lan), "who had it has it again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transfers_at_once_give_nobody_two_chats() {
    for bench in benches().await {
        bench.staff("lan").await;
        bench.staff("minh").await;
        let mut transfers = JoinSet::new();
        for number in 0..10 {
            let (store, chat) = (Arc::clone(&bench.store), bench.chat(&number.to_string()).await);
            transfers.spawn(async move {
                store.transfer(chat.id, number, greeting, Uuid::new_v4(), at(1)).await.unwrap().map(|user| user.name)
            });
        }
        let mut chosen: Vec<_> = transfers.join_all().await.into_iter().flatten().collect();
        chosen.sort();
        assert_eq!(chosen, ["lan", "minh"]);
    }
}

#[tokio::test]
async fn there_is_no_transfer_of_what_is_not_there() {
    for bench in benches().await {
        bench.staff("lan").await;
        let gone = bench.store.transfer(ConversationId(1), 0, greeting, Uuid::new_v4(), at(1)).await;
        assert!(matches!(gone, Err(Error::NotFound(Subject::Conversation))), "{gone:?}");
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
