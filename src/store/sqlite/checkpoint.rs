//! Copying the write-ahead log into the database, off the writer's thread.
//!
//! A passive checkpoint never makes the writer wait, but while the writer keeps writing it never
//! reaches the log's end either, and then the log is never reused. So once the log is four times
//! its intended size, it is copied again and again, each time what came while it was copied before,
//! until little is left; for that little, and a fresh start (`restart`), the writer itself is asked.
//! SQLite writes the database to the disk at the log's end only, so that is done here before, or the
//! writer would have to wait for all of it.
//!
//! A log that begins anew keeps its file, which is not cut back unless it is much longer than that:
//! cutting 200 MB off it takes the writer a tenth of a second.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// How often the log's size is looked at; a file that was once long, and of which little is used, less often.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many times its intended size the log is when it has to begin anew.
const LONG: u64 = 4;
/// How many times its intended size its file may stay.
pub(super) const KEPT: u64 = 5;

/// How many pages the writer may be asked to copy: a few milliseconds of its time.
const LEFT_MAX: u64 = 200;
/// How often the log is copied at the most in one go.
const ROUNDS_MAX: usize = 8;
/// More than so many pages are left to the next look, unless the log is much too long by then, so many times what is
/// long: somebody reads an old page, or the disk is too slow.
const ASKED_MAX: u64 = 10 * LEFT_MAX;
const TOO_LONG: u64 = 4;

/// Asks the writer to restart the log at its next commit.
pub(super) type Restart = Arc<AtomicBool>;

pub(super) struct Checkpointer {
    stop: mpsc::Sender<()>,
    thread: std::thread::JoinHandle<File>,
}

impl Checkpointer {
    pub fn start(conn: Connection, database: &Path, wal_bytes: u64, restart: Restart) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let file = File::open(database)?;
        let log = PathBuf::from(format!("{}-wal", database.display()));
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            let mut pause = LOOK_EVERY;
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
                pause = LOOK_EVERY;
                if std::fs::metadata(&log).map_or(0, |file| file.len()) <= wal_bytes {
                    continue;
                }
                match copy(&conn, &file, wal_bytes.saturating_mul(LONG), &restart) {
                    Ok(bytes) if bytes < wal_bytes => pause = LOOK_EVERY * 5,
                    Ok(_) => {}
                    Err(error) => tracing::warn!(error = %error, "the write-ahead log could not be copied"),
                }
            }
            file
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread. What is returned is to be dropped when no connection is open any more: a process that closes a
    /// file loses all locks that it has on it ([SQLite's "How to corrupt", 2.2][1]).
    ///
    /// [1]: https://www.sqlite.org/howtocorrupt.html
    pub fn stop(self) -> Option<File> {
        let _ = self.stop.send(());
        self.thread.join().ok()
    }
}

/// Copies the log, and asks for a fresh start when it is long; how many bytes of it there are.
fn copy(conn: &Connection, file: &File, long_bytes: u64, restart: &AtomicBool) -> rusqlite::Result<u64> {
    let page: u64 = conn.query_row("pragma page_size", [], |row| row.get(0))?;
    let (pages, mut left) = passive(conn)?;
    let bytes = pages.saturating_mul(page);
    if bytes <= long_bytes {
        return Ok(bytes);
    }
    for _ in 0..ROUNDS_MAX {
        if left <= LEFT_MAX {
            break;
        }
        if let Err(error) = file.sync_data() {
            // Whoever reaches the log's end does it again, and says what is wrong.
            tracing::debug!(error = %error, "the database could not be written to the disk");
        }
        let before = std::mem::replace(&mut left, passive(conn)?.1);
        if left >= before {
            break;
        }
    }
    if left <= ASKED_MAX || bytes > long_bytes.saturating_mul(TOO_LONG) {
        restart.store(true, Ordering::Relaxed);
    }
    Ok(bytes)
}

/// Copies what can be copied while others read and write: how many pages the log has, and how many are left.
fn passive(conn: &Connection) -> rusqlite::Result<(u64, u64)> {
    conn.query_row("pragma wal_checkpoint(passive)", [], |row| {
        let (pages, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok((u64::try_from(pages).unwrap_or(0), u64::try_from(pages - copied).unwrap_or(0)))
    })
}

/// Run by the writer between two commits, when [`Restart`] is set.
pub(super) fn restart(conn: &Connection) {
    let began = Instant::now();
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
    tracing::debug!(took = ?began.elapsed(), "the write-ahead log begins anew");
}
