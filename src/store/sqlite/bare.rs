//! The store's work on a log, and nothing around it: what the server's throughput is measured
//! against, and how a store is filled with many rows before it serves.
//!
//! It runs the writer's own statements on a connection with the writer's own settings, in the
//! writer's own transactions. What it leaves out is the queue, the answers and the announcements.
//! The write-ahead log is copied by the same checkpointer on its own thread, because doing that
//! between two batches would hold the bare store back and flatter whoever is compared with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Connection;

use super::checkpoint::{self, Checkpointer, Restart};
use super::fail::{self, Fail};
use super::writer::{self, Tx};
use super::{DataDir, SqliteOptions, conversations, messages, open};
use crate::domain::{ConversationId, Message, Timestamp};
use crate::error::{Error, Result};
use crate::store::{NewConversation, NewMessage};

/// A store with one user, who waits for every commit.
pub struct BareStore {
    conn: Connection,
    checkpointer: Checkpointer,
    restart: Restart,
}

impl BareStore {
    /// Opens the store in a data folder, making or upgrading it as needed. No server may have it
    /// open.
    ///
    /// # Errors
    /// As [`SqliteStore::open`](super::SqliteStore::open).
    pub fn open(dir: &DataDir, options: &SqliteOptions, now: Timestamp) -> Result<Self> {
        let file = dir.database();
        let (conn, _) = open::to_write(dir, options, now)?;
        let restart = Restart::default();
        let copying = open::connect(&file, options).map_err(fail::from_sql)?;
        let checkpointer =
            Checkpointer::start(copying, &file, options.wal_bytes, Arc::clone(&restart)).map_err(Error::internal)?;
        Ok(Self { conn, checkpointer, restart })
    }

    /// Creates conversations in one commit.
    ///
    /// # Errors
    /// As [`Store::create_conversation`](crate::store::Store::create_conversation); then none is
    /// created.
    pub fn create_batch(&mut self, batch: &[NewConversation]) -> Result<Vec<ConversationId>> {
        self.commit(batch, |tx, new| Ok(conversations::create(tx, new)?.id))
    }

    /// Appends messages in one commit, on disk when this returns.
    ///
    /// # Errors
    /// As [`Store::append`](crate::store::Store::append); then none is appended.
    pub fn append_batch(&mut self, batch: &[NewMessage]) -> Result<Vec<Arc<Message>>> {
        self.commit(batch, |tx, new| Ok(messages::append(tx, new)?.message))
    }

    fn commit<N, T>(&mut self, batch: &[N], each: fn(&mut Tx<'_>, &N) -> Result<T, Fail>) -> Result<Vec<T>> {
        let all = |tx: &mut Tx<'_>| batch.iter().map(|new| each(tx, new)).collect::<Result<Vec<_>, Fail>>();
        let (done, _) = writer::transaction(&self.conn, batch.len(), all)?;
        if self.restart.swap(false, Ordering::Relaxed) {
            checkpoint::restart(&self.conn);
        }
        Ok(done)
    }

    /// Copies the whole log into the database and closes it, so that the file alone is the store.
    ///
    /// # Errors
    /// `StorageFull` and the like, when the disk fails.
    pub fn close(self) -> Result<()> {
        let file = self.checkpointer.stop();
        self.conn.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).map_err(fail::from_sql)?;
        self.conn.close().map_err(|(_, error)| fail::from_sql(error))?;
        drop(file);
        Ok(())
    }
}
