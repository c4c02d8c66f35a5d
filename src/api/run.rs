//! Answers of the assistant that are under way, in JSON that is the same at every door.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::budget;
use crate::domain::{OpenRun, Run, RunOutcome, RunReason, RunState, RunText, WhileAnswering};

/// What may become of a message that is sent while an answer is under way, as clients name it.
pub const WAYS: &[&str] = &["queue", "interrupt", "parallel"];

/// The way of that name; [`WAYS`] has all of them.
pub fn way(name: &str) -> Option<WhileAnswering> {
    WhileAnswering::parse(name)
}

/// What becomes of a message that is sent while an answer is under way.
#[derive(ToSchema)]
#[schema(as = WhileAnswering, rename_all = "lowercase")]
pub enum Way {
    /// It is answered after that.
    Queue,
    /// The answer under way is stopped.
    Interrupt,
    /// It is answered at the same time.
    Parallel,
}

/// What is said of an answer that is not there, or not whole, also at the end of a stream.
pub fn no_answer(outcome: RunOutcome, reason: Option<RunReason>) -> &'static str {
    match outcome {
        RunOutcome::Completed => "There is no answer: it was empty, or it has been deleted.",
        RunOutcome::Stopped => "The answer was stopped.",
        RunOutcome::Failed if reason == Some(RunReason::Budget) => budget::USED_UP,
        RunOutcome::Failed => "The assistant could not finish its answer: ask again.",
        RunOutcome::Interrupted => "The server was restarted before the answer was finished: ask again.",
    }
}

/// An answer that is being made, as far as it was told: what the events of runs that come after are applied to.
#[derive(Serialize, ToSchema)]
pub struct RunUnderWay<'a> {
    /// The answer, while it is made.
    run_id: Uuid,
    /// The message that it answers.
    message_id: Uuid,
    /// `queued` or `running`.
    #[schema(example = "running")]
    state: &'static str,
    /// Its text so far.
    #[schema(example = "Echo: Hello ")]
    text: &'a str,
}

impl<'a> From<&'a OpenRun> for RunUnderWay<'a> {
    fn from(OpenRun { run, text }: &'a OpenRun) -> Self {
        Self { run_id: run.uuid, message_id: run.question_uuid, state: run.state.as_str(), text }
    }
}

/// What became of an answer that is being made.
#[derive(Serialize, ToSchema)]
pub struct RunEvent {
    /// The answer, while it is made.
    run_id: Uuid,
    /// The message that it answers.
    message_id: Uuid,
    /// `queued`, `running`, `completed`, `stopped`, `failed` or `interrupted`.
    #[schema(example = "running")]
    state: &'static str,
    /// Why it ended so, where that says more: `asked`, `taken_over`, `superseded`, `draining`, `timed_out`, `silent`,
    /// `length`, `content_filter`, `tool_calls`, `provider`, `budget`, `storage`.
    #[schema(required = true)]
    reason: Option<&'static str>,
    /// The message that holds the answer, once it ended with any text. It was told before.
    #[schema(required = true)]
    response_id: Option<Uuid>,
}

impl RunEvent {
    /// What became of it.
    pub fn new(run: &Run, state: RunState) -> Self {
        let ended = matches!(state, RunState::Ended(_));
        Self {
            run_id: run.uuid,
            message_id: run.question_uuid,
            state: state.as_str(),
            reason: run.reason.filter(|_| ended).map(RunReason::as_str),
            response_id: run.answer_uuid.filter(|_| ended),
        }
    }
}

/// More of an answer that is being made.
#[derive(Serialize, ToSchema)]
pub struct RunTextEvent<'a> {
    /// The answer.
    run_id: Uuid,
    /// Where in the answer the text begins, in bytes of UTF-8.
    #[schema(example = 6)]
    start: u64,
    /// The text.
    #[schema(example = "Hello ")]
    text: &'a str,
}

impl<'a> From<&'a RunText> for RunTextEvent<'a> {
    fn from(told: &'a RunText) -> Self {
        Self { run_id: told.run, start: told.start, text: &told.text }
    }
}
