//! The side that is moved: reads of a SQLite store, which a server may be writing to.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use tokio::sync::oneshot;

use super::rows::Rows;
use super::tables::Table;
use crate::error::{Error, Result};

/// Which rows of a table.
#[derive(Clone, Debug)]
pub(super) enum Part {
    All,
    /// Of those conversations.
    Of(Vec<i64>),
    /// Of the conversations after one, up to another.
    Between(i64, i64),
}

impl Part {
    /// As a condition on a column.
    pub fn condition(&self, column: &str) -> String {
        match self {
            Self::All => "true".to_owned(),
            Self::Of(ids) => {
                let ids: Vec<_> = ids.iter().map(i64::to_string).collect();
                format!("{column} in ({})", ids.join(", "))
            }
            Self::Between(after, through) => format!("{column} > {after} and {column} <= {through}"),
        }
    }
}

/// Rows of the source, and where they end.
#[derive(Debug)]
pub(super) struct Piece {
    pub rows: Rows,
    /// The place behind the last; `None` behind the last of all.
    pub end: Option<Vec<i64>>,
}

/// How much is read at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub rows: usize,
    pub bytes: usize,
}

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// A connection to the store, on a thread of its own.
pub(super) struct Source {
    jobs: mpsc::Sender<Job>,
    bounds: Bounds,
    replaced: Arc<AtomicU64>,
}

impl Source {
    /// Opens the database for reading. Blocks.
    pub fn open(file: &Path, bounds: Bounds) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(file, flags).map_err(|error| say(&error))?;
        conn.busy_timeout(Duration::from_secs(5)).map_err(|error| say(&error))?;
        conn.set_prepared_statement_cache_capacity(0);
        // A walk by conversation comes back to many pages of a store whose rows stand in insert order.
        conn.pragma_update(None, "cache_size", -(64 << 10)).map_err(|error| say(&error))?;
        let (jobs, work) = mpsc::channel::<Job>();
        let run = move || work.into_iter().for_each(|job| job(&conn));
        std::thread::Builder::new().name("move-source".to_owned()).spawn(run).map_err(Error::internal)?;
        Ok(Self { jobs, bounds, replaced: Arc::default() })
    }

    /// Characters so far that PostgreSQL's text cannot hold, read anew with every look at their row.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(&self, job: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job = move |conn: &Connection| drop(answer.send(job(conn)));
        self.jobs.send(Box::new(job)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// What is read until [`Source::release`] is the store as of one commit.
    pub async fn hold(&self) -> Result<()> {
        self.run(|conn| {
            // A read begins the snapshot, not the `begin`.
            let held = conn.execute_batch("begin; select count(*) from sequences");
            held.map_err(|error| say(&error))
        })
        .await
    }

    /// Lets the snapshot go: until then the server's log cannot be copied into its database.
    pub async fn release(&self) -> Result<()> {
        self.run(|conn| conn.execute_batch("commit").map_err(|error| say(&error))).await
    }

    /// The next rows behind a place: as many as the bounds allow, and at least one.
    pub async fn piece(&self, table: &'static Table, part: &Part, after: &[i64]) -> Result<Piece> {
        let (part, after, bounds) = (part.clone(), after.to_vec(), self.bounds);
        let replaced = Arc::clone(&self.replaced);
        self.run(move |conn| read(conn, &Ask { table, part: &part, after: &after, bounds }, &replaced)).await
    }

    /// A number.
    pub async fn number(&self, sql: String) -> Result<i64> {
        self.run(move |conn| conn.query_row(&sql, [], |row| row.get(0)).map_err(|error| say(&error))).await
    }

    /// Numbers by name.
    pub async fn named(&self, sql: &'static str) -> Result<Vec<(String, i64)>> {
        self.run(move |conn| {
            let mut statement = conn.prepare(sql).map_err(|error| say(&error))?;
            let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(|error| say(&error))?;
            found.collect::<rusqlite::Result<_>>().map_err(|error| say(&error))
        })
        .await
    }

    /// How many rows of a table there are to move.
    pub async fn count(&self, table: &'static Table) -> Result<i64> {
        self.number(format!("select count(*) from {}", table.source)).await
    }

    /// What tells this store from others: when its first schema was made, to the microsecond.
    pub async fn born(&self) -> Result<i64> {
        self.number("select started_at from migrations order by version limit 1".to_owned()).await
    }

    /// The greatest number of an event that was ever given out.
    pub async fn last_event(&self) -> Result<i64> {
        self.run(|conn| {
            let sql = "select value from sequences where name = 'event'";
            let found = conn.query_row(sql, [], |row| row.get(0)).optional().map_err(|error| say(&error))?;
            Ok(found.unwrap_or(0))
        })
        .await
    }
}

struct Ask<'a> {
    table: &'static Table,
    part: &'a Part,
    after: &'a [i64],
    bounds: Bounds,
}

/// A condition on the columns that a table is cut by: how they stand to a place; true when there is none.
pub(super) fn compared(columns: &[String], how: &str, place: &[i64]) -> String {
    if place.is_empty() {
        return "true".to_owned();
    }
    let values: Vec<_> = place.iter().map(i64::to_string).collect();
    format!("({}) {how} ({})", columns[..place.len()].join(", "), values.join(", "))
}

/// What stands behind a place, as conditions whose rows come one after the other. Two of them, because SQLite finds only
/// the first column of a pair by its index: in a long conversation every piece would begin with a walk from its start.
fn behind(order: &[String], after: &[i64]) -> Vec<String> {
    match after {
        [first, second] => {
            vec![format!("{} = {first} and {} > {second}", order[0], order[1]), format!("{} > {first}", order[0])]
        }
        _ => vec![compared(order, ">", after)],
    }
}

fn read(conn: &Connection, ask: &Ask<'_>, replaced: &AtomicU64) -> Result<Piece> {
    let order = ask.table.source_order();
    let mut rows = Rows::default();
    for condition in behind(&order, ask.after) {
        let sql = format!(
            "select {} from {} where {} and {condition} order by {}",
            ask.table.sources(),
            ask.table.source,
            ask.part.condition(&order[0]),
            order.join(", ")
        );
        if let Some(end) = add(conn, &sql, ask, &mut rows, replaced)? {
            return Ok(Piece { rows, end: Some(end) });
        }
    }
    Ok(Piece { rows, end: None })
}

/// Adds the rows of a statement, and says where they end when there was no room for all.
fn add(conn: &Connection, sql: &str, ask: &Ask<'_>, rows: &mut Rows, replaced: &AtomicU64) -> Result<Option<Vec<i64>>> {
    let table = ask.table;
    let mut statement = conn.prepare(sql).map_err(|error| say(&error))?;
    let mut found = statement.query([]).map_err(|error| say(&error))?;
    while let Some(row) = found.next().map_err(|error| say(&error))? {
        let is_full = rows.len() >= ask.bounds.rows || rows.bytes().len() >= ask.bounds.bytes;
        replaced.fetch_add(rows.push_sqlite(row, table)?, Ordering::Relaxed);
        if let Some(last) = rows.len().checked_sub(2).filter(|_| is_full && table.cut > 0) {
            let end = rows.cut(last, table);
            if end != rows.cut(last + 1, table) {
                rows.pop();
                return Ok(Some(end));
            }
        }
    }
    Ok(None)
}

fn say(error: &rusqlite::Error) -> Error {
    Error::internal(format!("the store cannot be read: {error}"))
}

fn gone() -> Error {
    Error::internal("the thread that reads the store is gone")
}
