//! A message: one entry of a conversation's log that somebody wrote.

use uuid::Uuid;

use super::{ConversationId, Json, Letter, MessageId, Timestamp, UserId};

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The person that the conversation is for: a guest or a visitor.
    User,
    /// The assistant.
    Assistant,
    /// A member of staff.
    Staff,
    /// Instructions to the assistant.
    System,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::User, Self::Assistant, Self::Staff, Self::System];

    /// The role's name in the store and in every dialect.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Staff => "staff",
            Self::System => "system",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A message as it stands now. One that was deleted is not represented: it is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number: grows with every message of the conversation, never repeats in the store.
    pub id: MessageId,
    /// Its public identifier (version 7).
    pub uuid: Uuid,
    /// The conversation it belongs to.
    pub conversation_id: ConversationId,
    /// The dense number of the event that added it: 1, 2, 3, … within the conversation.
    pub seq: u64,
    /// Who speaks.
    pub role: Role,
    /// The signed-in author, if there is one.
    pub user_id: Option<UserId>,
    /// What was said.
    pub text: String,
    /// What the client attached, unread by Roost.
    pub metadata: Option<Json>,
    /// The message that this one answers (an assistant's answer to a question).
    pub reply_to: Option<MessageId>,
    /// When it was added; never earlier than the message before it.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When its author last edited the text.
    pub edited_at: Option<Timestamp>,
    /// What it carries as a letter from one user to another.
    pub letter: Option<Box<Letter>>,
}

impl Message {
    /// How many bytes people put into it: what a bound on memory has to count.
    pub fn bytes(&self) -> usize {
        let metadata = self.metadata.as_ref().map_or(0, |json| json.0.len());
        self.text.len() + metadata + self.letter.as_ref().map_or(0, |letter| letter.bytes())
    }
}
