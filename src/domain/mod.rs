//! The language of chat: plain values and their rules.
//!
//! Nothing here waits, reads a clock, touches a disk or knows a wire format, so every rule can be
//! checked by calling a function. Wire names and status codes belong to the dialects in
//! [`crate::api`]; columns belong to [`crate::store`].

mod attachment;
mod budget;
mod conversation;
mod document;
mod event;
mod files;
mod happened;
mod ids;
mod letter;
mod message;
mod node;
mod place;
mod platform;
mod run;
mod text;
mod time;
mod usage;
mod user;
mod webhook;

pub use attachment::{Attachment, FILE_NAME_CHARS_MAX, file_name};
pub use budget::{Allowance, Day, Left, OverBudget, Purse, PurseKind, Spend};
pub use conversation::{
    Assignment, Contact, Conversation, ConversationKind, ConversationState, Head, Participant, ParticipantKind, Tag,
};
pub use document::{Chunk, Document, DocumentKind, DocumentState, DocumentStats, Source, Uploader, chunk_name};
pub use event::{Change, Event, EventBody, fold, fold_runs};
pub use files::{ChatFile, NewFile, Share, ShareEntry, code_blocks};
pub use happened::{Happened, Nobody, Witness};
pub use ids::{
    AttachmentId, ChunkId, ConversationId, DeliveryId, DocumentId, EventId, FileId, INTEGER_MAX, MessageId, PlatformId,
    RunId, ShareId, TokenId, UserId, WebhookId,
};
pub use letter::{Device, DeviceKind, Letter, LetterKind, Reach, Reaction, Receipt};
pub use message::{Message, Role};
pub use node::Node;
pub use place::{Logged, Place, Scope, Signal, Typist};
pub use platform::{Membership, MembershipStatus, Platform, PushDevice, PushOs};
pub use run::{OpenRun, Run, RunOutcome, RunReason, RunState, RunText, WhileAnswering};
pub use text::{Json, MessageText, TextError, clean, clean_line};
pub use time::Timestamp;
pub use usage::{Money, Usage};
pub use user::{Ability, Access, Email, Language, User};
pub use webhook::{
    Attempt, Content, Delivery, DeliveryState, Disabled, EventType, HookForm, HookKey, HookKeys, Retries, Webhook,
};
