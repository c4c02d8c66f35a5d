//! Server-sent events: frames, headers, heartbeats.
//!
//! Source: the HTML standard, "Server-sent events"; the headers keep proxies from holding frames
//! back (`X-Accel-Buffering` is nginx's).

use std::fmt::Write as _;
use std::future::Future;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};

use super::json::Never;
use super::streams::Place;
use crate::telemetry::Counted;

/// One frame.
#[derive(Clone, Debug, Default)]
pub struct Frame<'a> {
    /// The cursor behind this frame.
    pub id: Option<i64>,
    /// What kind of event; `message` when absent.
    pub event: Option<&'a str>,
    /// The data, without line breaks.
    pub data: &'a str,
}

impl Frame<'_> {
    /// The frame as it goes over the wire.
    pub fn bytes(&self) -> Bytes {
        debug_assert!(!self.data.contains(['\n', '\r']), "a line break would end the frame early");
        let mut frame = String::with_capacity(self.data.len() + 64);
        if let Some(event) = self.event {
            let _ = writeln!(frame, "event: {event}");
        }
        if let Some(id) = self.id {
            let _ = writeln!(frame, "id: {id}");
        }
        let _ = write!(frame, "data: {}\n\n", self.data);
        Bytes::from(frame)
    }
}

/// The first bytes of a stream that clients reconnect to: how long they should wait before.
pub fn retry(wait: Duration) -> Bytes {
    Bytes::from(format!("retry: {}\n\n", wait.as_millis()))
}

/// What is sent when there is nothing to tell, so that nobody on the way takes the connection for dead. With a
/// cursor it moves the client there, which is told of no event: an `id` without data is kept and nothing more.
pub fn beat(cursor: Option<i64>) -> Bytes {
    match cursor {
        Some(cursor) => Bytes::from(format!(": still here\nid: {cursor}\n\n")),
        None => Bytes::from_static(b": still here\n\n"),
    }
}

/// An answer that is a stream of events, ended at its turn when the server goes down. It beats by itself.
pub fn response<S>(frames: S, place: Place, counted: Counted, spread: Duration) -> Response
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    let until = async move {
        place.closed(spread).await;
        drop((place, counted));
    };
    answer(frames, until)
}

/// An answer that is a stream of events and ends by itself: when the server goes down it is left to
/// do so. With a comment whenever nothing else was sent for `heartbeat`.
pub fn finite<S>(frames: S, place: Place, counted: Counted, heartbeat: Duration) -> Response
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    let until = async move {
        std::future::pending::<()>().await;
        drop((place, counted));
    };
    answer(beating(frames, heartbeat), until)
}

fn answer<S, F>(frames: S, until: F) -> Response
where
    S: Stream<Item = Bytes> + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let body = Body::from_stream(until_done(frames, until));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

fn beating<S>(frames: S, heartbeat: Duration) -> impl Stream<Item = Bytes> + Send
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    // One timer for all frames: it is put off with each of them.
    let silence = Box::pin(tokio::time::sleep(heartbeat));
    futures_util::stream::unfold((Box::pin(frames), silence), move |(mut frames, mut silence)| async move {
        let frame = tokio::select! {
            biased;
            frame = frames.next() => frame?,
            () = &mut silence => beat(None),
        };
        silence.as_mut().reset(tokio::time::Instant::now() + heartbeat);
        Some((frame, (frames, silence)))
    })
}

/// The stream, ended early when `until` resolves; `until` lives as long as the stream does.
fn until_done<S, F>(frames: S, until: F) -> impl Stream<Item = Never<Bytes>> + Send
where
    S: Stream<Item = Bytes> + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    frames.map(Ok).take_until(until)
}
