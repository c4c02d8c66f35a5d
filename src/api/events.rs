//! Following the log over plain HTTP, as server-sent events or by long poll: the same for every door, but for
//! how an event is shown.
//!
//! A client is never left with a hole it does not know of. It says how far it is with a cursor; what happened
//! since comes first, then what happens. Where that cannot be, because the cursor is from elsewhere or none at
//! all, it is told `reset`: read the lists anew, and go on from the cursor that came with it.

mod asked;
mod poll;
mod stream;

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::chat::{Follower, Ticket};
use crate::domain::{Access, EventId, Logged, Signal, UserId};
use crate::error::{Error, Result};
use crate::http::SharedWeb;

pub use asked::{Asked, Cursor, Standing, Start, cursor};

/// How long a client should wait before it comes back.
const RETRY: Duration = Duration::from_secs(2);

/// One event of a stream, as the HTML standard has it: the lines `id`, `event` and `data`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is written line by line")]
pub struct StreamEvent {
    /// The cursor behind the event: resume with it as `Last-Event-ID`. Without one nothing is kept of the event.
    #[schema(example = "41", nullable = false)]
    id: Option<String>,
    /// What kind of event.
    #[schema(example = "message")]
    event: String,
    /// JSON in one line.
    #[schema(example = "{}")]
    data: String,
}

/// The same as the answer to a long poll.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is written piece by piece")]
pub struct Polled {
    /// What happened, in order; empty when nothing did in time.
    events: Vec<PolledEvent>,
    /// Where to go on from, as `last_event_id` of the next poll.
    #[schema(example = 41)]
    cursor: i64,
    /// Whether the cursor was from elsewhere: read the lists anew.
    reset: bool,
}

/// One event of a long poll.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is written piece by piece")]
pub struct PolledEvent {
    /// The cursor behind the event; null when nothing is kept of it.
    #[schema(required = true, example = 41)]
    id: Option<i64>,
    /// What kind of event.
    #[schema(example = "message")]
    event: String,
    /// What it says.
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

/// What lets a browser's `EventSource` in.
#[derive(Serialize, ToSchema)]
pub struct EventTicket {
    /// The query parameter `ticket` of the stream.
    ticket: String,
    /// For how many seconds it lets in.
    #[schema(example = 3600)]
    expires_in: u64,
}

impl From<Ticket> for EventTicket {
    fn from(Ticket { ticket, expires_in }: Ticket) -> Self {
        Self { ticket, expires_in }
    }
}

/// An event in a dialect's words: its name on the wire and its JSON.
pub struct Shown {
    id: Option<EventId>,
    event: &'static str,
    data: String,
}

impl Shown {
    /// An event of that name with that JSON. Who has seen it and comes back with `id` misses nothing: of those
    /// that are made of one event in the log only the last may have its cursor.
    pub fn new(id: EventId, event: &'static str, data: Vec<u8>) -> Self {
        Self { id: Some(id), ..Self::passing(event, data) }
    }

    /// One that is told and not kept.
    pub fn passing(event: &'static str, data: Vec<u8>) -> Self {
        Self { id: None, event, data: String::from_utf8_lossy(&data).into_owned() }
    }
}

/// How a door shows what happened.
pub trait Show: Send + 'static {
    /// How many events are shown at once. They are held while a client is slow to read: more than one only
    /// where a door looks something up for several.
    const TOGETHER: usize = 1;

    /// Shows some events, in order; nothing for what its clients need not know. The door may look things up.
    ///
    /// # Errors
    /// What the store answers; the stream ends then, and its client comes back for these.
    fn show(&mut self, events: &[Logged]) -> impl Future<Output = Result<Vec<Shown>>> + Send;

    /// Shows what is told and not kept; nothing of it unless the door says so.
    fn signal(&mut self, _signal: &Signal) -> impl Future<Output = Option<Shown>> + Send {
        std::future::ready(None)
    }

    /// What is told before anything else, to who comes back, too: what the log does not keep.
    ///
    /// # Errors
    /// As [`Show::show`].
    fn begin(&mut self) -> impl Future<Output = Result<Option<Shown>>> + Send {
        std::future::ready(Ok(None))
    }

    /// Everything up to there is on its way to the client.
    fn handed_over(&mut self, _through: EventId) {}

    /// Whether the client's credential is still good.
    fn may_go_on(&mut self) -> impl Future<Output = bool> + Send {
        std::future::ready(true)
    }
}

/// Says on a list where to follow from so that nothing falls between the two. The cursor has to be taken before the
/// list is read: what happens between is then told again, which is harmless, and not left out.
pub fn mark(response: &mut Response, cursor: EventId) {
    response.headers_mut().insert(HeaderName::from_static("event-cursor"), HeaderValue::from(cursor.0));
}

/// Whether somebody who follows may go on, by what asking for their credential again answered. That a store cannot say
/// so at the moment is no reason to end every stream at once.
pub fn is_still_let_in(asked: Result<Access>, may: impl FnOnce(&Access) -> bool) -> bool {
    match asked {
        Ok(access) => may(&access),
        Err(Error::Unauthenticated | Error::Forbidden(_)) => false,
        Err(_) => true,
    }
}

/// What is followed, from where, and how it is shown.
pub struct Feed<S> {
    /// Where the events come from.
    pub follower: Follower,
    /// Where it begins.
    pub start: Start,
    /// How they are shown.
    pub show: S,
}

/// Who follows: what the number of streams is counted by.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// From where.
    pub address: IpAddr,
    /// As whom, if they are signed in.
    pub user: Option<UserId>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Refused {
    /// There is no place for another stream.
    NoPlace,
    /// What the store answers.
    Chat(Error),
}

/// The answer to who follows, in the form that was asked for.
///
/// # Errors
/// [`Refused`], before anything was told.
pub async fn answer<S: Show>(
    web: &SharedWeb,
    client: Client,
    asked: Asked,
    feed: Feed<S>,
) -> std::result::Result<Response, Refused> {
    let place = web.streams.enter_as(client.address, client.user).ok_or(Refused::NoPlace)?;
    match asked.wait {
        Some(wait) => poll::answer(web, place, wait, feed).await.map_err(Refused::Chat),
        None => Ok(stream::response(web, place, feed)),
    }
}
