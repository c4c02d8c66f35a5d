//! One conversation in memory: its head, its last events, and a bell for those who wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::{
    Conversation, ConversationId, ConversationKind, ConversationState, Event, EventBody, EventId, Head, Logged,
    Message, MessageId, Place, fold,
};

/// What a channel knows of the events after a cursor.
#[derive(Clone, Debug)]
pub enum Since {
    /// There are none.
    Nothing,
    /// These, and no others.
    Events(Vec<Logged>),
    /// There are some, and they are older than what is held here: ask the store.
    Older,
    /// The channel has not been loaded, or has noticed a hole.
    Unloaded,
    /// The conversation was removed.
    Gone,
}

/// What a channel makes of an event that may have come out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is the next, and the channel has it now.
    Next,
    /// The channel has it already.
    Known,
    /// Those before it are missing; it was not taken.
    Early,
    /// The channel is not loaded: it keeps the event until it is.
    Unloaded,
    /// The conversation is not held in memory.
    Unheld,
}

/// How much of a conversation is held: a bound on events, and one on what people put into them and
/// into its state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub events: usize,
    pub bytes: usize,
}

/// A conversation in memory. Everything that is read here equals what the store would answer as of
/// the last announced commit.
#[derive(Debug)]
pub struct Channel {
    id: ConversationId,
    keep: Keep,
    held: Mutex<Held>,
    /// Counts changes; who waits sees it move.
    bell: watch::Sender<u64>,
    pub(super) used: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    /// `None`: not loaded, `events` are what was announced meanwhile.
    loaded: Option<Loaded>,
    events: VecDeque<Event>,
    bytes: usize,
    gone: bool,
    /// The number of the last event that was written here and waits for those before it, or less than the head's.
    awaits: u64,
}

#[derive(Clone, Debug)]
struct Loaded {
    place: Arc<Place>,
    /// With the kind, the name in the hub's directory.
    key: String,
    state: Arc<ConversationState>,
    head: Head,
    /// `events` holds everything after this cursor.
    complete_after: EventId,
}

impl Channel {
    pub(super) fn new(id: ConversationId, keep: Keep) -> Self {
        Self { id, keep, held: Mutex::default(), bell: watch::Sender::new(0), used: AtomicU64::new(0) }
    }

    /// The conversation's number.
    pub fn id(&self) -> ConversationId {
        self.id
    }

    /// A receiver that sees every change from now on.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// How many wait or follow.
    pub fn listeners(&self) -> usize {
        self.bell.receiver_count()
    }

    /// Whether nothing has to be loaded: it was, or the conversation is gone.
    pub fn is_loaded(&self) -> bool {
        let held = self.lock();
        held.gone || held.loaded.is_some()
    }

    /// The state alone, without a copy.
    pub fn state(&self) -> Option<Arc<ConversationState>> {
        let held = self.lock();
        held.loaded.as_ref().filter(|_| !held.gone).map(|loaded| Arc::clone(&loaded.state))
    }

    /// The end of the log; `None` when not loaded.
    pub fn head(&self) -> Option<Head> {
        self.lock().loaded.as_ref().map(|loaded| loaded.head)
    }

    /// Where the conversation is; `None` when not loaded.
    pub fn place(&self) -> Option<Arc<Place>> {
        self.lock().loaded.as_ref().map(|loaded| Arc::clone(&loaded.place))
    }

    /// The events after a cursor, as far as they are known here.
    pub fn since(&self, cursor: EventId) -> Since {
        let held = self.lock();
        match held.look(cursor) {
            Look::At(start) => {
                let located = |event: &Event| held.loaded.as_ref().map(|loaded| loaded.located(event.clone()));
                Since::Events(held.events.range(start..).filter_map(located).collect())
            }
            Look::Other(since) => since,
        }
    }

    /// The visible messages after a cursor; `None` when the store has to be asked.
    pub fn messages_since(&self, cursor: EventId) -> Option<Vec<Arc<Message>>> {
        let held = self.lock();
        if held.gone || held.is_awaiting() {
            return None;
        }
        if held.loaded.as_ref()?.head.message_id <= cursor {
            return Some(Vec::new());
        }
        match held.look(cursor) {
            Look::At(start) => {
                let mut messages = Vec::with_capacity(held.events.len() - start);
                fold(&mut messages, held.events.range(start..));
                Some(messages)
            }
            Look::Other(Since::Nothing) => Some(Vec::new()),
            Look::Other(_) => None,
        }
    }

    /// Whether a message after the cursor is known to be there; `None` when not loaded.
    pub fn has_message_after(&self, cursor: EventId) -> Option<bool> {
        let held = self.lock();
        held.loaded.as_ref().map(|loaded| held.is_awaiting() || loaded.head.message_id > cursor)
    }

    /// Takes over what the store holds: the conversation with its last events. What was announced
    /// while the store was read is applied on top. Nothing if it is loaded by now, also when this is newer: what was
    /// not announced yet has to be, because those who follow have looked already.
    pub fn load(&self, conversation: Conversation, place: Arc<Place>, events: Vec<Event>, complete_after: EventId) {
        let mut held = self.lock();
        if held.gone || held.loaded.is_some() {
            return;
        }
        let announced = std::mem::take(&mut held.events);
        held.bytes = events.iter().map(weight).sum();
        held.events = events.into();
        held.loaded = Some(Loaded::new(conversation, place, complete_after));
        for event in announced {
            held.apply(event, self.keep);
        }
        held.trim(self.keep);
        drop(held);
        self.ring();
    }

    pub(super) fn announce(&self, event: Event) {
        self.lock().apply(event, self.keep);
        self.ring();
    }

    /// Takes an event if it is the next.
    pub(super) fn offer(&self, event: &Event) -> Offered {
        let mut held = self.lock();
        let offered = match &held.loaded {
            _ if held.gone => Offered::Known,
            None => Offered::Unloaded,
            Some(loaded) if event.seq <= loaded.head.seq => Offered::Known,
            Some(loaded) if event.seq > loaded.head.seq + 1 => Offered::Early,
            Some(_) => Offered::Next,
        };
        if matches!(offered, Offered::Next | Offered::Unloaded) {
            held.apply(event.clone(), self.keep);
            drop(held);
            self.ring();
        }
        offered
    }

    /// A message with that number was written here, and those before it are not told yet: until they are, who asks for
    /// messages is sent to the store.
    pub(super) fn expect(&self, seq: u64) {
        let mut held = self.lock();
        held.awaits = held.awaits.max(seq);
        drop(held);
        self.ring();
    }

    /// Forgets what is held: the next to ask reads the store.
    pub(super) fn forget(&self) {
        let mut held = self.lock();
        if !held.gone {
            *held = Held::default();
        }
        drop(held);
        self.ring();
    }

    pub(super) fn remove(&self) {
        let mut held = self.lock();
        *held = Held { gone: true, ..Held::default() };
        drop(held);
        self.ring();
    }

    fn ring(&self) {
        self.bell.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // A panic while it was held can have left at worst a hole, which is noticed by number.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Look {
    At(usize),
    Other(Since),
}

impl Held {
    fn is_awaiting(&self) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| self.awaits > loaded.head.seq)
    }

    fn look(&self, cursor: EventId) -> Look {
        let Some(loaded) = &self.loaded else {
            return Look::Other(if self.gone { Since::Gone } else { Since::Unloaded });
        };
        if self.is_awaiting() {
            Look::Other(Since::Older)
        } else if loaded.head.event_id <= cursor {
            Look::Other(Since::Nothing)
        } else if cursor < loaded.complete_after {
            Look::Other(Since::Older)
        } else {
            Look::At(self.events.partition_point(|event| event.id <= cursor))
        }
    }

    fn apply(&mut self, event: Event, keep: Keep) {
        if self.gone {
            return;
        }
        if let Some(loaded) = &mut self.loaded {
            if event.seq <= loaded.head.seq {
                return;
            }
            if event.seq == loaded.head.seq + 1 {
                loaded.advance(&event);
            } else {
                // A hole: what is held here is not to be trusted until it is loaded again.
                self.loaded = None;
                self.events.clear();
                self.bytes = 0;
            }
        }
        match &event.body {
            EventBody::MessageDeleted { message_id, .. } => {
                self.restate(*message_id, None);
                self.forget_answer(*message_id);
            }
            EventBody::MessageEdited(edited) => self.restate(edited.id, Some(edited)),
            _ => {}
        }
        self.bytes += weight(&event);
        self.events.push_back(event);
        self.trim(keep);
    }

    /// Forgets what a message said, as the store does: whoever follows from before it is told what it
    /// says now, or that it is gone, not what it was.
    fn restate(&mut self, message: MessageId, now: Option<&Arc<Message>>) {
        for event in self.events.iter_mut().filter(|event| event.id >= message) {
            self.bytes -= weight(event);
            match (&mut event.body, now) {
                (EventBody::MessageAdded(said) | EventBody::MessageEdited(said), Some(now)) if said.id == message => {
                    *said = Arc::clone(now);
                }
                (EventBody::MessageAdded(said), None) if said.id == message => event.body = EventBody::MessageGone,
                (EventBody::MessageEdited(said), None) if said.id == message => event.body = EventBody::Void,
                _ => {}
            }
            self.bytes += weight(event);
        }
    }

    /// Forgets what a deleted answer said while it was made, as the store does. (Without its end here the pieces are not
    /// here either.)
    fn forget_answer(&mut self, answer: MessageId) {
        let ended = |event: &Event| match &event.body {
            EventBody::RunChanged { run, .. } if run.answer_id == Some(answer) => Some(run.uuid),
            _ => None,
        };
        let Some(run) = self.events.iter().find_map(ended) else { return };
        let is_of_it = |event: &&mut Event| matches!(&event.body, EventBody::RunTold(told) if told.run == run);
        for event in self.events.iter_mut().filter(is_of_it) {
            self.bytes -= weight(event);
            if let EventBody::RunTold(told) = &mut event.body {
                told.text = "".into();
            }
            self.bytes += weight(event);
        }
    }

    fn trim(&mut self, keep: Keep) {
        let state = self.loaded.as_ref().map_or(0, Loaded::weight);
        while self.events.len() > keep.events || self.bytes + state > keep.bytes {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= weight(&oldest);
            if let Some(loaded) = &mut self.loaded {
                loaded.complete_after = oldest.id;
            }
        }
    }
}

impl Loaded {
    fn new(conversation: Conversation, place: Arc<Place>, complete_after: EventId) -> Self {
        let Conversation { key, state, head, .. } = conversation;
        Self { place, key, state: Arc::new(state), head, complete_after }
    }

    /// What the state costs to hold, in bytes.
    fn weight(&self) -> usize {
        self.state.metadata.0.len()
    }

    fn located(&self, event: Event) -> Logged {
        Logged { event, place: Arc::clone(&self.place) }
    }

    fn advance(&mut self, event: &Event) {
        self.head.seq = event.seq;
        self.head.event_id = event.id;
        match &event.body {
            EventBody::MessageAdded(_) | EventBody::MessageGone => {
                self.head.message_id = event.id;
                self.head.message_at = Some(event.at);
            }
            EventBody::StateChanged { state, .. } => self.state = Arc::clone(state),
            EventBody::MessageDeleted { .. }
            | EventBody::MessageEdited(_)
            | EventBody::Void
            | EventBody::Reacted { .. }
            | EventBody::Received { .. }
            | EventBody::RunChanged { .. }
            | EventBody::RunTold(_) => {}
        }
    }
}

/// Roughly what an event costs to hold, in bytes.
fn weight(event: &Event) -> usize {
    const FIXED: usize = 256;
    FIXED + event.bytes()
}

impl Channel {
    pub(super) fn touch(&self, tick: u64) {
        self.used.store(tick, Ordering::Relaxed);
    }

    /// The name by which the hub's directory knows this conversation.
    pub(super) fn name(&self) -> Option<(ConversationKind, String)> {
        let held = self.lock();
        held.loaded.as_ref().map(|loaded| (loaded.place.kind, loaded.key.clone()))
    }
}

#[cfg(test)]
mod tests;
