//! Finding chunks: by their words, and what is needed to find them by their vectors.
//!
//! PostgreSQL's own ranks know nothing of how rare a word is. So the index gives the chunks whose rare words weigh most,
//! and these are ranked here by BM25, from their words: the same formula, with the same constants, as FTS5's.

use std::collections::{BTreeMap, BTreeSet};

use super::conn::Conn;
use super::fail::Fail;
use super::knowledge::from_row;
use super::rows;
use crate::domain::{Document, DocumentId, PlatformId, UserId};
use crate::store::knowledge::{
    CHUNKS_AT_ONCE, ChunkKey, DOCUMENT_COLUMN_COUNT as COLUMN_COUNT, DOCUMENT_COLUMNS as COLUMNS,
    DOCUMENT_TABLES as TABLES, LiveDocument, Shelf, whose,
};
use crate::store::search::{chosen, query_terms};

/// How many chunks may hold the words that are looked for, together: a bound on how long a search takes.
const HITS_MAX: u64 = 5_000;
/// How many of them are ranked.
const RANKED_MAX: usize = 200;

pub(super) async fn vectors(
    conn: &Conn,
    id: DocumentId,
    generation: u64,
    after: u64,
) -> Result<Vec<(u64, Vec<u8>)>, Fail> {
    let sql = "select c.number, c.vector from documents d join chunks c on c.document_id = d.id \
               where d.id = $1 and d.generation = $2 and c.document_id = $1 and c.number > $3 \
               and c.vector is not null order by c.number limit $4";
    let (generation, after, limit) = (rows::number(generation), rows::number(after), rows::limit(CHUNKS_AT_ONCE));
    let found = conn.rows(sql, &[&id.0, &generation, &after, &limit]).await?;
    found.iter().map(|row| Ok((rows::count(row, 0)?, row.try_get(1)?))).collect()
}

pub(super) async fn live(conn: &Conn, platform: Option<PlatformId>) -> Result<Vec<LiveDocument>, Fail> {
    // Two ways to say it, so that an index is used: `is not distinct from` finds none.
    let whose = if platform.is_some() { "platform_id = $1" } else { "platform_id is null and $1::bigint is null" };
    let sql = format!(
        "select id, generation, chunk_count, vector_model, user_id from documents \
         where {whose} and state = 'live' and is_active order by id"
    );
    let found = conn.rows(&sql, &[&platform.map(|platform| platform.0)]).await?;
    let live = |row: &tokio_postgres::Row| {
        Ok(LiveDocument {
            id: DocumentId(row.try_get(0)?),
            generation: rows::count(row, 1)?,
            chunk_count: rows::count(row, 2)?,
            vector_model: row.try_get(3)?,
            user_id: UserId(row.try_get(4)?),
        })
    };
    found.iter().map(live).collect()
}

/// A word and how much it tells: BM25's inverse document frequency, with how many of `all` chunks hold it.
fn weight(all: u64, total: u64) -> f64 {
    let (all, total) = (all.max(total) as f64, total as f64);
    ((all - total + 0.5) / (total + 0.5)).ln().max(1e-6)
}

async fn weighed(
    conn: &Conn,
    platform: Option<PlatformId>,
    text: &str,
    all: u64,
) -> Result<BTreeMap<String, f64>, Fail> {
    let terms = query_terms(platform, text);
    let sql = "select word, total from chunk_words where word = any($1)";
    let counted: Result<Vec<_>, Fail> =
        conn.rows(sql, &[&terms]).await?.iter().map(|row| Ok((row.try_get(0)?, rows::count(row, 1)?))).collect();
    Ok(chosen(counted?, HITS_MAX).into_iter().map(|(word, total)| (word, weight(all, total))).collect())
}

pub(super) async fn search(
    conn: &Conn,
    shelf: Shelf,
    text: &str,
    only: Option<DocumentId>,
    limit: usize,
) -> Result<Vec<(ChunkKey, f64)>, Fail> {
    let documents = live(conn, shelf.platform_id).await?;
    let all = documents.iter().map(|document| document.chunk_count).sum();
    let is_wanted = |document: &LiveDocument| {
        only.is_none_or(|only| only == document.id) && shelf.user_id.is_none_or(|user| user == document.user_id)
    };
    let ids: BTreeSet<i64> =
        documents.iter().filter(|document| is_wanted(document)).map(|document| document.id.0).collect();
    let words = weighed(conn, shelf.platform_id, text, all).await?;
    if ids.is_empty() || words.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = ids.into_iter().collect();
    let terms: Vec<String> = words.keys().map(|word| format!("'{word}'")).collect();
    let weights: Vec<f64> = words.values().copied().collect();
    let sql = "select c.document_id, c.number, c.words from find_chunks($1::text::tsquery, $2, $3, $4, $5) f \
               join chunks c on c.document_id = f.document_id and c.number = f.number where c.words is not null";
    let found =
        conn.rows(sql, &[&terms.join(" | "), &terms, &weights, &ids, &rows::limit(RANKED_MAX.max(limit))]).await?;
    let mut read = Vec::with_capacity(found.len());
    for row in &found {
        read.push(((DocumentId(row.try_get(0)?), rows::count(row, 1)?), row.try_get::<_, &str>(2)?));
    }
    let mut ranked = bm25(&words, &read);
    ranked.truncate(limit);
    Ok(ranked)
}

/// The chunks, the best first.
fn bm25(words: &BTreeMap<String, f64>, chunks: &[(ChunkKey, &str)]) -> Vec<(ChunkKey, f64)> {
    const K: f64 = 1.2;
    const B: f64 = 0.75;
    let lengths: Vec<f64> = chunks.iter().map(|(_, text)| text.split(' ').count() as f64).collect();
    let average = (lengths.iter().sum::<f64>() / lengths.len().max(1) as f64).max(1.0);
    let mut ranked: Vec<(ChunkKey, f64)> = Vec::with_capacity(chunks.len());
    for ((key, text), length) in chunks.iter().zip(lengths) {
        let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
        for word in text.split(' ').filter(|word| words.contains_key(*word)) {
            *counts.entry(word).or_default() += 1.0;
        }
        let told = |(word, count): (&&str, &f64)| {
            words[*word] * count * (K + 1.0) / (count + K * (1.0 - B + B * length / average))
        };
        ranked.push((*key, counts.iter().map(told).sum()));
    }
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked
}

pub(super) async fn found(
    conn: &Conn,
    shelf: Shelf,
    keys: &[ChunkKey],
) -> Result<Vec<(ChunkKey, Document, String)>, Fail> {
    let sql = format!(
        "select {COLUMNS}, c.text from {TABLES} join chunks c on c.document_id = d.id \
         where d.id = $1 and c.document_id = $1 and c.number = $2 and d.platform_id is not distinct from $3::bigint \
         and d.state = 'live' and d.is_active and ($4::bigint is null or d.user_id = $4)"
    );
    let (platform, user) = whose(shelf);
    let mut found = Vec::with_capacity(keys.len());
    for (id, number) in keys {
        if let Some(row) = conn.opt(&sql, &[&id.0, &rows::number(*number), &platform, &user]).await? {
            found.push(((*id, *number), from_row(&row)?, row.try_get(COLUMN_COUNT)?));
        }
    }
    Ok(found)
}
