//! Websites on other origins: which may call the doors from a browser.
//!
//! Roost is embedded into other people's pages, so by default every origin may. That gives nothing
//! away that a credential guards: keys and tokens a page knows only if somebody gave it one, and the one
//! cookie that there is goes with no page's request to another site, because answers to `*` allow no
//! credentials (the Fetch standard) and it is `SameSite=Lax`. Origins that the operator lists by name are
//! allowed credentials. A page on a neighbouring host is of the same site, and its form would bring the
//! cookie along: requests that change something are therefore refused when the browser says that they
//! come from elsewhere ([`Cors::refuses_with_cookie`]).
//!
//! What is open to this machine alone is not guarded so, which is why it looks at the origin itself
//! ([`address::is_of_this_machine`](super::address::is_of_this_machine)).

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower::{Layer, ServiceExt};
use tower_http::cors::CorsLayer;

/// Headers that a page may send, beyond those that every page may.
const ALLOWED: [HeaderName; 26] = [
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
    // What OpenAI's library says of itself, also from a page.
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
    HeaderName::from_static("x-stainless-arch"),
    HeaderName::from_static("x-stainless-helper-method"),
    HeaderName::from_static("x-stainless-lang"),
    HeaderName::from_static("x-stainless-os"),
    HeaderName::from_static("x-stainless-package-version"),
    HeaderName::from_static("x-stainless-poll-helper"),
    HeaderName::from_static("x-stainless-retry-count"),
    HeaderName::from_static("x-stainless-runtime"),
    HeaderName::from_static("x-stainless-runtime-version"),
    HeaderName::from_static("x-stainless-timeout"),
];

/// Headers that a page may read, beyond those that every page may.
const EXPOSED: [HeaderName; 14] = [
    header::ETAG,
    header::LINK,
    header::RETRY_AFTER,
    HeaderName::from_static("event-cursor"),
    HeaderName::from_static("idempotent-replayed"),
    HeaderName::from_static("x-budget-remaining"),
    HeaderName::from_static("x-correlation-id"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-should-retry"),
    HeaderName::from_static("x-vercel-ai-data-stream"),
    HeaderName::from_static("x-vercel-ai-ui-message-stream"),
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
    /// The origins that are listed by name.
    listed: Vec<HeaderValue>,
}

impl Cors {
    /// The origins that may call: `["*"]` for all, none for those of the server itself only.
    pub fn new(origins: &[String]) -> Self {
        if origins.is_empty() {
            return Self { layer: None, varies: false, listed: Vec::new() };
        }
        let layer =
            CorsLayer::new().allow_methods(METHODS).allow_headers(ALLOWED).expose_headers(EXPOSED).max_age(REMEMBERED);
        let named = origins.iter().filter(|origin| *origin != "*");
        let listed: Vec<_> = named.filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        if listed.len() < origins.len() {
            return Self { layer: Some(layer.allow_origin(tower_http::cors::Any)), varies: false, listed };
        }
        let layer = layer.allow_origin(listed.clone()).allow_credentials(true);
        Self { layer: Some(layer), varies: true, listed }
    }

    /// Whether a request that came with a cookie, or is to be given one, may change nothing: a browser says that a page
    /// elsewhere made it (`Sec-Fetch-Site`), and the operator has not listed that page's origin.
    /// Who is no browser does not say where from, and is nobody's unwitting messenger.
    pub fn refuses_with_cookie(&self, method: &Method, headers: &HeaderMap) -> bool {
        let is_from_elsewhere =
            headers.get("sec-fetch-site").is_some_and(|site| matches!(site.as_bytes(), b"cross-site" | b"same-site"));
        let is_listed = headers.get(header::ORIGIN).is_some_and(|origin| self.listed.contains(origin));
        !method.is_safe() && is_from_elsewhere && !is_listed
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
    if path.starts_with("/api/") || path.starts_with("/broadcasting/") {
        answer_page(cors, request, next).await
    } else {
        next.run(request).await
    }
}

/// [`answer`] for a route of a door that stands outside of `/api/`.
pub async fn answer_page(cors: &Cors, request: Request, next: Next) -> Response {
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
