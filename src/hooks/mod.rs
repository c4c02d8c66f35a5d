//! Posting to endpoints that others named: what they are signed with, which addresses are posted to at all, and
//! bounds on time and size. Nothing here knows what is posted, or whether it is tried again.

mod address;
mod outward;
mod sign;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::https;

pub use address::{AddressError, check_url, is_public};
use outward::Outward;
pub use sign::{hex_hmac, key_text, standard_signature};

/// Unused connections that are kept to one host.
const IDLE_MAX: usize = 2;

/// What an endpoint's answer may hold, in bytes: it is read so that the connection can be used again, and thrown away.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// How long the rest of an answer is waited for.
const REST_WAIT: Duration = Duration::from_secs(1);

/// The status with which an endpoint says that it will never want anything again.
const GONE: u16 = 410;

/// A request.
pub struct Post<'a> {
    /// Where to.
    pub url: &'a str,
    /// Its headers besides the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

/// How an endpoint answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// Why it counts as failed, if it does.
    pub error: Option<String>,
    /// How long it asks to be left alone, if it failed and says so in seconds.
    pub retry_after: Option<Duration>,
}

impl Answered {
    /// Whether the endpoint says that it is gone for good.
    pub fn is_gone(&self) -> bool {
        self.status == Some(GONE)
    }

    fn failed(status: Option<u16>, error: impl Into<String>) -> Self {
        Self { status, error: Some(error.into()), retry_after: None }
    }
}

/// Posts. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    client: Client<HttpsConnector<Outward>, Full<Bytes>>,
    timeout: Duration,
}

impl Sender {
    /// A sender that gives up when no answer has begun after `timeout`, and that connects to addresses of the private network only
    /// if `allow_private`.
    ///
    /// # Errors
    /// `Internal` when there is no TLS to be had.
    pub fn new(timeout: Duration, allow_private: bool) -> Result<Self> {
        let connector = https::connector(Outward { allow_private }).map_err(Error::internal)?;
        Ok(Self { client: https::client(connector, IDLE_MAX), timeout })
    }

    /// Posts, and waits for the answer. A redirect is not followed: it is an answer that is no success.
    pub async fn post(&self, post: Post<'_>) -> Answered {
        let request = match request(post) {
            Ok(request) => request,
            Err(error) => return Answered::failed(None, error),
        };
        let answer = match timeout(self.timeout, self.client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Answered::failed(None, reason(&error)),
            Err(_) => {
                return Answered::failed(None, format!("no answer within {} seconds", self.timeout.as_secs()));
            }
        };
        let (status, error) = (answer.status(), refusal(answer.status()));
        let retry_after = error.as_ref().and_then(|_| retry_after(answer.headers()));
        // The status says all; what follows is read only for the connection's sake.
        let _ = timeout(REST_WAIT, Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect()).await;
        Answered { status: Some(status.as_u16()), error, retry_after }
    }
}

fn request(post: Post<'_>) -> Result<Request<Full<Bytes>>, String> {
    let agent = concat!("Roost/", env!("CARGO_PKG_VERSION"));
    let mut builder = Request::builder().method(Method::POST).uri(post.url);
    builder = builder.header("content-type", "application/json").header("user-agent", agent);
    builder = post.headers.into_iter().fold(builder, |builder, (name, value)| builder.header(name, value));
    builder.body(Full::new(Bytes::from(post.body))).map_err(|error| format!("the address cannot be posted to: {error}"))
}

/// The seconds of `Retry-After` (RFC 9110, 10.2.3). Its other form, a date, is left out: it trusts two clocks.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Why a status counts as a failure.
fn refusal(status: StatusCode) -> Option<String> {
    if status.is_success() {
        return None;
    }
    let more = if status.is_redirection() { "; redirects are not followed" } else { "" };
    Some(format!("answered {}{more}", status.as_u16()))
}

/// The cause at the bottom of a failed exchange, which says most.
fn reason(error: &dyn std::error::Error) -> String {
    const CHARS_MAX: usize = 300;
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().chars().take(CHARS_MAX).collect()
}
