//! `roost migrate`: a store moves from SQLite to PostgreSQL while it is in use, and nothing is lost on the way.

mod faults;
mod filled;
mod kills;
mod live;
mod moving;
mod reads;

use std::path::Path;
use std::sync::{Arc, Mutex};

use roost::error::Result;
use roost::store::postgres::PostgresOptions;
use roost::store::sqlite::{DataDir, SqliteOptions};
use roost::store::transfer::{self, Move, Moved};
use roost::store::{PostgresStore, SharedStore, SqliteStore};

use crate::support::postgres::{self, Database};
use crate::support::store::{Recorder, at};
use crate::support::temp::TempDir;

/// A store in a folder, and the database that it moves to.
struct Ground {
    folder: TempDir,
    dir: DataDir,
    target: Database,
}

/// What is told on the way is only looked at by those tests that are about it.
type Lines = Mutex<Vec<String>>;

impl Ground {
    /// `None`, and said so, when there is no PostgreSQL.
    async fn new() -> Option<Self> {
        if !postgres::is_there("moving a store to PostgreSQL") {
            return None;
        }
        let folder = TempDir::new();
        let dir = DataDir::prepare(folder.path()).unwrap();
        Some(Self { folder, dir, target: Database::empty().await })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn open(&self) -> Arc<SqliteStore> {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Arc<SqliteStore>> {
        let options = SqliteOptions { fsync: false, ..SqliteOptions::default() };
        SqliteStore::open(&self.dir, &options, Arc::new(Recorder::default()), at(0)).map(Arc::new)
    }

    fn plan(&self) -> Move {
        Move {
            from: self.path().to_owned(),
            to: self.target.url.clone(),
            wait: false,
            check_all: false,
            // Small pieces: every table is moved in many.
            rows: 7,
            now: at(0),
        }
    }

    async fn run(&self) -> Result<Moved> {
        transfer::run(&self.plan(), &|_| {}).await
    }

    async fn try_target(&self) -> Result<Arc<PostgresStore>> {
        let options = PostgresOptions { url: self.target.url.clone(), fsync: false, ..PostgresOptions::default() };
        PostgresStore::open(&options, Arc::new(Recorder::default()), at(0)).await.map(Arc::new)
    }

    async fn target(&self) -> SharedStore {
        self.try_target().await.unwrap()
    }

    /// The target's database, behind everybody's back.
    async fn sql(&self, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.target.url, tokio_postgres::NoTls).await.unwrap();
        let driving = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        driving.await.unwrap().unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        let (client, connection) = tokio_postgres::connect(&self.target.url, tokio_postgres::NoTls).await.unwrap();
        let driving = tokio::spawn(connection);
        let number = client.query_one(sql, &[]).await.unwrap().get(0);
        drop(client);
        driving.await.unwrap().unwrap();
        number
    }
}

fn close(store: Arc<SqliteStore>) {
    Arc::into_inner(store).expect("nobody else holds it").close();
}

/// Fails with the first line that is not the same, and not with both stores.
fn assert_same(there: &[String], here: &[String]) {
    for (there, here) in there.iter().zip(here) {
        assert_eq!(there, here);
    }
    assert_eq!(there.len(), here.len());
}
