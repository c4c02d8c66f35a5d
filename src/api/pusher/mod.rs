//! The Pusher door: the Pusher Channels protocol, version 7, so that stock clients and server libraries work
//! unchanged. Each platform is an app: its public key is the app's key and id, and its secret the app's.
//!
//! `session.rs` decides and does nothing; `socket.rs` does. Events of the log reach the channels of this
//! door from elsewhere; here is what clients and the apps' own backends do.

mod abroad;
pub mod auth;
mod channels;
mod envelope;
pub mod frame;
mod happenings;
pub mod names;
mod rest;
pub mod session;
mod socket;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::document::{self, Door};
use crate::chat::{Resume, SharedChat};
use crate::http::{SharedWeb, websocket};
use crate::realtime::sockets::{Frame, Sockets};

pub use abroad::Words;
pub use envelope::not_found;
pub use happenings::Happenings;

/// The door's parts.
pub struct Parts {
    /// The use-cases.
    pub chat: SharedChat,
    /// The plumbing.
    pub web: SharedWeb,
    /// What a session may do.
    pub rules: Arc<session::Rules>,
    /// What a client may send.
    pub limits: websocket::Limits,
    /// After how long a silence a client is to ask for a sign of life, in seconds.
    pub activity_timeout_s: u64,
    /// Whether subscribers are told how many they are.
    pub counts: bool,
    /// Whose pages may connect; `*` is everybody's.
    pub origins: Vec<String>,
    /// Tells who comes back what was missed.
    pub resume: Arc<dyn Resume>,
    /// Tells the apps' backends what happens.
    pub happenings: Happenings,
    /// The question for a sign of life, which is the same for all.
    pub ping: Frame,
}

impl Parts {
    /// The connections.
    pub fn sockets(&self) -> &Arc<Sockets> {
        self.chat.sockets()
    }
}

/// The door's shared parts, as handlers get them.
pub type Pusher = Arc<Parts>;

/// The door's routes and their description.
pub fn router(parts: Pusher) -> (Router, OpenApi) {
    let (router, mut api) = OpenApiRouter::new()
        .routes(routes!(socket::connect))
        .routes(routes!(rest::trigger))
        .routes(routes!(rest::trigger_batch))
        .routes(routes!(rest::list))
        .routes(routes!(rest::read))
        .routes(routes!(rest::users))
        .routes(routes!(rest::terminate))
        .routes(routes!(rest::connections))
        .split_for_parts();
    document::add_errors::<envelope::Failed>(&mut api, &Door { name: "pusher", bearer: false });
    if let Some(components) = &mut api.components {
        let signature = ApiKeyValue::with_description(
            "auth_signature",
            "HMAC-SHA256 of the request with the app's secret, beside auth_key, auth_timestamp, auth_version and \
             body_md5; stock server libraries make it",
        );
        components
            .security_schemes
            .insert("pusher".to_owned(), SecurityScheme::ApiKey(ApiKey::Query(signature)).into());
    }
    let router = router
        .route("/app", get(socket::nowhere))
        .route("/app/", get(socket::nowhere))
        .route("/app/{key}/{*rest}", get(socket::nowhere))
        .route("/users/{user_id}/terminate_connections", post(rest::terminate_by_key))
        .method_not_allowed_fallback(envelope::not_allowed)
        .with_state(parts);
    (router, api)
}

/// Whether a path is of this door.
pub fn is_under_prefix(path: &str) -> bool {
    path.strip_prefix("/apps").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
