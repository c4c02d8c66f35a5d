//! Connections to the database file: how each is set up, and the one that writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{DataDir, SqliteOptions, checkpoint, fail, moved, search};
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::store::migrate;

/// The one writing connection, on a store of this binary's schema, with the snapshot that was taken
/// if it had to be upgraded.
pub(super) fn to_write(
    dir: &DataDir,
    options: &SqliteOptions,
    now: Timestamp,
) -> Result<(Connection, Option<PathBuf>)> {
    moved::refuse(dir)?;
    let file = dir.database();
    let mut conn = raw(&file).map_err(fail::from_sql)?;
    // Before anything is set: what is refused is left as it is, down to its journal mode.
    let name = |error| Error::internal(format!("{}: {error}", file.display()));
    migrate::check(&conn, options.migrations).map_err(name)?;
    configure(&conn, options).map_err(fail::from_sql)?;
    let snapshot = migrate::migrate(&mut conn, options.migrations, &dir.snapshots(), now).map_err(Error::internal)?;
    if options.size_max > 0 {
        limit_size(&conn, options.size_max).map_err(fail::from_sql)?;
    }
    limit_log(&conn, options.wal_bytes.saturating_mul(checkpoint::KEPT)).map_err(fail::from_sql)?;
    Ok((conn, snapshot))
}

pub(super) fn connect(file: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let conn = raw(file)?;
    configure(&conn, options)?;
    Ok(conn)
}

fn raw(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    Ok(conn)
}

fn configure(conn: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(128);
    // Plans may not depend on bound values. Otherwise SQLite prepares a statement again, from its
    // text, whenever a value is bound that the planner would have liked to know: measured at 30 %
    // of the time of an append, for plans that never differ.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    search::install(conn)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", if options.fsync { "full" } else { "normal" })?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // The checkpointer does it, off the writer's thread.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    let kibibytes = i64::try_from(options.cache_bytes / 1024).unwrap_or(i64::MAX);
    conn.pragma_update(None, "cache_size", -kibibytes)
}

fn limit_size(conn: &Connection, bytes: u64) -> rusqlite::Result<()> {
    let page: u64 = conn.query_row("pragma page_size", [], |row| row.get(0))?;
    // SQLite answers with the limit in force, which is never below the pages already there.
    conn.pragma_update_and_check(None, "max_page_count", (bytes / page).max(1), |_| Ok(()))
}

/// Cuts the write-ahead log back when it begins anew after a burst.
fn limit_log(conn: &Connection, bytes: u64) -> rusqlite::Result<()> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    conn.pragma_update_and_check(None, "journal_size_limit", bytes, |_| Ok(()))
}
