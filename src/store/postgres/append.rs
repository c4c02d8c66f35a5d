//! Sends, many at once: lanes that append messages in batches.
//!
//! A lane takes whatever waits in its queue and hands it to the database as one statement ([`batch`]): one round trip,
//! one commit, however many senders. While it waits for the database the queue fills, so the batches grow by
//! themselves as the load does; nobody waits for a timer (waiting up to 1 ms for as many as the last batch held made
//! batches a fifth larger and sends no faster). A conversation's sends always go through the same lane, so that lanes of
//! one node never wait for each other's locks.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::batch::{self, Verdict};
use super::conn::{Conn, Tx};
use super::core::Core;
use super::fail::{Fail, is_unique};
use super::{PostgresOptions, messages, place};
use crate::domain::{ConversationId, Logged, Message};
use crate::error::{Error, Result};
use crate::store::{Appended, NewMessage};

/// Whether a message can be appended in a batch: it brings no files along, whose rows have to be looked at first.
pub(super) fn is_light(new: &NewMessage) -> bool {
    new.letter.as_ref().is_none_or(|letter| letter.uploads.is_empty()) && new.files.is_empty()
}

/// Whether two of the messages bear one key in one conversation: the second would not find the first.
pub(super) fn has_twins(new: &[NewMessage]) -> bool {
    let mut seen = HashSet::new();
    new.iter().any(|one| key(one).is_some_and(|key| !seen.insert(key)))
}

fn key(new: &NewMessage) -> Option<(ConversationId, &str)> {
    new.idempotency.as_ref().map(|idempotency| (new.conversation_id, idempotency.key.as_str()))
}

/// A send in a queue.
struct Send {
    new: NewMessage,
    reply: oneshot::Sender<Result<Appended>>,
}

/// The lanes.
pub(super) struct Lanes {
    lanes: Vec<mpsc::Sender<Send>>,
    queue_wait: Duration,
}

impl Lanes {
    /// Starts that many. Each ends when this is dropped and its queue is empty.
    pub fn start(core: &Arc<Core>, options: &PostgresOptions) -> Self {
        let lanes = options.lanes.max(1);
        let start = |_| {
            let (sender, inbox) = mpsc::channel((options.queue / lanes).max(1));
            let batch_max = options.batch_max.max(1);
            tokio::spawn(Lane { core: Arc::clone(core), inbox, next: None, batch_max }.work());
            sender
        };
        Self { lanes: (0..lanes).map(start).collect(), queue_wait: options.queue_wait }
    }

    /// How many sends wait.
    pub fn queued(&self) -> usize {
        self.lanes.iter().map(|lane| lane.max_capacity() - lane.capacity()).sum()
    }

    /// Appends a message that [`is_light`].
    pub async fn append(&self, new: NewMessage) -> Result<Appended> {
        let lane = &self.lanes[new.conversation_id.0.unsigned_abs() as usize % self.lanes.len()];
        let (reply, answer) = oneshot::channel();
        match tokio::time::timeout(self.queue_wait, lane.send(Send { new, reply })).await {
            Err(_) => return Err(Error::Busy),
            Ok(Err(_)) => return Err(closed()),
            Ok(Ok(())) => {}
        }
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

fn closed() -> Error {
    Error::internal("the store is closed")
}

struct Lane {
    core: Arc<Core>,
    inbox: mpsc::Receiver<Send>,
    /// A twin of one in the batch before it.
    next: Option<Send>,
    batch_max: usize,
}

impl Lane {
    async fn work(mut self) {
        loop {
            let first = match self.next.take() {
                Some(first) => first,
                None => match self.inbox.recv().await {
                    Some(first) => first,
                    None => return,
                },
            };
            let batch = self.gather(first);
            self.commit(batch).await;
        }
    }

    /// What waits behind the first, up to a batch, or to one that bears a key of the batch again.
    fn gather(&mut self, first: Send) -> Vec<Send> {
        let mut keys = HashSet::new();
        let owned = |new: &NewMessage| key(new).map(|(id, key)| (id, key.to_owned()));
        keys.extend(owned(&first.new));
        let mut batch = vec![first];
        while batch.len() < self.batch_max {
            let Ok(send) = self.inbox.try_recv() else { break };
            if owned(&send.new).is_some_and(|key| !keys.insert(key)) {
                self.next = Some(send);
                break;
            }
            batch.push(send);
        }
        batch
    }

    async fn commit(&self, batch: Vec<Send>) {
        match self.transact(&batch).await {
            Ok(outcomes) => batch.into_iter().zip(outcomes).for_each(|(send, outcome)| self.answer(send, outcome)),
            Err(fail) if batch.len() > 1 && is_ones_fault(&fail) => {
                for send in batch {
                    match self.transact(std::slice::from_ref(&send)).await {
                        Ok(mut outcomes) => self.answer(send, outcomes.pop().flatten()),
                        Err(fail) => refuse(send, fail.into()),
                    }
                }
            }
            Err(fail) => {
                let mut error = Some(Error::from(fail));
                for send in batch {
                    // One cause is enough in the log.
                    refuse(send, error.take().filter(|error| !matches!(error, Error::Busy)).unwrap_or(Error::Busy));
                }
            }
        }
    }

    /// Appends a batch and announces it. Nothing of those that want a transaction of their own.
    async fn transact(&self, sends: &[Send]) -> Result<Vec<Option<Arc<Message>>>, Fail> {
        let conn = self.core.conn().await?;
        let new: Vec<_> = sends.iter().map(|send| &send.new).collect();
        let mut tries = 0;
        let verdicts = loop {
            match batch::append(&conn, &new).await {
                // A key that another node used while this waited is found the next time.
                Err(fail) if (fail.is_transient() || is_unique(&fail)) && tries < 5 => tries += 1,
                done => break done?,
            }
        };
        let outcome = |(one, verdict): (&&NewMessage, Verdict)| match verdict {
            Verdict::Added { id, seq, at } => Some(Arc::new(one.appended(id, seq, at))),
            Verdict::Alone => None,
        };
        let outcomes: Vec<_> = new.iter().zip(verdicts).map(outcome).collect();
        let added: Vec<_> = outcomes.iter().flatten().collect();
        self.core.stats.committed(outcomes.len());
        self.core.announce(&self.located(&conn, &added).await, &[]);
        Ok(outcomes)
    }

    /// The events with their places. What was committed has to be told, so a place that cannot be read now leaves its
    /// followers to find the event by its number.
    async fn located(&self, conn: &Conn, added: &[&Arc<Message>]) -> Vec<Logged> {
        let held = |message: &&Arc<Message>| self.core.held_place(message.conversation_id).is_none();
        let missing: Vec<_> = added.iter().filter(|message| held(message)).map(|one| one.conversation_id).collect();
        if !missing.is_empty() {
            match place::find_all(conn, &missing).await {
                Ok(found) => found.into_iter().for_each(|place| self.core.hold_place(&Arc::new(place))),
                Err(fail) => tracing::warn!(error = %Error::from(fail), "events were committed and could not be told"),
            }
        }
        let located = |message: &&Arc<Message>| {
            let place = self.core.held_place(message.conversation_id)?;
            Some(Logged { event: messages::added(message), place })
        };
        added.iter().filter_map(located).collect()
    }

    fn answer(&self, send: Send, appended: Option<Arc<Message>>) {
        let Some(message) = appended else {
            let core = Arc::clone(&self.core);
            tokio::spawn(async move {
                let appended = alone(&core, &send.new).await.map_err(Error::from);
                drop(send.reply.send(appended));
            });
            return;
        };
        // Nobody waits any more when the request was dropped; the write stands all the same.
        drop(send.reply.send(Ok(Appended { message, replayed: false })));
    }
}

async fn alone(core: &Arc<Core>, new: &NewMessage) -> Result<Appended, Fail> {
    let mut tx = Tx::begin(core).await?;
    let outcome = messages::append(&mut tx, new).await;
    tx.end(outcome).await
}

fn refuse(send: Send, error: Error) {
    drop(send.reply.send(Err(error)));
}

/// Whether one message of a batch may have brought it about: bad data (class 22) or a constraint (class 23).
fn is_ones_fault(fail: &Fail) -> bool {
    let Fail::Sql(error) = fail else { return false };
    error.code().is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("23"))
}
