//! Following a conversation: everything after a cursor, then everything that comes, with no seam.
//!
//! A follower pulls. It is woken by a bell and then takes what is after its cursor: from the
//! channel's memory when that reaches back far enough, from the store otherwise. There is no queue
//! that could overflow: a slow follower reads from the store, a fast one from memory, and both see
//! each event once, in order.

use std::sync::Arc;

use tokio::sync::watch;

use super::Chat;
use crate::domain::{Conversation, ConversationId, ConversationKind, Event, EventId};
use crate::error::{Error, Result, Subject};
use crate::realtime::{Channel, Since};
use crate::store::Locator;

/// How many events a follower takes from the store at once.
const PAGE: usize = 256;

/// What a follower gets.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Events, in order; the next batch begins after the last.
    Events(Vec<Event>),
    /// The cursor is past the end of the log: it comes from another store, or from before a
    /// restore. The follower goes on from the cursor given here, and its client has to read the
    /// conversation anew.
    Reset(EventId),
    /// The conversation was removed; nothing will follow.
    Gone,
}

/// Somebody who follows a conversation.
pub struct Follower {
    chat: Arc<Chat>,
    channel: Arc<Channel>,
    changed: watch::Receiver<u64>,
    cursor: EventId,
    /// The number of the last event that was handed over.
    seq: Option<u64>,
    begun: bool,
}

impl Chat {
    /// Follows a conversation from after `cursor`.
    pub fn follow(self: &Arc<Self>, channel: &Arc<Channel>, cursor: EventId) -> Follower {
        Follower {
            chat: Arc::clone(self),
            channel: Arc::clone(channel),
            changed: channel.listen(),
            cursor,
            seq: None,
            begun: false,
        }
    }
}

impl Chat {
    /// Follows an assistant session from after `cursor`.
    pub fn follow_session(self: &Arc<Self>, session: &Conversation, cursor: EventId) -> Follower {
        self.follow(&self.hub.enter(session.id), cursor)
    }
}

impl Chat {
    /// A conversation of any kind by its number, its identifier or its key, as an operator names it.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn conversation_named(&self, name: &str) -> Result<Option<Conversation>> {
        for kind in ConversationKind::ALL {
            if let Ok(number) = name.parse().map(ConversationId)
                && let Some(found) = self.store.conversation(kind, Locator::Id(number)).await?
            {
                return Ok(Some(found));
            }
            if let Some(found) = self.store.conversation(kind, Locator::Name(name)).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A page of a conversation's events after a cursor, as an operator reads them; empty at the end.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn log_page(&self, id: ConversationId, after: EventId) -> Result<Vec<Event>> {
        self.store.events(id, after, PAGE).await
    }
}

impl Follower {
    /// The next events, as soon as there are any. Cancel-safe: a call that is dropped has taken
    /// nothing.
    ///
    /// # Errors
    /// What the store answers; the follower can be asked again.
    pub async fn next(&mut self) -> Result<Batch> {
        loop {
            self.changed.borrow_and_update();
            let events = match self.channel.since(self.cursor) {
                Since::Events(events) => events,
                Since::Older => self.chat.store.events(self.channel.id(), self.cursor, PAGE).await?,
                Since::Gone => return Ok(Batch::Gone),
                Since::Unloaded => match self.chat.load(self.channel.id()).await {
                    Ok(_) => continue,
                    Err(Error::NotFound(Subject::Conversation)) => return Ok(Batch::Gone),
                    Err(error) => return Err(error),
                },
                Since::Nothing => match self.cursor_from_elsewhere() {
                    Some(end) => return Ok(Batch::Reset(end)),
                    None => {
                        self.begun = true;
                        if self.changed.changed().await.is_err() {
                            return Ok(Batch::Gone);
                        }
                        continue;
                    }
                },
            };
            return Ok(self.take(events));
        }
    }

    /// The log's end, when the follower's first cursor lies behind it.
    fn cursor_from_elsewhere(&mut self) -> Option<EventId> {
        let end = self.channel.head()?.event_id;
        let elsewhere = !self.begun && self.cursor > end;
        if elsewhere {
            self.cursor = end;
            self.begun = true;
        }
        elsewhere.then_some(end)
    }

    fn take(&mut self, events: Vec<Event>) -> Batch {
        self.begun = true;
        let Some(last) = events.last() else {
            // The store knows nothing after the cursor though the channel does: it was removed.
            return Batch::Gone;
        };
        if let (Some(seq), Some(first)) = (self.seq, events.first())
            && first.seq != seq + 1
        {
            // Cannot happen while the numbers are dense; if it ever does, it must not be silent.
            tracing::error!(conversation = %self.channel.id(), after = seq, got = first.seq, "hole in a log");
            self.seq = Some(last.seq);
            self.cursor = last.id;
            return Batch::Reset(last.id);
        }
        self.cursor = last.id;
        self.seq = Some(last.seq);
        Batch::Events(events)
    }
}
