//! Runs: one answer of an assistant, from question to end.

use std::sync::Arc;

use uuid::Uuid;

use super::{ConversationId, EventId, MessageId, RunId, Timestamp, Usage};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunOutcome {
    /// The assistant said all that it had to say, or as much as it was allowed.
    Completed,
    /// Somebody stopped it; what had arrived is kept.
    Stopped,
    /// The provider failed; what had arrived is kept.
    Failed,
    /// The server went away in the middle; what had been stored is kept.
    Interrupted,
}

impl RunOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Completed, Self::Stopped, Self::Failed, Self::Interrupted];

    /// The outcome's name on the wire and in a message's metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
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
        self != Self::Completed
    }
}

/// What a run is doing, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// It waits for the answer before it.
    Queued,
    /// The assistant is asked, or answers.
    Running,
    /// It ended.
    Ended(RunOutcome),
}

impl RunState {
    /// The state's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ended(outcome) => outcome.as_str(),
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "queued" => Some(Self::Queued),
            "running" => Some(Self::Running),
            _ => RunOutcome::parse(name).map(Self::Ended),
        }
    }
}

/// Why a run ended as it did, where its outcome does not say all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunReason {
    /// Whoever asked, or somebody entitled, had enough.
    Asked,
    /// A person took the conversation over.
    TakenOver,
    /// A newer message took its place.
    Superseded,
    /// The server was going down.
    Draining,
    /// It took longer than an answer may.
    TimedOut,
    /// The provider said nothing for too long.
    Silent,
    /// It became as long as an answer may.
    Length,
    /// The provider withheld the rest.
    ContentFilter,
    /// The assistant wanted a tool called that nobody offers.
    ToolCalls,
    /// The provider failed.
    Provider,
    /// What may be spent a day is spent.
    Budget,
    /// What was said could not be stored.
    Storage,
}

impl RunReason {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Asked,
        Self::TakenOver,
        Self::Superseded,
        Self::Draining,
        Self::TimedOut,
        Self::Silent,
        Self::Length,
        Self::ContentFilter,
        Self::ToolCalls,
        Self::Provider,
        Self::Budget,
        Self::Storage,
    ];

    /// The reason's name in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::TakenOver => "taken_over",
            Self::Superseded => "superseded",
            Self::Draining => "draining",
            Self::TimedOut => "timed_out",
            Self::Silent => "silent",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Provider => "provider",
            Self::Budget => "budget",
            Self::Storage => "storage",
        }
    }

    /// The reason of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// What becomes of a message that is sent while an answer is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhileAnswering {
    /// It is answered after that.
    Queue,
    /// The answer under way is stopped.
    Interrupt,
    /// It is answered at the same time.
    Parallel,
}

impl WhileAnswering {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Queue, Self::Interrupt, Self::Parallel];

    /// Its name in the store, on the wire and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Interrupt => "interrupt",
            Self::Parallel => "parallel",
        }
    }

    /// The way of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == name)
    }
}

/// A run as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Its public identifier.
    pub uuid: Uuid,
    /// Where it answers.
    pub conversation_id: ConversationId,
    /// The message that it answers.
    pub question_id: MessageId,
    /// That message's public identifier.
    pub question_uuid: Uuid,
    /// The last event before it: everything that is told of it comes after.
    pub event_id: EventId,
    /// What it is doing.
    pub state: RunState,
    /// Why it ended so.
    pub reason: Option<RunReason>,
    /// The message that holds the answer, once it ended with any text.
    pub answer_id: Option<MessageId>,
    /// That message's public identifier.
    pub answer_uuid: Option<Uuid>,
    /// Who answers: the provider's name and its model, once known.
    pub by: Option<(Arc<str>, Arc<str>)>,
    /// What it took, once it ended.
    pub usage: Usage,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Run {
    /// How it ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<RunOutcome> {
        match self.state {
            RunState::Ended(outcome) => Some(outcome),
            RunState::Queued | RunState::Running => None,
        }
    }
}

/// A run that goes on, with its text so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRun {
    /// The run.
    pub run: Run,
    /// What has been told of its answer.
    pub text: String,
}

/// A piece of an answer, as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunText {
    /// Of which run.
    pub run: Uuid,
    /// Where in the answer it begins, in bytes.
    pub start: u64,
    /// The text; empty once the answer was deleted.
    pub text: Arc<str>,
}

impl RunText {
    /// Where in the answer it ends, in bytes.
    pub fn end(&self) -> u64 {
        self.start + self.text.len() as u64
    }
}
