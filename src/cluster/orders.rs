//! Bringing a conversation's events into the order of their numbers before anybody hears of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{ConversationId, EventBody, Logged};
use crate::realtime::{Offered, Realtime};

const SHARDS: usize = 64;

/// Events of one conversation that wait for those before them, at the most. More than that are left to the store.
const EARLY_MAX: usize = 64;

/// By conversation, the events that came too early. What is offered is offered under the conversation's lock, so that
/// two tasks that tell of n and n + 1 cannot overtake each other.
#[derive(Debug)]
pub(super) struct Orders {
    shards: Vec<Mutex<HashMap<ConversationId, BTreeMap<u64, Logged>>>>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Whoever follows was told, or knows already, or nobody does.
    Done,
    /// Those before it are missing.
    Early,
}

impl Default for Orders {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Orders {
    /// Tells of an event that this node committed. Whoever was answered must find the write also while those before it
    /// are missing here: who asks for messages is sent to the store then, and of any other change everything that is held
    /// is forgotten.
    pub fn own(&self, realtime: &Realtime, logged: &Logged) -> Told {
        let id = logged.event.conversation_id;
        let mut early = self.lock(id);
        match realtime.hub.offer(&logged.event) {
            Offered::Next => told(realtime, logged, &mut early),
            Offered::Early if is_message(logged) && wait(&mut early, logged.clone()) => {
                realtime.hub.expect(id, logged.event.seq);
                return Told::Early;
            }
            Offered::Early => {
                early.remove(&id);
                realtime.hub.forget(id);
                // Somebody may be about to load what they read before this was committed: it does not fit then.
                realtime.hub.offer(&logged.event);
                realtime.broker.ring(crate::domain::Scope::Conversation(id));
            }
            Offered::Unloaded => realtime.broker.ring(crate::domain::Scope::Conversation(id)),
            Offered::Known | Offered::Unheld => {}
        }
        Told::Done
    }

    /// Tells of an event that another node committed, or that was read from the store.
    pub fn others(&self, realtime: &Realtime, logged: Logged) -> Told {
        let id = logged.event.conversation_id;
        let mut early = self.lock(id);
        match realtime.hub.offer(&logged.event) {
            Offered::Next => told(realtime, &logged, &mut early),
            Offered::Early => {
                wait(&mut early, logged);
                return Told::Early;
            }
            Offered::Unloaded => realtime.broker.ring(crate::domain::Scope::Conversation(id)),
            Offered::Known | Offered::Unheld => {}
        }
        Told::Done
    }

    /// Whether events of a conversation wait for those before them.
    pub fn is_waiting(&self, id: ConversationId) -> bool {
        self.lock(id).contains_key(&id)
    }

    /// Forgets what waits of a conversation.
    pub fn remove(&self, id: ConversationId) {
        self.lock(id).remove(&id);
    }

    fn lock(&self, id: ConversationId) -> MutexGuard<'_, HashMap<ConversationId, BTreeMap<u64, Logged>>> {
        let shard = &self.shards[id.0.unsigned_abs() as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_message(logged: &Logged) -> bool {
    matches!(logged.event.body, EventBody::MessageAdded(_))
}

/// Keeps an event that came too early; whether there was room for it.
fn wait(early: &mut HashMap<ConversationId, BTreeMap<u64, Logged>>, logged: Logged) -> bool {
    let waiting = early.entry(logged.event.conversation_id).or_default();
    let has_room = waiting.len() < EARLY_MAX;
    if has_room {
        waiting.insert(logged.event.seq, logged);
    }
    has_room
}

/// Tells of an event that the head table has taken, and of those that waited for it.
fn told(realtime: &Realtime, logged: &Logged, early: &mut HashMap<ConversationId, BTreeMap<u64, Logged>>) {
    let id = logged.event.conversation_id;
    realtime.broker.tell_conversation(logged);
    let Some(waiting) = early.get_mut(&id) else { return };
    while let Some((_, next)) = waiting.pop_first() {
        match realtime.hub.offer(&next.event) {
            Offered::Next => realtime.broker.tell_conversation(&next),
            Offered::Early => {
                waiting.insert(next.event.seq, next);
                return;
            }
            Offered::Known | Offered::Unheld | Offered::Unloaded => {}
        }
    }
    early.remove(&id);
}
