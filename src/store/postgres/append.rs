//! Sends, many at once: lanes that append messages in batches.
//!
//! A lane takes whatever waits in its queue and hands it to the database as one statement (`append_messages` in the
//! first migration, `append_letters` in the third): one round trip, one commit, however many senders. While it waits
//! for the database the queue fills, so the batches grow by themselves as the load does. Who was answered together
//! sends again at about the same time: a lane whose last batch held several waits a moment until as many are there
//! (PostgreSQL's own `commit_delay` does the same for commits). A conversation's sends always go through the same lane,
//! so that lanes of one node never wait for each other's locks.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::conn::{Conn, Tx};
use super::core::Core;
use super::fail::Fail;
use super::{PostgresOptions, letters, messages, place, rows};
use crate::domain::{ConversationId, EventId, Logged, Message, Timestamp};
use crate::error::{Error, Result, Subject};
use crate::store::{Appended, NewLetter, NewMessage};

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

/// What became of a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It has these numbers now.
    Added { id: EventId, seq: u64, at: Timestamp },
    /// Its key was used before.
    Replayed,
    /// The chat has to be opened first.
    Closed,
    /// There is no such conversation.
    Gone,
}

/// Appends those messages, which have no twins among them.
pub(super) async fn call(conn: &Conn, new: &[&NewMessage]) -> Result<Vec<Verdict>, Fail> {
    let conversations: Vec<i64> = new.iter().map(|one| one.conversation_id.0).collect();
    let uuids: Vec<_> = new.iter().map(|one| one.uuid).collect();
    let roles: Vec<_> = new.iter().map(|one| one.role.as_str()).collect();
    let users: Vec<_> = new.iter().map(|one| one.user_id.map(|user| user.0)).collect();
    let texts: Vec<_> = new.iter().map(|one| one.text.as_str()).collect();
    let metadatas: Vec<_> = new.iter().map(|one| one.metadata.as_ref().map(|json| json.0.as_str())).collect();
    let replies: Vec<_> = new.iter().map(|one| one.reply_to.map(|id| id.0)).collect();
    let keys: Vec<_> = new.iter().map(|one| one.idempotency.as_ref().map(|held| held.key.as_str())).collect();
    let fingerprints: Vec<_> =
        new.iter().map(|one| one.idempotency.as_ref().map(|held| held.fingerprint.as_slice())).collect();
    let instants: Vec<_> = new.iter().map(|one| one.at.0).collect();
    let values: [&(dyn ToSql + Sync); 10] =
        [&conversations, &uuids, &roles, &users, &texts, &metadatas, &replies, &keys, &fingerprints, &instants];
    let told = if new.iter().any(|one| one.letter.is_some()) {
        with_letters(conn, new, &values).await?
    } else {
        let sql = "select outcome, id, seq, at from append_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        conn.rows(sql, &values).await?
    };
    if told.len() != new.len() {
        return Err(Fail::Refused(Error::internal("an append answered for another number of messages")));
    }
    told.iter().map(verdict).collect()
}

/// Appends messages of which some are letters; `said` are the values of the messages themselves.
async fn with_letters(conn: &Conn, new: &[&NewMessage], said: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Fail> {
    let receivers = column(new, |letter| letter.receiver_id.0);
    let kinds = column(new, |letter| letter.kind.as_str());
    let attachments = column(new, |letter| letter.attachments.0.as_str());
    let devices = column(new, |letter| letter.device.details.0.as_str());
    let device_kinds = column(new, |letter| letter.device.kind.as_str());
    let words = |one: &&NewMessage| {
        let letter = one.letter.as_ref()?;
        Some(letters::lexemes(one.user_id, letter.receiver_id, one.text.as_str()).join(" "))
    };
    let words: Vec<Option<String>> = new.iter().map(words).collect();
    let beside: [&(dyn ToSql + Sync); 6] = [&receivers, &kinds, &attachments, &devices, &device_kinds, &words];
    let sql = "select outcome, id, seq, at from append_letters($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
               $11, $12, $13, $14, $15, $16)";
    conn.rows(sql, &[said, &beside].concat()).await
}

/// Something of each letter; nothing of what is none.
fn column<'a, T>(new: &[&'a NewMessage], of: impl Fn(&'a NewLetter) -> T) -> Vec<Option<T>> {
    new.iter().map(|one| one.letter.as_ref().map(&of)).collect()
}

fn verdict(row: &Row) -> Result<Verdict, Fail> {
    Ok(match row.try_get(0)? {
        "added" => {
            Verdict::Added { id: EventId(row.try_get(1)?), seq: rows::count(row, 2)?, at: Timestamp(row.try_get(3)?) }
        }
        "replayed" => Verdict::Replayed,
        "closed" => Verdict::Closed,
        _ => Verdict::Gone,
    })
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
            let (batch_max, linger) = (options.batch_max.max(1), options.linger);
            tokio::spawn(Lane { core: Arc::clone(core), inbox, next: None, batch_max, linger, last: 0 }.work());
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
    linger: Duration,
    /// How many the last batch held.
    last: usize,
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
            let batch = self.gather(first).await;
            self.last = batch.len();
            self.commit(batch).await;
        }
    }

    /// What waits behind the first, up to a batch, or to one that bears a key of the batch again.
    async fn gather(&mut self, first: Send) -> Vec<Send> {
        let mut keys = HashSet::new();
        let owned = |new: &NewMessage| key(new).map(|(id, key)| (id, key.to_owned()));
        keys.extend(owned(&first.new));
        let mut batch = vec![first];
        let until = Instant::now() + self.linger;
        while batch.len() < self.batch_max {
            let is_awaited = batch.len() < self.last;
            let Some(send) = self.another(is_awaited.then_some(until)).await else { break };
            if owned(&send.new).is_some_and(|key| !keys.insert(key)) {
                self.next = Some(send);
                break;
            }
            batch.push(send);
        }
        batch
    }

    /// What waits in the queue, or comes until then.
    async fn another(&mut self, until: Option<Instant>) -> Option<Send> {
        match (self.inbox.try_recv(), until) {
            (Ok(send), _) => Some(send),
            (Err(TryRecvError::Empty), Some(until)) => timeout_at(until, self.inbox.recv()).await.ok().flatten(),
            (Err(_), _) => None,
        }
    }

    async fn commit(&self, batch: Vec<Send>) {
        match self.transact(&batch).await {
            Ok(outcomes) => batch.into_iter().zip(outcomes).for_each(|(send, outcome)| self.answer(send, outcome)),
            Err(fail) if batch.len() > 1 && is_ones_fault(&fail) => {
                for send in batch {
                    let outcomes = self.transact(std::slice::from_ref(&send)).await;
                    let outcome = outcomes.map(|mut all| all.pop().unwrap_or(Err(Outcome::Gone)));
                    match outcome {
                        Ok(outcome) => self.answer(send, outcome),
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

    /// Appends a batch and announces it.
    async fn transact(&self, batch: &[Send]) -> Result<Vec<Result<Arc<Message>, Outcome>>, Fail> {
        let conn = self.core.conn().await?;
        let new: Vec<_> = batch.iter().map(|send| &send.new).collect();
        let mut tries = 0;
        let verdicts = loop {
            match call(&conn, &new).await {
                Err(fail) if fail.is_transient() && tries < 5 => tries += 1,
                done => break done?,
            }
        };
        let outcome = |(one, verdict): (&&NewMessage, Verdict)| match verdict {
            Verdict::Added { id, seq, at } => Ok(Arc::new(one.appended(id, seq, at))),
            Verdict::Replayed | Verdict::Closed => Err(Outcome::Alone),
            Verdict::Gone => Err(Outcome::Gone),
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

    fn answer(&self, send: Send, outcome: Result<Arc<Message>, Outcome>) {
        match outcome {
            // Nobody waits any more when the request was dropped; the write stands all the same.
            Ok(message) => drop(send.reply.send(Ok(Appended { message, replayed: false }))),
            Err(Outcome::Gone) => refuse(send, Error::NotFound(Subject::Conversation)),
            Err(Outcome::Alone) => {
                let core = Arc::clone(&self.core);
                tokio::spawn(async move {
                    let appended = alone(&core, &send.new).await.map_err(Error::from);
                    drop(send.reply.send(appended));
                });
            }
        }
    }
}

/// What a batch cannot do for a message.
enum Outcome {
    /// It wants a transaction of its own: the chat has to be opened, or the answer is an older message.
    Alone,
    Gone,
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
