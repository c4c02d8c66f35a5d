//! Searching text in any letter case, however its letters are spelled.
//!
//! SQLite's own `like` knows the case of A to Z only, which finds nothing of `Đà Nẵng` in
//! `ĐÀ NẴNG`, and it refuses long patterns. So the comparison is ours: a function that every
//! connection brings along.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::store::search::folded;

/// Adds `holds(text, part)` to a connection: whether `text` contains `part`, which [`folded`] has
/// folded.
pub(super) fn install(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_scalar_function("holds", 2, flags, |call| {
        let (text, part) = (call.get_raw(0).as_str()?, call.get_raw(1).as_str()?);
        Ok(folded(text).contains(part))
    })
}
