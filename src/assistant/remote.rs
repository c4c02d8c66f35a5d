//! A provider elsewhere, over HTTP: one request an answer, which streams. Whoever drops the answer closes the
//! connection, wherever it is: while it is made, before the first byte, or in the middle.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::heard::Heard;
use super::sse_decode::{Decoder, Event};
use super::{Answer, Ask, Failure, FailureKind, Part, Provider, anthropic, failures, openai};
use crate::config::{Assistant, NamedProvider};
use crate::https;

/// Unused connections that are kept to one provider.
const IDLE_MAX: usize = 64;

/// What a refusal may hold, in bytes, and how long it is waited for.
const REFUSAL_BYTES_MAX: usize = 16 << 10;
const REFUSAL_WAIT: Duration = Duration::from_secs(2);

/// How long the end of the stream is waited for when the answer is complete: a connection whose stream has ended can
/// be used again.
const REST_WAIT: Duration = Duration::from_millis(50);

/// How long the rest of an answer is waited for that has said why it says no more: what it took, usually.
const TAIL_WAIT: Duration = Duration::from_secs(5);

/// How providers are talked to. Cheap to clone.
#[derive(Clone)]
pub struct Line {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    waits: Waits,
    event_bytes_max: usize,
}

#[derive(Clone, Copy)]
struct Waits {
    first: Duration,
    idle: Duration,
}

impl Line {
    /// With the waits and bounds of the configuration.
    ///
    /// # Errors
    /// A sentence for the operator when there is no TLS to be had.
    pub fn new(options: &Assistant) -> Result<Self, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_secs(options.connect_timeout_s)));
        let connector = https::connector(tcp).map_err(|error| error.to_string())?;
        let waits = Waits {
            first: Duration::from_secs(options.first_token_timeout_s),
            idle: Duration::from_secs(options.idle_timeout_s),
        };
        let client = https::streaming_client(connector, IDLE_MAX);
        Ok(Self { client, waits, event_bytes_max: options.event_bytes_max })
    }
}

/// A provider that is reached by such a line.
pub struct Remote {
    name: Arc<str>,
    line: Line,
    place: Arc<Place>,
}

/// Where a provider is, and how it is talked to.
struct Place {
    options: NamedProvider,
    uri: Uri,
    headers: HeaderMap,
}

impl Remote {
    /// The provider of that name.
    ///
    /// # Errors
    /// A sentence for the operator when its address or its key cannot be sent.
    pub fn new(name: &str, options: NamedProvider, line: Line) -> Result<Self, String> {
        let place = Place::new(options).map_err(|error| format!("the provider {name:?}: {error}"))?;
        Ok(Self { name: name.into(), line, place: Arc::new(place) })
    }
}

impl Place {
    fn new(options: NamedProvider) -> Result<Self, String> {
        let (base, path) = match &options {
            NamedProvider::OpenAi(options) => (&options.base_url, openai::PATH),
            NamedProvider::Anthropic(options) => (&options.base_url, anthropic::PATH),
        };
        let uri = address(base, path).parse().map_err(|_| format!("{base:?} is no address"))?;
        let headers = headers(&options)?;
        Ok(Self { options, uri, headers })
    }

    fn request(&self, ask: &Ask) -> Request<Full<Bytes>> {
        let model = ask.model.as_deref().unwrap_or_default();
        let body = match &self.options {
            NamedProvider::OpenAi(options) => openai::body(options, model, ask),
            NamedProvider::Anthropic(_) => anthropic::body(model, ask),
        };
        let mut request = Request::new(Full::new(Bytes::from(body)));
        (*request.method_mut(), *request.uri_mut()) = (Method::POST, self.uri.clone());
        *request.headers_mut() = self.headers.clone();
        request
    }

    fn hear(&self, event: Event<'_>, heard: &mut Heard) -> Result<bool, Failure> {
        match &self.options {
            NamedProvider::OpenAi(_) => openai::hear(event, heard),
            NamedProvider::Anthropic(_) => anthropic::hear(event, heard),
        }
    }
}

/// An address with more of a path, in front of its query.
fn address(base: &str, path: &str) -> String {
    let (base, query) = base.split_once('?').map_or((base, String::new()), |(base, query)| (base, format!("?{query}")));
    format!("{}{path}{query}", base.trim_end_matches('/'))
}

fn headers(options: &NamedProvider) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Roost/", env!("CARGO_PKG_VERSION"))));
    let (name, key) = match options {
        NamedProvider::OpenAi(options) => {
            let name = HeaderName::try_from(&options.key_header).map_err(|_| "key_header is no name of a header")?;
            let is_bearer = name == AUTHORIZATION && !options.api_key.0.is_empty();
            (name, if is_bearer { format!("Bearer {}", options.api_key.0) } else { options.api_key.0.clone() })
        }
        NamedProvider::Anthropic(options) => {
            headers.insert("anthropic-version", HeaderValue::from_static(anthropic::VERSION));
            (HeaderName::from_static("x-api-key"), options.api_key.0.clone())
        }
    };
    if !key.is_empty() {
        let mut value = HeaderValue::try_from(key).map_err(|_| "its api_key cannot be sent in a header")?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

impl Provider for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn answer(&self, ask: Ask) -> Answer {
        let exchange = Exchange {
            place: Arc::clone(&self.place),
            // Nothing is sent before this is polled for the first time.
            stage: Stage::Ready(Box::new(self.place.request(&ask))),
            decoder: Decoder::new(self.line.event_bytes_max),
            heard: Heard::default(),
            failure: None,
            patience: Box::pin(sleep(self.line.waits.first)),
            line: self.line.clone(),
        };
        Box::pin(stream::try_unfold(Box::new(exchange), Exchange::next))
    }
}

/// One request and its answer.
struct Exchange {
    line: Line,
    place: Arc<Place>,
    stage: Stage,
    decoder: Decoder,
    heard: Heard,
    /// Why it ends once everything was told that came before.
    failure: Option<Failure>,
    /// Ends when the provider has been silent for too long. One timer for all that it says: it is put off with each piece.
    patience: Pin<Box<Sleep>>,
}

enum Stage {
    Ready(Box<Request<Full<Bytes>>>),
    Asking(ResponseFuture),
    Hearing(Incoming),
    Over,
}

impl Exchange {
    async fn next(mut self: Box<Self>) -> Result<Option<(Part, Box<Self>)>, Failure> {
        loop {
            if let Some(part) = self.heard.next() {
                return Ok(Some((part, self)));
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Ready(request) => {
                    self.wait(self.line.waits.first);
                    Stage::Asking(self.line.client.request(*request))
                }
                Stage::Asking(response) => {
                    let answer = tokio::select! {
                        biased;
                        answer = response => answer.map_err(|error| unreachable(&error))?,
                        () = self.patience.as_mut() => return Err(silent("began no answer")),
                    };
                    Stage::Hearing(accepted(answer).await?)
                }
                Stage::Hearing(body) if self.heard.is_over() => {
                    // Its failures are of no interest any more.
                    let _ = timeout(REST_WAIT, Limited::new(body, REFUSAL_BYTES_MAX).collect()).await;
                    Stage::Over
                }
                Stage::Hearing(mut body) => {
                    let frame = tokio::select! {
                        biased;
                        frame = body.frame() => Ok(frame),
                        () = self.patience.as_mut() => Err(()),
                    };
                    match frame {
                        Ok(Some(Ok(frame))) => {
                            frame.data_ref().into_iter().for_each(|bytes| self.take(bytes));
                            Stage::Hearing(body)
                        }
                        no_more => {
                            self.end(no_more.map(|end| end.and_then(Result::err)));
                            Stage::Over
                        }
                    }
                }
                Stage::Over => return Ok(None),
            };
        }
    }

    /// Takes bytes in. What is wrong about them counts once what was right before it was told.
    fn take(&mut self, bytes: &[u8]) {
        let (place, heard) = (Arc::clone(&self.place), &mut self.heard);
        let (mut wrong, mut lives) = (None, false);
        let fed = self.decoder.feed(bytes, &mut |event| {
            if wrong.is_none() && !heard.is_over() {
                match place.hear(event, heard) {
                    Ok(is_life) => lives |= is_life,
                    Err(failure) => wrong = Some(failure),
                }
            }
        });
        self.failure = wrong.or(fed.err().map(Failure::from)).filter(|_| !self.heard.is_over());
        if lives {
            let wait = if self.heard.is_whole() { self.line.waits.idle.min(TAIL_WAIT) } else { self.line.waits.idle };
            self.wait(wait);
        }
    }

    /// Waits so long from now on.
    fn wait(&mut self, wait: Duration) {
        self.patience.as_mut().reset(Instant::now() + wait);
    }

    /// Nothing comes any more: the time is up, or the stream has ended, perhaps by an error. It may have to be so.
    fn end<T>(&mut self, end: Result<Option<hyper::Error>, T>) {
        if self.heard.is_whole() {
            self.heard.end();
            return;
        }
        self.failure = Some(match end {
            Err(_) => silent("fell silent in its answer"),
            Ok(None) => Failure::broken("the provider ended its answer in the middle"),
            Ok(Some(error)) => Failure::broken(format!("the provider's answer broke off: {}", reason(&error))),
        });
    }
}

fn silent(what: &str) -> Failure {
    Failure::new(FailureKind::Silent, format!("the provider {what} for too long"))
}

fn unreachable(error: &dyn std::error::Error) -> Failure {
    Failure::new(FailureKind::Unavailable, format!("the provider cannot be reached: {}", reason(error)))
}

/// The body of an answer that is an event stream.
async fn accepted(answer: Response<Incoming>) -> Result<Incoming, Failure> {
    let (head, body) = answer.into_parts();
    if !head.status.is_success() {
        let body = timeout(REFUSAL_WAIT, Limited::new(body, REFUSAL_BYTES_MAX).collect()).await;
        let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
        return Err(failures::refusal(head.status, &head.headers, &body));
    }
    let says = |name, start: &str| {
        let value = head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.is_some_and(|value| value.trim().to_ascii_lowercase().starts_with(start))
    };
    if !says(CONTENT_TYPE, "text/event-stream") {
        return Err(Failure::broken("the provider's answer is no event stream"));
    }
    if head.headers.contains_key(CONTENT_ENCODING) && !says(CONTENT_ENCODING, "identity") {
        return Err(Failure::broken("the provider compressed its answer, though nobody asked it to"));
    }
    Ok(body)
}

/// The cause at the bottom of a failed exchange, which says most.
fn reason(error: &dyn std::error::Error) -> String {
    const CHARS_MAX: usize = 200;
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Anthropic, Key, OpenAi};

    #[test]
    fn an_address_keeps_its_query() {
        for (base, want) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
            ("http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1/chat/completions"),
            ("https://x.test/d/m?api-version=1", "https://x.test/d/m/chat/completions?api-version=1"),
        ] {
            assert_eq!(address(base, openai::PATH), want);
        }
    }

    #[test]
    fn a_key_is_sent_as_the_provider_wants_it() {
        let sent = |options: NamedProvider, name: &str| {
            let headers = headers(&options).unwrap();
            headers.get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let key = || Key("k".to_owned());
        let openai = || OpenAi { api_key: key(), ..OpenAi::default() };
        assert_eq!(sent(NamedProvider::OpenAi(openai()), "authorization").as_deref(), Some("Bearer k"));
        let azure = OpenAi { key_header: "api-key".to_owned(), ..openai() };
        assert_eq!(sent(NamedProvider::OpenAi(azure), "api-key").as_deref(), Some("k"));
        assert_eq!(sent(NamedProvider::OpenAi(OpenAi::default()), "authorization"), None);
        let anthropic = NamedProvider::Anthropic(Anthropic { api_key: key(), ..Anthropic::default() });
        assert_eq!(sent(anthropic.clone(), "x-api-key").as_deref(), Some("k"));
        assert_eq!(sent(anthropic, "anthropic-version").as_deref(), Some("2023-06-01"));
        let wrong = OpenAi { api_key: Key("a\nb".to_owned()), ..OpenAi::default() };
        assert!(!headers(&NamedProvider::OpenAi(wrong)).unwrap_err().contains('\n'));
    }
}
