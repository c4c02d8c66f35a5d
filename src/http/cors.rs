//! Websites on other origins: which may call the doors from a browser.
//!
//! Roost is embedded into other people's pages, so by default every origin may. That gives nothing
//! away that a credential guards: none is one that a browser sends by itself (there are no cookies),
//! so a page knows a session's key or a token only if somebody gave it one. What is open to this
//! machine alone is not guarded so, which is why it looks at the origin itself
//! ([`address::is_of_this_machine`](super::address::is_of_this_machine)).

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower::{Layer, ServiceExt};
use tower_http::cors::CorsLayer;

/// Headers that a page may send, beyond those that every page may.
const ALLOWED: [HeaderName; 14] = [
    header::ACCEPT_LANGUAGE,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-chat-session"),
    HeaderName::from_static("x-correlation-id"),
    HeaderName::from_static("x-csrf-token"),
    HeaderName::from_static("x-public-key"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-requested-with"),
    HeaderName::from_static("x-socket-id"),
];

/// Headers that a page may read, beyond those that every page may.
const EXPOSED: [HeaderName; 10] = [
    header::ETAG,
    header::LINK,
    header::RETRY_AFTER,
    HeaderName::from_static("event-cursor"),
    HeaderName::from_static("idempotent-replayed"),
    HeaderName::from_static("x-correlation-id"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
    HeaderName::from_static("x-request-id"),
];

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// How long a browser may remember what it may do; none remembers longer.
const REMEMBERED: Duration = Duration::from_secs(7200);

/// Who may call.
#[derive(Debug)]
pub struct Cors {
    /// `None`: nobody from elsewhere.
    layer: Option<CorsLayer>,
    /// Whether an answer depends on who asks, so that caches have to keep them apart.
    varies: bool,
}

impl Cors {
    /// The origins that may call: `["*"]` for all, none for those of the server itself only.
    pub fn new(origins: &[String]) -> Self {
        if origins.is_empty() {
            return Self { layer: None, varies: false };
        }
        let layer =
            CorsLayer::new().allow_methods(METHODS).allow_headers(ALLOWED).expose_headers(EXPOSED).max_age(REMEMBERED);
        if origins.iter().any(|origin| origin == "*") {
            return Self { layer: Some(layer.allow_origin(tower_http::cors::Any)), varies: false };
        }
        let listed: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        Self { layer: Some(layer.allow_origin(listed)), varies: true }
    }
}

/// Answers a request of a door, for a page on another origin too. What does not come from one goes
/// through untouched, and so does an `OPTIONS` that is no preflight: the doors answer it in their own
/// words.
///
/// Part of the request's frame and no middleware of its own: each one costs every request the
/// same, whether it has anything to do or not.
pub async fn answer(cors: &Cors, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/api/") && !path.starts_with("/broadcasting/") {
        return next.run(request).await;
    }
    let Some(layer) = &cors.layer else { return next.run(request).await };
    let headers = request.headers();
    let is_bare_options =
        request.method() == Method::OPTIONS && !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !headers.contains_key(header::ORIGIN) || is_bare_options {
        let mut response = next.run(request).await;
        if cors.varies {
            response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
        }
        return response;
    }
    let Ok(answered) = Box::pin(layer.layer(next).oneshot(request)).await;
    answered.into_response()
}
