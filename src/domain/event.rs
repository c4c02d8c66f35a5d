//! Events: the entries of a conversation's log, and their fold.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    ConversationId, ConversationState, EventId, Message, MessageId, OpenRun, Reach, Reaction, Receipt, Run, RunState,
    RunText, Timestamp, UserId,
};

/// Why a conversation's state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A member of staff took it, or was given it.
    Assigned,
    /// The member of staff who had it handed it back.
    Released,
    /// It was closed.
    Closed,
    /// A message reopened it.
    Reopened,
    /// Its contact, metadata, expiry or flags were edited.
    Edited,
}

impl Change {
    /// Every change.
    pub const ALL: [Self; 5] = [Self::Assigned, Self::Released, Self::Closed, Self::Reopened, Self::Edited];

    /// The change's name in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Released => "released",
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
    /// A message's text was edited. Read back later, it carries the message as it stands by then.
    MessageEdited(Arc<Message>),
    /// Was about what a message said that has been deleted since: only the number is left.
    Void,
    /// Somebody put a reaction to a letter, or took it away.
    Reacted {
        /// The letter.
        message_id: MessageId,
        /// The reaction.
        reaction: Reaction,
        /// Whether it was taken away.
        removed: bool,
    },
    /// Letters reached their receiver, or were read.
    Received {
        /// The receiver.
        reader: UserId,
        /// Which of the two.
        receipt: Receipt,
        /// Which letters; those that had the receipt already keep theirs.
        reach: Reach,
    },
    /// The conversation's state changed.
    StateChanged {
        /// Why.
        change: Change,
        /// The state from here on.
        state: Arc<ConversationState>,
    },
    /// An answer of the assistant waits, begins or ends. The message that holds it is added by the event before its
    /// end.
    RunChanged {
        /// What became of it.
        state: RunState,
        /// The run. Read back later, it is as it stands by then.
        run: Arc<Run>,
    },
    /// More of an answer that is being made.
    RunTold(RunText),
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
    /// Everybody with an account whom it names.
    pub fn users(&self) -> Vec<UserId> {
        let named = match &self.body {
            EventBody::MessageAdded(message) | EventBody::MessageEdited(message) => {
                let receiver = message.letter.as_ref().map(|letter| letter.receiver_id);
                let reacted = message.letter.iter().flat_map(|letter| &letter.reactions);
                return message.user_id.into_iter().chain(receiver).chain(reacted.map(|one| one.user_id)).collect();
            }
            EventBody::Reacted { reaction, .. } => Some(reaction.user_id),
            EventBody::Received { reader, .. } => Some(*reader),
            EventBody::StateChanged { state, .. } => state.assigned.map(|assigned| assigned.user_id),
            EventBody::MessageGone
            | EventBody::MessageDeleted { .. }
            | EventBody::Void
            | EventBody::RunChanged { .. }
            | EventBody::RunTold(_) => None,
        };
        named.into_iter().collect()
    }

    /// How many bytes people put into what it carries.
    pub fn bytes(&self) -> usize {
        match &self.body {
            EventBody::MessageAdded(message) | EventBody::MessageEdited(message) => message.bytes(),
            EventBody::StateChanged { state, .. } => state.metadata.0.len(),
            EventBody::Reacted { reaction, .. } => reaction.emoji.len(),
            EventBody::RunTold(told) => told.text.len(),
            EventBody::MessageGone
            | EventBody::MessageDeleted { .. }
            | EventBody::Void
            | EventBody::Received { .. }
            | EventBody::RunChanged { .. } => 0,
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
            // Only what the snapshot holds: an edited message from before it stays out.
            EventBody::MessageEdited(message) => {
                if let Ok(at) = messages.binary_search_by_key(&message.id, |held| held.id) {
                    messages[at] = Arc::clone(message);
                }
            }
            EventBody::Reacted { message_id, reaction, removed } => {
                if let Ok(at) = messages.binary_search_by_key(message_id, |held| held.id)
                    && let Some(letter) = &mut Arc::make_mut(&mut messages[at]).letter
                {
                    letter.react(reaction, *removed);
                }
            }
            EventBody::Received { reader, receipt, reach } => receive(messages, *reader, *receipt, *reach, event.at),
            EventBody::MessageGone
            | EventBody::Void
            | EventBody::StateChanged { .. }
            | EventBody::RunChanged { .. }
            | EventBody::RunTold(_) => {}
        }
    }
}

/// Applies events, in order, to the answers under way of a snapshot. Applying an event that the snapshot already holds
/// changes nothing.
pub fn fold_runs<'a>(open: &mut Vec<OpenRun>, events: impl IntoIterator<Item = &'a Event>) {
    for event in events {
        match &event.body {
            EventBody::RunChanged { state: RunState::Ended(_), run } => open.retain(|held| held.run.id != run.id),
            EventBody::RunChanged { state, run } => match open.iter_mut().find(|held| held.run.id == run.id) {
                Some(held) => held.run.state = *state,
                // Read back later it is as it stands by then: what has ended is not begun again.
                None if run.outcome().is_some() => {}
                None => open.push(OpenRun { run: Run::clone(run), text: String::new() }),
            },
            EventBody::RunTold(told) => {
                if let Some(held) = open.iter_mut().find(|held| held.run.uuid == told.run) {
                    let known = (held.text.len() as u64).saturating_sub(told.start);
                    let new = usize::try_from(known).ok().and_then(|known| told.text.get(known..));
                    held.text.push_str(new.unwrap_or_default());
                }
            }
            _ => {}
        }
    }
}

fn receive(messages: &mut [Arc<Message>], reader: UserId, receipt: Receipt, reach: Reach, at: Timestamp) {
    let end = messages.partition_point(|message| message.id <= reach.end());
    for message in messages[..end].iter_mut().filter(|message| reach.holds(message.id)) {
        let is_theirs = message.letter.as_ref().is_some_and(|letter| letter.receiver_id == reader);
        if is_theirs && let Some(letter) = &mut Arc::make_mut(message).letter {
            letter.receive(receipt, at);
        }
    }
}
