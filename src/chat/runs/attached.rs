//! Somebody who listens to an answer: while it is made here, while another node makes it, or afterwards.

use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::live::{Live, Watch};
use super::{Ended, LOOK};
use crate::domain::{ConversationId, Event, EventBody, EventId, MessageId, RunOutcome, RunState};
use crate::store::SharedStore;

/// How many events are read at once.
const PAGE: usize = 256;

/// One piece of an answer.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Text, and the cursor behind it.
    Text {
        /// The text.
        chunk: String,
        /// Bytes of the answer up to and with this chunk.
        cursor: usize,
    },
    /// The end.
    End(Ended),
}

/// Somebody who listens to an answer.
pub struct Attached {
    pub(super) source: Source,
    pub(super) cursor: usize,
}

pub(super) enum Source {
    Live(Arc<Live>, Watch),
    Elsewhere(Box<Elsewhere>),
    Stored(Ended),
    Finished,
}

impl Attached {
    /// The next piece, as soon as there is one; `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Piece> {
        let piece = match &mut self.source {
            Source::Finished => return None,
            Source::Stored(ended) => {
                let text = ended.answer.as_ref().map_or("", |message| message.text.as_str());
                rest(text, text.len(), self.cursor).unwrap_or_else(|| Piece::End(ended.clone()))
            }
            Source::Elsewhere(run) => run.after(self.cursor).await,
            Source::Live(live, watch) => loop {
                let ended = watch.ended();
                if let Some(piece) = live.piece_after(self.cursor) {
                    break piece;
                }
                if let Some(ended) = ended {
                    break Piece::End(ended);
                }
                // The run holds the sender until it has set the end.
                if !watch.changed().await {
                    return None;
                }
            },
        };
        match &piece {
            Piece::Text { cursor, .. } => self.cursor = *cursor,
            // What an answer's pieces lacked is in its message.
            Piece::End(ended) if matches!(self.source, Source::Stored(_)) || !self.lacks(ended) => {
                self.source = Source::Finished;
            }
            Piece::End(ended) => {
                self.source = Source::Stored(ended.clone());
                return Box::pin(self.next()).await;
            }
        }
        Some(piece)
    }

    /// Whether it waits for its turn, as far as is known without looking at the store again.
    pub fn is_queued(&self) -> bool {
        match &self.source {
            Source::Live(live, _) => live.is_waiting(),
            Source::Elsewhere(run) => run.is_queued,
            Source::Stored(_) | Source::Finished => false,
        }
    }

    /// Whether there was nothing left to spend on it.
    pub(super) fn was_refused(&self) -> bool {
        matches!(&self.source, Source::Stored(ended) if ended.is_over_budget() && ended.answer.is_none())
    }

    fn lacks(&self, ended: &Ended) -> bool {
        ended.answer.as_ref().is_some_and(|answer| answer.text.len() > self.cursor)
    }

    /// Waits for the end.
    pub async fn end(mut self) -> Option<Ended> {
        loop {
            match self.next().await? {
                Piece::Text { .. } => {}
                Piece::End(ended) => return Some(ended),
            }
        }
    }
}

/// A run under way on another node, as the log tells it: that is there after the other node is not.
pub(super) struct Elsewhere {
    pub store: SharedStore,
    /// How far the log was read.
    pub read: EventId,
    pub conversation: ConversationId,
    pub question: MessageId,
    pub run: Uuid,
    /// Whether it waited for its turn when somebody began to listen.
    pub is_queued: bool,
    /// When it is given up: whoever makes it has stopped by then, and when it is dead others end its answers.
    pub deadline: Instant,
    /// Pieces that came together.
    pub heard: std::collections::VecDeque<Heard>,
}

/// What the log told of a run.
pub(super) enum Heard {
    Text { start: usize, text: Arc<str> },
    End(Ended),
}

impl Elsewhere {
    /// What comes after that place. Cancel-safe: what is taken from the follower is kept.
    async fn after(&mut self, cursor: usize) -> Piece {
        loop {
            match self.heard.pop_front() {
                Some(Heard::Text { start, text }) => {
                    let known = cursor.saturating_sub(start).min(text.len());
                    if let Some(Piece::Text { chunk, cursor: end }) = rest(&text, text.len(), known) {
                        return Piece::Text { chunk, cursor: start + end };
                    }
                }
                Some(Heard::End(ended)) => return Piece::End(ended),
                None if Instant::now() >= self.deadline => return Piece::End(Ended::interrupted()),
                None => self.read_on().await,
            }
        }
    }

    /// Reads what the log has since, or waits for it to have more. The store is right whatever becomes of the other
    /// node, and of what it says.
    async fn read_on(&mut self) {
        match self.store.events(self.conversation, self.read, PAGE).await {
            Ok(events) if events.is_empty() => tokio::time::sleep(LOOK).await,
            Ok(events) => {
                let mut heard = Vec::new();
                for event in &events {
                    heard.extend(self.heard_in(event).await);
                }
                // Both at once: who stops waiting in the middle reads it again.
                self.read = events.last().map_or(self.read, |last| last.id);
                self.heard.extend(heard);
            }
            Err(error) => {
                tracing::warn!(error = %error, "an answer that another node makes is looked at later");
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    async fn heard_in(&self, event: &Event) -> Option<Heard> {
        match &event.body {
            EventBody::RunTold(told) if told.run == self.run => {
                Some(Heard::Text { start: usize::try_from(told.start).ok()?, text: Arc::clone(&told.text) })
            }
            EventBody::RunChanged { state: RunState::Ended(outcome), run } if run.uuid == self.run => {
                let answer = match run.answer_id {
                    Some(_) => self.store.answer_to(self.conversation, self.question).await.unwrap_or_default(),
                    None => None,
                };
                Some(Heard::End(Ended { outcome: *outcome, reason: run.reason, answer, usage: run.usage }))
            }
            _ => None,
        }
    }
}

impl Ended {
    /// An end that nobody saw.
    fn interrupted() -> Self {
        Self { outcome: RunOutcome::Interrupted, reason: None, answer: None, usage: Default::default() }
    }
}

/// The text after `cursor` up to `end`; a cursor inside a character goes back to its beginning.
pub(super) fn rest(text: &str, end: usize, cursor: usize) -> Option<Piece> {
    let mut start = cursor.min(end);
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    (start < end).then(|| Piece::Text { chunk: text[start..end].to_owned(), cursor: end })
}
