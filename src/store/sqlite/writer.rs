//! The one writer: a thread that owns the only writing connection and commits in groups.
//!
//! It takes whatever waits in its queue, runs it in one transaction, commits with one fsync,
//! announces the events, and answers everybody. While it waits for the disk the queue fills, so
//! the batches grow by themselves as the load does; nobody waits for a timer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::{self, Restart};
use super::fail::{Fail, from_sql, is_hopeless};
use super::feed::Places;
use crate::domain::{ConversationId, Event, EventId, Logged};
use crate::error::{Error, Result};
use crate::plant::{Plant, goes_wrong, is_planted};
use crate::store::{Listener, WriterStats};

/// What a running transaction offers to a command.
pub(super) struct Tx<'c> {
    pub conn: &'c Connection,
    /// The last event id that was given out.
    last_event: i64,
    /// What to announce after the commit.
    events: Vec<Event>,
    removed: Vec<ConversationId>,
}

impl Tx<'_> {
    /// The next event id. Given back if the transaction does not commit.
    pub fn next_event_id(&mut self) -> EventId {
        self.last_event += 1;
        EventId(self.last_event)
    }

    /// Announces an event after the commit.
    pub fn announce(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Announces a removal after the commit.
    pub fn announce_removal(&mut self, conversation: ConversationId) {
        self.removed.push(conversation);
    }
}

/// A write in the queue. It may be run more than once: when another command of its batch breaks
/// the transaction, each is tried again alone.
trait Command: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Fail>;
    /// Whether it may refuse after it has written something, so that it wants a savepoint.
    fn wants_savepoint(&self) -> bool;
    fn answer(self: Box<Self>, outcome: Result<()>);
}

struct Call<T, F> {
    work: F,
    result: Option<T>,
    savepoint: bool,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Command for Call<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, Fail> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Fail> {
        self.result = Some((self.work)(tx)?);
        Ok(())
    }

    fn wants_savepoint(&self) -> bool {
        self.savepoint
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let Self { result, reply, .. } = *self;
        let result = outcome.and_then(|()| result.ok_or_else(|| Error::internal("a committed command left no result")));
        // Nobody waits any more when the request was dropped; the write stands all the same.
        let _ = reply.send(result);
    }
}

/// How the writer is set up.
pub(super) struct WriterConfig {
    pub queue: usize,
    pub batch_max: usize,
    pub queue_wait: Duration,
}

/// The handle through which the store writes.
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Command>>,
    queue_wait: Duration,
    stats: Arc<WriterStats>,
    thread: std::sync::Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. It ends when the handle is dropped and the queue is empty.
    pub fn start(
        conn: Connection,
        config: &WriterConfig,
        listener: Arc<dyn Listener>,
        restart: Restart,
    ) -> std::io::Result<Self> {
        let (queue, inbox) = mpsc::channel(config.queue);
        let stats = Arc::new(WriterStats::default());
        let mut worker = Worker { conn, listener, restart, stats: Arc::clone(&stats), places: Places::default() };
        let batch_max = config.batch_max;
        let thread =
            std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || worker.work(inbox, batch_max))?;
        Ok(Self { queue, queue_wait: config.queue_wait, stats, thread: std::sync::Mutex::new(Some(thread)) })
    }

    pub fn stats(&self) -> &Arc<WriterStats> {
        &self.stats
    }

    /// Queues a command that refuses, if at all, before it writes.
    pub async fn call<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Fail> + Send + 'static,
    {
        self.submit(false, work).await
    }

    /// Queues a command that may refuse after it has written: it runs in a savepoint.
    pub async fn call_guarded<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Fail> + Send + 'static,
    {
        self.submit(true, work).await
    }

    async fn submit<T, F>(&self, savepoint: bool, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Fail> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let command: Box<dyn Command> = Box::new(Call { work, result: None, savepoint, reply });
        self.stats.queued.fetch_add(1, Ordering::Relaxed);
        if let Err(full) = self.queue.try_send(command) {
            let waited = match full {
                mpsc::error::TrySendError::Full(command) => {
                    tokio::time::timeout(self.queue_wait, self.queue.send(command)).await.map(|sent| sent.is_ok())
                }
                mpsc::error::TrySendError::Closed(_) => Ok(false),
            };
            if !matches!(waited, Ok(true)) {
                self.stats.queued.fetch_sub(1, Ordering::Relaxed);
                return Err(if waited.is_err() { Error::Busy } else { closed() });
            }
        }
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Waits until everything that was queued is committed and the connection is closed. The
    /// caller must have dropped every other use of the store's queue.
    pub fn close(self) {
        drop(self.queue);
        if let Some(thread) = self.thread.lock().ok().and_then(|mut slot| slot.take()) {
            let _ = thread.join();
        }
    }
}

fn closed() -> Error {
    Error::internal("the store is closed")
}

struct Worker {
    conn: Connection,
    listener: Arc<dyn Listener>,
    restart: Restart,
    stats: Arc<WriterStats>,
    places: Places,
}

impl Worker {
    fn work(&mut self, mut inbox: mpsc::Receiver<Box<dyn Command>>, batch_max: usize) {
        let mut batch = Vec::with_capacity(batch_max);
        while let Some(first) = inbox.blocking_recv() {
            batch.push(first);
            while batch.len() < batch_max {
                match inbox.try_recv() {
                    Ok(next) => batch.push(next),
                    Err(_) => break,
                }
            }
            self.stats.queued.fetch_sub(batch.len() as u64, Ordering::Relaxed);
            self.commit(&mut batch);
            if self.restart.swap(false, Ordering::Relaxed) {
                checkpoint::restart(&self.conn);
            }
        }
    }

    /// Commits a batch as one transaction and answers it; on a failure that one command may have
    /// brought about, each command again as a transaction of its own.
    fn commit(&mut self, batch: &mut Vec<Box<dyn Command>>) {
        match self.transact(batch) {
            Ok((refusals, told)) => {
                self.count(batch.len());
                // Announced before it is answered, so that who was answered can rely on what the
                // listener knows. A listener that panics must not take the writer with it.
                let announced = catch_unwind(AssertUnwindSafe(|| {
                    self.listener.committed(&told.events);
                    told.removed.iter().for_each(|id| self.listener.removed(*id));
                }));
                if announced.is_err() {
                    tracing::error!("the listener panicked on an announcement");
                }
                for (command, refusal) in batch.drain(..).zip(refusals) {
                    command.answer(refusal.map_or(Ok(()), Err));
                }
            }
            Err(error) if batch.len() == 1 || is_hopeless(&error) => {
                // What one command did wrong says nothing of the next.
                if is_hopeless(&error) {
                    self.stats.failing.store(true, Ordering::Relaxed);
                }
                let again = |error: &rusqlite::Error| match error {
                    rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
                    other => rusqlite::Error::SqliteFailure(
                        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
                        Some(other.to_string()),
                    ),
                };
                for command in batch.drain(..) {
                    command.answer(Err(from_sql(again(&error))));
                }
            }
            Err(_) => {
                for command in std::mem::take(batch) {
                    self.commit(&mut vec![command]);
                }
            }
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Command>]) -> Result<(Vec<Option<Error>>, Told), rusqlite::Error> {
        let (conn, places, listener) = (&self.conn, &mut self.places, &self.listener);
        let ((refusals, events), removed) = transaction(conn, batch.len(), |tx| {
            let refusals = batch.iter_mut().map(|command| run_one(command.as_mut(), tx)).collect::<Result<_, _>>()?;
            let events = located(conn, places, std::mem::take(&mut tx.events))?;
            if is_planted(Plant::PublishBeforeCommit) && !events.is_empty() {
                listener.committed(&events);
                return if goes_wrong() { Err(rusqlite::Error::InvalidQuery) } else { Ok((refusals, Vec::new())) };
            }
            Ok::<_, rusqlite::Error>((refusals, events))
        })
        .inspect_err(|_| places.forget())?;
        removed.iter().for_each(|id| places.remove(*id));
        Ok((refusals, Told { events, removed }))
    }

    fn count(&self, size: usize) {
        self.stats.committed(size);
    }
}

/// What the listener is told of a batch.
struct Told {
    events: Vec<Logged>,
    removed: Vec<ConversationId>,
}

/// The events with their places, but for those of conversations that the same batch removed.
fn located(conn: &Connection, places: &mut Places, events: Vec<Event>) -> rusqlite::Result<Vec<Logged>> {
    let mut located = Vec::with_capacity(events.len());
    for event in events {
        if let Some(place) = places.of(conn, event.conversation_id)? {
            located.push(Logged { event, place });
        }
    }
    Ok(located)
}

/// Runs `work` as one transaction and commits it: all that the writer does on the connection for a
/// batch of about `size` commands. Also tells which conversations it removed.
pub(super) fn transaction<T, E: From<rusqlite::Error>>(
    conn: &Connection,
    size: usize,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<(T, Vec<ConversationId>), E> {
    let open = Rollback(conn);
    open.0.prepare_cached("begin immediate")?.execute([])?;
    let first_event: i64 =
        open.0.prepare_cached("select value from sequences where name = 'event'")?.query_row([], |row| row.get(0))?;
    let mut tx = Tx { conn, last_event: first_event, events: Vec::with_capacity(size), removed: Vec::new() };
    let done = work(&mut tx)?;
    let Tx { last_event, removed, .. } = tx;
    if last_event != first_event {
        open.0.prepare_cached("update sequences set value = ?1 where name = 'event'")?.execute([last_event])?;
    }
    open.0.prepare_cached("commit")?.execute([])?;
    Ok((done, removed))
}

/// Rolls back on the way out unless the transaction was committed (or SQLite did it already).
struct Rollback<'c>(&'c Connection);

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("rollback")
        {
            tracing::error!(error = %error, "rollback failed");
        }
    }
}

/// Runs one command; `Some` is its refusal. A panic counts as a refusal with its changes undone.
fn run_one(command: &mut dyn Command, tx: &mut Tx<'_>) -> Result<Option<Error>, rusqlite::Error> {
    let savepoint = command.wants_savepoint();
    let (last_event, events, removed) = (tx.last_event, tx.events.len(), tx.removed.len());
    if savepoint {
        tx.conn.prepare_cached("savepoint command")?.execute([])?;
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| command.run(tx)))
        .unwrap_or_else(|_| Err(Fail::Sql(rusqlite::Error::UnwindingPanic)));
    match outcome {
        Ok(()) => {
            if savepoint {
                tx.conn.prepare_cached("release command")?.execute([])?;
            }
            Ok(None)
        }
        Err(Fail::Refused(error)) => {
            if savepoint {
                tx.conn.prepare_cached("rollback to command")?.execute([])?;
                tx.conn.prepare_cached("release command")?.execute([])?;
            }
            tx.last_event = last_event;
            tx.events.truncate(events);
            tx.removed.truncate(removed);
            Ok(Some(error))
        }
        Err(Fail::Sql(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    //! What no store method does yet, so that only the writer itself can show it: to refuse after
    //! having written. Everything else is tested through the store.

    use std::sync::Mutex;

    use super::*;
    use crate::domain::{EventBody, Timestamp};

    #[derive(Default)]
    struct Heard(Mutex<Vec<Event>>);

    impl Listener for Heard {
        fn committed(&self, events: &[Logged]) {
            self.0.lock().unwrap().extend(events.iter().map(|logged| logged.event.clone()));
        }
        fn removed(&self, _: ConversationId) {}
    }

    fn writer(heard: &Arc<Heard>) -> Writer {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "create table sequences (name text, value integer);
             insert into sequences values ('event', 0);
             create table conversations (id integer, uuid blob, kind text, platform_id integer, user_id integer);
             insert into conversations values (1, zeroblob(16), 'live_chat', null, null);
             create table notes (text text);",
        )
        .unwrap();
        let config = WriterConfig { queue: 8, batch_max: 8, queue_wait: Duration::from_secs(5) };
        Writer::start(conn, &config, Arc::clone(heard) as Arc<dyn Listener>, Arc::default()).unwrap()
    }

    /// Writes a note with an event, and then thinks better of it or not.
    async fn note(writer: &Writer, text: &'static str, refuse: bool) -> Result<EventId> {
        let work = move |tx: &mut Tx<'_>| {
            tx.conn.execute("insert into notes values (?1)", [text])?;
            let id = tx.next_event_id();
            tx.announce(Event {
                id,
                conversation_id: ConversationId(1),
                seq: 1,
                at: Timestamp(0),
                body: EventBody::MessageGone,
            });
            if refuse { Err(Fail::Refused(Error::Busy)) } else { Ok(id) }
        };
        writer.call_guarded(work).await
    }

    #[tokio::test]
    async fn a_command_that_refuses_after_it_wrote_is_undone() {
        let heard = Arc::new(Heard::default());
        let writer = writer(&heard);
        let (one, two, three) =
            tokio::join!(note(&writer, "one", false), note(&writer, "two", true), note(&writer, "three", false));
        assert_eq!((one.unwrap(), three.unwrap()), (EventId(1), EventId(2)), "no id is lost");
        assert!(matches!(two, Err(Error::Busy)), "{two:?}");
        let kept = writer.call(|tx| {
            Ok(tx.conn.query_row("select group_concat(text) from notes", [], |row| row.get::<_, String>(0))?)
        });
        assert_eq!(kept.await.unwrap(), "one,three");
        let heard: Vec<_> = heard.0.lock().unwrap().iter().map(|event| event.id).collect();
        assert_eq!(heard, [EventId(1), EventId(2)], "and nothing of it is announced");
        writer.close();
    }
}
