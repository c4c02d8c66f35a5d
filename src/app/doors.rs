//! The doors in the dialects of assistants' client libraries, wired.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use utoipa::openapi::OpenApi;

use super::Shared;
use crate::api::{aisdk, openai};
use crate::chat::SharedChat;
use crate::config::Config;

/// The doors.
#[derive(Clone)]
pub struct Assistants {
    openai: openai::OpenAi,
    aisdk: aisdk::AiSdk,
}

/// The doors, their routes and their description.
pub fn assistants(config: &Config, shared: Shared<'_>) -> (Assistants, Router, OpenApi) {
    let doors = Assistants { openai: openai(config, shared), aisdk: aisdk(config, shared) };
    let (openai_routes, openai_api) = openai::router(Arc::clone(&doors.openai));
    let (aisdk_routes, aisdk_api) = aisdk::router(Arc::clone(&doors.aisdk));
    (doors, openai_routes.merge(aisdk_routes), openai_api.merge_from(aisdk_api))
}

fn openai(config: &Config, shared: Shared<'_>) -> openai::OpenAi {
    Arc::new(openai::Parts {
        chat: Arc::clone(shared.chat),
        web: Arc::clone(shared.web),
        limits: Arc::clone(shared.limits),
        models: models(config, shared.chat).into(),
        message_chars_max: config.openai.message_chars_max,
        messages_max: config.openai.messages_max,
        body_bytes_max: config.openai.body_bytes_max,
    })
}

/// The names that clients may choose a model by, each once: the providers', and those that Neptun's clients know.
fn models(config: &Config, chat: &SharedChat) -> Vec<String> {
    let all = chat.models().into_iter().chain(config.neptun.models.iter().cloned());
    let mut known = HashSet::from([String::new(), openai::DEFAULT_MODEL.to_owned()]);
    all.filter(|name| known.insert(name.clone())).collect()
}

fn aisdk(config: &Config, shared: Shared<'_>) -> aisdk::AiSdk {
    Arc::new(aisdk::Parts {
        chat: Arc::clone(shared.chat),
        web: Arc::clone(shared.web),
        limits: Arc::clone(shared.limits),
        message_chars_max: config.aisdk.message_chars_max,
        messages_max: config.aisdk.messages_max,
        body_bytes_max: config.aisdk.body_bytes_max,
    })
}

/// Whether a path that is no route is one of these doors' to refuse.
pub fn is_under_prefix(path: &str) -> bool {
    openai::is_under_prefix(path) || aisdk::is_under_prefix(path)
}

/// What such a path is answered with.
pub async fn not_found(doors: &Assistants, path: &str, request: Request) -> Response {
    if openai::is_under_prefix(path) {
        return openai::not_found(&doors.openai, request).await;
    }
    aisdk::not_found(&doors.aisdk, request).await
}
