//! Copying the write-ahead log into the database, off the writer's thread.
//!
//! A passive checkpoint never makes the writer wait, but while the writer keeps writing it never
//! reaches the log's end either, and then the log is never reused. So once the log is four times
//! its intended size, the writer itself is asked for the last few pages and a fresh start
//! (`restart`), right after the passive one has copied almost everything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;

/// How often the log's size is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Asks the writer to restart the log at its next commit.
pub(super) type Restart = Arc<AtomicBool>;

pub(super) struct Checkpointer {
    stop: mpsc::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Checkpointer {
    pub fn start(conn: Connection, database: &Path, wal_bytes: u64, restart: Restart) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let log = PathBuf::from(format!("{}-wal", database.display()));
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_EVERY) {
                let size = std::fs::metadata(&log).map_or(0, |file| file.len());
                if size > wal_bytes {
                    copy(&conn, size, wal_bytes, &restart);
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    pub fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

fn copy(conn: &Connection, size: u64, wal_bytes: u64, restart: &AtomicBool) {
    let passive = conn.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()));
    match passive {
        Ok(()) if size > wal_bytes.saturating_mul(4) => restart.store(true, Ordering::Relaxed),
        Ok(()) => {}
        Err(error) => tracing::warn!(error = %error, "the write-ahead log could not be copied"),
    }
}

/// Run by the writer between two commits, when [`Restart`] is set.
pub(super) fn restart(conn: &Connection) {
    let patient = |conn: &Connection, wait| conn.busy_timeout(wait);
    let done = patient(conn, Duration::from_millis(20))
        .and_then(|()| conn.query_row("pragma wal_checkpoint(restart)", [], |_| Ok(())));
    // Busy means that a reader holds an old page: the next round tries again.
    if let Err(error) = done {
        tracing::debug!(error = %error, "the write-ahead log could not be restarted yet");
    }
    if let Err(error) = patient(conn, Duration::from_secs(5)) {
        tracing::warn!(error = %error, "the busy timeout could not be set");
    }
}
