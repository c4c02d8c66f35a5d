//! Who answers: the provider's contract, the built-in echo, providers elsewhere, and several of them as one.

mod anthropic;
pub mod count;
mod echo;
pub mod embeddings;
mod failures;
mod heard;
mod openai;
pub mod prices;
pub mod prompt;
pub mod remote;
pub mod several;
pub mod sse_decode;
mod turns;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;

use crate::domain::{Role, Usage};
use crate::error::Cause;

pub use echo::Echo;

/// One line of the context that an answer is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who spoke.
    pub role: Role,
    /// What was said.
    pub text: String,
}

/// What an assistant is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// What it is shown, the oldest line first; the last one is answered.
    pub lines: Vec<Line>,
    /// Which model, by the name that clients know; `None`: the default one.
    pub model: Option<Arc<str>>,
    /// At most this many tokens; `None`: as many as the configuration allows.
    pub tokens_max: Option<u32>,
}

/// A part of an answer, as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Who answers. Told before anything else, and once more when another provider had to be asked.
    By(By),
    /// More text. All texts joined are the answer, byte for byte.
    Text(String),
    /// What it took; the last one counts.
    Usage(Usage),
    /// Why the assistant said no more.
    Finish(Finish),
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The provider's name in the configuration.
    pub provider: Arc<str>,
    /// The model as the provider calls it.
    pub model: Arc<str>,
}

/// Why an assistant said no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It had said everything.
    Stop,
    /// It was not allowed more tokens.
    Length,
    /// The provider withheld the rest.
    ContentFilter,
    /// It wants a tool called that nobody offered.
    ToolCalls,
}

/// What kind of failure a provider's is: what to do about it follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// It does not take what was asked: asking again is of no use.
    Rejected,
    /// It does not know us: the operator has to look.
    Unauthorized,
    /// It has had too many requests; it may have said when to come back.
    RateLimited(Option<Duration>),
    /// It cannot be reached, or cannot answer at the moment.
    Unavailable,
    /// It said nothing for too long.
    Silent,
    /// What it sent is no answer, or ends in its middle.
    Broken,
}

/// Why there is no (whole) answer.
#[derive(Debug)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What happened, for the operator. Without anything that was asked or answered.
    pub cause: Cause,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

/// An answer as it arrives. Dropping it ends the request to the provider at once.
pub type Answer = Pin<Box<dyn Stream<Item = Result<Part, Failure>> + Send>>;

/// Somebody or something that answers.
pub trait Provider: Send + Sync {
    /// Its name, for the start-up lines and the metrics.
    fn name(&self) -> &str;

    /// Answers the last line. Returns at once; all waiting happens in the stream.
    fn answer(&self, ask: Ask) -> Answer;

    /// The names of models that may be asked for.
    fn models(&self) -> Vec<String> {
        Vec::new()
    }

    /// The most that an answer may take and cost: what to set aside before it is asked for.
    fn estimate(&self, _ask: &Ask) -> Usage {
        Usage::default()
    }

    /// What an answer took that ended before its provider could say: one that was stopped. Counted, roughly; of nobody
    /// it costs nothing.
    fn spent(&self, _by: Option<&By>, _lines: &[Line], _text: &str) -> Usage {
        Usage::default()
    }

    /// The model to ask instead for whoever is over budget.
    fn cheaper(&self) -> Option<Arc<str>> {
        None
    }
}
