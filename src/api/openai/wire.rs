//! The OpenAI dialect's resources. The doc comments are the public documentation.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::usage::Usage;
use crate::domain::{Json, RunOutcome, Timestamp};

/// The identifier of a completion or a response: what was asked is what it is found by.
pub fn identifier(prefix: &str, question: Uuid) -> String {
    format!("{prefix}_{}", question.simple())
}

/// The identifier of the completion of that question.
pub fn completion_identifier(question: Uuid) -> String {
    format!("chatcmpl-{}", question.simple())
}

/// What was asked, by the identifier of the response or the completion.
pub fn question_of(id: &str) -> Option<Uuid> {
    let hex = id.strip_prefix("resp_").or_else(|| id.strip_prefix("chatcmpl-"))?;
    Uuid::try_parse(hex).ok().filter(|_| hex.len() == 32)
}

/// Where a field is, as OpenAI writes it: `messages[0].content` for `messages.0.content`.
pub fn param(field: &str) -> String {
    let mut param = String::with_capacity(field.len());
    for piece in field.split('.') {
        if !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_digit()) {
            param.push('[');
            param.push_str(piece);
            param.push(']');
            continue;
        }
        if !param.is_empty() {
            param.push('.');
        }
        param.push_str(piece);
    }
    param
}

/// Whole seconds since 1970.
pub fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000_000)
}

/// A model.
#[derive(Serialize, ToSchema)]
#[schema(as = openai::Model)]
pub struct Model {
    /// Its name.
    #[schema(example = "default")]
    pub id: String,
    /// `model`.
    #[schema(example = "model")]
    pub object: &'static str,
    /// Nothing is known of when it was made.
    #[schema(example = 0)]
    pub created: i64,
    /// Its publisher.
    #[schema(example = "roost")]
    pub owned_by: String,
}

/// The models.
#[derive(Serialize, ToSchema)]
#[schema(as = openai::Models)]
pub struct Models {
    /// `list`.
    #[schema(example = "list")]
    pub object: &'static str,
    /// All of them.
    pub data: Vec<Model>,
}

/// A conversation that something is kept in.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = openai::Conversation)]
pub struct Named {
    /// Its name; one that was given none has its identifier.
    #[schema(example = "holidays")]
    pub id: String,
}

/// A question, and what the assistant was told before.
#[derive(ToSchema)]
#[schema(as = openai::CompletionFields)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct CompletionFields {
    /// One of `GET /v1/models`; `default` when there is none.
    #[schema(nullable, example = "default")]
    model: Option<String>,
    /// What was said so far; the last message is the question.
    #[schema(min_items = 1)]
    messages: Vec<MessageFields>,
    /// Whether to stream the answer.
    #[schema(nullable)]
    stream: Option<bool>,
    /// About the stream.
    #[schema(nullable)]
    stream_options: Option<StreamOptions>,
    /// Only 1.
    #[schema(nullable, minimum = 1, maximum = 1)]
    n: Option<u32>,
    /// The longest answer, in tokens.
    #[schema(nullable, minimum = 1)]
    max_completion_tokens: Option<u32>,
    /// The same, by its old name.
    #[schema(nullable, minimum = 1)]
    max_tokens: Option<u32>,
    /// A conversation of yours, by its name or as `{"id": name}`, in which the last message and the answer are stored;
    /// made when it is not there. May stand in `metadata`, too.
    #[schema(nullable, value_type = Option<Value>, example = "holidays")]
    conversation: Option<()>,
    /// Anything.
    #[schema(nullable, value_type = Option<Object>)]
    metadata: Option<()>,
}

/// About a stream.
#[derive(ToSchema)]
#[schema(as = openai::StreamOptions)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct StreamOptions {
    /// Tell at the end what the answer took.
    #[schema(nullable)]
    include_usage: Option<bool>,
}

/// A message.
#[derive(ToSchema)]
#[schema(as = openai::MessageFields)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct MessageFields {
    /// `developer`, `system`, `user` or `assistant`.
    #[schema(example = "user")]
    role: String,
    /// A text, or a list of `{"type": "text", "text": …}`.
    #[schema(value_type = Value, example = "What is AI?")]
    content: (),
}

/// An answer.
#[derive(Serialize, ToSchema)]
#[schema(as = openai::Completion)]
pub struct Completion {
    /// Its identifier.
    #[schema(example = "chatcmpl-019c1e6f0a0b7d2e8f30415263748596")]
    pub id: String,
    /// `chat.completion`.
    #[schema(example = "chat.completion")]
    pub object: &'static str,
    /// When it was asked for, in seconds since 1970.
    #[schema(example = 1_770_000_000)]
    pub created: i64,
    /// Who answered.
    #[schema(example = "default")]
    pub model: String,
    /// The answer.
    pub choices: Vec<Choice>,
    /// What it took.
    pub usage: Usage,
    /// Where it is stored, if anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Named>,
}

/// The only answer there is.
#[derive(Serialize, ToSchema)]
#[schema(as = openai::Choice)]
pub struct Choice {
    /// 0.
    pub index: u32,
    /// What the assistant said.
    pub message: Said,
    /// Nothing.
    #[schema(required = true)]
    pub logprobs: Option<Nothing>,
    /// `stop`.
    #[schema(example = "stop")]
    pub finish_reason: &'static str,
}

/// What the assistant said.
#[derive(Serialize, ToSchema)]
#[schema(as = openai::Said)]
pub struct Said {
    /// `assistant`.
    #[schema(example = "assistant")]
    pub role: &'static str,
    /// The answer.
    #[schema(example = "Echo: What is AI?")]
    pub content: String,
    /// Nothing.
    #[schema(required = true)]
    pub refusal: Option<Nothing>,
}

/// What is always null.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = openai::Nothing)]
pub struct Nothing {}

/// A piece of an answer that is streamed.
#[derive(Serialize, ToSchema)]
#[schema(as = openai::Chunk)]
pub struct Chunk<'a> {
    /// As the completion's.
    pub id: &'a str,
    /// `chat.completion.chunk`.
    #[schema(example = "chat.completion.chunk")]
    pub object: &'static str,
    /// As the completion's.
    pub created: i64,
    /// As the completion's.
    pub model: &'a str,
    /// What is new; nothing in the chunk that tells what the answer took.
    pub choices: Vec<ChunkChoice<'a>>,
    /// What the answer took, in the last chunk, where that was asked for; in the others null.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    pub usage: Option<Option<Usage>>,
}

/// What is new of the answer.
#[derive(Serialize, ToSchema)]
#[schema(as = openai::ChunkChoice)]
pub struct ChunkChoice<'a> {
    /// 0.
    pub index: u32,
    /// What is new.
    pub delta: Delta<'a>,
    /// Nothing.
    #[schema(required = true)]
    pub logprobs: Option<Nothing>,
    /// `stop` at the end.
    #[schema(required = true)]
    pub finish_reason: Option<&'static str>,
}

/// What is new.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = openai::Delta)]
pub struct Delta<'a> {
    /// Who speaks, at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// More text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
}

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
    /// The answer is being made.
    InProgress,
    /// It is whole.
    Completed,
    /// Somebody stopped it; what had arrived is kept.
    Cancelled,
    /// It could not be finished; what had arrived is kept.
    Failed,
}

impl From<RunOutcome> for Status {
    fn from(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Done => Self::Completed,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_with_brackets() {
        for (field, want) in [
            ("messages", "messages"),
            ("messages.0.content", "messages[0].content"),
            ("input.12.content.3.text", "input[12].content[3].text"),
            ("", ""),
        ] {
            assert_eq!(param(field), want);
        }
    }

    #[test]
    fn an_identifier_leads_back_to_its_question() {
        let question = Uuid::from_u128(0x019c_1e6f_0a0b_7d2e_8f30_4152_6374_8596);
        for id in [identifier("resp", question), completion_identifier(question)] {
            assert_eq!(question_of(&id), Some(question), "{id}");
        }
        for id in ["resp_", "resp_019c1e6f-0a0b-7d2e-8f30-415263748596", "msg_019c1e6f0a0b7d2e8f30415263748596", ""] {
            assert_eq!(question_of(id), None, "{id}");
        }
    }
}
