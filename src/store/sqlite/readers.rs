//! The readers: threads with a read-only connection each, fed from one bounded queue. Under WAL
//! they never wait for the writer, and the writer never for them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fail::Fail;
use crate::error::{Error, Result};

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The handle through which the store reads.
pub(super) struct Readers {
    queue: async_channel::Sender<Job>,
    queue_wait: Duration,
    reads: AtomicU64,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Readers {
    /// Starts a thread for each connection. They end when the handle is dropped.
    pub fn start(connections: Vec<Connection>, queue: usize, queue_wait: Duration) -> std::io::Result<Self> {
        let (sender, inbox) = async_channel::bounded::<Job>(queue);
        let mut threads = Vec::with_capacity(connections.len());
        for (number, conn) in connections.into_iter().enumerate() {
            let inbox = inbox.clone();
            let thread = std::thread::Builder::new().name(format!("store-reader-{number}")).spawn(move || {
                while let Ok(job) = inbox.recv_blocking() {
                    // A panic is answered as an error, because the reply's sender is dropped.
                    let run = std::panic::AssertUnwindSafe(|| job(&conn));
                    if std::panic::catch_unwind(run).is_err() {
                        tracing::error!("a read panicked");
                    }
                }
            })?;
            threads.push(thread);
        }
        Ok(Self { queue: sender, queue_wait, reads: AtomicU64::new(0), threads })
    }

    /// Waits until what was queued is answered and the connections are closed.
    pub fn stop(self) {
        drop(self.queue);
        for thread in self.threads {
            let _ = thread.join();
        }
    }

    /// How many reads wait.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How many reads were asked for so far.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Runs `work` on a reading connection, inside one read transaction: whatever it looks at is
    /// as of one commit.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fail> + Send + 'static,
    {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |conn| {
            // Whoever asked may have gone while this was queued.
            if !reply.is_closed() {
                let _ = reply.send(in_transaction(conn, work));
            }
        });
        if let Err(full) = self.queue.try_send(job) {
            let waited = tokio::time::timeout(self.queue_wait, self.queue.send(full.into_inner())).await;
            match waited {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Error::internal("the store is closed")),
                Err(_) => return Err(Error::Busy),
            }
        }
        answer.await.unwrap_or_else(|_| Err(Error::internal("a read did not finish")))
    }
}

fn in_transaction<T>(conn: &Connection, work: impl FnOnce(&Connection) -> Result<T, Fail>) -> Result<T> {
    let begin = || conn.prepare_cached("begin")?.execute([]);
    begin().map_err(Fail::from)?;
    let end = EndRead(conn);
    let result = work(conn);
    drop(end);
    result.map_err(Error::from)
}

/// Ends the read transaction also when the work panics.
struct EndRead<'c>(&'c Connection);

impl Drop for EndRead<'_> {
    fn drop(&mut self) {
        let end = || self.0.prepare_cached("commit")?.execute([]);
        if let Err(error) = end() {
            tracing::error!(error = %error, "a read transaction did not end");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_is_skipped() {
        let wait = Duration::from_secs(10);
        let readers = Readers::start(vec![Connection::open_in_memory().unwrap()], 4, wait).unwrap();
        let (open, gate) = mpsc::channel();
        let mut held = Box::pin(readers.read(move |_| {
            let _ = gate.recv();
            Ok(())
        }));
        assert!(timeout(Duration::ZERO, &mut held).await.is_err(), "the thread is held up");
        let has_run = Arc::new(AtomicBool::new(false));
        let runs = Arc::clone(&has_run);
        let given_up = readers.read(move |_| {
            runs.store(true, Ordering::Relaxed);
            Ok(())
        });
        assert!(timeout(Duration::ZERO, given_up).await.is_err(), "it is queued");
        open.send(()).unwrap();
        held.await.unwrap();
        readers.stop();
        assert!(!has_run.load(Ordering::Relaxed));
    }
}
