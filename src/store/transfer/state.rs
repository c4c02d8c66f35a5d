//! How far a transfer has come, kept in the target: beside the rows, in the transactions that write them.

use super::source::Source;
use super::tables::{self, OTHERS, Table};
use super::target::Target;
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::store::postgres::migrate_schema;

/// What a server says that finds an unfinished transfer in its database.
pub(in crate::store) const UNFINISHED: &str = "this database is the target of a transfer that is not finished: finish \
     it with `roost migrate`, or drop the database";

/// Answers whether that is so; for a server that starts, before it changes anything.
pub(in crate::store) const IS_THERE: &str = "select to_regclass('transfer') is not null";
pub(in crate::store) const IS_UNFINISHED: &str = "select exists (select 1 from transfer where finished_at is null)";

const CREATE: &str = "\
     create table transfer (source bigint primary key, begun_at bigint not null, finished_at bigint); \
     create table transfer_progress (name text primary key, place bigint[] not null, rows bigint not null, \
         is_done boolean not null); \
     create table transfer_references (table_name text not null, name text not null, definition text not null, \
         primary key (table_name, name)); ";

/// References are set aside while rows come in pieces, table by table, and put back, which checks them all, before the
/// store is used. They would forbid a piece whose rows refer to another's, and take rows along that are only written
/// anew.
const SET_ASIDE: &str = "\
     insert into transfer_references \
         select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint \
         where contype = 'f' and connamespace = current_schema()::regnamespace; \
     do $$ declare r record; begin \
         for r in select * from transfer_references loop \
             execute format('alter table %s drop constraint %I', r.table_name, r.name); \
         end loop; \
     end $$; ";

const PUT_BACK: &str = "\
     do $$ declare r record; begin \
         for r in select * from transfer_references order by table_name, name loop \
             execute format('alter table %s add constraint %I %s', r.table_name, r.name, r.definition); \
         end loop; \
     end $$; \
     drop table transfer_references; drop table transfer_progress; \
     update transfer set finished_at = (extract(epoch from clock_timestamp()) * 1000000)::bigint; ";

/// What was found in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An empty database, which is this transfer's from now on, or one that this transfer was begun in.
    Unfinished,
    /// This store, whole.
    Finished,
}

/// Takes the database for this source, or goes on where an earlier run stopped.
///
/// # Errors
/// `Internal` with a sentence for the operator when it holds anything else.
pub(super) async fn begin(source: &Source, target: &Target, now: Timestamp) -> Result<Found> {
    let born = source.born().await?;
    if !target.one(IS_THERE).await?.get::<_, bool>(0) {
        take(target, born, now).await?;
        return Ok(Found::Unfinished);
    }
    let rows = target.query("select source, finished_at is not null from transfer").await?;
    let state = rows.first().map(|row| (row.get::<_, i64>(0), row.get::<_, bool>(1)));
    match state {
        Some((of, is_finished)) if of == born => Ok(if is_finished { Found::Finished } else { Found::Unfinished }),
        _ => Err(Error::internal("the target holds another store: name an empty database")),
    }
}

async fn take(target: &Target, born: i64, now: Timestamp) -> Result<()> {
    let has_schema = target.one("select to_regclass('migrations') is not null").await?.get::<_, bool>(0);
    if has_schema {
        refuse_rows(target).await?;
    }
    migrate_schema(&target.pool, now).await?;
    refuse_unknown(target).await?;
    target.batch("begin; lock table secrets, users, conversations, nodes in exclusive mode").await?;
    refuse_rows(target).await?;
    target.batch(&format!("{CREATE} {SET_ASIDE}")).await?;
    let begun = "insert into transfer (source, begun_at) values ($1, $2)";
    target.execute(begun, &[&born, &now.0]).await?;
    target.batch("commit").await
}

/// A store that is in use holds a secret or a node at least.
async fn refuse_rows(target: &Target) -> Result<()> {
    let tables = tables::all().map(|table| table.name).chain(["nodes"]);
    let any: Vec<_> = tables.map(|name| format!("exists (select 1 from {name})")).collect();
    if target.one(&format!("select {}", any.join(" or "))).await?.get::<_, bool>(0) {
        return Err(Error::internal("the target holds a store already: name an empty database"));
    }
    Ok(())
}

/// A column or a table that nobody told the transfer of would be lost.
async fn refuse_unknown(target: &Target) -> Result<()> {
    let sql = "select table_name::text, column_name::text from information_schema.columns \
               where table_schema = current_schema() and is_generated = 'NEVER' order by table_name, ordinal_position";
    for row in target.query(sql).await? {
        let (name, column): (String, String) = (row.get(0), row.get(1));
        let table = tables::all().find(|table| table.name == name);
        let is_known = table.is_some_and(|table| table.columns.iter().any(|known| known.name == column));
        if !is_known && !OTHERS.contains(&name.as_str()) {
            return Err(Error::internal(format!("this Roost does not know how to move {name}.{column}")));
        }
    }
    Ok(())
}

/// How far a table was copied.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub place: Vec<i64>,
    pub rows: i64,
    pub is_done: bool,
}

/// What is noted under a name; from the beginning when nothing is.
pub(super) async fn progress(target: &Target, name: &str) -> Result<Progress> {
    let rows =
        target.query(&format!("select place, rows, is_done from transfer_progress where name = '{name}'")).await?;
    let progress = |row: &tokio_postgres::Row| Progress { place: row.get(0), rows: row.get(1), is_done: row.get(2) };
    Ok(rows.first().map(progress).unwrap_or_default())
}

/// Notes it; in the transaction that is open.
pub(super) async fn note(target: &Target, name: &str, progress: &Progress) -> Result<()> {
    let sql = "insert into transfer_progress (name, place, rows, is_done) values ($1, $2, $3, $4) \
               on conflict (name) do update set place = excluded.place, rows = excluded.rows, is_done = excluded.is_done";
    target.execute(sql, &[&name, &progress.place, &progress.rows, &progress.is_done]).await?;
    Ok(())
}

/// Whether a table was copied to its end.
pub(super) async fn is_copied(target: &Target, table: &Table) -> Result<bool> {
    Ok(progress(target, table.name).await?.is_done)
}

/// Puts the references back and marks the store as whole; in the transaction that is open.
pub(super) async fn finish(target: &Target) -> Result<()> {
    target.batch(PUT_BACK).await
}
