//! What only the embedded engine has: its file and folder, its one writer, its copies.

mod audit;
mod copies;
mod letters;
mod opening;
mod properties;
mod reading;
mod upgrade;
mod writing;

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use roost::clock::Clock;
use roost::domain::{ConversationId, Logged};
use roost::store::sqlite::{Audit, DataDir, SqliteOptions};
use roost::store::{Listener, SqliteStore};
use rusqlite::Connection;

use crate::support::store::Recorder;
use crate::support::temp::TempDir;

/// A data folder of a test's own.
struct Place {
    folder: TempDir,
    dir: DataDir,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new();
        let dir = DataDir::prepare(folder.path()).unwrap();
        Self { folder, dir }
    }

    fn open(&self, options: &SqliteOptions) -> SqliteStore {
        self.try_open(options).unwrap()
    }

    fn try_open(&self, options: &SqliteOptions) -> roost::error::Result<SqliteStore> {
        SqliteStore::open(&self.dir, options, Arc::new(Recorder::default()), Clock::system().now())
    }

    /// The sentence with which the store refuses to open.
    fn refusal(&self, options: &SqliteOptions) -> String {
        match self.try_open(options) {
            Ok(_) => panic!("it was opened"),
            Err(error) => error.to_string(),
        }
    }

    /// The database itself, behind the store's back.
    fn sql(&self) -> Connection {
        Connection::open(self.dir.database()).unwrap()
    }

    fn audit(&self) -> Audit {
        roost::store::sqlite::audit(&self.sql()).unwrap()
    }
}

/// For tests to which durability is nothing but time.
fn fast() -> SqliteOptions {
    SqliteOptions { fsync: false, ..SqliteOptions::default() }
}

/// Waits until something is so. The deadline is for the report of a test that fails, not for time
/// to pass.
async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A listener that holds the writer up, so that a test can fill its queue and knows that what it
/// queued becomes one batch.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    heard: Recorder,
}

impl Gate {
    /// The next announcement waits.
    fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }
}

impl Listener for Gate {
    fn committed(&self, events: &[Logged]) {
        self.heard.committed(events);
        let closed = self.closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
    }

    fn removed(&self, conversation: ConversationId) {
        self.heard.removed(conversation);
    }
}
