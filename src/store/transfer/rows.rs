//! Rows in one form for both engines: as PostgreSQL's binary COPY writes them. A row of SQLite is brought into it once,
//! to be written; what the target then gives back is compared byte for byte.
//!
//! A row is the number of its fields (16 bits), and each field its length (32 bits, -1: null) and its bytes; all numbers
//! are big-endian (PostgreSQL's manual, `COPY`, "Binary Format").

use std::collections::{BTreeSet, HashMap};

use rusqlite::types::ValueRef;

use super::tables::{Kind, Table};
use crate::domain::UserId;
use crate::error::{Error, Result};
use crate::store::postgres::lexemes;

/// What a stream of rows begins with: the signature, no flags, no extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub(super) const TRAILER: &[u8] = &[0xff, 0xff];

/// Rows of a table, in order.
#[derive(Debug, Default)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    /// Where each begins, and where its key ends.
    places: Vec<(usize, usize)>,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn row(&self, n: usize) -> &[u8] {
        let end = self.places.get(n + 1).map_or(self.bytes.len(), |next| next.0);
        &self.bytes[self.places[n].0..end]
    }

    pub fn key(&self, n: usize) -> &[u8] {
        let (start, end) = self.places[n];
        &self.bytes[start + 2..end]
    }

    /// Adds a row that is in this form already.
    pub fn push(&mut self, row: &[u8], table: &Table) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.places.push((start, start + fields_end(row, table.key)));
    }

    /// Adds a row of SQLite's. Says how many characters it had that PostgreSQL's text cannot hold.
    pub fn push_sqlite(&mut self, row: &rusqlite::Row<'_>, table: &Table) -> Result<u64> {
        let start = self.bytes.len();
        let replaced = encode(&mut self.bytes, row, table)?;
        self.places.push((start, start + fields_end(&self.bytes[start..], table.key)));
        Ok(replaced)
    }

    /// Takes the last row away.
    pub fn pop(&mut self) {
        if let Some((start, _)) = self.places.pop() {
            self.bytes.truncate(start);
        }
    }

    /// The place between this row and the next.
    pub fn cut(&self, n: usize, table: &Table) -> Vec<i64> {
        numbers(self.row(n), table.cut)
    }

    /// What has to happen to `held` for it to become these rows.
    pub fn differing(&self, held: &Self) -> Difference {
        let mut left: HashMap<&[u8], usize> = (0..held.len()).map(|n| (held.key(n), n)).collect();
        let mut found = Difference::default();
        for n in 0..self.len() {
            match left.remove(self.key(n)) {
                Some(other) if held.row(other) == self.row(n) => continue,
                Some(other) => found.delete.push(other),
                None => {}
            }
            found.insert.push(n);
        }
        found.delete.extend(left.into_values());
        found
    }
}

/// Rows by their places: of the source, which the target lacks, and of the target, which are not the source's.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub insert: Vec<usize>,
    pub delete: Vec<usize>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.insert.is_empty() && self.delete.is_empty()
    }
}

/// The fields of a row.
pub(super) fn fields(row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = row.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, more) = rest.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            rest = more;
            return Some(None);
        };
        let (field, more) = more.split_at_checked(length)?;
        rest = more;
        Some(Some(field))
    })
}

/// The first fields of a row, which are integers.
pub(super) fn numbers(row: &[u8], count: usize) -> Vec<i64> {
    fields(row).take(count).map(number).collect()
}

fn number(field: Option<&[u8]>) -> i64 {
    field.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes)
}

/// Where the first `count` fields of a row end.
fn fields_end(row: &[u8], count: usize) -> usize {
    2 + fields(row).take(count).map(|field| 4 + field.map_or(0, <[u8]>::len)).sum::<usize>()
}

/// The length of the row that the bytes begin with; `None` while it is not whole.
pub(super) fn whole(bytes: &[u8]) -> Option<usize> {
    let (count, _) = bytes.split_first_chunk::<2>()?;
    let mut at = 2;
    for _ in 0..i16::from_be_bytes(*count).max(0) {
        let (length, _) = bytes.get(at..)?.split_first_chunk::<4>()?;
        at += 4 + usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
    }
    (at <= bytes.len()).then_some(at)
}

/// A key as SQL writes it: `(1, 'user')`.
pub(super) fn literal(key: &[u8], table: &Table) -> String {
    // A key is the row without the number of its fields.
    let row = [&[0, 0], key].concat();
    let literals = fields(&row).zip(table.columns).map(|(field, column)| match (field, column.kind) {
        (None, _) => "null".to_owned(),
        (Some(bytes), Kind::Text) => format!("'{}'", String::from_utf8_lossy(bytes).replace('\'', "''")),
        (Some(bytes), Kind::Bool) => (bytes == [1]).to_string(),
        (field, _) => number(field).to_string(),
    });
    format!("({})", literals.collect::<Vec<_>>().join(", "))
}

fn encode(bytes: &mut Vec<u8>, row: &rusqlite::Row<'_>, table: &Table) -> Result<u64> {
    let strange = |column: &str| Error::internal(format!("{}.{column} is not what it has to be", table.name));
    let count = i16::try_from(table.columns.len()).map_err(Error::internal)?;
    bytes.extend_from_slice(&count.to_be_bytes());
    let mut replaced = 0;
    for (n, column) in table.columns.iter().enumerate() {
        let value = row.get_ref(n).map_err(Error::internal)?;
        match (column.kind, value) {
            (Kind::Words, _) => words(bytes, row, n)?,
            (_, ValueRef::Null) => bytes.extend_from_slice(&(-1_i32).to_be_bytes()),
            (Kind::Int, ValueRef::Integer(value)) => put(bytes, &value.to_be_bytes())?,
            (Kind::Bool, ValueRef::Integer(value)) => put(bytes, &[u8::from(value != 0)])?,
            (Kind::Text, ValueRef::Text(value)) => replaced += put_text(bytes, value)?,
            (Kind::Uuid, ValueRef::Blob(value)) if value.len() == 16 => put(bytes, value)?,
            (Kind::Bytes, ValueRef::Blob(value)) => put(bytes, value)?,
            _ => return Err(strange(column.name)),
        }
    }
    Ok(replaced)
}

fn put(bytes: &mut Vec<u8>, value: &[u8]) -> Result<()> {
    let length = i32::try_from(value.len()).map_err(Error::internal)?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(value);
    Ok(())
}

/// PostgreSQL's text holds no NUL, which some doors let pass into SQLite's: such a character becomes U+FFFD. Says how
/// many.
fn put_text(bytes: &mut Vec<u8>, value: &[u8]) -> Result<u64> {
    let text = String::from_utf8_lossy(value);
    let strange = text.bytes().filter(|byte| *byte == 0).count();
    if strange == 0 {
        put(bytes, text.as_bytes())?;
    } else {
        put(bytes, text.replace('\0', "\u{fffd}").as_bytes())?;
    }
    Ok(strange as u64)
}

/// A `tsvector` as its send function writes it: how many words, and each with a NUL behind it and no positions.
fn words(bytes: &mut Vec<u8>, row: &rusqlite::Row<'_>, first: usize) -> Result<()> {
    let read = || -> rusqlite::Result<(Option<i64>, i64, String)> {
        Ok((row.get(first)?, row.get(first + 1)?, row.get(first + 2)?))
    };
    let (author, receiver, text) = read().map_err(Error::internal)?;
    let words: BTreeSet<_> = lexemes(author.map(UserId), UserId(receiver), &text).into_iter().collect();
    let mut vector = u32::try_from(words.len()).map_err(Error::internal)?.to_be_bytes().to_vec();
    for word in words {
        vector.extend_from_slice(word.as_bytes());
        vector.extend_from_slice(&[0, 0, 0]);
    }
    put(bytes, &vector)
}
