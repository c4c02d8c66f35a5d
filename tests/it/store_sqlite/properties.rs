//! One log: whatever was done in whatever order, the events after a cursor, folded over the
//! snapshot at that cursor, give the snapshot now.

use std::sync::Arc;

use proptest::prelude::*;
use roost::domain::{
    Contact, Conversation, ConversationId, ConversationState, Event, EventBody, EventId, Json, Message, User, fold,
};
use roost::store::{Accounts, NewConversation, SqliteStore, StateChange, StateEdit, Store};

use super::{Place, fast};
use crate::support::store::{assert_dense, at, everything, from_guest, from_staff, live_chat, staff, with_key};

/// One thing that somebody does in a conversation, at some instant: the clock jumps.
#[derive(Clone, Debug)]
enum Verb {
    Say(u8),
    Answer,
    Delete(usize),
    Close,
    Assign,
    Edit(bool, u8),
    Introduce(u8),
}

fn verbs() -> impl Strategy<Value = Vec<(Verb, i64)>> {
    let verb = prop_oneof![
        4 => (0..8_u8).prop_map(Verb::Say),
        2 => Just(Verb::Answer),
        3 => any::<prop::sample::Index>().prop_map(|index| Verb::Delete(index.index(1000))),
        2 => Just(Verb::Close),
        1 => Just(Verb::Assign),
        2 => (any::<bool>(), 0..3_u8).prop_map(|(is_active, metadata)| Verb::Edit(is_active, metadata)),
        1 => (0..3_u8).prop_map(Verb::Introduce),
    ];
    prop::collection::vec((verb, -100..100_i64), 1..25)
}

/// The store, with what the verbs need.
struct World {
    store: SqliteStore,
    staff: User,
}

/// What somebody who looked then was shown.
struct Snapshot {
    cursor: EventId,
    messages: Vec<Arc<Message>>,
}

impl World {
    async fn new(place: &Place) -> Self {
        let store = place.open(&fast());
        let staff = store.add_user(staff("lan")).await.unwrap();
        Self { store, staff }
    }

    async fn apply(&self, chat: &Conversation, verb: &Verb, seconds: i64) {
        let at = at(seconds);
        match verb {
            Verb::Say(n) => {
                // Few keys, so that some are retries; the same key comes with the same text.
                let new = with_key(&format!("key {n}"), from_guest(chat.id, &format!("text {n}")));
                self.store.append(roost::store::NewMessage { at, ..new }).await.unwrap();
            }
            Verb::Answer => {
                let new = from_staff(chat.id, self.staff.id, "answer");
                self.store.append(roost::store::NewMessage { at, ..new }).await.unwrap();
            }
            Verb::Delete(nth) => {
                let messages = self.messages(chat.id).await;
                if let Some(message) = nth.checked_rem(messages.len()).map(|nth| &messages[nth]) {
                    assert!(self.store.delete_message(chat.id, message.id, at).await.unwrap());
                }
            }
            Verb::Close => self.change(chat, StateChange::Close, seconds).await,
            Verb::Assign => self.change(chat, StateChange::Assign(self.staff.id), seconds).await,
            Verb::Edit(is_active, n) => {
                let metadata = Some(Json(format!("{{\"n\":{n}}}")));
                let edit = StateEdit { is_active: Some(*is_active), metadata, ..StateEdit::default() };
                self.change(chat, StateChange::Edit(edit), seconds).await;
            }
            Verb::Introduce(n) => {
                let contact = Contact { name: Some(format!("guest {n}")), ..Contact::default() };
                let again = live_chat(&chat.key);
                let state = ConversationState { contact, ..again.state.clone() };
                self.store.open_conversation(NewConversation { state, at, ..again }).await.unwrap();
            }
        }
    }

    async fn change(&self, chat: &Conversation, change: StateChange, seconds: i64) {
        self.store.change_state(chat.id, change, at(seconds)).await.unwrap().expect("it is there");
    }

    async fn messages(&self, chat: ConversationId) -> Vec<Arc<Message>> {
        self.store.messages(chat, everything()).await.unwrap()
    }

    async fn snapshot(&self, chat: ConversationId) -> Snapshot {
        let tail = self.store.tail(chat, 0).await.unwrap().unwrap();
        Snapshot { cursor: tail.conversation.head.event_id, messages: self.messages(chat).await }
    }

    /// Does all of it in a fresh conversation and checks what every reader would be shown.
    async fn play(&self, verbs: &[(Verb, i64)]) {
        let chat = live_chat(&uuid::Uuid::new_v4().to_string());
        let chat = self.store.create_conversation(chat).await.unwrap();
        let mut snapshots = vec![self.snapshot(chat.id).await];
        for (verb, seconds) in verbs {
            self.apply(&chat, verb, *seconds).await;
            snapshots.push(self.snapshot(chat.id).await);
        }
        let now = self.messages(chat.id).await;
        for old in snapshots {
            let events = self.store.events(chat.id, old.cursor, 1000).await.unwrap();
            let mut folded = old.messages;
            fold(&mut folded, &events);
            assert_eq!(folded, now, "after {}", old.cursor);
            fold(&mut folded, &events);
            assert_eq!(folded, now, "twice is harmless");
        }
        self.check_end(&chat).await;
    }

    async fn check_end(&self, chat: &Conversation) {
        let tail = self.store.tail(chat.id, 1000).await.unwrap().unwrap();
        assert_dense(&tail.events);
        assert_eq!(tail.complete_after, EventId::START);
        let head = tail.conversation.head;
        assert_eq!(head.seq, tail.events.len() as u64);
        assert_eq!(head.event_id, tail.events.last().map_or(EventId::START, |event| event.id));
        let state = tail.events.iter().rev().find_map(state_of).unwrap_or(&chat.state);
        assert_eq!(*state, tail.conversation.state, "the last change tells the state now");
    }
}

fn state_of(event: &Event) -> Option<&ConversationState> {
    match &event.body {
        EventBody::StateChanged { state, .. } => Some(state),
        _ => None,
    }
}

#[test]
fn the_events_after_a_cursor_over_the_snapshot_at_it_give_the_snapshot_now() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::new();
    let world = runtime.block_on(World::new(&place));
    let config = ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(verbs in verbs())| runtime.block_on(world.play(&verbs)));
    world.store.close();
    let audit = place.audit();
    assert!(audit.is_sound() && audit.messages > 100, "{audit}");
}
