//! Bringing a store to this binary's schema: snapshot first, apply, refuse what is unknown or half
//! done.
//!
//! These few lines are ours because the promise is more than a runner gives: an upgrade can be
//! undone (the snapshot), a store of a newer binary is refused instead of read wrongly, and an
//! edited migration is noticed.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::domain::Timestamp;

/// Marks a SQLite file as Roost's (`RSTc`), in its header.
pub const APPLICATION_ID: i32 = 0x5253_5463;

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// 1, 2, 3, …
    pub version: u32,
    /// What it brings.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// Every migration of the embedded store.
pub const SQLITE: &[Migration] = &[
    Migration { version: 1, name: "log", sql: include_str!("../../migrations/sqlite/0001_log.sql") },
    Migration { version: 2, name: "tenants", sql: include_str!("../../migrations/sqlite/0002_tenants.sql") },
    Migration { version: 3, name: "letters", sql: include_str!("../../migrations/sqlite/0003_letters.sql") },
    Migration { version: 4, name: "attachments", sql: include_str!("../../migrations/sqlite/0004_attachments.sql") },
    Migration { version: 5, name: "keys", sql: include_str!("../../migrations/sqlite/0005_keys.sql") },
    Migration { version: 6, name: "webhooks", sql: include_str!("../../migrations/sqlite/0006_webhooks.sql") },
    Migration { version: 7, name: "presence", sql: include_str!("../../migrations/sqlite/0007_presence.sql") },
    Migration { version: 8, name: "nodes", sql: include_str!("../../migrations/sqlite/0008_nodes.sql") },
    Migration { version: 9, name: "runs", sql: include_str!("../../migrations/sqlite/0009_runs.sql") },
    Migration { version: 10, name: "knowledge", sql: include_str!("../../migrations/sqlite/0010_knowledge.sql") },
    Migration { version: 11, name: "budgets", sql: include_str!("../../migrations/sqlite/0011_budgets.sql") },
    Migration { version: 12, name: "going_on", sql: include_str!("../../migrations/sqlite/0012_going_on.sql") },
];

/// Why a store is not opened.
#[derive(Debug)]
pub enum MigrateError {
    /// The file is a database of something else.
    Foreign,
    /// The store was made by a newer binary.
    Newer {
        /// The store's version.
        found: u32,
        /// The newest that this binary knows.
        known: u32,
    },
    /// A migration was begun and not finished.
    HalfDone {
        /// Which.
        version: u32,
    },
    /// A migration was applied with another text than this binary's.
    Edited {
        /// Which.
        version: u32,
    },
    /// SQLite failed.
    Sql(rusqlite::Error),
    /// The snapshot could not be made.
    Snapshot(crate::error::Error),
}

impl std::fmt::Display for MigrateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Foreign => f.write_str("the file is a database, but not one of Roost's; point --data elsewhere"),
            Self::Newer { found, known } => write!(
                f,
                "the store has schema {found} and this binary knows {known}: start the newer Roost that made it, \
                 or restore the snapshot that it took before upgrading (see snapshots/ in the data folder)"
            ),
            Self::HalfDone { version } => write!(
                f,
                "migration {version} was begun and not finished: restore the snapshot that was taken before it \
                 (see snapshots/ in the data folder) with `roost restore`"
            ),
            Self::Edited { version } => {
                write!(f, "migration {version} was applied with another text than this binary's: not the same Roost")
            }
            Self::Sql(error) => write!(f, "the store cannot be opened: {error}"),
            Self::Snapshot(error) => write!(f, "the snapshot before the upgrade failed, nothing was changed: {error}"),
        }
    }
}

impl std::error::Error for MigrateError {}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Brings the store to the last of `migrations`. Returns the snapshot that was taken, if the store
/// held anything to lose.
///
/// # Errors
/// See [`MigrateError`]; the store is as it was before.
pub fn migrate(
    conn: &mut Connection,
    migrations: &[Migration],
    snapshots: &Path,
    now: Timestamp,
) -> Result<Option<PathBuf>, MigrateError> {
    let applied = check(conn, migrations)?;
    let pending: Vec<_> = migrations.iter().filter(|migration| migration.version > applied).collect();
    let Some(first) = pending.first() else { return Ok(None) };
    let snapshot = if applied > 0 {
        let name = format!("before-{:04}-{}.db", first.version, now.0);
        let path = snapshots.join(name);
        crate::store::sqlite::backup(conn, &path).map_err(MigrateError::Snapshot)?;
        Some(path)
    } else {
        None
    };
    if let Err(error) = apply(conn, &pending, now) {
        // Nothing was changed, so the snapshot is of no use, and a service manager that starts this
        // again and again would fill the disk with them.
        if let Some(path) = &snapshot {
            let _ = std::fs::remove_file(path);
        }
        return Err(error.into());
    }
    Ok(snapshot)
}

/// Looks at an existing store without changing it and returns the version it is at; 0 for an empty
/// file.
pub fn check(conn: &Connection, migrations: &[Migration]) -> Result<u32, MigrateError> {
    let tables: i64 = conn.query_row("select count(*) from sqlite_master", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(0);
    }
    let application: i32 = conn.query_row("pragma application_id", [], |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(MigrateError::Foreign);
    }
    let half_done =
        conn.query_row("select version from migrations where finished_at is null", [], |row| row.get(0)).optional()?;
    if let Some(version) = half_done {
        return Err(MigrateError::HalfDone { version });
    }
    let known = migrations.last().map_or(0, |migration| migration.version);
    let mut rows = conn.prepare("select version, checksum from migrations order by version")?;
    let applied =
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<(u32, [u8; 32])>, _>>()?;
    let found = applied.last().map_or(0, |(version, _)| *version);
    if found > known {
        return Err(MigrateError::Newer { found, known });
    }
    for (version, applied_checksum) in &applied {
        let same = migrations.iter().any(|own| own.version == *version && checksum(own) == *applied_checksum);
        if !same {
            return Err(MigrateError::Edited { version: *version });
        }
    }
    Ok(found)
}

/// The migrations with their records: SQLite changes its schema inside a transaction, so a crash
/// or an error leaves either all of them or none.
///
/// References are not enforced meanwhile, but checked as a whole before the commit: a table that is
/// made anew is dropped in between, and dropping it would take with it every row that refers to one
/// of its (SQLite's "Making Other Kinds Of Table Schema Changes").
fn apply(conn: &mut Connection, pending: &[&Migration], now: Timestamp) -> Result<(), rusqlite::Error> {
    let enforced: bool = conn.query_row("pragma foreign_keys", [], |row| row.get(0))?;
    conn.pragma_update(None, "foreign_keys", false)?;
    let applied = apply_unenforced(conn, pending, now);
    conn.pragma_update(None, "foreign_keys", enforced)?;
    applied
}

fn apply_unenforced(conn: &mut Connection, pending: &[&Migration], now: Timestamp) -> Result<(), rusqlite::Error> {
    let tx = conn.transaction()?;
    tx.execute_batch(
        "create table if not exists migrations (
             version     integer primary key,
             name        text not null,
             checksum    blob not null,
             started_at  integer not null,
             finished_at integer
         )",
    )?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    for migration in pending {
        tx.execute_batch(migration.sql)?;
        tx.execute(
            "insert into migrations (version, name, checksum, started_at, finished_at) values (?1, ?2, ?3, ?4, ?4)",
            params![migration.version, migration.name, checksum(migration), now.0],
        )?;
        tx.pragma_update(None, "user_version", migration.version)?;
    }
    let orphans: i64 = tx.query_row("select count(*) from pragma_foreign_key_check()", [], |row| row.get(0))?;
    if orphans > 0 {
        let broken = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY);
        let why = format!("{orphans} rows would refer to rows that are not there");
        return Err(rusqlite::Error::SqliteFailure(broken, Some(why)));
    }
    tx.commit()
}

fn checksum(migration: &Migration) -> [u8; 32] {
    Sha256::digest(migration.sql.as_bytes()).into()
}
