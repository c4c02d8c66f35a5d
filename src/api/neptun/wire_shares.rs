//! The Neptun dialect's resources about shares. The doc comments are the public documentation.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{self, Message, ShareEntry};

/// The link by which a chat is shown to others.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::Share)]
pub struct Share {
    /// Its number.
    #[schema(example = 4)]
    id: i64,
    /// Whether the link works.
    is_shared: bool,
    /// What the link holds.
    share_uuid: Uuid,
    /// Whether it wants a password.
    is_protected: bool,
    /// Whether there is a password: it is not shown, nor is its hash.
    #[schema(required = true)]
    hashed_password: Option<&'static str>,
    /// When it was made.
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    created_at: String,
    /// When it last changed.
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    updated_at: String,
    /// The chat.
    #[schema(example = 12)]
    chat_conversation_id: i64,
}

impl From<&domain::Share> for Share {
    fn from(share: &domain::Share) -> Self {
        Self {
            id: share.id.0,
            is_shared: share.is_shared,
            share_uuid: share.uuid,
            is_protected: share.is_protected,
            hashed_password: share.password_hash.as_ref().map(|_| "(set, not shown)"),
            created_at: share.created_at.with_millis(),
            updated_at: share.updated_at.with_millis(),
            chat_conversation_id: share.conversation_id.0,
        }
    }
}

/// A new share; null when the chat has one already.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::OneShare)]
pub struct OneShare {
    /// The share.
    #[schema(required = true)]
    pub share: Option<Share>,
}

/// What the link of a share holds.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::ShareLink)]
pub struct ShareLink {
    /// It stands in `/api/shared/chats/{uuid}`.
    pub uuid: Uuid,
}

/// Somebody who may open a share.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::WhitelistEntry)]
pub struct WhitelistEntry {
    /// Its number.
    #[schema(example = 1)]
    id: i64,
    /// The share.
    #[schema(example = 4)]
    chat_conversation_share_id: i64,
    /// Who.
    #[schema(example = 6)]
    whitelisted_neptun_user_id: i64,
    /// Since when.
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    created_at: String,
    /// As `created_at`.
    #[schema(example = "2026-02-03T08:00:00.000Z")]
    updated_at: String,
}

impl From<&ShareEntry> for WhitelistEntry {
    fn from(entry: &ShareEntry) -> Self {
        let created_at = entry.created_at.with_millis();
        Self {
            id: entry.id,
            chat_conversation_share_id: entry.share_id.0,
            whitelisted_neptun_user_id: entry.user_id.0,
            updated_at: created_at.clone(),
            created_at,
        }
    }
}

/// Who may open a share: of those who were named, and the owner.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = neptun::Whitelist)]
pub struct Whitelist {
    /// The entries.
    pub share_whitelist_entries: Vec<WhitelistEntry>,
}

/// A share as whoever has its link finds it.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = neptun::ShareInfo)]
pub struct ShareInfo {
    /// Whether there is such a link.
    pub share_exists: bool,
    /// Whether it works.
    pub share_is_active: bool,
    /// Whether it wants a password.
    pub share_is_private: bool,
    /// Whether it has one.
    pub share_has_password: bool,
    /// Whether only listed users may open it; told in refusals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_has_whitelist: Option<bool>,
}

/// A message as others see it.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::SharedMessage)]
pub struct SharedMessage<'a> {
    /// Its number.
    #[schema(example = 70)]
    id: i64,
    /// What was said.
    message: &'a str,
    /// Who speaks.
    #[schema(example = "user")]
    actor: &'static str,
    /// When.
    created_at: String,
    /// When it last changed.
    updated_at: String,
    /// The chat.
    chat_conversation: SharedChat,
}

/// A chat as others see it.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::SharedChat)]
pub struct SharedChat {
    /// Its number.
    id: i64,
    /// Its share.
    chat_conversation_shares: [SharedLink; 1],
}

/// A share as others see it.
#[derive(Serialize, ToSchema)]
#[schema(as = neptun::SharedLink)]
pub struct SharedLink {
    /// Its number.
    id: i64,
    /// Whether the link works.
    is_shared: bool,
    /// Whether it wants a password.
    is_protected: bool,
    /// When it was made.
    created_at: String,
    /// When it last changed.
    updated_at: String,
}

impl<'a> SharedMessage<'a> {
    /// A message of a chat that is shown by that share.
    pub fn new(message: &'a Message, share: &domain::Share) -> Self {
        let link = SharedLink {
            id: share.id.0,
            is_shared: share.is_shared,
            is_protected: share.is_protected,
            created_at: share.created_at.with_millis(),
            updated_at: share.updated_at.with_millis(),
        };
        Self {
            id: message.id.0,
            message: &message.text,
            actor: message.role.as_str(),
            created_at: message.created_at.with_millis(),
            updated_at: message.updated_at.with_millis(),
            chat_conversation: SharedChat { id: share.conversation_id.0, chat_conversation_shares: [link] },
        }
    }
}

/// A shared chat.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = neptun::OpenedShare)]
#[expect(dead_code, reason = "describes what is written in pieces")]
pub struct OpenedShare {
    /// The messages, oldest first.
    chat_messages: Vec<SharedMessage<'static>>,
    /// The share.
    share_info: ShareInfo,
}
