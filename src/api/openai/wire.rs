//! The OpenAI dialect's resources. The doc comments are the public documentation.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::usage::Usage;
use crate::domain::Timestamp;

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
