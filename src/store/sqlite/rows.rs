//! What the row readers of every aggregate share.

use std::io;

use rusqlite::Row;
use rusqlite::types::Type;
use uuid::Uuid;

/// A column that holds a uuid.
pub(super) fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    let bytes: [u8; 16] = row.get(column)?;
    Ok(Uuid::from_bytes(bytes))
}

/// A column that holds one of an enumeration's names.
pub(super) fn word<T>(row: &Row<'_>, column: usize, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let name = row.get_ref(column)?.as_str()?;
    parse(name).ok_or_else(|| {
        let unknown = io::Error::new(io::ErrorKind::InvalidData, format!("unknown word {name:?}"));
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(unknown))
    })
}
