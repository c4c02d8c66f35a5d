//! Following: everything after a cursor, then everything that comes, with no seam.
//!
//! One implementation for every transport. A follower listens first and reads then: what is committed while
//! it reads waits for it ([`crate::realtime::seam`]). It pulls: when more happens than is held for it, it
//! goes back to the store, so that a slow follower reads from there, a fast one from memory, and both see
//! each event once, in order.

use std::sync::Arc;

use super::Chat;
use crate::domain::{Conversation, ConversationId, ConversationKind, Event, EventId, Logged, Scope, Signal};
use crate::error::{Error, Result, Subject};
use crate::realtime::{Channel, Heard, Listening, Since};
use crate::store::Locator;

/// How many events a follower takes from the store at once.
const PAGE: usize = 256;

/// What a follower gets.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Events, in order; the next batch begins after the last.
    Events(Vec<Logged>),
    /// Something that is told and not kept.
    Signal(Arc<Signal>),
    /// The cursor is past the end of the log: it comes from another store, from before a restore, or, where
    /// one conversation is followed, from another one. The follower goes on from the cursor given here, and
    /// its client has to read what it follows anew.
    Reset(EventId),
    /// The conversation was removed; nothing will follow.
    Gone,
}

/// Somebody who follows.
pub struct Follower {
    chat: Arc<Chat>,
    listening: Listening,
    source: Source,
    cursor: EventId,
    /// Whether the log has been read to its end, so that what is heard goes on from there.
    has_caught_up: bool,
    begun: bool,
    /// What was heard and has not been handed over.
    heard: std::vec::IntoIter<Heard>,
}

/// Where the log is read.
enum Source {
    /// One conversation: in memory as far as that reaches back.
    One {
        channel: Arc<Channel>,
        /// The number of the last event that was handed over.
        seq: Option<u64>,
        /// Whether a cursor past this conversation's end is from elsewhere, or may be another's of the same
        /// client.
        is_own_cursor: bool,
    },
    /// More than one: in the store.
    Many(Scope),
}

/// What reading the log gave.
enum Read {
    Events(Vec<Logged>),
    /// These, and then nothing more up to there, as of now.
    Last(Vec<Logged>, EventId),
    /// There is nothing more, as of now.
    End,
    Elsewhere(EventId),
    Gone,
}

impl Chat {
    /// Follows a conversation from after `cursor`, which is one of that conversation.
    pub fn follow(self: &Arc<Self>, channel: &Arc<Channel>, cursor: EventId) -> Follower {
        self.follower(channel.id(), true, cursor)
    }

    /// Follows an assistant session from after `cursor`.
    pub fn follow_session(self: &Arc<Self>, session: &Conversation, cursor: EventId) -> Follower {
        self.follower(session.id, true, cursor)
    }

    /// Follows a scope from after `cursor`, which may be any event of the store: also for one conversation
    /// it is not taken for one from elsewhere when it is past that conversation's end.
    pub fn follow_scope(self: &Arc<Self>, scope: Scope, cursor: EventId) -> Follower {
        match scope {
            Scope::Conversation(id) if self.broker.is_in_order() => self.follower(id, false, cursor),
            // Where other nodes write, what is in memory may be behind what was broadcast here: somebody who catches up
            // with the one before they listen to the other would miss what is between.
            scope => self.follow_in(scope, Source::Many(scope), cursor),
        }
    }

    fn follower(self: &Arc<Self>, id: ConversationId, is_own_cursor: bool, cursor: EventId) -> Follower {
        let source = Source::One { channel: self.hub.enter(id), seq: None, is_own_cursor };
        self.follow_in(Scope::Conversation(id), source, cursor)
    }

    fn follow_in(self: &Arc<Self>, scope: Scope, source: Source, cursor: EventId) -> Follower {
        Follower {
            chat: Arc::clone(self),
            // Before anything is read: that is what leaves no hole.
            listening: self.broker.listen(scope),
            source,
            cursor,
            has_caught_up: false,
            begun: false,
            heard: Vec::new().into_iter(),
        }
    }

    /// The end of the whole log as far as it was told to who listens: whoever takes this, then reads a
    /// list, and then follows from here misses nothing. Costs no look at the store.
    pub fn told_end(&self) -> EventId {
        self.broker.announced()
    }

    /// The end of an inbox, for who follows it without a cursor. Where other nodes write, what was told here may be behind.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn inbox_end(&self) -> Result<EventId> {
        if self.is_in_order() { Ok(self.told_end()) } else { self.log_end().await }
    }

    /// The end of the whole log: where somebody begins who wants to hear only what comes.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn log_end(&self) -> Result<EventId> {
        self.store.last_event().await
    }

    /// The last number that the log has given out: a cursor past it is of another log.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn log_newest(&self) -> Result<EventId> {
        self.store.newest_event().await
    }

    /// Whether what happens is told in the order of its numbers over all conversations: where no other node writes.
    pub fn is_in_order(&self) -> bool {
        self.broker.is_in_order()
    }

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
    /// How far it has come.
    pub fn cursor(&self) -> EventId {
        self.cursor
    }

    /// What comes next, as soon as there is something. Cancel-safe: a call that is dropped has taken
    /// nothing.
    ///
    /// # Errors
    /// What the store answers; the follower can be asked again.
    pub async fn next(&mut self) -> Result<Batch> {
        loop {
            if let Some(batch) = self.missed().await? {
                return Ok(batch);
            }
            if let Some(batch) = self.live() {
                return Ok(batch);
            }
            if self.has_caught_up {
                self.listening.news().await;
            }
        }
    }

    /// What the log holds after the cursor, piece by piece; `None` once its end is reached. From there on
    /// [`Follower::next`] tells what comes.
    ///
    /// # Errors
    /// What the store answers; the follower can be asked again.
    pub async fn missed(&mut self) -> Result<Option<Batch>> {
        while !self.has_caught_up {
            let read = match &self.source {
                Source::One { channel, is_own_cursor, .. } => {
                    self.read_one(&Arc::clone(channel), *is_own_cursor && !self.begun).await?
                }
                Source::Many(scope) => self.read_many(*scope).await?,
            };
            self.begun = true;
            match read {
                Read::End => self.has_caught_up = true,
                // A page of a wide scope may hold nothing and still not be the end.
                Read::Events(events) if events.is_empty() => {}
                Read::Events(events) => return Ok(Some(self.hand_over(events))),
                // Whatever came since is heard: this listened before it read.
                Read::Last(events, through) => {
                    self.has_caught_up = true;
                    let batch = self.hand_over(events);
                    self.cursor = self.cursor.max(through);
                    return Ok(Some(batch));
                }
                Read::Gone => return Ok(Some(Batch::Gone)),
                Read::Elsewhere(end) => {
                    tracing::info!(cursor = self.cursor.0, end = end.0, "a cursor is past the end of what it follows");
                    self.cursor = end;
                    return Ok(Some(Batch::Reset(end)));
                }
            }
        }
        Ok(None)
    }

    /// How far it is known that there is nothing: more than was handed over where what happens concerns
    /// others. Who comes back with this does not walk over all that again.
    pub fn through(&mut self) -> EventId {
        let is_told = self.chat.broker.is_in_order() && self.has_caught_up && self.heard.as_slice().is_empty();
        if is_told && matches!(self.source, Source::Many(_)) {
            // In this order: what was announced by then was heard by then.
            let announced = self.chat.broker.announced();
            if !self.listening.is_waiting() {
                self.cursor = self.cursor.max(announced);
            }
        }
        self.cursor
    }

    /// Reads the log again before it goes on.
    pub fn look_back(&mut self) {
        self.has_caught_up = false;
    }

    /// The next of what was heard since the log was read.
    fn live(&mut self) -> Option<Batch> {
        loop {
            match self.heard.next() {
                Some(Heard::Logged(logged)) if logged.event.id <= self.cursor => {}
                Some(Heard::Logged(logged)) => return Some(self.hand_over_heard(Logged::clone(&logged))),
                Some(Heard::Signal(signal)) => return Some(Batch::Signal(signal)),
                Some(Heard::Gone) => return Some(Batch::Gone),
                None => {
                    let Ok(heard) = self.listening.take(self.cursor) else {
                        self.has_caught_up = false;
                        return None;
                    };
                    if heard.is_empty() {
                        return None;
                    }
                    self.heard = heard.into_iter();
                }
            }
        }
    }

    /// As many of what was heard as follow at once.
    fn hand_over_heard(&mut self, first: Logged) -> Batch {
        let mut events = vec![first];
        while let Some(Heard::Logged(logged)) = self.heard.as_slice().first() {
            events.push(Logged::clone(logged));
            self.heard.next();
        }
        self.hand_over(events)
    }

    async fn read_one(&self, channel: &Channel, may_be_elsewhere: bool) -> Result<Read> {
        loop {
            return Ok(match channel.since(self.cursor) {
                Since::Events(events) => Read::Events(events),
                Since::Older => {
                    let place = channel.place();
                    let events = self.chat.store.events(channel.id(), self.cursor, PAGE).await?;
                    match place {
                        // Something is known to be there, and the store has nothing: it was removed.
                        _ if events.is_empty() => Read::Gone,
                        None => continue,
                        Some(place) => Read::Events(
                            events.into_iter().map(|event| Logged { event, place: Arc::clone(&place) }).collect(),
                        ),
                    }
                }
                Since::Gone => Read::Gone,
                Since::Unloaded => match self.chat.load(channel.id()).await {
                    Ok(_) => continue,
                    Err(Error::NotFound(Subject::Conversation)) => Read::Gone,
                    Err(error) => return Err(error),
                },
                Since::Nothing => match channel.head().map(|head| head.event_id) {
                    Some(end) if may_be_elsewhere && self.cursor > end => self.end_of_one(channel.id()).await?,
                    _ if !self.begun => self.end_of_all().await?,
                    _ => Read::End,
                },
            });
        }
    }

    async fn read_many(&mut self, scope: Scope) -> Result<Read> {
        let page = self.chat.store.feed(scope, self.cursor, PAGE).await?;
        if !self.begun
            && page.is_end
            && page.events.is_empty()
            && let Read::Elsewhere(end) = self.end_of_all().await?
        {
            return Ok(Read::Elsewhere(end));
        }
        if page.events.is_empty() {
            self.cursor = page.through;
            return Ok(if page.is_end { Read::End } else { Read::Events(Vec::new()) });
        }
        // The end of the page is not the cursor yet: a call that is dropped has taken nothing.
        Ok(if page.is_end { Read::Last(page.events, page.through) } else { Read::Events(page.events) })
    }

    /// Whether the cursor is past the end of its conversation's log. This node may be behind the others, so it is the
    /// store that tells.
    async fn end_of_one(&self, id: ConversationId) -> Result<Read> {
        let heads = self.chat.store.heads(vec![id]).await?;
        let end = heads.first().map_or(EventId::START, |(_, head)| head.event_id);
        Ok(if self.cursor > end { Read::Elsewhere(end) } else { Read::End })
    }

    /// Whether the cursor is one of this store's at all. The store is asked only when it is past what was told.
    async fn end_of_all(&self) -> Result<Read> {
        if self.cursor <= self.chat.broker.announced() {
            return Ok(Read::End);
        }
        let end = self.chat.store.newest_event().await?;
        Ok(if self.cursor > end { Read::Elsewhere(end) } else { Read::End })
    }

    fn hand_over(&mut self, events: Vec<Logged>) -> Batch {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Batch::Events(events) };
        let (first, last) = (first.event.seq, (last.event.seq, last.event.id));
        self.cursor = last.1;
        if let Source::One { channel, seq, .. } = &mut self.source
            && let Some(before) = seq.replace(last.0)
            && first != before + 1
        {
            // Cannot happen while the numbers are dense; if it ever does, it must not be silent.
            tracing::error!(conversation = %channel.id(), after = before, got = first, "hole in a log");
            return Batch::Reset(last.1);
        }
        Batch::Events(events)
    }
}
