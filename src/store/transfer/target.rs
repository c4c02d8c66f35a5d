//! The side that it is moved to: one connection to the PostgreSQL server.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use deadpool_postgres::{Object, Pool};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::rows::{self, HEADER, Rows, TRAILER};
use super::source::{Part, compared};
use super::tables::Table;
use crate::error::{Error, Result};
use crate::store::postgres::{PostgresOptions, connections};

/// Bytes of a COPY that go out at once.
const SENT_BYTES: usize = 256 << 10;

/// Keys in one `delete`.
const DELETED_AT_ONCE: usize = 1000;

/// How long another may hold the target before this one gives up.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Marks the advisory lock of who moves a store there: "move" in ASCII.
const LOCK: i64 = 0x6D6F_7665;

/// A connection to the target. It ends with this: what it had begun is undone by the server then.
pub(super) struct Target {
    client: Object,
    pub pool: Pool,
}

impl Target {
    /// Connects, for one mover at a time.
    pub async fn connect(url: &str) -> Result<Self> {
        let pool = connections(url, &PostgresOptions { pool: 2, ..PostgresOptions::default() })?;
        let reached = pool.get().await;
        let client = reached.map_err(|error| Error::internal(format!("PostgreSQL cannot be reached: {error}")))?;
        let target = Self { client, pool };
        // Nobody else is there to be held up. The planner knows nothing of tables that have just been filled, and a
        // walk along a key is what every read here is.
        target
            .batch(
                "set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0; \
                 set enable_seqscan = off; set maintenance_work_mem = '256MB'",
            )
            .await?;
        target.lock().await?;
        Ok(target)
    }

    /// Waits a little: of a mover that was killed a moment ago the server learns a moment later.
    async fn lock(&self) -> Result<()> {
        let begun = Instant::now();
        while !self.one(&format!("select pg_try_advisory_lock({LOCK})")).await?.get::<_, bool>(0) {
            if begun.elapsed() >= LOCK_WAIT {
                return Err(Error::internal("another `roost migrate` is at work on that database"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Statements without values.
    pub async fn batch(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|error| say(&error))
    }

    /// Every row.
    pub async fn query(&self, sql: &str) -> Result<Vec<Row>> {
        self.client.query(sql, &[]).await.map_err(|error| say(&error))
    }

    /// The one row of an answer.
    pub async fn one(&self, sql: &str) -> Result<Row> {
        self.client.query_one(sql, &[]).await.map_err(|error| say(&error))
    }

    /// A statement with values.
    pub async fn execute(&self, sql: &str, values: &[&(dyn tokio_postgres::types::ToSql + Sync)]) -> Result<u64> {
        self.client.execute(sql, values).await.map_err(|error| say(&error))
    }

    /// A number.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        self.one(sql).await?.try_get(0).map_err(|error| say(&error))
    }

    /// Gives the rows of a table's part behind `after`, up to `through`, to `each`, in order.
    pub async fn each(&self, ask: &Held<'_>, mut each: impl FnMut(&[u8])) -> Result<()> {
        let stream = self.client.copy_out(&ask.sql()).await.map_err(|error| say(&error))?;
        let mut stream = std::pin::pin!(stream);
        let (mut held, mut is_begun) = (BytesMut::new(), false);
        while let Some(bytes) = stream.next().await {
            held.extend_from_slice(&bytes.map_err(|error| say(&error))?);
            if !is_begun && held.len() >= HEADER.len() {
                drop(held.split_to(HEADER.len()));
                is_begun = true;
            }
            while is_begun
                && !held.starts_with(TRAILER)
                && let Some(length) = rows::whole(&held)
            {
                each(&held.split_to(length));
            }
        }
        Ok(())
    }

    /// The same rows together.
    pub async fn rows(&self, ask: &Held<'_>) -> Result<Rows> {
        let mut rows = Rows::default();
        self.each(ask, |row| rows.push(row, ask.table)).await?;
        Ok(rows)
    }

    /// Adds rows by COPY.
    pub async fn insert(&self, table: &Table, rows: impl Iterator<Item = &[u8]>) -> Result<Written> {
        let sql = format!("copy {} ({}) from stdin (format binary)", table.name, table.names());
        let sink = self.client.copy_in::<_, Bytes>(&sql).await.map_err(|error| say(&error))?;
        let mut sink = std::pin::pin!(sink);
        let mut bytes = BytesMut::from(HEADER);
        for row in rows {
            bytes.extend_from_slice(row);
            if bytes.len() >= SENT_BYTES
                && let Err(error) = sink.send(bytes.split().freeze()).await
            {
                return outcome(Err(error));
            }
        }
        bytes.extend_from_slice(TRAILER);
        if let Err(error) = sink.send(bytes.freeze()).await {
            return outcome(Err(error));
        }
        outcome(sink.finish().await)
    }

    /// Removes rows by their keys.
    pub async fn delete(&self, table: &Table, keys: &[&[u8]]) -> Result<()> {
        let columns: Vec<_> = table.columns[..table.key].iter().map(|column| column.name).collect();
        for keys in keys.chunks(DELETED_AT_ONCE) {
            let keys: Vec<_> = keys.iter().map(|key| rows::literal(key, table)).collect();
            let sql = format!("delete from {} where ({}) in ({})", table.name, columns.join(", "), keys.join(", "));
            self.batch(&sql).await?;
        }
        Ok(())
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &str) -> Result<i64> {
        self.number(&format!("select count(*) from {table}")).await
    }
}

/// What became of rows that were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// A unique index holds a row that is no longer the source's.
    InTheWay,
}

fn outcome(sent: std::result::Result<u64, tokio_postgres::Error>) -> Result<Written> {
    match sent {
        Ok(_) => Ok(Written::Done),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(Written::InTheWay),
        Err(error) => Err(say(&error)),
    }
}

/// Which rows are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub table: &'a Table,
    pub part: &'a Part,
    pub after: &'a [i64],
    pub through: Option<&'a [i64]>,
}

impl<'a> Held<'a> {
    /// All of a part.
    pub fn all(table: &'a Table, part: &'a Part) -> Self {
        Self { table, part, after: &[], through: None }
    }

    /// `COPY` takes no values: everything is a number that was read, or a name of ours.
    fn sql(&self) -> String {
        let columns: Vec<_> = self.table.columns.iter().map(|column| column.name.to_owned()).collect();
        let through = self.through.map_or_else(|| "true".to_owned(), |end| compared(&columns, "<=", end));
        format!(
            "copy (select {} from {} where {} and {} and {} order by {}) to stdout (format binary)",
            self.table.names(),
            self.table.name,
            self.part.condition(&columns[0]),
            compared(&columns, ">", self.after),
            through,
            self.table.target_order().join(", ")
        )
    }
}

/// What PostgreSQL says, without the rows that its details may show.
fn say(error: &tokio_postgres::Error) -> Error {
    let said = error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
    Error::internal(format!("PostgreSQL: {said}"))
}
