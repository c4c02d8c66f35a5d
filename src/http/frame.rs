//! The frame around each request: its trace id, its client's address, its span, its count, and a
//! net under it.

use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;

use super::{SharedWeb, address, cors};

/// What every handler can know of its request.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The id that the client sent in `X-Request-Id` or `X-Correlation-Id`, or a new one. In every
    /// log line of the request, in the answer's headers, and in the body where a door has it there.
    pub trace_id: Arc<str>,
    /// The client's address.
    pub address: IpAddr,
}

/// The client's address, of a request that came through the frame.
pub fn address_of(extensions: &Extensions) -> IpAddr {
    extensions.get::<Scope>().map_or(Ipv4Addr::UNSPECIFIED.into(), |scope| scope.address)
}

/// The peer of the connection, put into each request by the server.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// A trace id that a client may choose: visible ASCII of at most this many characters, so that it
/// can neither break a log line nor fill it.
const TRACE_ID_CHARS_MAX: usize = 128;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The middleware.
pub async fn frame(State(web): State<SharedWeb>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let _in_flight = web.metrics.request();
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0);
    let scope = Scope {
        trace_id: trace_id(request.headers()).unwrap_or_else(|| web.clock.uuid().to_string().into()),
        address: address::client(peer, request.headers(), &web.config.trusted_proxies),
    };
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(no route)", MatchedPath::as_str);
    let span = tracing::info_span!("request", trace_id = %scope.trace_id, method, route);
    request.extensions_mut().insert(scope.clone());
    let answered =
        AssertUnwindSafe(cors::answer(&web.cors, request, next)).catch_unwind().instrument(span.clone()).await;
    let mut response = answered.unwrap_or_else(|_| {
        span.in_scope(|| tracing::error!("a handler panicked"));
        (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
    });
    let (status, took) = (response.status().as_u16(), began.elapsed());
    web.metrics.answered(method, route, status, took);
    span.in_scope(|| log(status, took.as_micros()));
    if let Ok(value) = HeaderValue::from_str(&scope.trace_id) {
        response.headers_mut().insert(REQUEST_ID, value.clone());
        response.headers_mut().insert(CORRELATION_ID, value);
    }
    response
}

/// Whoever complains has a trace id, so refusals are logged by default; the rest only on demand.
fn log(status: u16, micros: u128) {
    if status >= 400 {
        tracing::info!(status, micros, "refused");
    } else {
        tracing::debug!(status, micros, "answered");
    }
}

fn trace_id(headers: &HeaderMap) -> Option<Arc<str>> {
    let sent = headers.get(REQUEST_ID).or_else(|| headers.get(CORRELATION_ID))?.to_str().ok()?.trim();
    let fine = (1..=TRACE_ID_CHARS_MAX).contains(&sent.len()) && sent.bytes().all(|b| b.is_ascii_graphic());
    fine.then(|| sent.into())
}

/// A bounded set of names: a client must not be able to make up metrics.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
