//! The first walk: everything that is there, piece by piece, while a server may go on writing. What changes behind the
//! walk is found afterwards.

use futures_util::future;

use super::Told;
use super::pace::Pace;
use super::rows::Rows;
use super::source::{Part, Piece, Source};
use super::state::{self, Progress};
use super::tables::{self, Table};
use super::target::{Target, Written};
use crate::error::{Error, Result};

/// Copies what was not copied yet.
pub(super) async fn all(source: &Source, target: &Target, tell: Told<'_>) -> Result<()> {
    let mut is_new = false;
    for table in tables::all() {
        if !state::is_copied(target, table).await? {
            copy(source, target, table, tell).await?;
            is_new = true;
        }
    }
    if is_new {
        // The first readers would do it else, row by row.
        tell("the target is vacuumed and analysed".to_owned());
        target.batch("vacuum (analyze)").await?;
    }
    Ok(())
}

/// The next piece is read while one is written.
async fn copy(source: &Source, target: &Target, table: &'static Table, tell: Told<'_>) -> Result<()> {
    let mut progress = state::progress(target, table.name).await?;
    let mut pace = Pace::new(tell);
    let mut piece = source.piece(table, &Part::All, &progress.place).await?;
    loop {
        let rows = i64::try_from(piece.rows.len()).map_err(Error::internal)?;
        let Piece { rows: held, end } = piece;
        progress =
            Progress { place: end.clone().unwrap_or_default(), rows: progress.rows + rows, is_done: end.is_none() };
        let writing = write(target, table, &held, &progress);
        let Some(end) = end else {
            writing.await?;
            pace.end(table.name, rows, progress.rows);
            return Ok(());
        };
        let reading = source.piece(table, &Part::All, &end);
        ((), piece) = future::try_join(writing, reading).await?;
        pace.step(table.name, rows, progress.rows);
    }
}

/// Writes a piece and how far the table has come by it, in one transaction: whoever kills this finds both or neither.
async fn write(target: &Target, table: &Table, rows: &Rows, progress: &Progress) -> Result<()> {
    target.batch("begin").await?;
    let all = (0..rows.len()).map(|n| rows.row(n));
    if target.insert(table, all).await? == Written::InTheWay {
        return Err(Error::internal(format!("{}: a row is there already that nobody copied", table.name)));
    }
    if table.name == "conversations" {
        let ids: Vec<_> = (0..rows.len()).map(|n| super::rows::numbers(rows.row(n), 1)[0]).collect();
        add_keys(target, &ids).await?;
    }
    state::note(target, table.name, progress).await?;
    target.batch("commit").await
}

/// The keys of conversations, by which they are found. A key that another had before is this one's now: what the
/// other is called today comes, or has come, with its own row.
pub(super) async fn add_keys(target: &Target, ids: &[i64]) -> Result<()> {
    let sql = "insert into conversation_keys (kind, key, conversation_id) \
               select kind, key, id from conversations where id = any ($1) \
               on conflict (kind, key) do update set conversation_id = excluded.conversation_id";
    target.execute(sql, &[&ids]).await?;
    Ok(())
}

/// Takes the keys of conversations away, as far as they are still theirs.
pub(super) async fn remove_keys(target: &Target, ids: &[i64]) -> Result<()> {
    let sql = "delete from conversation_keys k using conversations c \
               where c.id = any ($1) and k.kind = c.kind and k.key = c.key and k.conversation_id = c.id";
    target.execute(sql, &[&ids]).await?;
    Ok(())
}
