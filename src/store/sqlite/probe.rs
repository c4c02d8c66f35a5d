//! Whether the store can be written, found out by writing.

use rusqlite::OptionalExtension;

use super::fail::Fail;
use super::writer::Tx;

/// Writes about what a message's commit writes, into pages that have to be found first. Nothing less
/// proves anything: SQLite leaves out a row that stays as it is, and a row that is overwritten needs
/// no room, so both go well on a disk that is full. Two rows therefore take turns.
pub(super) fn write(tx: &mut Tx<'_>) -> Result<(), Fail> {
    const ROWS: [&str; 2] = ["probe-a", "probe-b"];
    let held: Option<String> = tx
        .conn
        .prepare_cached("select name from secrets where name in (?1, ?2)")?
        .query_row(ROWS, |row| row.get(0))
        .optional()?;
    let next = if held.as_deref() == Some(ROWS[0]) { ROWS[1] } else { ROWS[0] };
    tx.conn.prepare_cached("insert into secrets (name, value) values (?1, randomblob(16384))")?.execute([next])?;
    if let Some(held) = held {
        tx.conn.prepare_cached("delete from secrets where name = ?1")?.execute([held])?;
    }
    Ok(())
}
