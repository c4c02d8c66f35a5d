//! The hooks door: a platform's own backend says where it wants to be told what happens in the platform's
//! conversations, looks at what became of that, and reads the same events by itself.
//!
//! Routes: `/api/v1/webhooks…` and `/api/v1/events`, with the bearer token of a user of the platform that has the ability
//! `events`, which only an operator gives. An answer is `{"data": …}`, a refusal `{"message": …, "errors"?: {field:
//! [sentence]}}`. What is another platform's is 404.

mod context;
mod deliveries;
mod endpoints;
mod envelope;
mod events;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{self, Door};
use crate::chat::SharedChat;
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
}

impl AsRef<SharedWeb> for Parts {
    fn as_ref(&self) -> &SharedWeb {
        &self.web
    }
}

/// The door's shared parts, as handlers get them.
pub type Hooks = Arc<Parts>;

/// The door's routes and their description.
pub fn router(parts: Hooks) -> (Router, OpenApi) {
    let (router, mut api) = OpenApiRouter::new()
        .routes(routes!(endpoints::list, endpoints::add))
        .routes(routes!(endpoints::read, endpoints::edit, endpoints::remove))
        .routes(routes!(endpoints::rotate))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::attempts))
        .routes(routes!(deliveries::replay))
        .routes(routes!(events::list))
        .split_for_parts();
    document::add_errors::<envelope::Failed>(&mut api, &Door { name: "hooks", bearer: true });
    let router = router.method_not_allowed_fallback(envelope::not_allowed).with_state(parts);
    (router, api)
}

/// Whether a path is under the door's prefixes.
pub fn is_under_prefix(path: &str) -> bool {
    let is = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is("/api/v1/webhooks") || is("/api/v1/events")
}

/// What a path under the door's prefixes that is no route is answered with.
pub async fn not_found(door: &Hooks, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(ctx) = context::Ctx::from_request_parts(&mut parts, door).await;
    ctx.failure(&envelope::Failure::NoRoute)
}

/// What a handler answers with.
type Answered = Response;
