//! Conversations: who takes part, and what state they are in.

use uuid::Uuid;

use super::{ConversationId, EventId, Json, MessageId, PlatformId, Timestamp, UserId, WhileAnswering};

/// What a conversation is for. A key is unique within its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConversationKind {
    /// A website's guest with staff.
    LiveChat,
    /// An anonymous visitor with the assistant.
    AssistantSession,
    /// Two users of one platform.
    Direct,
    /// A signed-in user with the assistant.
    AssistantChat,
}

impl ConversationKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::LiveChat, Self::AssistantSession, Self::Direct, Self::AssistantChat];

    /// The kind's name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LiveChat => "live_chat",
            Self::AssistantSession => "assistant_session",
            Self::Direct => "direct",
            Self::AssistantChat => "assistant_chat",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Which member of staff a conversation is assigned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The member of staff.
    pub user_id: UserId,
    /// Since when.
    pub at: Timestamp,
}

/// How to reach the guest, as far as the guest said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
}

impl Contact {
    /// This contact with every field that `newer` knows.
    pub fn merged(&self, newer: &Self) -> Self {
        let pick = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
        Self {
            name: pick(&newer.name, &self.name),
            email: pick(&newer.email, &self.email),
            phone: pick(&newer.phone, &self.phone),
        }
    }
}

/// What about a conversation can change, and is therefore carried whole by each event that
/// changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationState {
    /// Open for sending.
    pub is_active: bool,
    /// The member of staff who has it.
    pub assigned: Option<Assignment>,
    /// When it stops taking messages, if ever.
    pub expires_at: Option<Timestamp>,
    /// An integrator's own id for the visitor.
    pub external_user_id: Option<String>,
    /// How to reach the guest.
    pub contact: Contact,
    /// What the client attached, unread by Roost.
    pub metadata: Json,
    /// What its owner calls it.
    pub title: Option<String>,
    /// The model that answers in it, by the name that clients know.
    pub model: Option<String>,
    /// Put away.
    pub is_archived: bool,
    /// What becomes of a message that is sent while an answer is under way; `None`: what the configuration says.
    pub while_answering: Option<WhileAnswering>,
}

impl ConversationState {
    /// An open conversation of which nothing is known yet.
    pub fn open() -> Self {
        Self {
            is_active: true,
            assigned: None,
            expires_at: None,
            external_user_id: None,
            contact: Contact::default(),
            metadata: Json::empty_object(),
            title: None,
            model: None,
            is_archived: false,
            while_answering: None,
        }
    }
}

/// What a conversation is about, in an integrator's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// What kind of thing.
    pub kind: Option<String>,
    /// Which of them.
    pub id: Option<i64>,
}

/// The end of a conversation's log, kept in the transaction that extends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The dense number of the last event; 0 before the first.
    pub seq: u64,
    /// The cursor of the last event.
    pub event_id: EventId,
    /// The last message that was added, deleted or not.
    pub message_id: MessageId,
    /// When that message was added.
    pub message_at: Option<Timestamp>,
}

/// A conversation as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its number.
    pub id: ConversationId,
    /// Its public identifier (version 4: it may serve as a capability, so it is unguessable).
    pub uuid: Uuid,
    /// What it is for.
    pub kind: ConversationKind,
    /// The client's name for it, unique within the kind. At the guest door it is the capability
    /// that opens the conversation.
    pub key: String,
    /// The platform on which it takes place, if on any.
    pub platform_id: Option<PlatformId>,
    /// The signed-in user that it belongs to, if any; in a direct conversation who began it.
    pub user_id: Option<UserId>,
    /// What it is about; never changes.
    pub tag: Tag,
    /// What can change.
    pub state: ConversationState,
    /// The end of its log.
    pub head: Head,
    /// When somebody last did something in it. A clock, not part of the log.
    pub last_activity_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its state last changed, or when it was made.
    pub edited_at: Timestamp,
    /// When anything of it last changed. A clock, not part of the log.
    pub updated_at: Timestamp,
}

impl Conversation {
    /// Whether `now` is past its end.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.state.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether that member of staff has it.
    pub fn is_assigned_to(&self, user: UserId) -> bool {
        self.state.assigned.is_some_and(|assigned| assigned.user_id == user)
    }
}

/// In which capacity somebody takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParticipantKind {
    /// The guest or visitor that the conversation is for.
    Guest,
    /// A signed-in user that the conversation is for.
    User,
    /// A member of staff.
    Staff,
    /// The assistant.
    Assistant,
}

impl ParticipantKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Guest, Self::User, Self::Staff, Self::Assistant];

    /// The kind's name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::User => "user",
            Self::Staff => "staff",
            Self::Assistant => "assistant",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Somebody who takes or took part in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participant {
    /// In which capacity.
    pub kind: ParticipantKind,
    /// The signed-in user, if it is one.
    pub user_id: Option<UserId>,
    /// Since when.
    pub joined_at: Timestamp,
}
