//! The doors of those who have no account, wired.

use std::sync::Arc;

use super::Shared;
use crate::api::{chats, guest};
use crate::config::{Config, ListSessions};

/// Live chat with staff.
pub fn guest(config: &Config, shared: Shared<'_>) -> guest::Guest {
    Arc::new(guest::Parts {
        chat: Arc::clone(shared.chat),
        web: Arc::clone(shared.web),
        limits: Arc::clone(shared.limits),
        allow_weak_keys: config.guest.allow_weak_keys.or(config.is_development()),
        message_chars_max: config.guest.message_chars_max,
        texts: guest::texts(),
        second: guest::Second::default(),
    })
}

/// Sessions with the assistant.
pub fn chats(config: &Config, shared: Shared<'_>) -> chats::Chats {
    Arc::new(chats::Parts {
        chat: Arc::clone(shared.chat),
        web: Arc::clone(shared.web),
        limits: Arc::clone(shared.limits),
        message_chars_max: config.chats.message_chars_max,
        metadata_bytes_max: config.chats.metadata_bytes_max,
        list_sessions: match config.chats.list_sessions {
            ListSessions::Auto if !config.is_development() => ListSessions::Closed,
            chosen => chosen,
        },
    })
}
