//! The guest dialect's requests and resources. The doc comments are the public documentation.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::{Contact, Conversation, Message, Role, User};

/// A message of a chat session.
#[derive(Serialize, ToSchema)]
pub struct ChatMessageResource {
    /// Grows with every message of the session; the cursor for polling.
    #[schema(example = 41)]
    pub id: i64,
    /// The session's number.
    #[schema(example = 9)]
    pub chat_session_id: i64,
    /// The signed-in author, if there is one.
    #[schema(required = true, example = json!(null))]
    pub user_id: Option<i64>,
    /// Who speaks: `user` (the guest), `assistant`, `staff`.
    #[schema(example = "user")]
    pub role: &'static str,
    /// What was said, as typed: whoever renders it escapes it.
    #[schema(example = "Xin chào")]
    pub message: String,
    /// What was attached, if anything.
    #[schema(required = true, value_type = Option<Object>)]
    pub meta: Option<Box<RawValue>>,
    /// Whether the assistant speaks.
    pub is_bot: bool,
    /// When it was sent.
    #[schema(example = "2026-02-03T08:00:01.000000Z")]
    pub created_at: String,
    /// When it last changed.
    #[schema(example = "2026-02-03T08:00:01.000000Z")]
    pub updated_at: String,
}

impl From<&Message> for ChatMessageResource {
    fn from(message: &Message) -> Self {
        let created_at = message.created_at.with_micros();
        let updated_at = if message.updated_at == message.created_at {
            created_at.clone()
        } else {
            message.updated_at.with_micros()
        };
        Self {
            id: message.id.0,
            chat_session_id: message.conversation_id.0,
            user_id: message.user_id.map(|user| user.0),
            role: message.role.as_str(),
            message: message.text.clone(),
            meta: message.metadata.as_ref().and_then(|json| RawValue::from_string(json.0.clone()).ok()),
            is_bot: message.role == Role::Assistant,
            created_at,
            updated_at,
        }
    }
}

/// What the guest said of themselves.
#[derive(Serialize, ToSchema)]
pub struct GuestMeta {
    /// Name.
    #[schema(required = true, example = "Lan")]
    pub guest_name: Option<String>,
    /// E-mail address.
    #[schema(required = true)]
    pub guest_email: Option<String>,
    /// Telephone number.
    #[schema(required = true)]
    pub guest_phone: Option<String>,
}

impl From<&Contact> for GuestMeta {
    fn from(contact: &Contact) -> Self {
        Self {
            guest_name: contact.name.clone(),
            guest_email: contact.email.clone(),
            guest_phone: contact.phone.clone(),
        }
    }
}

/// A chat session.
#[derive(Serialize, ToSchema)]
pub struct ChatSessionResource {
    /// Its number.
    #[schema(example = 9)]
    pub id: i64,
    /// The signed-in user it belongs to, if any.
    #[schema(required = true)]
    pub user_id: Option<i64>,
    /// The guest's key: who knows it can read and write the session.
    #[schema(example = "3f8a1b3e-5d0c-4c3f-9a57-0c6f2b1f7f10")]
    pub session_key: String,
    /// What the guest said of themselves.
    pub meta: GuestMeta,
    /// When somebody last did something in it.
    #[schema(required = true)]
    pub last_activity: Option<String>,
    /// Whether it is open; sending to a closed session reopens it.
    pub is_active: bool,
    /// The member of staff who has it.
    #[schema(required = true)]
    pub assigned_user_id: Option<i64>,
    /// Since when.
    #[schema(required = true)]
    pub assigned_at: Option<String>,
    /// When it was created.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

impl From<&Conversation> for ChatSessionResource {
    fn from(conversation: &Conversation) -> Self {
        let state = &conversation.state;
        Self {
            id: conversation.id.0,
            user_id: conversation.user_id.map(|user| user.0),
            session_key: conversation.key.clone(),
            meta: (&state.contact).into(),
            last_activity: Some(conversation.last_activity_at.with_micros()),
            is_active: state.is_active,
            assigned_user_id: state.assigned.map(|assigned| assigned.user_id.0),
            assigned_at: state.assigned.map(|assigned| assigned.at.with_micros()),
            created_at: conversation.created_at.with_micros(),
            updated_at: conversation.updated_at.with_micros(),
        }
    }
}

/// What became of an answer of the assistant that was to be stopped.
#[derive(Serialize, ToSchema)]
#[schema(as = guest::Stopped)]
pub struct Stopped {
    /// Whether one was stopped; false when none was under way.
    #[schema(example = true)]
    pub stopped: bool,
    /// What had arrived of it; null when nothing had.
    #[schema(required = true)]
    pub message: Option<ChatMessageResource>,
}

/// A session with its messages, oldest first.
#[derive(Serialize, ToSchema)]
pub struct SessionWithMessages {
    session: ChatSessionResource,
    messages: Vec<ChatMessageResource>,
}

/// What is known of a session: nothing, when there is none.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what is written in pieces")]
pub enum History {
    /// The session with its messages.
    Known(Box<SessionWithMessages>),
    /// An empty list.
    #[schema(value_type = Vec<Object>)]
    Unknown(Vec<()>),
}

/// A session in a list of the staff side.
#[derive(Serialize, ToSchema)]
pub struct ListedSession {
    /// The session.
    #[serde(flatten)]
    pub session: ChatSessionResource,
    /// Its last message.
    #[schema(required = true)]
    pub last_message: Option<ChatMessageResource>,
}

/// Which sessions the desk lists.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes what is read as text, so that other values are refused in the envelope")]
pub enum DeskFilter {
    /// Those that nobody has.
    Unassigned,
    /// Those that I have.
    Mine,
    /// All.
    All,
}

/// What opens a session. All fields are optional; without a key the server makes one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read field by field, so that every error is told at once")]
pub struct OpenSession {
    /// The guest's key; `session_id` is accepted as its name too.
    #[schema(max_length = 100, example = "3f8a1b3e-5d0c-4c3f-9a57-0c6f2b1f7f10")]
    session_key: Option<String>,
    /// Another name of `session_key`.
    #[schema(max_length = 100)]
    session_id: Option<String>,
    /// Name.
    #[schema(max_length = 255, example = "Lan")]
    guest_name: Option<String>,
    /// E-mail address.
    #[schema(max_length = 255, format = Email)]
    guest_email: Option<String>,
    /// Telephone number.
    #[schema(max_length = 20)]
    guest_phone: Option<String>,
}

/// A message to send.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct SendMessage {
    /// What to say: not blank, at most 1000 characters.
    #[schema(min_length = 1, max_length = 1000, example = "Xin chào")]
    message: String,
}

/// Who types, or does not any more.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct Typing {
    /// Whether they type; true by default.
    #[schema(nullable = false, example = true)]
    is_typing: Option<bool>,
}

/// What was told.
#[derive(Serialize, ToSchema)]
pub struct TypingTold {
    /// Whether they type.
    #[schema(example = true)]
    pub is_typing: bool,
}

/// A member of staff as guests see them.
#[derive(Serialize, ToSchema)]
pub struct StaffSummary {
    /// Their number.
    #[schema(example = 3)]
    pub id: i64,
    /// Their name.
    #[schema(example = "Mai")]
    pub name: String,
    /// Address of a picture.
    #[schema(required = true)]
    pub avatar: Option<String>,
}

/// Who takes over.
#[derive(Serialize, ToSchema)]
pub struct Transferred {
    /// The member of staff.
    pub staff: StaffSummary,
    /// A sentence for the guest.
    pub message: String,
}

/// A question to the assistant.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct AskChatbot {
    /// What to ask: not blank, at most 1000 characters.
    #[schema(min_length = 1, max_length = 1000, example = "When do you open?")]
    message: String,
    /// The session to go on with; the header `X-Chat-Session` is accepted instead. A new one
    /// otherwise.
    #[schema(max_length = 191)]
    session_key: Option<String>,
}

/// The assistant's answer.
#[derive(Serialize, ToSchema)]
pub struct ChatbotAnswer {
    /// What the assistant said.
    #[schema(example = "Echo: When do you open?")]
    pub message: String,
    /// The signed-in user, if there is one.
    #[schema(required = true)]
    pub user_id: Option<i64>,
    /// The language that was negotiated.
    #[schema(example = "en")]
    pub locale: &'static str,
    /// The session to go on with.
    pub session_key: String,
    /// What was recognised in the question; none so far.
    #[schema(value_type = Vec<Object>)]
    pub entities: [(); 0],
}

/// The messages of a chatbot session.
#[derive(Serialize, ToSchema)]
pub struct ChatbotHistory {
    session_key: Option<String>,
    messages: Vec<ChatMessageResource>,
}

/// Who registers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct Register {
    /// Name.
    #[schema(min_length = 1, max_length = 255, example = "Mai")]
    name: String,
    /// E-mail address, not taken yet.
    #[schema(max_length = 255, format = Email, example = "mai@example.com")]
    email: String,
    /// Password.
    #[schema(min_length = 8, max_length = 255, format = Password)]
    password: String,
    /// The password again.
    password_confirmation: String,
    /// Telephone number.
    #[schema(max_length = 20)]
    phone: Option<String>,
    /// `en`, `vi`, `ja` or `zh`.
    #[schema(example = "vi")]
    language_preference: Option<String>,
}

/// A mailed code.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct VerifyOtp {
    /// The address it was mailed to.
    #[schema(max_length = 255, format = Email, example = "mai@example.com")]
    email: String,
    /// The six digits.
    #[schema(min_length = 1, max_length = 16, example = "123456")]
    otp: String,
}

/// Who signs in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct Login {
    /// E-mail address.
    #[schema(max_length = 255, format = Email, example = "mai@example.com")]
    email: String,
    /// Password.
    #[schema(min_length = 8, max_length = 255, format = Password)]
    password: String,
    /// What the token is called.
    #[schema(max_length = 255, example = "Front desk")]
    device_name: Option<String>,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub struct UserResource {
    /// Its number.
    #[schema(example = 3)]
    pub id: i64,
    /// Name.
    #[schema(example = "Mai")]
    pub name: String,
    /// E-mail address.
    #[schema(example = "mai@example.com")]
    pub email: String,
    /// Telephone number.
    #[schema(required = true)]
    pub phone: Option<String>,
    /// Address of a picture.
    #[schema(required = true)]
    pub avatar: Option<String>,
    /// The language asked for.
    #[schema(required = true, example = "vi")]
    pub language_preference: Option<&'static str>,
    /// Whether it is a member of staff.
    pub is_admin: bool,
}

impl From<&User> for UserResource {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0,
            name: user.name.clone(),
            email: user.email.as_str().to_owned(),
            phone: user.phone.clone(),
            avatar: user.avatar.clone(),
            language_preference: user.language.map(crate::domain::Language::as_str),
            is_admin: user.is_staff,
        }
    }
}

/// A fresh account.
#[derive(Serialize, ToSchema)]
pub struct Registered {
    /// The account; it has to prove its address before it can sign in.
    pub user: UserResource,
}

/// A fresh token.
#[derive(Serialize, ToSchema)]
pub struct SignedIn {
    /// The account.
    pub user: UserResource,
    /// The bearer token, shown this once.
    #[schema(example = "12|f3Kq…")]
    pub token: String,
    /// How to send it.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
}
