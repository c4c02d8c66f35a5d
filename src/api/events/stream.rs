//! Following as server-sent events.

use std::collections::VecDeque;

use axum::body::Bytes;
use axum::response::Response;
use futures_util::stream;
use tokio::time::{Instant, timeout_at};

use super::{Feed, RETRY, Show, Shown, Standing, Start};
use crate::chat::{Batch, Follower};
use crate::domain::{EventId, Logged};
use crate::error::Result;
use crate::http::SharedWeb;
use crate::http::sse::{self, Frame};
use crate::http::streams::Place;

/// The answer that follows.
pub fn response<S: Show>(web: &SharedWeb, place: Place, feed: Feed<S>) -> Response {
    let now = Instant::now();
    let Feed { follower, start: Start { from, standing }, show } = feed;
    let mut first = VecDeque::from([
        sse::retry(RETRY),
        Frame { event: Some("resumed"), data: &format!("{{\"from\":{from}}}"), id: Some(from.0) }.bytes(),
    ]);
    if standing == Standing::Lost {
        first.push_back(reset(from));
    }
    let following = Following {
        web: web.clone(),
        follower,
        show,
        frames: first,
        events: Vec::new().into_iter(),
        shown: None,
        told: from,
        stage: Stage::Begin,
        beat_at: now + web.heartbeat(),
        recheck_at: now + web.recheck(),
    };
    let frames = stream::unfold(following, |mut following| async move {
        let frame = following.frame().await?;
        Some((frame, following))
    });
    sse::response(frames, place, web.metrics.stream(), web.drain_spread())
}

fn reset(end: EventId) -> Bytes {
    Frame { event: Some("reset"), id: Some(end.0), data: "{}" }.bytes()
}

/// How far a stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Going,
    Over,
}

/// A stream under way. Of a batch only the next events are rendered: a frame can be much longer than
/// its event (the chats door shows a message with its session), and clients may be slow to read.
struct Following<S> {
    web: SharedWeb,
    follower: Follower,
    show: S,
    /// What is rendered and not sent.
    frames: VecDeque<Bytes>,
    events: std::vec::IntoIter<Logged>,
    /// Up to where events were rendered of which it is not known yet that they were taken.
    shown: Option<EventId>,
    /// The cursor that the client has.
    told: EventId,
    stage: Stage,
    beat_at: Instant,
    recheck_at: Instant,
}

impl<S: Show> Following<S> {
    /// The next frame; `None` when the stream ends. A store that fails ends it early: the client comes back
    /// with its cursor and loses nothing.
    async fn frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                self.beat_at = Instant::now() + self.web.heartbeat();
                return Some(frame);
            }
            // Whoever takes the next frame has taken the last one.
            if let Some(through) = self.shown.take() {
                self.show.handed_over(through);
            }
            if self.stage == Stage::Over || !self.is_let_in().await {
                return None;
            }
            if let Err(error) = self.go_on().await {
                tracing::warn!(error = %error, "a stream was ended early");
                return None;
            }
        }
    }

    async fn is_let_in(&mut self) -> bool {
        let now = Instant::now();
        if now < self.recheck_at {
            return true;
        }
        self.recheck_at = now + self.web.recheck();
        self.show.may_go_on().await
    }

    /// Renders what comes next.
    async fn go_on(&mut self) -> Result<()> {
        if self.stage == Stage::Begin {
            self.stage = Stage::Going;
            let first = self.show.begin().await?;
            self.push(first);
            return Ok(());
        }
        if self.events.len() > 0 {
            return self.show_some().await;
        }
        match timeout_at(self.beat_at.min(self.recheck_at), self.follower.next()).await {
            Ok(batch) => self.take(batch?).await,
            Err(_) if Instant::now() >= self.beat_at => self.beat(),
            Err(_) => {}
        }
        Ok(())
    }

    async fn show_some(&mut self) -> Result<()> {
        let some: Vec<_> = self.events.by_ref().take(S::TOGETHER).collect();
        let shown = self.show.show(&some).await?;
        self.push(shown);
        self.shown = some.last().map(|last| last.event.id);
        Ok(())
    }

    async fn take(&mut self, batch: Batch) {
        match batch {
            Batch::Events(events) => self.events = events.into_iter(),
            Batch::Signal(signal) => {
                let shown = self.show.signal(&signal).await;
                self.push(shown);
            }
            Batch::Reset(end) => {
                self.told = end;
                self.frames.push_back(reset(end));
            }
            Batch::Gone => {
                self.push([Shown::passing("gone", b"{}".to_vec())]);
                self.stage = Stage::Over;
            }
        }
    }

    fn push(&mut self, shown: impl IntoIterator<Item = Shown>) {
        for Shown { id, event, data } in shown {
            self.told = id.unwrap_or(self.told).max(self.told);
            let frame = Frame { id: id.map(|id| id.0), event: Some(event), data: &data };
            self.frames.push_back(frame.bytes());
        }
    }

    /// A sign of life, with the cursor if the log went on without anything for this client.
    fn beat(&mut self) {
        let through = self.follower.through();
        let moved = (through > self.told).then_some(through.0);
        self.told = self.told.max(through);
        self.frames.push_back(sse::beat(moved));
    }
}
