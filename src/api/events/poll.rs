//! Following by long poll, for clients behind what breaks streams.

use std::time::Duration;

use axum::response::Response;
use tokio::time::{Instant, timeout_at};

use super::{Feed, Show, Shown, Standing, Start};
use crate::chat::{Batch, Follower};
use crate::domain::{EventId, Logged};
use crate::error::Result;
use crate::http::SharedWeb;
use crate::http::json;
use crate::http::streams::Place;

/// An answer ends with the event that fills this: the next poll gets the rest at once.
const BYTES_MAX: usize = 512 << 10;

/// Answers as soon as there is something, or when the wait is over. Who does not say how far they are is told at
/// once where the stream begins.
pub async fn answer<S: Show>(web: &SharedWeb, place: Place, wait: Duration, feed: Feed<S>) -> Result<Response> {
    let _counted = web.metrics.stream();
    let Feed { mut follower, start: Start { from, standing }, mut show } = feed;
    let mut page = Page { events: Vec::new(), count: 0, cursor: from, reset: standing == Standing::Lost };
    let until = Instant::now() + if standing == Standing::Known { wait } else { Duration::ZERO };
    let is_whole = tokio::select! {
        is_whole = page.fill(&mut follower, &mut show, until) => is_whole?,
        () = place.closed(web.drain_spread()) => false,
    };
    let first = show.begin().await?;
    page.push(first);
    if is_whole {
        page.cursor = page.cursor.max(follower.through());
    }
    Ok(json::response(page.close()))
}

/// What is answered.
struct Page {
    events: Vec<u8>,
    count: usize,
    cursor: EventId,
    reset: bool,
}

impl Page {
    /// Takes what there is, or the first that comes. Whether that is all that the follower handed over: only
    /// then is the client as far as it.
    async fn fill<S: Show>(&mut self, follower: &mut Follower, show: &mut S, until: Instant) -> Result<bool> {
        while self.count == 0 && !self.reset {
            let batch = match follower.missed().await? {
                Some(batch) => batch,
                None => match timeout_at(until, follower.next()).await {
                    Ok(batch) => batch?,
                    Err(_) => return Ok(true),
                },
            };
            match batch {
                Batch::Events(events) if self.show(show, &events).await? => {}
                Batch::Events(_) => return Ok(false),
                Batch::Signal(signal) => self.push(show.signal(&signal).await),
                Batch::Reset(end) => (self.cursor, self.reset) = (end, true),
                Batch::Gone => self.push([Shown::passing("gone", b"{}".to_vec())]),
            }
        }
        Ok(!self.reset)
    }

    /// Shows as many as fit; whether those are all.
    async fn show<S: Show>(&mut self, show: &mut S, events: &[Logged]) -> Result<bool> {
        for some in events.chunks(S::TOGETHER) {
            if self.events.len() >= BYTES_MAX {
                return Ok(false);
            }
            let shown = show.show(some).await?;
            self.push(shown);
            if let Some(last) = some.last() {
                self.cursor = last.event.id;
                show.handed_over(last.event.id);
            }
        }
        Ok(true)
    }

    fn push(&mut self, shown: impl IntoIterator<Item = Shown>) {
        for Shown { id, event, data } in shown {
            let comma = if self.count == 0 { "" } else { "," };
            let id = id.map_or_else(|| "null".to_owned(), |id| id.to_string());
            let shown = format!("{comma}{{\"id\":{id},\"event\":\"{event}\",\"data\":{data}}}");
            self.events.extend_from_slice(shown.as_bytes());
            self.count += 1;
        }
    }

    fn close(self) -> Vec<u8> {
        let mut body = b"{\"events\":[".to_vec();
        body.extend_from_slice(&self.events);
        body.extend_from_slice(format!("],\"cursor\":{},\"reset\":{}}}", self.cursor, self.reset).as_bytes());
        body
    }
}
