//! Responses and what they consist of. The doc comments are the public documentation.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::usage::Usage;
use super::wire::{Named, Nothing};
use crate::domain::{Json, RunOutcome};

/// A question, in the newer form.
#[derive(ToSchema)]
#[schema(as = openai::ResponseFields)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct ResponseFields {
    /// One of `GET /v1/models`; `default` when there is none.
    #[schema(nullable, example = "default")]
    model: Option<String>,
    /// A text, or messages, of which the last one is the question.
    #[schema(value_type = Value, example = "What is AI?")]
    input: (),
    /// What the assistant is told before everything else. Not stored.
    #[schema(nullable)]
    instructions: Option<String>,
    /// Whether to stream the answer.
    #[schema(nullable)]
    stream: Option<bool>,
    /// Whether to answer at once, before there is an answer. It is made in any case.
    #[schema(nullable)]
    background: Option<bool>,
    /// Whether to store the question and the answer: true unless said otherwise.
    #[schema(nullable)]
    store: Option<bool>,
    /// A conversation of yours, by its name or as `{"id": name}`; made when it is not there. Without one the response
    /// gets a conversation of its own.
    #[schema(nullable, value_type = Option<Value>, example = "holidays")]
    conversation: Option<()>,
    /// A response in whose conversation to go on.
    #[schema(nullable)]
    previous_response_id: Option<String>,
    /// The longest answer, in tokens.
    #[schema(nullable, minimum = 1)]
    max_output_tokens: Option<u32>,
    /// Anything. Stored with the question.
    #[schema(nullable, value_type = Option<Object>)]
    metadata: Option<()>,
}

/// How far a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = openai::Status)]
pub enum Status {
    /// The answer waits for another one before it.
    Queued,
    /// The answer is being made.
    InProgress,
    /// It is whole.
    Completed,
    /// Somebody stopped it; what had arrived is kept.
    Cancelled,
    /// It could not be finished; what had arrived is kept.
    Failed,
}

impl Status {
    /// Of an answer that is not there yet.
    pub fn begun(is_queued: bool) -> Self {
        if is_queued { Self::Queued } else { Self::InProgress }
    }
}

impl From<RunOutcome> for Status {
    fn from(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Completed => Self::Completed,
            RunOutcome::Stopped => Self::Cancelled,
            RunOutcome::Failed | RunOutcome::Interrupted => Self::Failed,
        }
    }
}

/// A response.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = openai::Response)]
pub struct Shown {
    /// Its identifier.
    #[schema(example = "resp_019c1e6f0a0b7d2e8f30415263748596")]
    pub id: String,
    /// `response`.
    #[schema(example = "response")]
    pub object: &'static str,
    /// When it was asked for, in seconds since 1970.
    #[schema(example = 1_770_000_000)]
    pub created_at: i64,
    /// How far it is.
    pub status: Status,
    /// Whether it was asked for with `background`; null where that is not known any more.
    #[schema(required = true)]
    pub background: Option<bool>,
    /// Where it is stored, if anywhere.
    #[schema(required = true)]
    pub conversation: Option<Named>,
    /// Why it failed, if it did.
    #[schema(required = true)]
    pub error: Option<Broken>,
    /// Nothing.
    #[schema(required = true)]
    pub incomplete_details: Option<Nothing>,
    /// Nothing: instructions are not kept.
    #[schema(required = true)]
    pub instructions: Option<Nothing>,
    /// Nothing.
    #[schema(required = true)]
    pub max_output_tokens: Option<u32>,
    /// What the client attached.
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// Who answers.
    #[schema(example = "default")]
    pub model: String,
    /// The answer, as far as it is there: one message, or none.
    pub output: Vec<Item>,
    /// True.
    pub parallel_tool_calls: bool,
    /// Nothing.
    #[schema(required = true)]
    pub previous_response_id: Option<String>,
    /// Whether it is stored.
    pub store: bool,
    /// 1.
    #[schema(required = true)]
    pub temperature: Option<f32>,
    /// `auto`.
    pub tool_choice: &'static str,
    /// None.
    pub tools: Vec<Nothing>,
    /// 1.
    #[schema(required = true)]
    pub top_p: Option<f32>,
    /// What it took; null where that is not known.
    #[schema(required = true)]
    pub usage: Option<ResponseUsage>,
}

/// Why a response failed.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = openai::ResponseError)]
pub struct Broken {
    /// A word for programs.
    #[schema(example = "server_error")]
    pub code: &'static str,
    /// A sentence.
    pub message: &'static str,
}

/// The answer's message.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = openai::OutputMessage)]
pub struct Item {
    /// Its identifier.
    pub id: String,
    /// `message`.
    #[serde(rename = "type")]
    #[schema(example = "message")]
    pub kind: &'static str,
    /// `assistant`.
    #[schema(example = "assistant")]
    pub role: &'static str,
    /// `in_progress`, `completed` or `incomplete`.
    #[schema(example = "completed")]
    pub status: &'static str,
    /// Its text.
    pub content: Vec<Text>,
}

/// The answer's text.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = openai::OutputText)]
pub struct Text {
    /// `output_text`.
    #[serde(rename = "type")]
    #[schema(example = "output_text")]
    pub kind: &'static str,
    /// The text.
    pub text: String,
    /// None.
    pub annotations: Vec<Nothing>,
    /// None.
    pub logprobs: Vec<Nothing>,
}

/// What a response took.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = openai::ResponseUsage)]
pub struct ResponseUsage {
    /// Tokens that the assistant was shown.
    pub input_tokens: u64,
    /// Of them.
    pub input_tokens_details: Cached,
    /// Tokens that it said.
    pub output_tokens: u64,
    /// Of them.
    pub output_tokens_details: Thought,
    /// Both.
    pub total_tokens: u64,
}

impl From<Usage> for ResponseUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: Cached::default(),
            output_tokens: usage.completion_tokens,
            output_tokens_details: Thought::default(),
            total_tokens: usage.total_tokens,
        }
    }
}

/// Of the tokens that the assistant was shown.
#[derive(Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = openai::Cached)]
pub struct Cached {
    /// Not known.
    pub cached_tokens: u64,
}

/// Of the tokens that the assistant said.
#[derive(Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = openai::Thought)]
pub struct Thought {
    /// Not known.
    pub reasoning_tokens: u64,
}

/// JSON as it is.
pub fn raw(json: Option<&Json>) -> Box<RawValue> {
    let text = json.map_or("{}", |json| json.0.as_str());
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
