//! Documents and their chunks.
//!
//! Whoever writes chunks, or counts their words, has locked the document's row before.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::conn::{Conn, Tx, Values};
use super::fail::Fail;
use super::{knowledge_search as found, rows, vectors};
use crate::domain::{
    Chunk, ChunkId, Document, DocumentId, DocumentKind, DocumentState, DocumentStats, PlatformId, Timestamp, Uploader,
    UserId,
};
use crate::error::{Error, Result as Answer};
use crate::store::Page;
use crate::store::knowledge::{
    CHUNKS_AT_ONCE, ChunkKey, DOCUMENT_COLUMNS as COLUMNS, DOCUMENT_TABLES as TABLES, DocumentEdit, DocumentFilter,
    IS_WAITING, Knowledge, LiveDocument, Near, NewDocument, Shelf, Take, WordCounts, Worked, too_many, whose,
};
use crate::store::search::{folded, terms};

/// Whose: `$1` the tenant, `$2` the user or null.
const OF_SHELF: &str = "d.platform_id is not distinct from $1::bigint and ($2::bigint is null or d.user_id = $2) \
                        and d.state <> 'gone'";
/// The advisory lock under which a document is added, so that two do not count the same ones.
const ADDING: i64 = 0x52_6F6F_7376;

pub(super) fn from_row(row: &Row) -> Result<Document, Fail> {
    Ok(Document {
        id: DocumentId(row.try_get(0)?),
        uuid: row.try_get(1)?,
        platform_id: row.try_get::<_, Option<i64>>(2)?.map(PlatformId),
        uploader: Uploader {
            id: UserId(row.try_get(3)?),
            uuid: row.try_get(4)?,
            name: row.try_get(5)?,
            email: row.try_get(6)?,
        },
        title: row.try_get(7)?,
        name: row.try_get(8)?,
        kind: rows::word(row, 9, DocumentKind::parse)?,
        size: rows::count(row, 10)?,
        state: rows::word(row, 11, DocumentState::parse)?,
        failure: row.try_get(12)?,
        is_active: row.try_get(13)?,
        chunk_count: rows::count(row, 14)?,
        generation: rows::count(row, 15)?,
        vector_model: row.try_get(16)?,
        vectorized_at: row.try_get::<_, Option<i64>>(17)?.map(Timestamp),
        created_at: Timestamp(row.try_get(18)?),
        updated_at: Timestamp(row.try_get(19)?),
    })
}

async fn by_id(conn: &Conn, id: DocumentId) -> Result<Option<Document>, Fail> {
    let sql = format!("select {COLUMNS} from {TABLES} where d.id = $1 and d.state <> 'gone'");
    conn.opt(&sql, &[&id.0]).await?.as_ref().map(from_row).transpose()
}

async fn add(tx: &Tx, new: &NewDocument) -> Result<Document, Fail> {
    let platform = new.platform_id.map(|platform| platform.0);
    tx.rows("select pg_advisory_xact_lock($1)", &[&ADDING]).await?;
    let sql = "select count(*) from documents where platform_id is not distinct from $1::bigint and state <> 'gone'";
    if rows::count(&tx.one(sql, &[&platform]).await?, 0)? >= new.count_max {
        return Err(Fail::Refused(too_many(new.count_max)));
    }
    let sql = "insert into documents (uuid, platform_id, user_id, title, name, kind, size, state, is_active, \
               chunk_count, generation, created_at, updated_at, goes_on_at) \
               values ($1, $2, $3, $4, $5, $6, $7, 'uploaded', true, 0, 0, $8, $8, $9) returning id";
    let goes_on_at = new.goes_on.then_some(new.at.0);
    let (size, kind) = (rows::number(new.size), new.kind.as_str());
    let (user, at) = (new.user_id.0, new.at.0);
    let added =
        tx.one(sql, &[&new.uuid, &platform, &user, &new.title, &new.name, &kind, &size, &at, &goes_on_at]).await?;
    let added = by_id(tx, DocumentId(added.try_get(0)?)).await?;
    added.ok_or_else(|| Fail::Refused(Error::internal("an upload's account is not there")))
}

async fn by_uuid(conn: &Conn, shelf: Shelf, uuid: Uuid) -> Result<Option<Document>, Fail> {
    let sql = format!("select {COLUMNS} from {TABLES} where {OF_SHELF} and d.uuid = $3");
    let (platform, user) = whose(shelf);
    conn.opt(&sql, &[&platform, &user, &uuid]).await?.as_ref().map(from_row).transpose()
}

/// The comparison of names is ours, as in [`super::search`]: a tenant's documents are bounded in number.
async fn list(conn: &Conn, shelf: Shelf, filter: &DocumentFilter) -> Result<Page<Document>, Fail> {
    let (platform, user) = whose(shelf);
    let sql = format!(
        "select d.id, d.title, d.name from documents d where {OF_SHELF} \
         and ($3::text is null or d.state = $3) and ($4::text is null or d.kind = $4) order by d.id desc"
    );
    let (state, kind) = (filter.state.map(DocumentState::as_str), filter.kind.map(DocumentKind::as_str));
    let part = filter.search.as_deref().map(folded);
    let mut ids: Vec<i64> = Vec::new();
    for row in conn.rows(&sql, &[&platform, &user, &state, &kind]).await? {
        let (title, name): (&str, &str) = (row.try_get(1)?, row.try_get(2)?);
        let is_it = |part: &String| folded(title).contains(part) || folded(name).contains(part);
        if part.as_ref().is_none_or(is_it) {
            ids.push(row.try_get(0)?);
        }
    }
    let total = ids.len() as u64;
    let offset = usize::try_from(filter.offset).unwrap_or(usize::MAX);
    let shown: Vec<i64> = ids.into_iter().skip(offset).take(filter.limit).collect();
    let sql = format!("select {COLUMNS} from {TABLES} where d.id = any($1) order by d.id desc");
    let items = conn.rows(&sql, &[&shown]).await?.iter().map(from_row).collect::<Result<_, _>>()?;
    Ok(Page { total, items })
}

async fn stats(conn: &Conn, shelf: Shelf) -> Result<DocumentStats, Fail> {
    let (platform, user) = whose(shelf);
    let sql = format!(
        "select d.kind, count(*), count(*) filter (where d.is_active), count(*) filter (where d.state = 'live') \
         from documents d where {OF_SHELF} group by d.kind order by d.kind"
    );
    let mut stats = DocumentStats::default();
    for row in conn.rows(&sql, &[&platform, &user]).await? {
        let count = rows::count(&row, 1)?;
        stats.total += count;
        stats.active += rows::count(&row, 2)?;
        stats.live += rows::count(&row, 3)?;
        stats.by_kind.push((rows::word(&row, 0, DocumentKind::parse)?, count));
    }
    Ok(stats)
}

async fn edit(tx: &Tx, shelf: Shelf, uuid: Uuid, edit: &DocumentEdit, at: Timestamp) -> Result<Option<Document>, Fail> {
    let (platform, user) = whose(shelf);
    let sql = format!(
        "update documents d set title = coalesce($4, d.title), is_active = coalesce($5, d.is_active), \
         updated_at = $6 where {OF_SHELF} and d.uuid = $3"
    );
    tx.execute(&sql, &[&platform, &user, &uuid, &edit.title, &edit.is_active, &at.0]).await?;
    by_uuid(tx, shelf, uuid).await
}

async fn waiting(conn: &Conn, now: Timestamp, limit: usize) -> Result<Vec<Document>, Fail> {
    // Named first and joined then: the account is not looked up for those that are not read.
    let sql = format!(
        "select {COLUMNS} from (select id from documents where {IS_WAITING} and goes_on_at <= $1 \
         and (claimed_until is null or claimed_until <= $1) order by goes_on_at, id limit $2) w \
         join documents d on d.id = w.id join users u on u.id = d.user_id order by d.goes_on_at, d.id"
    );
    conn.rows(&sql, &[&now.0, &rows::limit(limit)]).await?.iter().map(from_row).collect()
}

async fn take(tx: &Tx, id: DocumentId, from: &[DocumentState], take: Take) -> Result<Option<Document>, Fail> {
    let states: Vec<_> = from.iter().map(|state| state.as_str()).collect();
    let sql = format!(
        "update documents set claimed_until = $3, generation = generation + 1, failure = null, updated_at = $4, \
         state = case when $5 then 'processing' else state end \
         where id = $1 and state = any($2::text[]) and (claimed_until is null or claimed_until <= $4) \
         and (not $6 or (goes_on_at <= $4 and {IS_WAITING}))"
    );
    let taken =
        tx.execute(&sql, &[&id.0, &states, &take.until.0, &take.now.0, &take.is_processing, &take.is_alone]).await?;
    if taken == 0 { Ok(None) } else { by_id(tx, id).await }
}

/// Whether the work of that generation still goes on; until the transaction ends, it does.
async fn is_claimed(tx: &Tx, id: DocumentId, generation: u64) -> Result<bool, Fail> {
    let sql =
        "select 1 from documents where id = $1 and generation = $2 and claimed_until is not null for no key update";
    Ok(tx.opt(sql, &[&id.0, &rows::number(generation)]).await?.is_some())
}

async fn hold(tx: &Tx, id: DocumentId, generation: u64, until: Timestamp) -> Result<bool, Fail> {
    let sql = "update documents set claimed_until = $3 where id = $1 and generation = $2 and claimed_until is not null";
    Ok(tx.execute(sql, &[&id.0, &rows::number(generation), &until.0]).await? == 1)
}

async fn end(
    tx: &Tx,
    id: DocumentId,
    generation: u64,
    worked: &Worked,
    at: Timestamp,
) -> Result<Option<Document>, Fail> {
    if !is_claimed(tx, id, generation).await? {
        return Ok(None);
    }
    let ended = worked.ended();
    let sql = "update documents set state = $2, vector_model = $3, failure = $4, claimed_until = null, updated_at = $5, \
               vectorized_at = case when $2 = 'live' then $5 else vectorized_at end, \
               goes_on_at = case when $6 and goes_on_at is not null then coalesce($7, goes_on_at) end, \
               chunk_count = (select count(*) from chunks where document_id = $1) where id = $1";
    let (state, again_at) = (ended.state.as_str(), ended.again_at.map(|again| again.0));
    let values: Values<'_> = &[&id.0, &state, &ended.model, &ended.failure, &at.0, &ended.goes_on, &again_at];
    tx.execute(sql, values).await?;
    by_id(tx, id).await
}

async fn add_chunks(tx: &Tx, id: DocumentId, generation: u64, texts: &[String]) -> Result<bool, Fail> {
    if !is_claimed(tx, id, generation).await? {
        return Ok(false);
    }
    let texts = &texts[..texts.len().min(CHUNKS_AT_ONCE)];
    let sql = "insert into chunks (document_id, number, text) \
               select $1, x.n + (select coalesce(max(number), 0) from chunks where document_id = $1), x.text \
               from unnest($2::text[]) with ordinality as x (text, n)";
    tx.execute(sql, &[&id.0, &texts]).await?;
    Ok(true)
}

/// `beside`: also where pgvector has them.
async fn clear(tx: &Tx, id: DocumentId, generation: Option<u64>, beside: bool) -> Result<usize, Fail> {
    let sql = "select 1 from documents where id = $1 \
               and (state = 'gone' or (claimed_until is not null and generation = $2)) for no key update";
    if tx.opt(sql, &[&id.0, &generation.map(rows::number)]).await?.is_none() {
        return Ok(0);
    }
    let sql = "with gone as (select number from chunks where document_id = $1 order by number desc limit $2) \
               delete from chunks c using gone g where c.document_id = $1 and c.number = g.number \
               returning c.words, c.number";
    let gone = tx.rows(sql, &[&id.0, &rows::limit(CHUNKS_AT_ONCE)]).await?;
    if beside {
        vectors::forget(tx, id, &numbers(&gone)?).await?;
    }
    uncount(tx, &gone).await
}

/// The second columns.
fn numbers(rows: &[Row]) -> Result<Vec<i64>, Fail> {
    rows.iter().map(|row| Ok(row.try_get(1)?)).collect()
}

async fn forget(tx: &Tx, id: DocumentId, beside: bool) -> Result<usize, Fail> {
    let sql = "select 1 from documents where id = $1 and state <> 'live' and claimed_until is null for no key update";
    if tx.opt(sql, &[&id.0]).await?.is_none() {
        return Ok(0);
    }
    let sql = "with past as (select number, words from chunks \
                 where document_id = $1 and (words is not null or vector is not null) order by number limit $2) \
               update chunks c set words = null, vector = null from past p \
               where c.document_id = $1 and c.number = p.number returning p.words, p.number";
    let past = tx.rows(sql, &[&id.0, &rows::limit(CHUNKS_AT_ONCE)]).await?;
    if beside {
        vectors::forget(tx, id, &numbers(&past)?).await?;
    }
    uncount(tx, &past).await
}

/// Takes the words of chunks, which are the first column, out of the counts; how many chunks there are.
async fn uncount(tx: &Tx, past: &[Row]) -> Result<usize, Fail> {
    let mut counts = WordCounts::default();
    for row in past {
        let words: Option<&str> = row.try_get(0)?;
        counts.add(words.iter().flat_map(|words| words.split(' ')).map(str::to_owned), -1);
    }
    write(counts, tx).await?;
    Ok(past.len())
}

async fn index(
    tx: &Tx,
    id: DocumentId,
    generation: u64,
    ready: &[(u64, Option<Vec<u8>>)],
    beside: bool,
) -> Result<bool, Fail> {
    if !is_claimed(tx, id, generation).await? {
        return Ok(false);
    }
    let platform = by_id(tx, id).await?.and_then(|document| document.platform_id);
    let ready = &ready[..ready.len().min(CHUNKS_AT_ONCE)];
    let numbers: Vec<i64> = ready.iter().map(|(number, _)| rows::number(*number)).collect();
    let vectors: Vec<Option<&[u8]>> = ready.iter().map(|(_, vector)| vector.as_deref()).collect();
    let sql = "update chunks c set vector = x.vector from unnest($2::bigint[], $3::bytea[]) as x (number, vector) \
               where c.document_id = $1 and c.number = x.number";
    tx.execute(sql, &[&id.0, &numbers, &vectors]).await?;
    if beside {
        let vectors: Vec<_> = numbers.iter().copied().zip(vectors.iter().copied()).collect();
        vectors::keep(tx, vectors::Of { platform, id, generation }, &vectors).await?;
    }
    let sql = "select number, text from chunks where document_id = $1 and number = any($2) and words is null";
    let (mut counts, mut new, mut words) = (WordCounts::default(), Vec::new(), Vec::new());
    for row in tx.rows(sql, &[&id.0, &numbers]).await? {
        let terms = terms(platform, row.try_get(1)?);
        if !terms.is_empty() {
            new.push(row.try_get::<_, i64>(0)?);
            words.push(terms.join(" "));
            counts.add(terms.into_iter(), 1);
        }
    }
    let sql = "update chunks c set words = x.words from unnest($2::bigint[], $3::text[]) as x (number, words) \
               where c.document_id = $1 and c.number = x.number";
    tx.execute(sql, &[&id.0, &new, &words]).await?;
    write(counts, tx).await?;
    Ok(true)
}

async fn write(counts: WordCounts, tx: &Tx) -> Result<(), Fail> {
    let is_less = counts.0.values().any(|by| *by < 0);
    let (words, by): (Vec<String>, Vec<i64>) = counts.0.into_iter().unzip();
    let sql = "insert into chunk_words (word, total) \
               select x.word, x.total from unnest($1::text[], $2::bigint[]) with ordinality as x (word, total, n) \
               order by x.n on conflict (word) do update set total = chunk_words.total + excluded.total";
    tx.execute(sql, &[&words, &by]).await?;
    if is_less {
        tx.execute("delete from chunk_words where word = any($1) and total <= 0", &[&words]).await?;
    }
    Ok(())
}

async fn retire(tx: &Tx, id: DocumentId, at: Timestamp) -> Result<Option<Document>, Fail> {
    let sql = "update documents set state = 'removed_from_vectordb', vector_model = null, generation = generation + 1, \
               failure = null, updated_at = $2 where id = $1 and state = 'live' and claimed_until is null";
    if tx.execute(sql, &[&id.0, &at.0]).await? == 0 { Ok(None) } else { by_id(tx, id).await }
}

async fn condemn(tx: &Tx, id: DocumentId, at: Timestamp) -> Result<bool, Fail> {
    // Whoever worked on it and lost their claim finds another generation, and does not bring it back.
    let sql = "update documents set state = 'gone', goes_on_at = null, claimed_until = null, generation = generation + 1 \
               where id = $1 and state <> 'live' \
               and (claimed_until is null or claimed_until <= $2)";
    Ok(tx.execute(sql, &[&id.0, &at.0]).await? == 1)
}

async fn condemned(conn: &Conn, limit: usize) -> Result<Vec<(DocumentId, Uuid)>, Fail> {
    let sql = "select id, uuid from documents where state = 'gone' order by id limit $1";
    let found = conn.rows(sql, &[&rows::limit(limit)]).await?;
    found.iter().map(|row| Ok((DocumentId(row.try_get(0)?), row.try_get(1)?))).collect()
}

async fn remove(tx: &Tx, id: DocumentId, beside: bool) -> Result<bool, Fail> {
    let sql = "delete from documents where id = $1 and state = 'gone' \
               and not exists (select 1 from chunks where document_id = $1)";
    let is_removed = tx.execute(sql, &[&id.0]).await? == 1;
    if is_removed && beside {
        vectors::remove(tx, id).await?;
    }
    Ok(is_removed)
}

async fn chunks(conn: &Conn, id: DocumentId, after: u64, limit: usize) -> Result<Vec<Chunk>, Fail> {
    let sql = "select id, number, text from chunks where document_id = $1 and number > $2 order by number limit $3";
    let limit = rows::limit(limit.min(CHUNKS_AT_ONCE));
    let found = conn.rows(sql, &[&id.0, &rows::number(after), &limit]).await?;
    let chunk =
        |row: &Row| Ok(Chunk { id: ChunkId(row.try_get(0)?), number: rows::count(row, 1)?, text: row.try_get(2)? });
    found.iter().map(chunk).collect()
}

#[async_trait]
impl Knowledge for PostgresStore {
    async fn add_document(&self, new: NewDocument) -> Answer<Document> {
        transact!(self, tx => add(tx, &new))
    }

    async fn document(&self, shelf: Shelf, uuid: Uuid) -> Answer<Option<Document>> {
        fetch!(self, conn => by_uuid(conn, shelf, uuid))
    }

    async fn documents(&self, shelf: Shelf, filter: DocumentFilter) -> Answer<Page<Document>> {
        fetch!(self, conn => list(conn, shelf, &filter))
    }

    async fn document_stats(&self, shelf: Shelf) -> Answer<DocumentStats> {
        fetch!(self, conn => stats(conn, shelf))
    }

    async fn edit_document(
        &self,
        shelf: Shelf,
        uuid: Uuid,
        change: DocumentEdit,
        at: Timestamp,
    ) -> Answer<Option<Document>> {
        transact!(self, tx => edit(tx, shelf, uuid, &change, at))
    }

    async fn waiting_documents(&self, now: Timestamp, limit: usize) -> Answer<Vec<Document>> {
        fetch!(self, conn => waiting(conn, now, limit))
    }

    async fn take_document(&self, id: DocumentId, from: Vec<DocumentState>, how: Take) -> Answer<Option<Document>> {
        transact!(self, tx => take(tx, id, &from, how))
    }

    async fn hold_document(&self, id: DocumentId, generation: u64, until: Timestamp) -> Answer<bool> {
        transact!(self, tx => hold(tx, id, generation, until))
    }

    async fn end_work(
        &self,
        id: DocumentId,
        generation: u64,
        worked: Worked,
        at: Timestamp,
    ) -> Answer<Option<Document>> {
        transact!(self, tx => end(tx, id, generation, &worked, at))
    }

    async fn add_chunks(&self, id: DocumentId, generation: u64, texts: Vec<String>) -> Answer<bool> {
        transact!(self, tx => add_chunks(tx, id, generation, &texts))
    }

    async fn clear_chunks(&self, id: DocumentId, generation: Option<u64>) -> Answer<usize> {
        let beside = self.core.vectors.is_there;
        transact!(self, tx => clear(tx, id, generation, beside))
    }

    async fn index_chunks(&self, id: DocumentId, generation: u64, ready: Vec<(u64, Option<Vec<u8>>)>) -> Answer<bool> {
        let beside = self.core.vectors.is_there;
        transact!(self, tx => index(tx, id, generation, &ready, beside))
    }

    async fn forget_chunks(&self, id: DocumentId) -> Answer<usize> {
        let beside = self.core.vectors.is_there;
        transact!(self, tx => forget(tx, id, beside))
    }

    async fn retire_document(&self, id: DocumentId, at: Timestamp) -> Answer<Option<Document>> {
        transact!(self, tx => retire(tx, id, at))
    }

    async fn condemn_document(&self, id: DocumentId, at: Timestamp) -> Answer<bool> {
        transact!(self, tx => condemn(tx, id, at))
    }

    async fn condemned_documents(&self, limit: usize) -> Answer<Vec<(DocumentId, Uuid)>> {
        fetch!(self, conn => condemned(conn, limit))
    }

    async fn remove_document(&self, id: DocumentId) -> Answer<bool> {
        let beside = self.core.vectors.is_there;
        transact!(self, tx => remove(tx, id, beside))
    }

    async fn chunks(&self, id: DocumentId, after: u64, limit: usize) -> Answer<Vec<Chunk>> {
        fetch!(self, conn => chunks(conn, id, after, limit))
    }

    async fn vectors(&self, id: DocumentId, generation: u64, after: u64) -> Answer<Vec<(u64, Vec<u8>)>> {
        fetch!(self, conn => found::vectors(conn, id, generation, after))
    }

    async fn live_documents(&self, platform: Option<PlatformId>) -> Answer<Vec<LiveDocument>> {
        fetch!(self, conn => found::live(conn, platform))
    }

    async fn search_chunks(
        &self,
        shelf: Shelf,
        text: String,
        only: Option<DocumentId>,
        limit: usize,
    ) -> Answer<Vec<(ChunkKey, f64)>> {
        fetch!(self, conn => found::search(conn, shelf, &text, only, limit))
    }

    async fn near_chunks(&self, shelf: Shelf, near: Near) -> Answer<Option<Vec<ChunkKey>>> {
        self.core.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        vectors::near(Arc::clone(&self.core), shelf, near).await
    }

    async fn found_chunks(&self, shelf: Shelf, keys: Vec<ChunkKey>) -> Answer<Vec<(ChunkKey, Document, String)>> {
        fetch!(self, conn => found::found(conn, shelf, &keys))
    }
}
