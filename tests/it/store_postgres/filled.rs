//! A server of these tests' own that tells how it carries statements out, and stores with many rows on it.

use std::sync::Arc;

use roost::domain::{ConversationId, Logged};
use roost::local::{LocalPostgres, PostgresPlan};
use roost::store::Listener;
use roost::store::postgres::{PostgresOptions, PostgresStore};

use super::explained::{self, Plan};
use crate::support::app::until;
use crate::support::store::at;

/// A server.
pub struct Server(LocalPostgres);

/// A store over a filled database of it.
pub struct Filled<'a> {
    pub store: PostgresStore,
    pub rows: i64,
    server: &'a Server,
    name: String,
}

struct Nobody;

impl Listener for Nobody {
    fn committed(&self, _: &[Logged]) {}

    fn removed(&self, _: ConversationId) {}
}

impl Server {
    pub fn start() -> Self {
        let settings = [
            ("shared_preload_libraries", "auto_explain"),
            ("auto_explain.log_analyze", "on"),
            ("auto_explain.log_timing", "off"),
            ("auto_explain.log_buffers", "on"),
            ("auto_explain.log_nested_statements", "on"),
            ("auto_explain.log_format", "json"),
            ("autovacuum", "off"),
            ("shared_buffers", "512MB"),
            ("maintenance_work_mem", "256MB"),
            ("max_wal_size", "8GB"),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let plan = PostgresPlan { fsync: false, connections_max: 20, settings, ..PostgresPlan::default() };
        Self(LocalPostgres::start(&plan).expect("PostgreSQL starts"))
    }

    /// A store of so many messages, about which the server knows nothing yet but how large its tables are.
    pub async fn fill(&self, rows: i64) -> Filled<'_> {
        let name = format!("rows_{rows}");
        self.0.create_database(&name, None).await.expect("a database");
        let filled = Filled { store: self.open(&name).await, rows, server: self, name };
        filled.run(&include_str!("fill.sql").replace(":rows", &rows.to_string())).await;
        filled
    }

    /// Opens a store whose connections tell all they do.
    async fn open(&self, name: &str) -> PostgresStore {
        let url = format!("{}&options=-c%20auto_explain.log_min_duration%3D0", self.0.url(name));
        let options = PostgresOptions { url, pool: 2, lanes: 1, ..PostgresOptions::default() };
        PostgresStore::open(&options, Arc::new(Nobody), at(0)).await.expect("a store")
    }
}

impl Filled<'_> {
    /// Runs statements on a connection that tells nothing.
    pub async fn run(&self, sql: &str) {
        let url = self.server.0.url(&self.name);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a connection");
        let driver = tokio::spawn(connection);
        client.batch_execute(sql).await.expect("the statements are right");
        drop(client);
        driver.await.expect("no panic").expect("a clean end");
    }

    /// Does what a server that has time does for itself, and forgets the plans that were made before.
    pub async fn analyze(&mut self) {
        self.run("vacuum analyze").await;
        self.store = self.server.open(&self.name).await;
    }

    /// The plans of what `work` does.
    pub async fn explain(&self, work: impl AsyncFnOnce(&PostgresStore)) -> Vec<Plan> {
        let before = self.server.0.log().len();
        work(&self.store).await;
        let mark = format!("end of {}", uuid::Uuid::new_v4());
        self.run(&format!("do $$ begin raise log '{mark}'; end $$")).await;
        until(|| self.server.0.log().contains(&mark)).await;
        explained::plans(&self.server.0.log()[before..])
    }
}
