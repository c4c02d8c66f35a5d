//! What requests hold, for the document: handlers read bodies field by field, so that every error is told
//! at once.
#![expect(dead_code, reason = "describes what is read field by field")]

use utoipa::{IntoParams, ToSchema};

use crate::api::run::Way;

/// The chat that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfChat {
    /// The caller's own number
    user_id: u64,
    /// The chat
    chat_id: u64,
}

/// Who signs up or in.
#[derive(ToSchema)]
#[schema(as = neptun::Credentials)]
pub struct Credentials {
    /// An e-mail address.
    #[schema(min_length = 5, max_length = 256, example = "lan@example.com")]
    email: String,
    /// Lower-case and upper-case letters, digits and other characters.
    #[schema(min_length = 8, max_length = 256, example = "Correct-Horse-9")]
    password: String,
    /// When signing up: the password once more, if it is sent at all.
    #[schema(rename = "confirmPassword")]
    confirm_password: Option<String>,
}

/// What changes of an account.
#[derive(ToSchema)]
#[schema(as = neptun::AccountFields)]
pub struct AccountFields {
    /// The new address.
    #[schema(min_length = 5, max_length = 256)]
    email: Option<String>,
    /// The new password: other sessions end.
    #[schema(min_length = 8, max_length = 256)]
    password: Option<String>,
}

/// A chat to be made.
#[derive(ToSchema)]
#[schema(as = neptun::ChatFields)]
pub struct ChatFields {
    /// What to call it.
    #[schema(min_length = 3, max_length = 255, example = "Compose file")]
    name: String,
    /// One of the models that `/models` lists.
    #[schema(example = "google/gemma-2-27b-it")]
    model: String,
    /// What becomes of a message that is sent while an answer is under way; `assistant.while_answering` unless said
    /// otherwise.
    while_answering: Option<Way>,
}

/// What changes of a chat: one of the two at least.
#[derive(ToSchema)]
#[schema(as = neptun::ChatName)]
pub struct ChatName {
    /// What to call it.
    #[schema(min_length = 3, max_length = 255, nullable = false, example = "Compose file")]
    name: Option<String>,
    /// What becomes of a message that is sent while an answer is under way; with null it is `assistant.while_answering`
    /// again.
    while_answering: Option<Way>,
}

/// The chats to remove.
#[derive(ToSchema)]
#[schema(as = neptun::ChatIds)]
pub struct ChatIds {
    /// Their numbers.
    #[schema(min_items = 1, max_items = 1000)]
    chat_ids: Vec<u64>,
}

/// Who may speak.
#[derive(ToSchema)]
#[schema(as = neptun::Actor, rename_all = "lowercase")]
pub enum Actor {
    /// The user.
    User,
    /// The assistant.
    Assistant,
    /// Instructions.
    System,
}

/// One message, or several.
#[derive(ToSchema)]
#[schema(as = neptun::MessageFields)]
#[serde(untagged)]
pub enum MessageFields {
    /// One.
    Single {
        /// What is said: not blank.
        #[schema(min_length = 1, max_length = 32000, example = "Write it")]
        message: String,
        /// Who speaks.
        actor: Actor,
    },
    /// Several, all or none.
    Batch {
        /// The messages, in order.
        #[schema(min_items = 1, max_items = 1000)]
        messages: Vec<MessageInput>,
    },
}

/// A message of a batch.
#[derive(ToSchema)]
#[schema(as = neptun::MessageInput)]
pub struct MessageInput {
    /// What is said: not blank.
    #[schema(min_length = 1, max_length = 32000, example = "What is AI?")]
    content: String,
    /// Who speaks.
    role: Actor,
}

/// What is asked, with what went before; only the last message is stored.
#[derive(ToSchema)]
#[schema(as = neptun::Question)]
pub struct Question {
    /// The conversation as the client has it, oldest first.
    #[schema(min_items = 1, max_items = 1000)]
    messages: Vec<MessageInput>,
}

/// One file, or several.
#[derive(ToSchema)]
#[schema(as = neptun::FileFields)]
#[serde(untagged)]
pub enum FileFields {
    /// One.
    Single(FileInput),
    /// Several, all or none.
    Several {
        /// The files, in order.
        #[schema(min_items = 1, max_items = 1000)]
        files: Vec<FileInput>,
    },
}

/// A file to be made.
#[derive(ToSchema)]
#[schema(as = neptun::FileInput)]
pub struct FileInput {
    /// What it holds.
    #[schema(min_length = 1, max_length = 100000, example = "services: {}\n")]
    text: String,
    /// Its name; made of the language when left out.
    #[schema(min_length = 1, max_length = 255, example = "compose.yaml")]
    title: Option<String>,
    /// The language it is written in: `text` when left out.
    #[schema(min_length = 1, max_length = 64, example = "yaml")]
    language: Option<String>,
    /// What its name would end with: `txt` when left out.
    #[schema(min_length = 1, max_length = 64, example = "yaml")]
    extension: Option<String>,
}

/// A share to be made.
#[derive(ToSchema)]
#[schema(as = neptun::ShareFields)]
pub struct ShareFields {
    /// Whether the link works: true when left out.
    is_shared: Option<bool>,
    /// Whether it wants a password: false when left out.
    is_protected: Option<bool>,
    /// The password itself; what is stored is its hash.
    #[schema(min_length = 1, max_length = 256)]
    hashed_password: Option<String>,
}

/// Who may open a share.
#[derive(ToSchema)]
#[schema(as = neptun::Admitted)]
#[serde(untagged)]
pub enum Admitted {
    /// E-mail addresses.
    Bare(Vec<String>),
    /// The same, under a name.
    Named {
        /// E-mail addresses.
        #[schema(min_items = 1, max_items = 1000)]
        emails: Vec<String>,
    },
}

/// What to do with a one-time code.
#[derive(ToSchema)]
#[schema(as = neptun::OtpFields)]
pub struct OtpFields {
    /// `create`: mail a code; `validate`: set a new password with one.
    #[schema(example = "create")]
    action: String,
    /// An e-mail address.
    #[schema(example = "lan@example.com")]
    email: String,
    /// To validate: the five digits.
    #[schema(example = "12345")]
    otp: Option<String>,
    /// To validate: the new password.
    #[schema(example = "Correct-Horse-9")]
    new_password: Option<String>,
}

/// A new password, with the code that allows it.
#[derive(ToSchema)]
#[schema(as = neptun::ResetFields)]
pub struct ResetFields {
    /// The five digits.
    #[schema(example = "12345")]
    otp: String,
    /// The new password.
    #[schema(example = "Correct-Horse-9")]
    new_password: String,
}
