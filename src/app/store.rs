//! The store that the configuration names, and what hears of its commits.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::cluster::{Relay, RelayRules};
use crate::config::{Config, Durability};
use crate::domain::{ConversationId, Logged};
use crate::error::Result;
use crate::realtime::Realtime;
use crate::realtime::bus::Bus;
use crate::store::postgres::PostgresOptions;
use crate::store::sqlite::{DataDir, SqliteOptions};
use crate::store::{Listener, PostgresStore, SharedStore, SqliteStore, WriterStats};

/// An open store of either engine.
#[derive(Clone)]
pub enum Opened {
    /// A file that this server has for itself.
    Embedded(Arc<SqliteStore>),
    /// A database that nodes share, with the relay between them.
    Shared(Arc<PostgresStore>, Arc<Relay>),
}

impl Opened {
    /// The contract.
    pub fn store(&self) -> SharedStore {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Shared(store, _) => store.clone(),
        }
    }

    /// The relay to the other nodes.
    pub(super) fn relay(&self) -> Option<&Arc<Relay>> {
        match self {
            Self::Embedded(_) => None,
            Self::Shared(_, relay) => Some(relay),
        }
    }

    /// What its writes come to.
    pub fn writer_stats(&self) -> &Arc<WriterStats> {
        match self {
            Self::Embedded(store) => store.writer_stats(),
            Self::Shared(store, _) => store.writer_stats(),
        }
    }

    /// How many reads were asked for so far.
    pub fn reads(&self) -> u64 {
        match self {
            Self::Embedded(store) => store.reads(),
            Self::Shared(store, _) => store.reads(),
        }
    }

    /// How many reads wait.
    pub fn reads_queued(&self) -> usize {
        match self {
            Self::Embedded(store) => store.reads_queued(),
            Self::Shared(store, _) => store.reads_queued(),
        }
    }

    /// Closes the store. An embedded one copies its log into the database, so that what an operator then finds is one
    /// file; when somebody still holds it, its next start does that.
    pub async fn close(self) {
        match self {
            Self::Shared(store, _) => store.close(),
            Self::Embedded(store) => match Arc::into_inner(store) {
                Some(store) => {
                    let _ = tokio::task::spawn_blocking(|| store.close()).await;
                }
                None => tracing::debug!("the store is still in use and is left as after a crash"),
            },
        }
    }
}

/// What hears of commits where nobody else writes.
struct Announcer(Realtime);

impl Listener for Announcer {
    fn committed(&self, events: &[Logged]) {
        self.0.announce(events);
    }

    fn removed(&self, conversation: ConversationId) {
        self.0.remove(conversation);
    }
}

/// Opens the store. Blocks while an embedded one is opened.
///
/// # Errors
/// `Internal` with a sentence for the operator.
pub(super) async fn open(
    config: &Config,
    clock: &Clock,
    realtime: &Realtime,
    bus: Option<Arc<dyn Bus>>,
) -> Result<Opened> {
    if is_shared(config) {
        let relay = Relay::new(clock.uuid(), realtime.clone(), bus, relay_rules(config));
        let listener: Arc<dyn Listener> = relay.clone();
        let store = PostgresStore::open(&postgres_options(config), listener, clock.now()).await?;
        return Ok(Opened::Shared(Arc::new(store), relay));
    }
    let dir = DataDir::prepare(&config.data)?;
    let announcer = Arc::new(Announcer(realtime.clone()));
    let store = SqliteStore::open(&dir, &sqlite_options(config), announcer, clock.now())?;
    if let Some(snapshot) = store.snapshot() {
        tracing::info!(snapshot = %snapshot.display(), "the store was upgraded; this is how it was before");
    }
    Ok(Opened::Embedded(Arc::new(store)))
}

/// Whether nodes share the store.
pub fn is_shared(config: &Config) -> bool {
    !config.store.url.is_empty()
}

pub(super) fn sqlite_options(config: &Config) -> SqliteOptions {
    const MIB: u64 = 1 << 20;
    let store = &config.store;
    warn_of_looseness(config);
    SqliteOptions {
        fsync: store.durability == Durability::Full,
        readers: store.readers,
        queue: store.queue,
        queue_wait: Duration::from_millis(store.queue_wait_ms),
        batch_max: store.batch_max,
        cache_bytes: store.cache_mib * MIB,
        size_max: store.size_mib_max * MIB,
        wal_bytes: store.wal_mib * MIB,
        ..SqliteOptions::default()
    }
}

fn postgres_options(config: &Config) -> PostgresOptions {
    let store = &config.store;
    warn_of_looseness(config);
    PostgresOptions {
        url: store.url.clone(),
        replica_url: store.replica_url.clone(),
        replica_lag_max: Duration::from_millis(store.replica_lag_max_ms),
        pool: store.pool,
        lanes: store.lanes,
        queue: store.queue,
        queue_wait: Duration::from_millis(store.queue_wait_ms),
        batch_max: store.batch_max,
        fsync: store.durability == Durability::Full,
    }
}

fn relay_rules(config: &Config) -> RelayRules {
    RelayRules {
        leave_after: Duration::from_secs(config.cluster.leave_after_s),
        polls_per_second: config.cluster.polls_per_second,
    }
}

fn warn_of_looseness(config: &Config) {
    if config.store.durability == Durability::Relaxed {
        tracing::warn!("store.durability is relaxed: a power loss may take messages that were acknowledged");
    }
}
