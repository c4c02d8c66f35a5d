//! The doors that speak other assistants' dialects, wired.

use std::sync::Arc;

use crate::api::{aisdk, openai};
use crate::chat::SharedChat;
use crate::config::Config;
use crate::http::SharedWeb;
use crate::limits::Limits;

/// The OpenAI door.
pub fn openai(config: &Config, chat: &SharedChat, web: &SharedWeb, limits: &Arc<Limits>) -> openai::OpenAi {
    Arc::new(openai::Parts {
        chat: Arc::clone(chat),
        web: Arc::clone(web),
        limits: Arc::clone(limits),
        models: config.neptun.models.as_slice().into(),
        message_chars_max: config.openai.message_chars_max,
        messages_max: config.openai.messages_max,
        body_bytes_max: config.openai.body_bytes_max,
    })
}

/// The AI SDK door.
pub fn aisdk(config: &Config, chat: &SharedChat, web: &SharedWeb, limits: &Arc<Limits>) -> aisdk::AiSdk {
    Arc::new(aisdk::Parts {
        chat: Arc::clone(chat),
        web: Arc::clone(web),
        limits: Arc::clone(limits),
        message_chars_max: config.aisdk.message_chars_max,
        messages_max: config.aisdk.messages_max,
        body_bytes_max: config.aisdk.body_bytes_max,
    })
}
