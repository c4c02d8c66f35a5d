//! How the clients of a run speak HTTP: a new connection for each request, so that each may meet another node.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

/// A request that is not addressed to a server yet.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Besides those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Option<Value>,
}

impl Ask {
    /// A `GET`.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: None }
    }

    /// A `POST` of JSON.
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), headers: Vec::new(), body: Some(body) }
    }

    /// The same with another method.
    pub fn by(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The same with one more header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An answer: its status, and JSON where its body is some.
#[derive(Debug)]
pub struct Told {
    /// The status code.
    pub status: u16,
    /// `Null` where the body is no JSON.
    pub body: Value,
    /// The cookie that it sets, `name=value`.
    pub cookie: Option<String>,
}

/// Asks servers.
#[derive(Clone, Debug)]
pub struct Http(Client<HttpConnector, Full<Bytes>>);

impl Http {
    /// One that keeps no connection.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
    }

    /// Asks, and hears the whole answer. `None`: nobody knows whether the request was carried out.
    pub async fn call(&self, url: &str, ask: &Ask, longest: Duration) -> Option<Told> {
        let answered = async {
            let (head, body) = self.open(url, ask).await?.into_parts();
            let cookie = head.headers.get("set-cookie").and_then(|cookie| cookie.to_str().ok());
            let cookie = cookie.and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
            let body = body.collect().await.ok()?.to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            Some(Told { status: head.status.as_u16(), body, cookie })
        };
        timeout(longest, answered).await.ok()?
    }

    /// Asks, and gives the answer's body as it comes.
    pub async fn open(&self, url: &str, ask: &Ask) -> Option<Response<Incoming>> {
        let mut request = Request::builder().method(&ask.method).uri(format!("{url}{}", ask.path));
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let body = ask.body.as_ref().map_or_else(Bytes::new, |body| body.to_string().into());
        if ask.body.is_some() {
            request = request.header("content-type", "application/json");
        }
        self.0.request(request.body(Full::new(body)).ok()?).await.ok()
    }
}

/// The events of a stream, as they come.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    pending: Vec<u8>,
}

/// An event of a stream.
#[derive(Debug, Default)]
pub struct Event {
    /// Its cursor.
    pub id: Option<i64>,
    /// What kind it is.
    pub kind: String,
    /// What it says.
    pub data: Value,
}

impl Events {
    /// Those of an answer.
    pub fn of(answer: Response<Incoming>) -> Self {
        Self { body: answer.into_body(), pending: Vec::new() }
    }

    /// The next event with data; `None` when the stream is over, or silent for so long.
    pub async fn next(&mut self, longest: Duration) -> Option<Event> {
        timeout(longest, self.heard()).await.ok()?
    }

    async fn heard(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.pending, b"\n\n") {
                let block: Vec<u8> = self.pending.drain(..end + 2).collect();
                if let Some(event) = event(&String::from_utf8_lossy(&block)) {
                    return Some(event);
                }
                continue;
            }
            let frame = self.body.frame().await?.ok()?;
            self.pending.extend_from_slice(frame.data_ref()?);
        }
    }
}

fn event(block: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => event.id = id.parse().ok(),
            Some(("event", kind)) => kind.clone_into(&mut event.kind),
            Some(("data", data)) => event.data = serde_json::from_str(data).ok()?,
            _ => {}
        }
    }
    (!event.data.is_null()).then_some(event)
}
