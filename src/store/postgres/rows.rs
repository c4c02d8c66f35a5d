//! What the row readers of every aggregate share.

use tokio_postgres::Row;

use super::fail::Fail;
use crate::error::Error;

/// A column that holds one of an enumeration's names.
pub(super) fn word<T>(row: &Row, column: usize, parse: fn(&str) -> Option<T>) -> Result<T, Fail> {
    let name: &str = row.try_get(column)?;
    parse(name).ok_or_else(|| Fail::Refused(Error::internal(format!("unknown word {name:?} in column {column}"))))
}

/// A column that holds a count.
pub(super) fn count(row: &Row, column: usize) -> Result<u64, Fail> {
    let count: i64 = row.try_get(column)?;
    u64::try_from(count).map_err(|_| Fail::Refused(Error::internal("a count below zero")))
}

/// A count, as a value of a statement.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A number of rows, as a value of a statement.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A column that holds so many bytes.
pub(super) fn bytes<const N: usize>(row: &Row, column: usize) -> Result<[u8; N], Fail> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| Fail::Refused(Error::internal(format!("{} bytes in column {column}", bytes.len()))))
}
