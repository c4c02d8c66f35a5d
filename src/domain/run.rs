//! Runs: one answer of an assistant, from question to end.

use super::{ConversationId, MessageId, RunId};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunOutcome {
    /// The provider finished.
    Done,
    /// Somebody stopped it; what had arrived is kept.
    Stopped,
    /// The provider failed; what had arrived is kept.
    Failed,
    /// The server went away in the middle; what had been stored is kept.
    Interrupted,
}

impl RunOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Done, Self::Stopped, Self::Failed, Self::Interrupted];

    /// The outcome's name in the store and in a message's metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The outcome of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// Whether the answer lacks its end.
    pub fn is_incomplete(self) -> bool {
        self != Self::Done
    }
}

/// A run as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Where it answers.
    pub conversation_id: ConversationId,
    /// The message that it answers.
    pub question_id: MessageId,
    /// What had arrived at the last checkpoint; moved into the answer's message at the end.
    pub text: String,
    /// How it ended; `None` while it runs.
    pub outcome: Option<RunOutcome>,
    /// The message that holds the answer, once it ended with any text.
    pub answer_id: Option<MessageId>,
}
