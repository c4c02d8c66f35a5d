//! The guest door: live chat of a website's guests with staff, by polling, and its staff side.
//!
//! Routes: `/api/v1/chat/…`, `/api/v1/chatbot…`, `/api/v1/auth/…`. Every answer is an envelope with
//! `success`, `message`, `data`, `meta`, `trace_id`, `timestamp`. Quirks kept on purpose: a session
//! is created with 201 also when it exists; a history of an unknown session is 200 with an empty
//! list; a message is sent with 200; `last_message_id` is read loosely; validation is 400.

mod accounts;
mod admin;
mod chatbot;
mod context;
mod envelope;
mod events;
mod inbox;
mod messages;
mod runs;
mod sessions;
mod staff;
mod typing;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::response::Response;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{self, Door};
use crate::chat::SharedChat;
use crate::domain::{Language, Timestamp};
use crate::http::SharedWeb;
use crate::limits::Limits;
use crate::texts::Texts;

pub use context::Ctx;
pub use envelope::{not_allowed, not_found};

/// The door's parts.
pub struct Parts {
    /// The use-cases.
    pub chat: SharedChat,
    /// The plumbing.
    pub web: SharedWeb,
    /// The rate limits.
    pub limits: Arc<Limits>,
    /// Whether session keys of fewer than 16 characters are accepted.
    pub allow_weak_keys: bool,
    /// Longest message, in characters.
    pub message_chars_max: usize,
    /// What the door says.
    pub texts: Texts,
    /// The present second, as the envelope prints it.
    pub second: Second,
}

/// The text of the present second, made once a second and not with every answer.
#[derive(Debug, Default)]
pub struct Second(Mutex<(i64, String)>);

impl Second {
    fn of(&self, now: Timestamp) -> String {
        let second = now.0.div_euclid(1_000_000);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 != second || held.1.is_empty() {
            *held = (second, now.with_seconds());
        }
        held.1.clone()
    }
}

impl AsRef<SharedWeb> for Parts {
    fn as_ref(&self) -> &SharedWeb {
        &self.web
    }
}

/// The door's shared parts, as handlers get them.
pub type Guest = Arc<Parts>;

/// The languages that the door can be asked for; what has no texts of its own is said in English.
const LANGUAGES: [Language; 4] = [Language::En, Language::Vi, Language::Ja, Language::Zh];

/// The door's texts.
pub fn texts() -> Texts {
    Texts::new(&[
        (Language::En, include_str!("../../../texts/guest.en.ftl")),
        (Language::Vi, include_str!("../../../texts/guest.vi.ftl")),
    ])
}

/// The door's routes, those whose paths another door has too, and the description of both.
pub fn router(parts: Guest) -> (Router, Router, OpenApi) {
    let (router, mut api) = OpenApiRouter::new()
        .routes(routes!(sessions::open))
        .routes(routes!(sessions::history))
        .routes(routes!(messages::send))
        .routes(routes!(messages::poll))
        .routes(routes!(events::follow))
        .routes(routes!(sessions::transfer))
        .routes(routes!(runs::list))
        .routes(routes!(runs::stop))
        .routes(routes!(typing::guest))
        .routes(routes!(staff::sessions))
        .routes(routes!(staff::messages))
        .routes(routes!(staff::send))
        .routes(routes!(staff::close))
        .routes(routes!(staff::hand_back))
        .routes(routes!(typing::staff))
        .routes(routes!(inbox::follow))
        .routes(routes!(inbox::follow_one))
        .routes(routes!(inbox::ticket))
        .routes(routes!(admin::sessions))
        .routes(routes!(admin::assign))
        .routes(routes!(admin::send))
        .routes(routes!(admin::messages))
        .routes(routes!(chatbot::ask))
        .routes(routes!(chatbot::history))
        .routes(routes!(accounts::verify))
        .routes(routes!(accounts::login))
        .routes(routes!(accounts::me))
        .routes(routes!(accounts::logout_all))
        .split_for_parts();
    let (shared, shared_api) =
        OpenApiRouter::new().routes(routes!(accounts::register)).routes(routes!(accounts::logout)).split_for_parts();
    api.merge(shared_api);
    document::add_errors::<envelope::Failed>(&mut api, &Door { name: "guest", bearer: true });
    let shared = shared.method_not_allowed_fallback(not_allowed).with_state(Arc::clone(&parts));
    let router = router.method_not_allowed_fallback(not_allowed).with_state(parts);
    (router, shared, api)
}

/// What a handler answers with.
type Answered = Response;
