//! Bringing the schema to this binary's, while other nodes may run.
//!
//! One node migrates at a time, under an advisory lock; PostgreSQL changes a schema inside a transaction, so a step is
//! there whole or not at all. Steps expand first and contract a release later: each says the oldest schema that a
//! binary may know to work with it, so that nodes of two versions run side by side during an upgrade, and an older one
//! is refused only once it would read wrongly.

use deadpool_postgres::Pool;
use sha2::{Digest, Sha256};

use super::conn::Conn;
use super::fail::Fail;
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::store::migrate::Migration;

/// Every migration of the store on PostgreSQL, each with the oldest schema whose binaries work with it.
pub const POSTGRES: &[(Migration, u32)] = &[
    (step(1, "log", include_str!("../../../migrations/postgres/0001_log.sql")), 8),
    (step(2, "tenants", include_str!("../../../migrations/postgres/0002_tenants.sql")), 8),
    (step(3, "letters", include_str!("../../../migrations/postgres/0003_letters.sql")), 8),
    (step(4, "attachments", include_str!("../../../migrations/postgres/0004_attachments.sql")), 8),
    (step(5, "keys", include_str!("../../../migrations/postgres/0005_keys.sql")), 8),
    (step(6, "webhooks", include_str!("../../../migrations/postgres/0006_webhooks.sql")), 8),
    (step(7, "presence", include_str!("../../../migrations/postgres/0007_presence.sql")), 8),
    (step(8, "nodes", include_str!("../../../migrations/postgres/0008_nodes.sql")), 8),
    (step(9, "runs", include_str!("../../../migrations/postgres/0009_runs.sql")), 9),
    (step(10, "knowledge", include_str!("../../../migrations/postgres/0010_knowledge.sql")), 9),
    (step(11, "budgets", include_str!("../../../migrations/postgres/0011_budgets.sql")), 9),
    (step(12, "going_on", include_str!("../../../migrations/postgres/0012_going_on.sql")), 9),
];

/// Marks the advisory lock under which the schema is changed: "Roost" in ASCII.
const LOCK: i64 = 0x52_6F6F_7374;

const fn step(version: u32, name: &'static str, sql: &'static str) -> Migration {
    Migration { version, name, sql }
}

/// Brings the schema to this binary's.
///
/// # Errors
/// `Internal` with a sentence for the operator; the schema is as it was before.
pub(in crate::store) async fn migrate_schema(pool: &Pool, now: Timestamp) -> Result<()> {
    migrate(pool, POSTGRES, now).await
}

/// Brings the schema to the last of `migrations`.
///
/// # Errors
/// `Internal` with a sentence for the operator; the schema is as it was before.
pub(super) async fn migrate(pool: &Pool, migrations: &[(Migration, u32)], now: Timestamp) -> Result<()> {
    let name = |error: Error| Error::internal(format!("the database cannot be opened: {error}"));
    let client =
        pool.get().await.map_err(|error| Error::internal(format!("the database cannot be reached: {error}")))?;
    let conn = Conn::new(client);
    // Waits as long as it takes: another node is at it.
    let set = "set lock_timeout = 0; set statement_timeout = 0";
    conn.batch(&format!("{set}; select pg_advisory_lock({LOCK})")).await.map_err(|fail| name(fail.into()))?;
    let done = apply(&conn, migrations, now).await;
    let reset = "set lock_timeout = '10s'; set statement_timeout = '30s'";
    let freed = conn.batch(&format!("select pg_advisory_unlock({LOCK}); {reset}")).await;
    done?;
    freed.map_err(|fail| name(fail.into()))
}

async fn apply(conn: &Conn, migrations: &[(Migration, u32)], now: Timestamp) -> Result<()> {
    conn.batch(
        "create table if not exists migrations (
             version     bigint primary key,
             name        text not null,
             checksum    bytea not null,
             works_with  bigint not null,
             finished_at bigint not null
         )",
    )
    .await?;
    let applied = check(conn, migrations).await?;
    for (migration, works_with) in migrations.iter().filter(|(migration, _)| migration.version > applied) {
        let (version, name, works_with) = (i64::from(migration.version), migration.name, i64::from(*works_with));
        let begun = format!("begin; {}", migration.sql);
        let mut done = conn.batch(&begun).await;
        if done.is_ok() {
            done = conn
                .execute(
                    "insert into migrations (version, name, checksum, works_with, finished_at) \
                     values ($1, $2, $3, $4, $5)",
                    &[&version, &name, &checksum(migration).as_slice(), &works_with, &now.0],
                )
                .await
                .map(|_| ());
        }
        match done {
            Ok(()) => conn.batch("commit").await?,
            Err(fail) => {
                conn.batch("rollback").await?;
                let error = Error::from(fail);
                return Err(Error::internal(format!(
                    "migration {version} ({name}) failed, nothing was changed: {error}"
                )));
            }
        }
        tracing::info!(version, name, "the database's schema was brought forward");
    }
    Ok(())
}

/// The newest version that is applied, unless this binary must not touch the store.
async fn check(conn: &Conn, migrations: &[(Migration, u32)]) -> Result<u32> {
    let known = migrations.last().map_or(0, |(migration, _)| migration.version);
    let sql = "select version, checksum, works_with from migrations order by version";
    let mut found = 0;
    for row in conn.rows(sql, &[]).await? {
        let read = || -> std::result::Result<(i64, Vec<u8>, i64), Fail> {
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
        };
        let (version, applied, works_with) = read()?;
        let own = migrations.iter().find(|(migration, _)| i64::from(migration.version) == version);
        match own {
            Some((migration, _)) if checksum(migration).as_slice() == applied => {}
            Some(_) => {
                return Err(Error::internal(format!(
                    "migration {version} was applied with another text than this binary's: not the same Roost"
                )));
            }
            None if works_with <= i64::from(known) => {}
            None => {
                return Err(Error::internal(format!(
                    "the database has schema {version} and this binary knows {known}: start the newer Roost"
                )));
            }
        }
        found = u32::try_from(version).map_err(Error::internal)?;
    }
    Ok(found)
}

fn checksum(migration: &Migration) -> [u8; 32] {
    Sha256::digest(migration.sql.as_bytes()).into()
}
