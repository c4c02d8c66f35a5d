//! Finding chunks: by their words, and what is needed to find them by their vectors.

use rusqlite::{Connection, OptionalExtension, params};

use super::fail::Fail;
use super::knowledge::from_row;
use crate::domain::{Document, DocumentId, PlatformId, UserId};
use crate::store::knowledge::{
    CHUNKS_AT_ONCE, ChunkKey, DOCUMENT_COLUMN_COUNT as COLUMN_COUNT, DOCUMENT_COLUMNS as COLUMNS,
    DOCUMENT_TABLES as TABLES, LiveDocument, Shelf, whose,
};
use crate::store::search::{chosen, query_terms};

/// How many chunks may hold the words that are looked for, together: a bound on how long a search takes.
const HITS_MAX: u64 = 20_000;

pub(super) fn vectors(
    conn: &Connection,
    id: DocumentId,
    generation: u64,
    after: u64,
) -> Result<Vec<(u64, Vec<u8>)>, Fail> {
    let mut statement = conn.prepare_cached(
        "select c.number, c.vector from documents d join chunks c on c.document_id = d.id \
         where d.id = ?1 and d.generation = ?2 and c.number > ?3 and c.vector is not null order by c.number limit ?4",
    )?;
    let found = statement
        .query_map(params![id.0, generation, after, CHUNKS_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

pub(super) fn live(conn: &Connection, platform: Option<PlatformId>) -> Result<Vec<LiveDocument>, Fail> {
    let mut statement = conn.prepare_cached(
        "select id, generation, chunk_count, vector_model, user_id from documents \
         where platform_id is ?1 and state = 'live' and is_active = 1 order by id",
    )?;
    let found = statement
        .query_map([platform.map(|platform| platform.0)], |row| {
            Ok(LiveDocument {
                id: DocumentId(row.get(0)?),
                generation: row.get(1)?,
                chunk_count: row.get(2)?,
                vector_model: row.get(3)?,
                user_id: UserId(row.get(4)?),
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

/// The words to look for, as FTS5 takes them.
fn query(conn: &Connection, platform: Option<PlatformId>, text: &str) -> Result<Option<String>, Fail> {
    let mut count = conn.prepare_cached("select total from chunk_words where word = ?1")?;
    let mut counted = Vec::new();
    for term in query_terms(platform, text) {
        let total = count.query_row([&term], |row| row.get(0)).optional()?.unwrap_or(0);
        counted.push((term, total));
    }
    let words: Vec<_> = chosen(counted, HITS_MAX).into_iter().map(|(word, _)| format!("\"{word}\"")).collect();
    Ok((!words.is_empty()).then(|| words.join(" OR ")))
}

/// FTS5's `bm25()` is the better the smaller it is. The inner statement ends at a bound of its own, for a single word
/// that everything holds: such a word tells nothing, whichever of its chunks are looked at.
pub(super) fn search(
    conn: &Connection,
    shelf: Shelf,
    text: &str,
    only: Option<DocumentId>,
    limit: usize,
) -> Result<Vec<(ChunkKey, f64)>, Fail> {
    let Some(query) = query(conn, shelf.platform_id, text)? else { return Ok(Vec::new()) };
    let mut statement = conn.prepare_cached(
        "with hits as materialized ( \
           select rowid as id, bm25(chunk_search) as score from chunk_search where chunk_search match ?1 limit ?2) \
         select c.document_id, c.number, h.score from hits h join chunks c on c.id = h.id \
         join documents d on d.id = c.document_id \
         where d.platform_id is ?3 and d.state = 'live' and d.is_active = 1 and (?4 is null or d.id = ?4) \
         and (?5 is null or d.user_id = ?5) order by h.score, c.document_id, c.number limit ?6",
    )?;
    let ((platform, user), only) = (whose(shelf), only.map(|document| document.0));
    let found = statement
        .query_map(params![query, HITS_MAX, platform, only, user, limit], |row| {
            Ok(((DocumentId(row.get(0)?), row.get(1)?), -row.get::<_, f64>(2)?))
        })?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

pub(super) fn found(
    conn: &Connection,
    shelf: Shelf,
    keys: &[ChunkKey],
) -> Result<Vec<(ChunkKey, Document, String)>, Fail> {
    let (platform, user) = whose(shelf);
    let sql = format!(
        "select {COLUMNS}, c.text from {TABLES} join chunks c on c.document_id = d.id \
         where d.id = ?1 and c.number = ?2 and d.platform_id is ?3 and d.state = 'live' and d.is_active = 1 \
         and (?4 is null or d.user_id = ?4)"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = Vec::with_capacity(keys.len());
    for (id, number) in keys {
        let row = statement
            .query_row(params![id.0, number, platform, user], |row| {
                Ok(((*id, *number), from_row(row)?, row.get(COLUMN_COUNT)?))
            })
            .optional()?;
        found.extend(row);
    }
    Ok(found)
}
