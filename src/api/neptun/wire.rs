//! The Neptun dialect's resources. The doc comments are the public documentation.

use crate::api::run::{RunUnderWay, Way};
use crate::domain::{self, Conversation, Message, Timestamp, UserId, WhileAnswering};
use serde::Serialize;
use utoipa::ToSchema;

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::User)]
pub struct User<'a> {
    /// Their number, as it stands in paths.
    #[schema(example = 5)]
    pub id: i64,
    /// Their address.
    #[schema(example = "lan@example.com")]
    pub primary_email: &'a str,
}

impl<'a> From<&'a domain::User> for User<'a> {
    fn from(user: &'a domain::User) -> Self {
        Self { id: user.id.0, primary_email: user.email.as_str() }
    }
}

/// A user who has just signed in; the answer brings the cookie.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::SignedIn)]
pub struct SignedIn<'a> {
    /// Who.
    pub user: User<'a>,
    /// When.
    #[serde(rename = "loggedInAt")]
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    pub logged_in_at: String,
}

/// A user under its name.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::OneUser)]
pub struct OneUser<'a> {
    /// The user.
    pub user: User<'a>,
}

/// A chat.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::Chat)]
pub struct Chat {
    /// Its number.
    #[schema(example = 12)]
    pub id: i64,
    /// What its owner calls it.
    #[schema(example = "Compose file")]
    pub name: String,
    /// The model that answers.
    #[schema(example = "google/gemma-2-27b-it")]
    pub model: String,
    /// When it was made.
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    pub created_at: String,
    /// When it was renamed, or made.
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    pub updated_at: String,
    /// Its owner.
    #[schema(example = 5)]
    pub neptun_user_id: i64,
    /// What becomes of a message that is sent while an answer is under way; not there where that was not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Way>, nullable = false)]
    pub while_answering: Option<&'static str>,
}

impl From<&Conversation> for Chat {
    fn from(chat: &Conversation) -> Self {
        Self {
            id: chat.id.0,
            name: chat.state.title.clone().unwrap_or_default(),
            model: chat.state.model.clone().unwrap_or_default(),
            created_at: chat.created_at.with_millis(),
            updated_at: chat.edited_at.with_millis(),
            neptun_user_id: chat.user_id.map_or(0, |user| user.0),
            while_answering: chat.state.while_answering.map(WhileAnswering::as_str),
        }
    }
}

/// A chat under its name.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::OneChat)]
pub struct OneChat {
    /// The chat.
    pub chat: Chat,
}

/// A user's chats.
#[derive(ToSchema)]
#[schema(as = neptun::Chats)]
#[expect(dead_code, reason = "describes what is written in pieces")]
pub struct Chats {
    /// The chats, in the order that was asked for.
    chats: Vec<Chat>,
}

/// A message of a chat.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::ChatMessage)]
pub struct ChatMessage<'a> {
    /// Its number: grows with every message of the chat.
    #[schema(example = 70)]
    pub id: i64,
    /// The chat.
    #[schema(example = 12)]
    pub chat_conversation_id: i64,
    /// The chat's owner.
    #[schema(example = 5)]
    pub neptun_user_id: i64,
    /// What was said, as typed: whoever renders it escapes it.
    #[schema(example = "Write it")]
    pub message: &'a str,
    /// Who speaks: `user`, `assistant` or `system`.
    #[schema(example = "user")]
    pub actor: &'static str,
    /// When.
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    pub created_at: String,
    /// When it last changed.
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    pub updated_at: String,
}

impl<'a> ChatMessage<'a> {
    /// A message of a chat of that user.
    pub fn new(message: &'a Message, owner: UserId) -> Self {
        Self {
            id: message.id.0,
            chat_conversation_id: message.conversation_id.0,
            neptun_user_id: owner.0,
            message: &message.text,
            actor: message.role.as_str(),
            created_at: message.created_at.with_millis(),
            updated_at: message.updated_at.with_millis(),
        }
    }
}

/// One message, or several: as many as were sent, in that order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = neptun::Said)]
pub enum Said<'a> {
    /// To a single message.
    ChatMessage(ChatMessage<'a>),
    /// To a batch.
    ChatMessages(Vec<ChatMessage<'a>>),
}

/// A chat's messages.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = neptun::ChatMessages)]
#[expect(dead_code, reason = "describes what is written in pieces")]
pub struct ChatMessages {
    /// The messages, oldest first.
    chat_messages: Vec<ChatMessage<'static>>,
}

/// A chat's answers under way.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::Runs)]
pub struct Runs<'a> {
    /// The answers, in the order in which they were asked for.
    pub runs: Vec<RunUnderWay<'a>>,
}

/// What became of an answer that was to be stopped.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = neptun::Stopped)]
pub struct Stopped<'a> {
    /// Whether one was stopped; false when none was under way.
    #[schema(example = true)]
    pub stopped: bool,
    /// What had arrived of it; null when nothing had.
    #[schema(required = true)]
    pub chat_message: Option<ChatMessage<'a>>,
}

/// What was taken off the end of a chat.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = neptun::TakenBack)]
pub enum TakenBack<'a> {
    /// The last exchange, and what the user said after it.
    #[serde(rename_all = "camelCase")]
    Exchange {
        /// The last message of it.
        maybe_assistant_message_to_delete: ChatMessage<'a>,
        /// The one before.
        maybe_user_message_to_delete: ChatMessage<'a>,
    },
    /// What the user said; there was no exchange before it.
    #[serde(rename_all = "camelCase")]
    Trailing {
        /// The numbers of the messages.
        deleted_successfully: Vec<i64>,
        /// Empty: all of them go, or none.
        failed_to_delete: Vec<i64>,
    },
}

/// A file, apart from where it belongs.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::UserFile)]
pub struct UserFile<'a> {
    /// Its number.
    #[schema(example = 3)]
    id: i64,
    /// When it was made.
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    created_at: String,
    /// When it last changed.
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    updated_at: String,
    /// Its owner.
    #[schema(example = 5)]
    neptun_user_id: i64,
    /// Its name.
    #[schema(example = "compose.yaml")]
    title: &'a str,
    /// What it holds.
    #[schema(example = "services: {}\n")]
    text: &'a str,
    /// The language it is written in.
    #[schema(example = "yaml")]
    language: &'a str,
    /// What its name would end with.
    #[schema(example = "yaml")]
    extension: &'a str,
}

impl<'a> From<&'a domain::ChatFile> for UserFile<'a> {
    fn from(file: &'a domain::ChatFile) -> Self {
        Self {
            id: file.id.0,
            created_at: file.created_at.with_millis(),
            updated_at: file.updated_at.with_millis(),
            neptun_user_id: file.user_id.0,
            title: &file.file.title,
            text: &file.file.text,
            language: &file.file.language,
            extension: &file.file.extension,
        }
    }
}

/// A file of a message.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::ChatFile)]
pub struct ChatFile<'a> {
    /// The file.
    #[serde(flatten)]
    file: UserFile<'a>,
    /// The chat.
    #[schema(example = 12)]
    chat_conversation_id: i64,
    /// The message.
    #[schema(example = 70)]
    chat_conversation_message_id: i64,
    /// The file once more, in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    neptun_user_file: Option<UserFile<'a>>,
}

impl<'a> ChatFile<'a> {
    /// A file as it stands alone.
    pub fn one(file: &'a domain::ChatFile) -> Self {
        Self {
            file: file.into(),
            chat_conversation_id: file.conversation_id.0,
            chat_conversation_message_id: file.message_id.0,
            neptun_user_file: None,
        }
    }

    /// A file as it stands in a list.
    pub fn listed(file: &'a domain::ChatFile) -> Self {
        Self { neptun_user_file: Some(file.into()), ..Self::one(file) }
    }
}

/// One file, or several: as many as were sent, in that order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = neptun::Filed)]
pub enum Filed<'a> {
    /// To a single file.
    ChatFile(Box<ChatFile<'a>>),
    /// To several.
    ChatFiles(Vec<ChatFile<'a>>),
}

/// A chat's files.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = neptun::ChatFiles)]
#[expect(dead_code, reason = "describes what is written in pieces")]
pub struct ChatFiles {
    /// The files, oldest first.
    chat_files: Vec<ChatFile<'static>>,
}

/// How what was asked for by mail went.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::CodeOutcome)]
pub struct CodeOutcome {
    /// Whether it was done.
    pub success: bool,
    /// A sentence.
    #[schema(example = "Successfully sent OTP.")]
    pub message: String,
}

/// When somebody signed in, as the dialect prints it.
pub fn signed_in<'a>(user: &'a domain::User, at: Timestamp) -> SignedIn<'a> {
    SignedIn { user: user.into(), logged_in_at: at.with_millis() }
}
