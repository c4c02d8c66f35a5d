//! The language of chat: plain values and their rules.
//!
//! Nothing here waits, reads a clock, touches a disk or knows a wire format, so every rule can be
//! checked by calling a function. Wire names and status codes belong to the dialects in
//! [`crate::api`]; columns belong to [`crate::store`].

mod conversation;
mod event;
mod ids;
mod message;
mod platform;
mod run;
mod text;
mod time;
mod user;

pub use conversation::{
    Assignment, Contact, Conversation, ConversationKind, ConversationState, Head, Participant, ParticipantKind,
};
pub use event::{Change, Event, EventBody, fold};
pub use ids::{ConversationId, EventId, INTEGER_MAX, MessageId, PlatformId, RunId, TokenId, UserId};
pub use message::{Message, Role};
pub use platform::{Membership, MembershipStatus, Platform, PushDevice, PushOs};
pub use run::{Run, RunOutcome};
pub use text::{Json, MessageText, TextError, clean, clean_line};
pub use time::Timestamp;
pub use user::{Ability, Access, Email, Language, User};
