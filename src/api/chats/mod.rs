//! The chats door: anonymous assistant sessions for landing pages, with answers streamed over SSE.
//!
//! Routes: `/api/chats/…`, each with and without its trailing slash. No envelope: an answer is the
//! resource, an error is in Django REST framework's shapes. Quirks kept on purpose: a message list
//! is a bare array, and what pages it is in the header `Link`; the session list is an object; a
//! session is named by its `id` or its `session_id` everywhere; `message` is checked before
//! `session_id`; a second deletion is 404. A chunk of a streamed answer brings its own spaces, so
//! that the chunks joined are the stored answer.

mod context;
mod envelope;
mod events;
mod messages;
mod runs;
mod sessions;
mod stream;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::document::{self, Door};
use crate::chat::SharedChat;
use crate::config::ListSessions;
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
    /// Largest metadata, in bytes of JSON.
    pub metadata_bytes_max: usize,
    /// Who may list sessions; `Auto` stands for who is on this machine.
    pub list_sessions: ListSessions,
}

/// The door's shared parts, as handlers get them.
pub type Chats = Arc<Parts>;

/// The door's routes and their description.
pub fn router(parts: Chats) -> (Router, OpenApi) {
    let routes = [
        routes!(sessions::create, sessions::list),
        routes!(sessions::read, sessions::replace, sessions::edit, sessions::remove),
        routes!(events::follow),
        routes!(runs::list),
        routes!(messages::list, messages::create),
        routes!(messages::read, messages::remove),
        routes!(stream::ask),
        routes!(stream::stream),
        routes!(stream::resume),
        routes!(stream::again),
        routes!(stream::stop),
    ];
    let (router, mut api) = routes.into_iter().fold(OpenApiRouter::new(), with_and_without_slash).split_for_parts();
    document::add_errors::<envelope::Failed>(&mut api, &Door { name: "chats", bearer: true });
    let count = axum::middleware::from_fn_with_state(Arc::clone(&parts), context::count);
    let router = router.method_not_allowed_fallback(envelope::not_allowed).layer(count).with_state(parts);
    (router, api)
}

/// Only the path with the slash is documented: it is the original's.
fn with_and_without_slash(router: OpenApiRouter<Chats>, routes: UtoipaMethodRouter<Chats>) -> OpenApiRouter<Chats> {
    let (_, paths, methods) = &routes;
    let bare = paths.paths.keys().map(|path| path.trim_end_matches('/'));
    let router = bare.fold(router, |router, path| router.route(path, methods.clone()));
    router.routes(routes)
}

/// What a path under the door's prefix that is no route is answered with.
pub async fn not_found(door: &Chats, request: Request) -> Response {
    context::counted(door, address_of(request.extensions()), async || envelope::Failure::NoRoute.into_response()).await
}

/// What a handler answers with.
type Answered = Result<Response, envelope::Failure>;
