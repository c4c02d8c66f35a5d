//! Documents and their chunks.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::fail::Fail;
use super::writer::Tx;
use super::{SqliteStore, knowledge_search as found, rows};
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

/// Whose: `?1` the tenant, `?2` the user or null.
const OF_SHELF: &str = "d.platform_id is ?1 and (?2 is null or d.user_id = ?2) and d.state <> 'gone'";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        id: DocumentId(row.get(0)?),
        uuid: rows::uuid(row, 1)?,
        platform_id: row.get::<_, Option<i64>>(2)?.map(PlatformId),
        uploader: Uploader {
            id: UserId(row.get(3)?),
            uuid: rows::uuid(row, 4)?,
            name: row.get(5)?,
            email: row.get(6)?,
        },
        title: row.get(7)?,
        name: row.get(8)?,
        kind: rows::word(row, 9, DocumentKind::parse)?,
        size: row.get(10)?,
        state: rows::word(row, 11, DocumentState::parse)?,
        failure: row.get(12)?,
        is_active: row.get(13)?,
        chunk_count: row.get(14)?,
        generation: row.get(15)?,
        vector_model: row.get(16)?,
        vectorized_at: row.get::<_, Option<i64>>(17)?.map(Timestamp),
        created_at: Timestamp(row.get(18)?),
        updated_at: Timestamp(row.get(19)?),
    })
}

fn by_id(conn: &Connection, id: DocumentId) -> Result<Option<Document>, Fail> {
    let sql = format!("select {COLUMNS} from {TABLES} where d.id = ?1 and d.state <> 'gone'");
    Ok(conn.prepare_cached(&sql)?.query_row([id.0], from_row).optional()?)
}

fn add(tx: &Tx<'_>, new: &NewDocument) -> Result<Document, Fail> {
    let platform = new.platform_id.map(|platform| platform.0);
    let count: u64 = tx
        .conn
        .prepare_cached("select count(*) from documents where platform_id is ?1 and state <> 'gone'")?
        .query_row([platform], |row| row.get(0))?;
    if count >= new.count_max {
        return Err(Fail::Refused(too_many(new.count_max)));
    }
    tx.conn
        .prepare_cached(
            "insert into documents (uuid, platform_id, user_id, title, name, kind, size, state, is_active, \
             chunk_count, generation, created_at, updated_at, goes_on_at) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'uploaded', 1, 0, 0, ?8, ?8, ?9)",
        )?
        .execute(params![
            new.uuid.as_bytes(),
            platform,
            new.user_id.0,
            new.title,
            new.name,
            new.kind.as_str(),
            new.size,
            new.at.0,
            new.goes_on.then_some(new.at.0)
        ])?;
    let added = by_id(tx.conn, DocumentId(tx.conn.last_insert_rowid()))?;
    added.ok_or_else(|| Fail::Refused(Error::internal("an upload's account is not there")))
}

fn by_uuid(conn: &Connection, shelf: Shelf, uuid: Uuid) -> Result<Option<Document>, Fail> {
    let sql = format!("select {COLUMNS} from {TABLES} where {OF_SHELF} and d.uuid = ?3");
    let (platform, user) = whose(shelf);
    Ok(conn.prepare_cached(&sql)?.query_row(params![platform, user, uuid.as_bytes()], from_row).optional()?)
}

fn list(conn: &Connection, shelf: Shelf, filter: &DocumentFilter) -> Result<Page<Document>, Fail> {
    const MATCHES: &str = "(?3 is null or holds(d.title, ?3) or holds(d.name, ?3)) \
                           and (?4 is null or d.state = ?4) and (?5 is null or d.kind = ?5)";
    let (platform, user) = whose(shelf);
    let search = filter.search.as_deref().map(folded);
    let (state, kind) = (filter.state.map(DocumentState::as_str), filter.kind.map(DocumentKind::as_str));
    let total = conn
        .prepare_cached(&format!("select count(*) from documents d where {OF_SHELF} and {MATCHES}"))?
        .query_row(params![platform, user, search, state, kind], |row| row.get(0))?;
    let sql =
        format!("select {COLUMNS} from {TABLES} where {OF_SHELF} and {MATCHES} order by d.id desc limit ?6 offset ?7");
    let items = conn
        .prepare_cached(&sql)?
        .query_map(params![platform, user, search, state, kind, filter.limit, filter.offset], from_row)?
        .collect::<Result<_, _>>()?;
    Ok(Page { total, items })
}

fn stats(conn: &Connection, shelf: Shelf) -> Result<DocumentStats, Fail> {
    let (platform, user) = whose(shelf);
    let sql = format!(
        "select d.kind, count(*), coalesce(sum(d.is_active), 0), coalesce(sum(d.state = 'live'), 0) \
         from documents d where {OF_SHELF} group by d.kind order by d.kind"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![platform, user])?;
    let mut stats = DocumentStats::default();
    while let Some(row) = rows.next()? {
        let count: u64 = row.get(1)?;
        stats.total += count;
        stats.active += row.get::<_, u64>(2)?;
        stats.live += row.get::<_, u64>(3)?;
        stats.by_kind.push((rows::word(row, 0, DocumentKind::parse)?, count));
    }
    Ok(stats)
}

fn edit(tx: &Tx<'_>, shelf: Shelf, uuid: Uuid, edit: &DocumentEdit, at: Timestamp) -> Result<Option<Document>, Fail> {
    let (platform, user) = whose(shelf);
    tx.conn
        .prepare_cached(&format!(
            "update documents as d set title = coalesce(?4, title), is_active = coalesce(?5, is_active), \
             updated_at = ?6 where {OF_SHELF} and d.uuid = ?3"
        ))?
        .execute(params![platform, user, uuid.as_bytes(), edit.title, edit.is_active, at.0])?;
    by_uuid(tx.conn, shelf, uuid)
}

fn waiting(conn: &Connection, now: Timestamp, limit: usize) -> Result<Vec<Document>, Fail> {
    let sql = format!(
        "select {COLUMNS} from (select id from documents where {IS_WAITING} and goes_on_at <= ?1 \
         and (claimed_until is null or claimed_until <= ?1) order by goes_on_at, id limit ?2) w \
         join documents d on d.id = w.id join users u on u.id = d.user_id order by d.goes_on_at, d.id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map(params![now.0, limit], from_row)?.collect::<Result<_, _>>()?;
    Ok(found)
}

fn take(tx: &Tx<'_>, id: DocumentId, from: &[DocumentState], take: Take) -> Result<Option<Document>, Fail> {
    let states: Vec<_> = from.iter().map(|state| state.as_str()).collect();
    let states = format!(" {} ", states.join(" "));
    let taken = tx
        .conn
        .prepare_cached(&format!(
            "update documents set claimed_until = ?3, generation = generation + 1, failure = null, updated_at = ?4, \
             state = case when ?5 then 'processing' else state end \
             where id = ?1 and instr(?2, ' ' || state || ' ') > 0 \
             and (claimed_until is null or claimed_until <= ?4) \
             and (not ?6 or (goes_on_at <= ?4 and {IS_WAITING}))"
        ))?
        .execute(params![id.0, states, take.until.0, take.now.0, take.is_processing, take.is_alone])?;
    if taken == 0 { Ok(None) } else { by_id(tx.conn, id) }
}

/// Whether the work of that generation still goes on.
fn is_claimed(tx: &Tx<'_>, id: DocumentId, generation: u64) -> Result<bool, Fail> {
    let found = tx
        .conn
        .prepare_cached("select 1 from documents where id = ?1 and generation = ?2 and claimed_until is not null")?
        .query_row(params![id.0, generation], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

fn hold(tx: &Tx<'_>, id: DocumentId, generation: u64, until: Timestamp) -> Result<bool, Fail> {
    let sql = "update documents set claimed_until = ?3 where id = ?1 and generation = ?2 and claimed_until is not null";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![id.0, generation, until.0])? == 1)
}

fn end(tx: &Tx<'_>, id: DocumentId, generation: u64, worked: &Worked, at: Timestamp) -> Result<Option<Document>, Fail> {
    if !is_claimed(tx, id, generation)? {
        return Ok(None);
    }
    let ended = worked.ended();
    let again_at = ended.again_at.map(|again| again.0);
    tx.conn
        .prepare_cached(
            "update documents set state = ?2, vector_model = ?3, failure = ?4, claimed_until = null, updated_at = ?5, \
             vectorized_at = case when ?2 = 'live' then ?5 else vectorized_at end, \
             goes_on_at = case when ?6 and goes_on_at is not null then coalesce(?7, goes_on_at) end, \
             chunk_count = (select count(*) from chunks where document_id = ?1) where id = ?1",
        )?
        .execute(params![id.0, ended.state.as_str(), ended.model, ended.failure, at.0, ended.goes_on, again_at])?;
    by_id(tx.conn, id)
}

fn add_chunks(tx: &Tx<'_>, id: DocumentId, generation: u64, texts: &[String]) -> Result<bool, Fail> {
    if !is_claimed(tx, id, generation)? {
        return Ok(false);
    }
    let last: i64 = tx
        .conn
        .prepare_cached("select coalesce(max(number), 0) from chunks where document_id = ?1")?
        .query_row([id.0], |row| row.get(0))?;
    let mut insert = tx.conn.prepare_cached("insert into chunks (document_id, number, text) values (?1, ?2, ?3)")?;
    for (number, text) in (last + 1..).zip(texts.iter().take(CHUNKS_AT_ONCE)) {
        insert.execute(params![id.0, number, text])?;
    }
    Ok(true)
}

fn clear(tx: &Tx<'_>, id: DocumentId, generation: Option<u64>) -> Result<usize, Fail> {
    let is_gone = "select 1 from documents where id = ?1 \
                   and (state = 'gone' or (claimed_until is not null and generation = ?2))";
    if tx.conn.prepare_cached(is_gone)?.query_row(params![id.0, generation], |_| Ok(())).optional()?.is_none() {
        return Ok(0);
    }
    let sql = "select number from chunks where document_id = ?1 order by number desc limit ?2";
    let numbers: Vec<i64> = numbers(tx, sql, id)?;
    unindex(tx, id, &numbers)?;
    let mut delete = tx.conn.prepare_cached("delete from chunks where document_id = ?1 and number = ?2")?;
    for number in &numbers {
        delete.execute([id.0, *number])?;
    }
    Ok(numbers.len())
}

fn forget(tx: &Tx<'_>, id: DocumentId) -> Result<usize, Fail> {
    let sql = "select c.number from chunks c join documents d on d.id = c.document_id where c.document_id = ?1 \
               and d.state <> 'live' and d.claimed_until is null and (c.words is not null or c.vector is not null) \
               order by c.number limit ?2";
    let numbers = numbers(tx, sql, id)?;
    unindex(tx, id, &numbers)?;
    let mut void = tx
        .conn
        .prepare_cached("update chunks set words = null, vector = null where document_id = ?1 and number = ?2")?;
    for number in &numbers {
        void.execute([id.0, *number])?;
    }
    Ok(numbers.len())
}

fn numbers(tx: &Tx<'_>, sql: &str, id: DocumentId) -> Result<Vec<i64>, Fail> {
    let mut statement = tx.conn.prepare_cached(sql)?;
    let found = statement.query_map(params![id.0, CHUNKS_AT_ONCE], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(found)
}

/// Takes chunks out of the index of words.
fn unindex(tx: &Tx<'_>, id: DocumentId, numbers: &[i64]) -> Result<(), Fail> {
    let mut read = tx
        .conn
        .prepare_cached("select id, words from chunks where document_id = ?1 and number = ?2 and words is not null")?;
    let mut delete = tx.conn.prepare_cached("delete from chunk_search where rowid = ?1")?;
    let mut counts = WordCounts::default();
    for number in numbers {
        let indexed = read.query_row([id.0, *number], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((chunk, words)) = indexed {
            let (chunk, words): (i64, String) = (chunk, words);
            delete.execute([chunk])?;
            counts.add(words.split(' ').map(str::to_owned), -1);
        }
    }
    write(counts, tx)
}

fn index(tx: &Tx<'_>, id: DocumentId, generation: u64, ready: &[(u64, Option<Vec<u8>>)]) -> Result<bool, Fail> {
    if !is_claimed(tx, id, generation)? {
        return Ok(false);
    }
    let platform = by_id(tx.conn, id)?.and_then(|document| document.platform_id);
    let mut read =
        tx.conn.prepare_cached("select id, text, words is null from chunks where document_id = ?1 and number = ?2")?;
    let mut keep =
        tx.conn.prepare_cached("update chunks set vector = ?2, words = coalesce(words, ?3) where id = ?1")?;
    let mut insert = tx.conn.prepare_cached("insert into chunk_search (rowid, words) values (?1, ?2)")?;
    let mut counts = WordCounts::default();
    for (number, vector) in ready.iter().take(CHUNKS_AT_ONCE) {
        let found = read.query_row(params![id.0, number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let Some((chunk, text, is_new)) = found.optional()? else { continue };
        let (chunk, text, is_new): (i64, String, bool) = (chunk, text, is_new);
        let terms = if is_new { terms(platform, &text) } else { Vec::new() };
        let words = (!terms.is_empty()).then(|| terms.join(" "));
        keep.execute(params![chunk, vector, words])?;
        if let Some(words) = words {
            insert.execute(params![chunk, words])?;
            counts.add(terms.into_iter(), 1);
        }
    }
    write(counts, tx)?;
    Ok(true)
}

fn write(counts: WordCounts, tx: &Tx<'_>) -> Result<(), Fail> {
    let mut add = tx.conn.prepare_cached(
        "insert into chunk_words (word, total) values (?1, ?2) \
         on conflict (word) do update set total = total + excluded.total",
    )?;
    let mut none = tx.conn.prepare_cached("delete from chunk_words where word = ?1 and total <= 0")?;
    for (word, by) in counts.0 {
        add.execute(params![word, by])?;
        if by < 0 {
            none.execute([&word])?;
        }
    }
    Ok(())
}

fn retire(tx: &Tx<'_>, id: DocumentId, at: Timestamp) -> Result<Option<Document>, Fail> {
    let sql = "update documents set state = 'removed_from_vectordb', vector_model = null, generation = generation + 1, \
               failure = null, updated_at = ?2 where id = ?1 and state = 'live' and claimed_until is null";
    let retired = tx.conn.prepare_cached(sql)?.execute([id.0, at.0])?;
    if retired == 0 { Ok(None) } else { by_id(tx.conn, id) }
}

fn condemn(tx: &Tx<'_>, id: DocumentId, at: Timestamp) -> Result<bool, Fail> {
    // Whoever worked on it and lost their claim finds another generation, and does not bring it back.
    let sql = "update documents set state = 'gone', goes_on_at = null, claimed_until = null, generation = generation + 1 \
               where id = ?1 and state <> 'live' \
               and (claimed_until is null or claimed_until <= ?2)";
    Ok(tx.conn.prepare_cached(sql)?.execute([id.0, at.0])? == 1)
}

fn condemned(conn: &Connection, limit: usize) -> Result<Vec<(DocumentId, Uuid)>, Fail> {
    let mut statement =
        conn.prepare_cached("select id, uuid from documents where state = 'gone' order by id limit ?1")?;
    let found = statement
        .query_map([limit], |row| Ok((DocumentId(row.get(0)?), rows::uuid(row, 1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

fn remove(tx: &Tx<'_>, id: DocumentId) -> Result<bool, Fail> {
    let sql = "delete from documents where id = ?1 and state = 'gone' \
               and not exists (select 1 from chunks where document_id = ?1)";
    Ok(tx.conn.prepare_cached(sql)?.execute([id.0])? == 1)
}

fn chunks(conn: &Connection, id: DocumentId, after: u64, limit: usize) -> Result<Vec<Chunk>, Fail> {
    let mut statement = conn.prepare_cached(
        "select id, number, text from chunks where document_id = ?1 and number > ?2 order by number limit ?3",
    )?;
    let found = statement
        .query_map(params![id.0, after, limit.min(CHUNKS_AT_ONCE)], |row| {
            Ok(Chunk { id: ChunkId(row.get(0)?), number: row.get(1)?, text: row.get(2)? })
        })?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

#[async_trait]
impl Knowledge for SqliteStore {
    async fn add_document(&self, new: NewDocument) -> Answer<Document> {
        self.writer.call(move |tx| add(tx, &new)).await
    }

    async fn document(&self, shelf: Shelf, uuid: Uuid) -> Answer<Option<Document>> {
        self.readers.read(move |conn| by_uuid(conn, shelf, uuid)).await
    }

    async fn documents(&self, shelf: Shelf, filter: DocumentFilter) -> Answer<Page<Document>> {
        self.readers.read(move |conn| list(conn, shelf, &filter)).await
    }

    async fn document_stats(&self, shelf: Shelf) -> Answer<DocumentStats> {
        self.readers.read(move |conn| stats(conn, shelf)).await
    }

    async fn edit_document(
        &self,
        shelf: Shelf,
        uuid: Uuid,
        change: DocumentEdit,
        at: Timestamp,
    ) -> Answer<Option<Document>> {
        self.writer.call_guarded(move |tx| edit(tx, shelf, uuid, &change, at)).await
    }

    async fn waiting_documents(&self, now: Timestamp, limit: usize) -> Answer<Vec<Document>> {
        self.readers.read(move |conn| waiting(conn, now, limit)).await
    }

    async fn take_document(&self, id: DocumentId, from: Vec<DocumentState>, how: Take) -> Answer<Option<Document>> {
        self.writer.call_guarded(move |tx| take(tx, id, &from, how)).await
    }

    async fn hold_document(&self, id: DocumentId, generation: u64, until: Timestamp) -> Answer<bool> {
        self.writer.call_guarded(move |tx| hold(tx, id, generation, until)).await
    }

    async fn end_work(
        &self,
        id: DocumentId,
        generation: u64,
        worked: Worked,
        at: Timestamp,
    ) -> Answer<Option<Document>> {
        self.writer.call_guarded(move |tx| end(tx, id, generation, &worked, at)).await
    }

    async fn add_chunks(&self, id: DocumentId, generation: u64, texts: Vec<String>) -> Answer<bool> {
        self.writer.call_guarded(move |tx| add_chunks(tx, id, generation, &texts)).await
    }

    async fn clear_chunks(&self, id: DocumentId, generation: Option<u64>) -> Answer<usize> {
        self.writer.call_guarded(move |tx| clear(tx, id, generation)).await
    }

    async fn index_chunks(&self, id: DocumentId, generation: u64, ready: Vec<(u64, Option<Vec<u8>>)>) -> Answer<bool> {
        self.writer.call_guarded(move |tx| index(tx, id, generation, &ready)).await
    }

    async fn forget_chunks(&self, id: DocumentId) -> Answer<usize> {
        self.writer.call_guarded(move |tx| forget(tx, id)).await
    }

    async fn retire_document(&self, id: DocumentId, at: Timestamp) -> Answer<Option<Document>> {
        self.writer.call_guarded(move |tx| retire(tx, id, at)).await
    }

    async fn condemn_document(&self, id: DocumentId, at: Timestamp) -> Answer<bool> {
        self.writer.call_guarded(move |tx| condemn(tx, id, at)).await
    }

    async fn condemned_documents(&self, limit: usize) -> Answer<Vec<(DocumentId, Uuid)>> {
        self.readers.read(move |conn| condemned(conn, limit)).await
    }

    async fn remove_document(&self, id: DocumentId) -> Answer<bool> {
        self.writer.call_guarded(move |tx| remove(tx, id)).await
    }

    async fn chunks(&self, id: DocumentId, after: u64, limit: usize) -> Answer<Vec<Chunk>> {
        self.readers.read(move |conn| chunks(conn, id, after, limit)).await
    }

    async fn vectors(&self, id: DocumentId, generation: u64, after: u64) -> Answer<Vec<(u64, Vec<u8>)>> {
        self.readers.read(move |conn| found::vectors(conn, id, generation, after)).await
    }

    async fn live_documents(&self, platform: Option<PlatformId>) -> Answer<Vec<LiveDocument>> {
        self.readers.read(move |conn| found::live(conn, platform)).await
    }

    async fn search_chunks(
        &self,
        shelf: Shelf,
        text: String,
        only: Option<DocumentId>,
        limit: usize,
    ) -> Answer<Vec<(ChunkKey, f64)>> {
        self.readers.read(move |conn| found::search(conn, shelf, &text, only, limit)).await
    }

    async fn near_chunks(&self, _: Shelf, _: Near) -> Answer<Option<Vec<ChunkKey>>> {
        Ok(None)
    }

    async fn found_chunks(&self, shelf: Shelf, keys: Vec<ChunkKey>) -> Answer<Vec<(ChunkKey, Document, String)>> {
        self.readers.read(move |conn| found::found(conn, shelf, &keys)).await
    }
}
