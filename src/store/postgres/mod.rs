//! The store on PostgreSQL, for any number of nodes.
//!
//! **Order.** Whoever writes to a conversation's log locks the conversation's head first and draws numbers then: seq and
//! ids of a conversation grow in commit order, whichever node commits. Ids of several conversations are drawn from one
//! sequence and may become visible out of their order; what follows more than one conversation therefore reads up to
//! the horizon (`event_horizon` in the first migration) and no further.
//!
//! **Sends** go through lanes (`append.rs`): many senders share one round trip and one commit. Everything else is a
//! transaction of its own on a pooled connection, in a task of its own: a caller that goes away cannot cut it off
//! between its commit and its announcement.

#[macro_use]
mod macros;

mod account_calls;
mod accounts;
mod append;
mod assigning;
mod attachments;
mod bare;
mod batch;
mod budgets;
mod calls;
mod conn;
mod conversations;
mod core;
mod fail;
mod feed;
mod files;
mod inbox;
mod keys;
mod knowledge;
mod knowledge_search;
mod letters;
mod log;
mod messages;
mod migrate;
mod nodes;
mod place;
mod platforms;
mod pool;
mod probe;
mod replica;
mod rows;
mod runs;
mod search;
mod tokens;
mod vectors;
mod webhook_lanes;
mod webhook_rows;
mod webhooks;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use self::bare::BareDatabase;
use self::core::Core;
pub(super) use self::letters::lexemes;
pub(super) use self::migrate::migrate_schema;
pub(super) use self::pool::make as connections;
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::store::{Listener, WriterStats, transfer};

/// How the store on PostgreSQL is set up; see the section `store` of the configuration for the meaning and the
/// defaults.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://user:password@host/database?sslmode=…`
    pub url: String,
    /// A replica for reads that may be late; empty: none.
    pub replica_url: String,
    /// How late such a read may be, at the most.
    pub replica_lag_max: Duration,
    /// Connections for everything but sends.
    pub pool: usize,
    /// Connections that append sends, each one batch at a time.
    pub lanes: usize,
    /// Sends that may wait for a lane.
    pub queue: usize,
    /// How long a caller waits for a place in a queue, or for a connection.
    pub queue_wait: Duration,
    /// Sends in one commit.
    pub batch_max: usize,
    /// Whether a commit waits for the disk.
    pub fsync: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            replica_url: String::new(),
            replica_lag_max: Duration::from_secs(1),
            pool: 8,
            lanes: 2,
            queue: 4096,
            queue_wait: Duration::from_secs(5),
            batch_max: 256,
            fsync: true,
        }
    }
}

/// The store on PostgreSQL.
pub struct PostgresStore {
    core: Arc<Core>,
    lanes: append::Lanes,
}

/// Runs a write to its end, also when nobody waits for it any more.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = std::result::Result<T, fail::Fail>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(done) => done.map_err(Error::from),
        Err(error) => Err(Error::internal(error)),
    }
}

/// Refuses a database that is being filled from another store: half of what was said is not there yet.
async fn refuse_unfinished(pool: &deadpool_postgres::Pool) -> Result<()> {
    let away = |error| Error::internal(format!("the database cannot be reached: {error}"));
    let conn = conn::Conn::new(pool.get().await.map_err(away)?);
    let is = async |sql| -> std::result::Result<bool, fail::Fail> { Ok(conn.one(sql, &[]).await?.try_get(0)?) };
    if is(transfer::IS_THERE).await? && is(transfer::IS_UNFINISHED).await? {
        return Err(Error::internal(transfer::UNFINISHED));
    }
    Ok(())
}

impl PostgresStore {
    /// Opens the store, making or upgrading its schema as needed. Several nodes may do so at once.
    ///
    /// # Errors
    /// `Internal` with a sentence for the operator: no such server, a schema that is newer than this binary's and does
    /// not work with it, half migrated, or the target of a transfer that is not finished.
    pub async fn open(options: &PostgresOptions, listener: Arc<dyn Listener>, now: Timestamp) -> Result<Self> {
        let pool = pool::make(&options.url, options)?;
        refuse_unfinished(&pool).await?;
        migrate_schema(&pool, now).await?;
        let vectors = vectors::Vectors::prepare(&pool).await;
        let replica = replica::Replica::start(options)?;
        let core = Arc::new(Core::new(pool, replica, listener, vectors));
        if core.vectors.is_there {
            tokio::spawn(vectors::fill(Arc::downgrade(&core)));
        }
        let lanes = append::Lanes::start(&core, options);
        Ok(Self { core, lanes })
    }

    /// What its writes come to.
    pub fn writer_stats(&self) -> &Arc<WriterStats> {
        self.core.stats.queued.store(self.lanes.queued() as u64, std::sync::atomic::Ordering::Relaxed);
        &self.core.stats
    }

    /// How many reads were asked for so far.
    pub fn reads(&self) -> u64 {
        self.core.reads.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// How many callers wait for a connection.
    pub fn reads_queued(&self) -> usize {
        self.core.pool.status().waiting
    }

    /// Gives the connections back. Whoever asks the store afterwards is refused.
    pub fn close(&self) {
        self.core.pool.close();
    }
}
