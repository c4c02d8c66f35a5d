//! The Neptun door: a user's own chats with the assistant, their files and their shares.
//!
//! Routes: `/api/auth/…`, `/api/users/{user_id}/…`, `/api/ai/…`, `/api/shared/chats/{uuid}`, and at the root
//! `/health`, `/models`, `/auth/otp` and `/{email}/reset-password`, which answer under `/api` too. An answer
//! is the thing itself under its name, an error is `{statusCode, statusMessage, stack, data?}` with zod's
//! issues. The credential is a sealed cookie. Quirks kept on purpose: everything succeeds with 200; a single
//! message and a batch are one route with two bodies; a second share is `null` and no error; the answers of
//! two families of models are streamed in two forms; a form is read wherever JSON is.

mod accounts;
mod answers;
mod chats;
mod codes;
mod context;
mod data_stream;
mod described;
mod envelope;
mod events;
mod files;
mod issues;
mod messages;
mod runs;
mod session;
mod shared;
mod shares;
mod status;
mod wire;
mod wire_shares;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
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
    /// The models that clients may choose; the first one is the default.
    pub models: Arc<[String]>,
    /// Longest message, in characters.
    pub message_chars_max: usize,
    /// Longest file, in characters.
    pub file_chars_max: usize,
    /// How many things one request may be about.
    pub batch_max: usize,
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// How long a browser keeps its cookie.
    pub sign_in_lifetime: Duration,
    /// When the server began.
    pub began: Instant,
}

impl AsRef<SharedWeb> for Parts {
    fn as_ref(&self) -> &SharedWeb {
        &self.web
    }
}

/// The door's shared parts, as handlers get them.
pub type Neptun = Arc<Parts>;

/// What a handler answers with.
type Answered = Result<Response, envelope::Failure>;

/// The door's routes and their description.
pub fn router(parts: &Neptun) -> (Router, OpenApi) {
    let (chats, mut api) = chats_routes().split_for_parts();
    let (entrance, entrance_api) = entrance_routes().split_for_parts();
    let (open, open_api) = open_routes().split_for_parts();
    api.merge(entrance_api);
    api.merge(open_api);
    document::add_errors::<envelope::Failed>(&mut api, &Door { name: "neptun", bearer: false });
    add_schemes(&mut api);
    let chats = chats
        .merge(open)
        .method_not_allowed_fallback(envelope::not_allowed)
        .layer(from_fn_with_state(Arc::clone(parts), context::enter));
    let entrance = entrance
        .method_not_allowed_fallback(envelope::not_allowed)
        .layer(from_fn_with_state(Arc::clone(parts), context::enter_to_sign_in));
    (
        chats
            .merge(entrance)
            .layer(from_fn_with_state(Arc::clone(parts), context::from_pages))
            .with_state(Arc::clone(parts)),
        api,
    )
}

/// What is about a session, and what is shared.
fn chats_routes() -> OpenApiRouter<Neptun> {
    OpenApiRouter::new()
        .routes(routes!(chats::list, chats::create, chats::remove_many))
        .routes(routes!(events::follow))
        .routes(routes!(chats::rename, chats::remove))
        .routes(routes!(messages::list, messages::create))
        .routes(routes!(messages::remove_last))
        .routes(routes!(runs::list))
        .routes(routes!(runs::stop))
        .routes(routes!(runs::resume))
        .routes(routes!(runs::again))
        .routes(routes!(files::list))
        .routes(routes!(files::create))
        .routes(routes!(files::list_all))
        .routes(routes!(shares::read, shares::create))
        .routes(routes!(shares::admit))
        .routes(routes!(shared::read))
        .routes(routes!(answers::ask))
        .routes(routes!(answers::ask_at_hugging_face))
        .routes(routes!(accounts::edit, accounts::remove))
        .routes(routes!(accounts::configure))
        .routes(routes!(accounts::logout))
        .routes(routes!(accounts::check, accounts::check_again))
}

/// What everybody may see.
fn open_routes() -> OpenApiRouter<Neptun> {
    let routes = [(routes!(status::health), "/api/health"), (routes!(status::models), "/api/models")];
    routes.into_iter().fold(OpenApiRouter::new(), with_alias)
}

/// Where sessions begin: counted apart, because who guesses comes here.
fn entrance_routes() -> OpenApiRouter<Neptun> {
    let codes = [(routes!(codes::otp), "/api/auth/otp"), (routes!(codes::reset), "/api/users/{email}/reset-password")];
    let router = OpenApiRouter::new().routes(routes!(accounts::sign_up)).routes(routes!(accounts::login));
    codes.into_iter().fold(router, with_alias)
}

/// Only the first path is documented: it is the original's.
fn with_alias(
    router: OpenApiRouter<Neptun>,
    (routes, alias): (UtoipaMethodRouter<Neptun>, &str),
) -> OpenApiRouter<Neptun> {
    let (_, _, methods) = &routes;
    router.route(alias, methods.clone()).routes(routes)
}

fn add_schemes(api: &mut OpenApi) {
    let components = api.components.get_or_insert_default();
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(session::COOKIE)));
    let basic = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Basic).build());
    components.add_security_scheme("neptun-session", cookie);
    components.add_security_scheme("neptun-share", basic);
}

/// Whether a path that is no route is this door's to refuse.
pub fn is_under_prefix(path: &str) -> bool {
    let prefixes = ["auth", "users", "ai", "shared", "health", "models"];
    let first = path.strip_prefix("/api/").map(|rest| rest.split('/').next().unwrap_or(rest));
    first.is_some_and(|first| prefixes.contains(&first))
}

/// What a path under the door's prefix that is no route is answered with.
pub async fn not_found(door: &Neptun, request: Request) -> Response {
    context::counted(door, request, async |_| envelope::Failure::NoRoute.into_response()).await
}
