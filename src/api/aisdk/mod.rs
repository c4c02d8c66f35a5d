//! The AI SDK door: what `useChat` of the npm package `ai` (5 and later) asks for with its default transport.
//!
//! Routes: `POST /api/chat`, and `…/{id}/stream`, `…/{id}/stop`, `…/{id}/messages`. A chat's id names an anonymous
//! assistant session, as a `session_id` does at the chats door, and is what opens it; one that nobody has used yet is
//! an empty chat. An answer is a UI message stream: server-sent events, a part each, ended by `[DONE]`. It is made to
//! its end whatever becomes of the connection, and heard again from its beginning at `…/{id}/stream`, which is what
//! `useChat({resume: true})` asks. What the client remembers of the chat is not looked at: the assistant is shown what
//! is stored. A refusal is `{"code", "message"}`, which the SDK shows as its error's message.

mod chat;
mod context;
mod envelope;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{self, Door};
use crate::chat::SharedChat;
use crate::http::SharedWeb;
use crate::http::frame::address_of;
use crate::limits::Limits;

/// The door's parts.
pub struct Parts {
    /// The use-cases.
    pub chat: SharedChat,
    /// The plumbing.
    pub web: SharedWeb,
    /// The rate limits.
    pub limits: Arc<Limits>,
    /// Longest message, in characters.
    pub message_chars_max: usize,
    /// The most messages in one request.
    pub messages_max: usize,
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
}

impl AsRef<SharedWeb> for Parts {
    fn as_ref(&self) -> &SharedWeb {
        &self.web
    }
}

/// The door's shared parts, as handlers get them.
pub type AiSdk = Arc<Parts>;

/// What a handler answers with.
type Answered = Result<Response, envelope::Failure>;

/// The door's routes and their description.
pub fn router(parts: AiSdk) -> (Router, OpenApi) {
    let (router, mut api) = OpenApiRouter::new()
        .routes(routes!(chat::send))
        .routes(routes!(chat::resume))
        .routes(routes!(chat::stop))
        .routes(routes!(chat::messages))
        .split_for_parts();
    document::add_errors::<envelope::Failed>(&mut api, &Door { name: "aisdk", bearer: false });
    let count = from_fn_with_state(Arc::clone(&parts), context::count);
    (router.method_not_allowed_fallback(envelope::not_allowed).layer(count).with_state(parts), api)
}

/// Whether a path is under the door's prefix.
pub fn is_under_prefix(path: &str) -> bool {
    path.strip_prefix("/api/chat").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a path under the door's prefix that is no route is answered with.
pub async fn not_found(door: &AiSdk, request: Request) -> Response {
    context::counted(door, address_of(request.extensions()), async || envelope::Failure::NoRoute.into_response()).await
}
