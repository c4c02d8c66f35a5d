//! What the methods of runs take: an answer to be made, pieces of it, and its end.

use std::sync::Arc;

use uuid::Uuid;

use super::NewMessage;
use crate::domain::{ConversationId, MessageId, Run, RunOutcome, RunReason, RunText, Timestamp, Usage};

/// An answer to be made.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its public identifier.
    pub uuid: Uuid,
    /// Where.
    pub conversation_id: ConversationId,
    /// The message that it answers.
    pub question: MessageId,
    /// By which node.
    pub node: Uuid,
    /// Whether it waits for its turn.
    pub is_queued: bool,
    /// When.
    pub at: Timestamp,
}

/// A piece of an answer to be added to its log.
#[derive(Clone, Debug)]
pub struct NewRunText {
    /// Of which run.
    pub run: Arc<Run>,
    /// Where in the answer it begins, in bytes.
    pub start: u64,
    /// The text.
    pub text: Arc<str>,
    /// When.
    pub at: Timestamp,
}

impl NewRunText {
    /// The piece as the log has it.
    pub(in crate::store) fn told(&self) -> RunText {
        RunText { run: self.run.uuid, start: self.start, text: Arc::clone(&self.text) }
    }
}

/// How a run is to be ended.
#[derive(Clone, Debug)]
pub struct RunEnd {
    /// How.
    pub outcome: RunOutcome,
    /// Why, where the outcome does not say all.
    pub reason: Option<RunReason>,
    /// Who answered, if it came to that.
    pub by: Option<(Arc<str>, Arc<str>)>,
    /// What it took.
    pub usage: Usage,
    /// Its answer, when there is any text.
    pub answer: Option<NewMessage>,
    /// The message that the answer is in the place of.
    pub replaces: Option<MessageId>,
    /// When.
    pub at: Timestamp,
}
