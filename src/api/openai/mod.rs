//! The OpenAI door: chat completions and responses as OpenAI's own client libraries ask for them.
//!
//! Routes: `/v1/chat/completions`, `/v1/responses…`, `/v1/models…`, with a bearer token (an "API key") that has the
//! ability `assistant`. Answers and errors have OpenAI's shapes; fields that mean nothing here are passed over. A
//! completion is stored only where a `conversation` is named, which OpenAI does not know; a response always, unless it
//! says `store: false`. What is stored is the last message and the answer, in a chat of the token's owner, and is made
//! to its end whatever becomes of the connection. Sequence numbers of a response's events are counted in bytes of the
//! answer, so that one means the same while the answer is made, afterwards, and after a restart.

mod answer;
mod asked;
mod completions;
mod context;
mod envelope;
mod events;
mod models;
mod responses;
mod usage;
mod wire;
mod wire_responses;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{self, Door};
use crate::chat::SharedChat;
use crate::http::SharedWeb;
use crate::limits::Limits;

pub use self::asked::DEFAULT_MODEL;

/// The door's parts.
pub struct Parts {
    /// The use-cases.
    pub chat: SharedChat,
    /// The plumbing.
    pub web: SharedWeb,
    /// The rate limits.
    pub limits: Arc<Limits>,
    /// The models that clients may choose, besides `default`.
    pub models: Arc<[String]>,
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
pub type OpenAi = Arc<Parts>;

/// What a handler answers with.
type Answered = Result<Response, envelope::Failure>;

/// The door's routes and their description.
pub fn router(parts: OpenAi) -> (Router, OpenApi) {
    let (router, mut api) = OpenApiRouter::new()
        .routes(routes!(completions::create))
        .routes(routes!(responses::create))
        .routes(routes!(responses::read))
        .routes(routes!(responses::cancel))
        .routes(routes!(models::list))
        .routes(routes!(models::read))
        // Some clients do not escape the slash in a model's name.
        .route("/v1/models/{publisher}/{model}", axum::routing::get(models::read_unescaped))
        .split_for_parts();
    document::add_errors::<envelope::Failed>(&mut api, &Door { name: "openai", bearer: true });
    let router = router
        .method_not_allowed_fallback(envelope::not_allowed)
        .layer(from_fn_with_state(Arc::clone(&parts), context::enter))
        .layer(from_fn_with_state(Arc::clone(&parts), context::from_pages))
        .with_state(parts);
    (router, api)
}

/// Whether a path is under the door's prefix.
pub fn is_under_prefix(path: &str) -> bool {
    path.strip_prefix("/v1").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a path under the door's prefix that is no route is answered with.
pub async fn not_found(door: &OpenAi, request: Request) -> Response {
    context::nowhere(door, request).await
}
