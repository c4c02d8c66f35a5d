//! The language of chat: plain values and their rules.
//!
//! Nothing here waits, reads a clock, touches a disk or knows a wire format, so every rule can be
//! checked by calling a function. Wire names and status codes belong to the dialects in
//! [`crate::api`]; columns belong to [`crate::store`].

mod attachment;
mod conversation;
mod event;
mod ids;
mod message;
mod run;
mod text;
mod time;
mod user;

pub use attachment::{Attachment, FILE_NAME_CHARS_MAX, file_name};
pub use conversation::{
    Assignment, Contact, Conversation, ConversationKind, ConversationState, Head, Participant, ParticipantKind,
};
pub use event::{Change, Event, EventBody, fold};
pub use ids::{AttachmentId, ConversationId, EventId, INTEGER_MAX, MessageId, RunId, TokenId, UserId};
pub use message::{Message, Role};
pub use run::{Run, RunOutcome};
pub use text::{Json, MessageText, TextError, clean, clean_line};
pub use time::Timestamp;
pub use user::{Ability, Access, Email, Language, User};
