//! Events: the entries of a conversation's log, and their fold.

use std::sync::Arc;

use uuid::Uuid;

use super::{ConversationId, ConversationState, EventId, Message, MessageId, Timestamp};

/// Why a conversation's state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A member of staff took it, or was given it.
    Assigned,
    /// It was closed.
    Closed,
    /// A message reopened it.
    Reopened,
    /// Its contact, metadata, expiry or flags were edited.
    Edited,
}

impl Change {
    /// Every change.
    pub const ALL: [Self; 4] = [Self::Assigned, Self::Closed, Self::Reopened, Self::Edited];

    /// The change's name in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
            Self::Edited => "edited",
        }
    }

    /// The change of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.as_str() == name)
    }
}

/// What happened. Each body says what *is* now, not by how much it changed, so that applying an
/// event twice is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventBody {
    /// A message was added. Read back later, it carries the message as it stands by then.
    MessageAdded(Arc<Message>),
    /// A message was added and has been deleted since: its number stays taken, its text is gone.
    MessageGone,
    /// A message was deleted.
    MessageDeleted {
        /// The message.
        message_id: MessageId,
        /// Its public identifier.
        uuid: Uuid,
    },
    /// The conversation's state changed.
    StateChanged {
        /// Why.
        change: Change,
        /// The state from here on.
        state: Arc<ConversationState>,
    },
}

/// One entry of a conversation's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The cursor: grows in commit order over the whole store.
    pub id: EventId,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// 1, 2, 3, … within the conversation: a follower that holds n knows that n + 1 is next, and
    /// that nothing is missing between.
    pub seq: u64,
    /// When it was committed; never earlier than the event before it.
    pub at: Timestamp,
    /// What happened.
    pub body: EventBody,
}

impl Event {
    /// How many bytes people put into what it carries.
    pub fn bytes(&self) -> usize {
        match &self.body {
            EventBody::MessageAdded(message) => message.bytes(),
            EventBody::StateChanged { state, .. } => state.metadata.0.len(),
            EventBody::MessageGone | EventBody::MessageDeleted { .. } => 0,
        }
    }
}

/// Applies events, in order, to the messages of a snapshot. Applying an event that the snapshot
/// already holds changes nothing.
pub fn fold<'a>(messages: &mut Vec<Arc<Message>>, events: impl IntoIterator<Item = &'a Event>) {
    for event in events {
        match &event.body {
            EventBody::MessageAdded(message) => match messages.binary_search_by_key(&message.id, |held| held.id) {
                Ok(at) => messages[at] = Arc::clone(message),
                Err(at) => messages.insert(at, Arc::clone(message)),
            },
            EventBody::MessageDeleted { message_id, .. } => {
                if let Ok(at) = messages.binary_search_by_key(message_id, |held| held.id) {
                    messages.remove(at);
                }
            }
            EventBody::MessageGone | EventBody::StateChanged { .. } => {}
        }
    }
}
