//! The chats dialect's requests and resources. The doc comments are the public documentation.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::run::Way;
use crate::domain::{Conversation, Json, Message, WhileAnswering};

/// A chat session.
#[derive(Serialize, ToSchema)]
#[schema(as = chats::Session)]
pub struct Session {
    /// Its identifier.
    #[schema(example = "77bb3c1e-5d0c-4c3f-9a57-0c6f2b1f7f10")]
    pub id: Uuid,
    /// The client's name for it, or one that the server made. Accepted wherever `id` is.
    #[schema(example = "lp-1")]
    pub session_id: String,
    /// The integrator's id for the visitor.
    #[schema(required = true, example = json!(null))]
    pub external_user_id: Option<String>,
    /// When it was created.
    #[schema(example = "2026-02-03T08:00:00.120000Z")]
    pub created_at: String,
    /// When it stops taking messages. Reading works on, and nothing is deleted.
    #[schema(required = true, example = "2026-02-04T08:00:00.119000Z")]
    pub expires_at: Option<String>,
    /// Whether it takes messages.
    #[schema(example = true)]
    pub is_active: bool,
    /// What the client attached.
    #[schema(value_type = Value, example = json!({"device": "web"}))]
    pub metadata: Box<RawValue>,
    /// What becomes of a message that is sent while an answer is under way; not there where that was not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Way>, nullable = false)]
    pub while_answering: Option<&'static str>,
}

impl From<&Conversation> for Session {
    fn from(conversation: &Conversation) -> Self {
        let state = &conversation.state;
        Self {
            id: conversation.uuid,
            session_id: conversation.key.clone(),
            external_user_id: state.external_user_id.clone(),
            created_at: conversation.created_at.with_micros(),
            expires_at: state.expires_at.map(crate::domain::Timestamp::with_micros),
            is_active: state.is_active,
            metadata: raw(&state.metadata),
            while_answering: state.while_answering.map(WhileAnswering::as_str),
        }
    }
}

/// A message of a session.
#[derive(Serialize, ToSchema)]
#[schema(as = chats::Message)]
pub struct ChatMessage<'a> {
    /// Its identifier.
    #[schema(example = "5a1e6f0a-0b1c-7d2e-8f30-415263748596")]
    pub id: Uuid,
    /// Its session.
    #[schema(value_type = Session)]
    pub session: &'a Session,
    /// What was said, as typed: whoever renders it escapes it.
    #[schema(example = "Hi")]
    pub message: &'a str,
    /// Who speaks: `user`, `assistant` or `system`.
    #[schema(example = "user")]
    pub role: &'static str,
    /// What was attached. An answer that lacks its end has `incomplete: true` here, and `outcome`
    /// says why.
    #[schema(value_type = Value, example = json!({}))]
    pub metadata: Box<RawValue>,
    /// When it was added.
    #[schema(example = "2026-02-03T08:00:02.000000Z")]
    pub timestamp: String,
}

impl<'a> ChatMessage<'a> {
    /// The message, shown with its session.
    pub fn new(message: &'a Message, session: &'a Session) -> Self {
        Self {
            id: message.uuid,
            session,
            message: &message.text,
            role: message.role.as_str(),
            metadata: message.metadata.as_ref().map_or_else(|| raw(&Json::empty_object()), raw),
            timestamp: message.created_at.with_micros(),
        }
    }
}

fn raw(json: &Json) -> Box<RawValue> {
    RawValue::from_string(json.0.clone()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A page of the sessions, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = chats::SessionPage)]
pub struct SessionPage {
    /// How many match in all.
    #[schema(example = 1)]
    pub count: u64,
    /// Address of the next page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
    /// Address of the previous page.
    #[schema(required = true, example = json!(null))]
    pub previous: Option<String>,
    /// This page's sessions.
    pub results: Vec<Session>,
}

/// A session to be made, or what to change about one. All fields are optional.
#[derive(ToSchema)]
#[schema(as = chats::SessionFields)]
#[expect(dead_code, reason = "describes what is read field by field, so that every error is told at once")]
pub struct SessionFields {
    /// A name of the client's choice, unique; the server makes one otherwise.
    #[schema(max_length = 255, nullable = false, example = "lp-1")]
    session_id: Option<String>,
    /// The integrator's id for the visitor.
    #[schema(max_length = 255, nullable, example = "user123")]
    external_user_id: Option<String>,
    /// Anything.
    #[schema(value_type = Value, required = false, example = json!({"device": "web"}))]
    metadata: Option<()>,
    /// When it stops taking messages; 24 hours from now unless said otherwise.
    #[schema(format = DateTime, nullable = false, example = "2030-01-02T12:00:00Z")]
    expires_at: Option<String>,
    /// Whether it takes messages; true unless said otherwise.
    #[schema(nullable = false, example = true)]
    is_active: Option<bool>,
    /// What becomes of a message that is sent while an answer is under way; `assistant.while_answering` unless said
    /// otherwise, and again with null.
    while_answering: Option<Way>,
}

/// Who may speak at this door.
#[derive(ToSchema)]
#[schema(as = chats::Speaker, rename_all = "lowercase")]
#[expect(dead_code, reason = "describes what is read as text, so that other values are refused in the door's words")]
pub enum Speaker {
    /// The visitor.
    User,
    /// The assistant.
    Assistant,
    /// Whoever integrates Roost.
    System,
}

/// A message to be stored.
#[derive(ToSchema)]
#[schema(as = chats::MessageFields)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct MessageFields {
    /// The session's `session_id` or `id`.
    #[schema(min_length = 1, max_length = 255, example = "lp-1")]
    session_id: String,
    /// What is said: not blank.
    #[schema(min_length = 1, max_length = 32000, example = "Hello, how are you?")]
    message: String,
    /// Who speaks.
    role: Speaker,
    /// Anything but null.
    #[schema(value_type = Value, required = false, example = json!({}))]
    metadata: Option<()>,
}

/// A question to the assistant.
#[derive(ToSchema)]
#[schema(as = chats::Question)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct Question {
    /// What to ask: not blank.
    #[schema(min_length = 1, max_length = 32000, example = "What is AI?")]
    message: String,
    /// The session's `session_id` or `id`.
    #[schema(min_length = 1, max_length = 255, example = "lp-1")]
    session_id: String,
}

/// The assistant's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = chats::Answer)]
pub struct Answer {
    /// What the assistant said.
    #[schema(example = "Echo: What is AI?")]
    pub response: String,
    /// The session, named as in the question.
    #[schema(example = "lp-1")]
    pub session_id: String,
    /// The question's message.
    pub message_id: Uuid,
    /// The answer's message.
    pub response_id: Uuid,
}

/// A message to be answered again.
#[derive(ToSchema)]
#[schema(as = chats::Again)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct AnswerAgain {
    /// The session's `session_id` or `id`.
    #[schema(min_length = 1, max_length = 255, example = "lp-1")]
    session_id: String,
    /// The question's message.
    #[schema(example = "5a1e6f0a-0b1c-7d2e-8f30-415263748596")]
    message_id: Uuid,
    /// Whether an answer that lacks its end goes on from there; otherwise another one is made.
    #[schema(nullable = false, default = false)]
    r#continue: Option<bool>,
}

/// An answer to be stopped.
#[derive(ToSchema)]
#[schema(as = chats::Stop)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct Stop {
    /// The session's `session_id` or `id`.
    #[schema(min_length = 1, max_length = 255, example = "lp-1")]
    session_id: String,
    /// The question's message, as every chunk names it.
    #[schema(example = "5a1e6f0a-0b1c-7d2e-8f30-415263748596")]
    message_id: Uuid,
}

/// What became of an answer that was to be stopped.
#[derive(Serialize, ToSchema)]
#[schema(as = chats::Stopped)]
pub struct Stopped {
    /// Whether it ended by being stopped; false when it had ended before, or never began.
    #[schema(example = true)]
    pub stopped: bool,
    /// The question's message.
    pub message_id: Uuid,
    /// The message that holds what had arrived; null when nothing had.
    #[schema(required = true)]
    pub response_id: Option<Uuid>,
}
