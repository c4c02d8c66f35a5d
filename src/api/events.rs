//! Following a conversation as server-sent events: the same for every door, but for how an event
//! is shown.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use utoipa::ToSchema;

use crate::chat::{Batch, Follower};
use crate::domain::{Event, EventId, Logged, Signal};
use crate::http::SharedWeb;
use crate::http::fields::Fields;
use crate::http::sse::{self, Frame};

/// How long a client should wait before it comes back.
const RETRY: Duration = Duration::from_secs(2);

/// One event of a stream, as the HTML standard has it: the lines `id`, `event` and `data`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is written line by line")]
pub struct StreamEvent {
    /// The cursor behind the event: resume with it as `Last-Event-ID`.
    #[schema(example = "41", nullable = false)]
    id: Option<String>,
    /// What kind of event.
    #[schema(example = "message")]
    event: String,
    /// JSON in one line.
    #[schema(example = "{}")]
    data: String,
}

/// An event in a dialect's words: its name on the wire and its JSON.
pub struct Shown {
    event: &'static str,
    data: String,
}

impl Shown {
    /// An event of that name with that JSON.
    pub fn new(event: &'static str, data: Vec<u8>) -> Self {
        Self { event, data: String::from_utf8_lossy(&data).into_owned() }
    }
}

/// How a door shows what happened; `None` for what its clients need not know.
pub trait Show: Send + 'static {
    /// Shows one event. The door may look something up for it.
    fn show(&mut self, logged: &Logged) -> impl Future<Output = Option<Shown>> + Send;

    /// Shows what is told and not kept; nothing of it unless the door says so.
    fn signal(&mut self, _signal: &Signal) -> Option<Shown> {
        None
    }
}

/// A door that needs nothing but the event.
impl Show for fn(&Event) -> Option<Shown> {
    async fn show(&mut self, logged: &Logged) -> Option<Shown> {
        self(&logged.event)
    }
}

/// Where a client wants to resume: the header wins; the query is for first requests and for
/// polyfills that cannot set headers. `None` when neither says.
pub fn cursor(header: Option<&str>, mut query: Fields) -> Option<EventId> {
    let asked = header
        .map(str::to_owned)
        .or_else(|| ["last_event_id", "lastEventId", "since"].into_iter().find_map(|name| query.optional(name, 20)))?;
    Some(EventId::parse_loosely(&asked))
}

/// The answer that follows; `None` when there is no place for another stream.
pub fn response(
    web: &SharedWeb,
    address: IpAddr,
    follower: Follower,
    from: EventId,
    show: impl Show,
) -> Option<Response> {
    let place = web.streams.enter(address)?;
    let begin = [
        sse::retry(RETRY),
        Frame { event: Some("resumed"), data: &format!("{{\"from\":{from}}}"), ..Frame::default() }.bytes(),
    ];
    let following = Following { follower, show, events: Vec::new().into_iter() };
    let events = stream::unfold(Some(following), |following| async move {
        let mut following = following?;
        let (frame, is_last) = following.frame().await?;
        Some((frame, (!is_last).then_some(following)))
    });
    let frames = stream::iter(begin).chain(events);
    Some(sse::response(frames, place, web.metrics.stream(), web.heartbeat(), web.drain_spread()))
}

/// A stream under way. Of a batch only the next event is rendered: a frame can be much longer than
/// its event (the chats door shows a message with its session), and clients may be slow to read.
struct Following<S> {
    follower: Follower,
    show: S,
    events: std::vec::IntoIter<Logged>,
}

impl<S: Show> Following<S> {
    /// The next frame, and whether it is the last; `None` when the stream ends without one.
    async fn frame(&mut self) -> Option<(Bytes, bool)> {
        loop {
            for logged in self.events.by_ref() {
                if let Some(shown) = self.show.show(&logged).await {
                    let frame = Frame { id: Some(logged.event.id.0), event: Some(shown.event), data: &shown.data };
                    return Some((frame.bytes(), false));
                }
            }
            match self.follower.next().await {
                Ok(Batch::Events(events)) => self.events = events.into_iter(),
                Ok(Batch::Signal(signal)) => {
                    if let Some(shown) = self.show.signal(&signal) {
                        let frame = Frame { id: None, event: Some(shown.event), data: &shown.data };
                        return Some((frame.bytes(), false));
                    }
                }
                Ok(Batch::Reset(end)) => {
                    let reset = Frame { event: Some("reset"), id: Some(end.0), data: "{}" };
                    return Some((reset.bytes(), false));
                }
                Ok(Batch::Gone) => {
                    return Some((Frame { event: Some("gone"), data: "{}", ..Frame::default() }.bytes(), true));
                }
                Err(error) => {
                    // The client comes back with its cursor and loses nothing.
                    tracing::warn!(error = %error, "a stream was ended early");
                    return None;
                }
            }
        }
    }
}
