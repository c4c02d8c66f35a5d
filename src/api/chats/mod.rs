//! The chats door: anonymous assistant sessions for landing pages, with answers streamed over SSE.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::chat::SharedChat;
use crate::config::ListSessions;
use crate::http::SharedWeb;
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
    /// Largest metadata, in bytes of JSON.
    pub metadata_bytes_max: usize,
    /// Who may list sessions; never `Auto`.
    pub list_sessions: ListSessions,
}

/// The door's shared parts, as handlers get them.
pub type Chats = Arc<Parts>;

/// The door's routes and their description.
pub fn router(parts: Chats) -> (Router, OpenApi) {
    let (router, api) = OpenApiRouter::<Chats>::new().split_for_parts();
    (router.with_state(parts), api)
}

/// What a path under the door's prefix that is no route is answered with.
pub fn not_found(_parts: &Chats) -> Response {
    (StatusCode::NOT_FOUND, axum::Json(serde_json::json!({"detail": "Not found."}))).into_response()
}
