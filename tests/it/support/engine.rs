//! What the suite's servers store into: SQLite in their folder, or PostgreSQL and Redis (`SUITE_STORE=postgres`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use roost::config::Config;

use super::postgres::{self, Database};
use super::redis;

/// The engine under one test's server; it goes with the test.
pub struct Engine(Option<Cluster>);

struct Cluster {
    database: Database,
    prefix: String,
}

impl Engine {
    /// The one that this run of the suite is about.
    pub async fn new() -> Self {
        if !postgres::is_chosen() {
            return Self(None);
        }
        Self(Some(Cluster { database: Database::new().await, prefix: redis::prefix() }))
    }

    /// Puts it into a configuration.
    pub fn configure(&self, config: &mut Config) {
        if let Some(Cluster { database, prefix }) = &self.0 {
            config.store.url.clone_from(&database.url);
            config.redis.url = redis::url();
            config.redis.prefix.clone_from(prefix);
        }
    }

    /// The same for a process.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let Some(Cluster { database, prefix }) = &self.0 else { return Vec::new() };
        vec![
            ("ROOST_STORE_URL", database.url.clone()),
            ("ROOST_REDIS_URL", redis::url()),
            ("ROOST_REDIS_PREFIX", prefix.clone()),
        ]
    }
}

/// What a process over that data folder stores into: every process over the same folder into the same. Not removed
/// before the test process ends, because nobody knows which process over the folder is the last.
pub fn environment_of(data: &Path) -> Vec<(&'static str, String)> {
    static ENGINES: OnceLock<Mutex<HashMap<PathBuf, Engine>>> = OnceLock::new();
    if !postgres::is_chosen() {
        return Vec::new();
    }
    let engines = ENGINES.get_or_init(Mutex::default);
    let mut engines = engines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    engines.entry(data.to_owned()).or_insert_with(made_elsewhere).environment()
}

/// Whether a test is about the embedded engine, in this run that is about the other; says so.
pub fn is_other(suite: &str) -> bool {
    if postgres::is_chosen() {
        super::left_out(suite, "it is about SQLite; the run without SUITE_STORE has it");
    }
    postgres::is_chosen()
}

/// Makes one also where no async code can be waited for: a process is started by plain code.
fn made_elsewhere() -> Engine {
    let make = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(Engine::new())
    };
    std::thread::spawn(make).join().expect("a database")
}
