//! Where an event happened, and what somebody may follow: every following, whatever carries it, is one
//! scope and one cursor.

use std::sync::Arc;

use uuid::Uuid;

use super::{Conversation, ConversationId, ConversationKind, Event, PlatformId, UserId};

/// What never changes about a conversation: whose news its events are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// Its public identifier.
    pub uuid: Uuid,
    /// What it is for.
    pub kind: ConversationKind,
    /// The tenant, if it belongs to one.
    pub platform_id: Option<PlatformId>,
    /// Who signs in and takes part: both users of a direct conversation, the owner of an assistant
    /// chat, nobody of the others.
    pub users: Vec<UserId>,
}

impl Place {
    /// The place of a conversation with those users.
    pub fn new(conversation: &Conversation, users: Vec<UserId>) -> Self {
        let Conversation { id, uuid, kind, platform_id, .. } = *conversation;
        Self { conversation_id: id, uuid, kind, platform_id, users }
    }

    /// Every scope that holds what happens here.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> + '_ {
        let kind = self.kind;
        let users = self.users.iter().map(move |user| Scope::User(*user, kind));
        [Scope::All, Scope::Kind(kind), Scope::Conversation(self.conversation_id)]
            .into_iter()
            .chain(self.platform_id.map(Scope::Platform))
            .chain(users)
    }
}

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole log.
    All,
    /// Every conversation of one kind: staff follow all live chats.
    Kind(ConversationKind),
    /// One conversation.
    Conversation(ConversationId),
    /// Everything of one tenant.
    Platform(PlatformId),
    /// The conversations of one kind in which a user takes part.
    User(UserId, ConversationKind),
}

/// An event with where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// What happened.
    pub event: Event,
    /// Where.
    pub place: Arc<Place>,
}

/// What is told to those who follow and not kept: whoever is away when it happens never hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Somebody is typing, or stopped.
    Typing {
        /// The conversation.
        conversation_id: ConversationId,
        /// Who, in the words of the conversation.
        who: Typist,
        /// Whether they type; a client forgets it after some seconds without another.
        is_typing: bool,
    },
    /// There is a new conversation.
    Made(ConversationId),
    /// A conversation was removed, with its log.
    Removed(ConversationId),
}

/// Who types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typist {
    /// The guest of a live chat.
    Guest,
    /// A member of staff, with the name that guests see.
    Staff(UserId, String),
    /// A user, by their public identifier.
    User(Uuid),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_in_the_scopes_of_its_users_and_tenant() {
        let place = Place {
            conversation_id: ConversationId(7),
            uuid: Uuid::nil(),
            kind: ConversationKind::Direct,
            platform_id: Some(PlatformId(2)),
            users: vec![UserId(3), UserId(4)],
        };
        let scopes: Vec<_> = place.scopes().collect();
        let expected = [
            Scope::All,
            Scope::Kind(ConversationKind::Direct),
            Scope::Conversation(ConversationId(7)),
            Scope::Platform(PlatformId(2)),
            Scope::User(UserId(3), ConversationKind::Direct),
            Scope::User(UserId(4), ConversationKind::Direct),
        ];
        assert_eq!(scopes, expected);
    }
}
