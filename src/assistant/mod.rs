//! Who answers: the provider's contract, and the built-in echo.

mod echo;

use std::pin::Pin;

use futures_util::Stream;

use crate::domain::Role;
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

/// The pieces of an answer, in order. Their concatenation is the answer, byte for byte. Dropping
/// the stream cancels the request.
pub type Answer = Pin<Box<dyn Stream<Item = Result<String, Cause>> + Send>>;

/// Somebody or something that answers.
pub trait Provider: Send + Sync {
    /// Its name, for the start-up lines and the metrics.
    fn name(&self) -> &'static str;

    /// Answers the last line of `context`, of which the oldest line comes first. Returns at once;
    /// all waiting happens in the stream.
    fn answer(&self, context: Vec<Line>) -> Answer;
}
