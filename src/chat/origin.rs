//! Which connection of a client brought something about, so that what is told of it spares that one.

use uuid::Uuid;

use super::Chat;
use super::words::Word;
use crate::domain::{Event, EventBody, MessageId, UserId};
use crate::realtime::sockets::SocketId;

/// Something that a client does and that others are told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// A message was sent.
    Sent(Uuid),
    /// A message was edited.
    Edited(MessageId),
    /// A message was deleted.
    Deleted(MessageId),
    /// Somebody reacted to a message, or thought better of it.
    Reacted(MessageId, UserId),
    /// A message was read, perhaps with those before it.
    Read(MessageId, UserId),
}

impl Deed {
    /// The deed behind an event.
    pub fn behind(event: &Event) -> Option<Self> {
        match &event.body {
            EventBody::MessageAdded(message) => Some(Self::Sent(message.uuid)),
            EventBody::MessageEdited(message) => Some(Self::Edited(message.id)),
            EventBody::MessageDeleted { message_id, .. } => Some(Self::Deleted(*message_id)),
            EventBody::Reacted { message_id, reaction, .. } => Some(Self::Reacted(*message_id, reaction.user_id)),
            EventBody::Received { reader, reach, .. } => Some(Self::Read(reach.end(), *reader)),
            EventBody::MessageGone
            | EventBody::Void
            | EventBody::StateChanged { .. }
            | EventBody::RunChanged { .. }
            | EventBody::RunTold(_) => None,
        }
    }
}

impl Chat {
    /// That connection, or one that is not known, is about to do that. Some deeds can be done more than once,
    /// from more than one connection: who did it last is spared, and nobody who did it before.
    pub fn note_origin(&self, deed: Deed, socket: Option<SocketId>) {
        match socket {
            // The node that has the connection spares it, so it is the one to know.
            Some(socket) if self.says_to(socket, &Word::Origin(deed.clone(), socket)) => self.origins.forget(&deed),
            Some(socket) => self.origins.note(deed, socket),
            None => self.origins.forget(&deed),
        }
    }

    /// The connection behind an event, if it said so.
    pub fn origin_of(&self, event: &Event) -> Option<SocketId> {
        self.origins.of(&Deed::behind(event)?, event.id)
    }
}
