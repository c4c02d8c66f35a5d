//! Vectors in the database, where it has the extension pgvector: for tenants with more of them than fit into memory.
//!
//! The numbered migrations know nothing of this, for they have to pass on every server. What the extension can compare
//! stands in a table beside the chunks, which is made when the store opens and finds the extension, and has whatever
//! is said of a chunk in the same transaction. It is a copy and never the truth: a row counts only while its generation is
//! its document's, so that what a node without this left behind is not found, and is made good by the next [`fill`].
//!
//! Few chunks are compared one by one. For more there is an index a tenant and width, made when it is first wanted: one
//! of all tenants would be asked for the nearest and give those of others.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::Semaphore;

use super::conn::{Conn, Tx};
use super::core::Core;
use super::fail::Fail;
use super::{detached, knowledge_search as found, rows};
use crate::domain::{DocumentId, PlatformId};
use crate::error::{Error, Result as Answer};
use crate::store::knowledge::{CHUNKS_AT_ONCE, ChunkKey, Near, Shelf};

/// How many chunks are compared one by one at the most.
const EXACT_MAX: u64 = 20_000;
/// How many candidates the index gives, of which those that are not looked for are then left out.
const CANDIDATES: i64 = 400;
/// The widest vectors that pgvector keeps, and that it indexes.
const WIDTH_MAX: usize = 16_000;
const INDEXED_WIDTH_MAX: usize = 2000;
/// Indexes at the most: each is looked at whenever a chunk is written.
const INDEXES_MAX: i64 = 64;
/// Documents that are looked at in one go for vectors that are not copied yet.
const DOCUMENTS_AT_ONCE: i64 = 100;
/// Searches at once on a node, and how long one may take, in milliseconds: then it goes by words.
const SEARCHES_AT_ONCE: usize = 2;
const SEARCH_MS: u64 = 5000;
/// How long to wait before something is tried again that did not succeed beside requests.
const AGAIN: Duration = Duration::from_secs(60);
/// Advisory locks: under which the table is made, and under which an index is.
const PREPARING: i64 = 0x52_6F6F_7377;
const INDEXING: i64 = 0x52_6F6F_7378;

/// Everything is there twice: here as the extension has it.
const TABLE: &str = "create table if not exists chunk_vectors (
    document_id bigint not null,
    number      bigint not null,
    generation  bigint not null,  -- the document's when it was written
    tenant      bigint not null,  -- 0: the default one
    width       bigint not null,
    vector      vector not null,
    primary key (document_id, number)
)";

/// What is known of vectors in the database.
pub(super) struct Vectors {
    /// Whether they are kept there.
    pub is_there: bool,
    /// Whether all of them are, as far as they were made before.
    is_filled: AtomicBool,
    /// The indexes, by tenant and width, that this node is about to make.
    making: Mutex<HashSet<(i64, usize)>>,
    /// Places for searches, so that they leave connections to those who write.
    places: Arc<Semaphore>,
}

impl Default for Vectors {
    fn default() -> Self {
        Self {
            is_there: false,
            is_filled: AtomicBool::new(false),
            making: Mutex::default(),
            places: Arc::new(Semaphore::new(SEARCHES_AT_ONCE)),
        }
    }
}

impl Vectors {
    /// Makes the table if the extension is there, or can be.
    pub async fn prepare(pool: &Pool) -> Self {
        let is_there = prepare(pool).await.unwrap_or_else(|fail| {
            let error = Error::from(fail);
            tracing::warn!(error = %error, "pgvector is not used: its table could not be made");
            false
        });
        Self { is_there, ..Self::default() }
    }
}

fn held(set: &Mutex<HashSet<(i64, usize)>>) -> MutexGuard<'_, HashSet<(i64, usize)>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn prepare(pool: &Pool) -> Result<bool, Fail> {
    let conn = Conn::for_once(pool.get().await?);
    if conn.opt("select 1 from pg_available_extensions where name = 'vector'", &[]).await?.is_none() {
        return Ok(false);
    }
    conn.rows("select pg_advisory_lock($1)", &[&PREPARING]).await?;
    if let Err(fail) = conn.batch("create extension if not exists vector").await {
        let error = Error::from(fail);
        tracing::info!(error = %error, "pgvector is not used: this role may not create the extension, and nobody has");
        return Ok(false);
    }
    // HNSW came with 0.5.
    if conn.opt("select 1 from pg_am where amname = 'hnsw'", &[]).await?.is_none() {
        tracing::info!("pgvector is not used: the one that is there is older than 0.5");
        return Ok(false);
    }
    conn.batch(TABLE).await?;
    Ok(true)
}

/// Whose chunks are written, and as of which generation.
#[derive(Clone, Copy)]
pub(super) struct Of {
    pub platform: Option<PlatformId>,
    pub id: DocumentId,
    pub generation: u64,
}

fn tenant(platform: Option<PlatformId>) -> i64 {
    platform.map_or(0, |platform| platform.0)
}

/// A vector as the extension reads it; of no use for it: `None`.
fn text(bytes: &[u8]) -> Option<(i64, String)> {
    let (values, rest) = bytes.as_chunks::<4>();
    if values.is_empty() || values.len() > WIDTH_MAX || !rest.is_empty() {
        return None;
    }
    let text = listed(values.iter().map(|four| f32::from_le_bytes(*four)));
    Some((i64::try_from(values.len()).unwrap_or(i64::MAX), text))
}

/// Keeps what was made of chunks whose document is locked.
pub(super) async fn keep(tx: &Conn, of: Of, vectors: &[(i64, Option<&[u8]>)]) -> Result<(), Fail> {
    let gone: Vec<i64> = vectors.iter().filter(|(_, vector)| vector.is_none()).map(|(number, _)| *number).collect();
    if !gone.is_empty() {
        tx.execute("delete from chunk_vectors where document_id = $1 and number = any($2)", &[&of.id.0, &gone]).await?;
    }
    let (mut numbers, mut widths, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for (number, vector) in vectors {
        if let Some((width, text)) = vector.and_then(text) {
            numbers.push(*number);
            widths.push(width);
            texts.push(text);
        }
    }
    let sql = "insert into chunk_vectors (document_id, number, generation, tenant, width, vector) \
               select $1, x.number, $2, $3, x.width, x.vector::vector \
               from unnest($4::bigint[], $5::bigint[], $6::text[]) as x (number, width, vector) \
               on conflict (document_id, number) do update set generation = excluded.generation, \
               tenant = excluded.tenant, width = excluded.width, vector = excluded.vector";
    let generation = rows::number(of.generation);
    tx.execute(sql, &[&of.id.0, &generation, &tenant(of.platform), &numbers, &widths, &texts]).await?;
    Ok(())
}

/// Removes what is kept of these chunks, which are there no more or have no vectors.
pub(super) async fn forget(tx: &Tx, id: DocumentId, numbers: &[i64]) -> Result<(), Fail> {
    tx.execute("delete from chunk_vectors where document_id = $1 and number = any($2)", &[&id.0, &numbers]).await?;
    Ok(())
}

/// Removes all that is kept of a document: what a node left that knows nothing of this.
pub(super) async fn remove(tx: &Tx, id: DocumentId) -> Result<(), Fail> {
    tx.execute("delete from chunk_vectors where document_id = $1", &[&id.0]).await?;
    Ok(())
}

/// The chunks that are nearest to a vector; `None` while they cannot be told.
pub(super) async fn near(core: Arc<Core>, shelf: Shelf, near: Near) -> Answer<Option<Vec<ChunkKey>>> {
    if !core.vectors.is_there || !core.vectors.is_filled.load(Ordering::Acquire) {
        return Ok(None);
    }
    let place = Arc::clone(&core.vectors.places).acquire_owned().await.map_err(Error::internal)?;
    detached(async move {
        // The place goes along: a caller who hangs up does not stop the work.
        let _place = place;
        let tx = Tx::begin(&core).await?;
        let found = nearest(&core, &tx, shelf, &near).await;
        tx.end(found).await
    })
    .await
}

async fn nearest(core: &Arc<Core>, tx: &Tx, shelf: Shelf, near: &Near) -> Result<Option<Vec<ChunkKey>>, Fail> {
    tx.batch(&format!("set local statement_timeout = {SEARCH_MS}; set local hnsw.ef_search = {CANDIDATES}")).await?;
    let mut live = found::live(tx, shelf.platform_id).await?;
    live.retain(|document| {
        document.vector_model.as_deref() == Some(near.model.as_str())
            && near.only.is_none_or(|only| only == document.id)
            && shelf.user_id.is_none_or(|user| user == document.user_id)
    });
    let ids: Vec<i64> = live.iter().map(|document| document.id.0).collect();
    if live.iter().map(|document| document.chunk_count).sum::<u64>() <= EXACT_MAX {
        return compared(tx, &ids, near).await.map(Some);
    }
    let index = (tenant(shelf.platform_id), near.vector.len());
    if index.1 > INDEXED_WIDTH_MAX {
        return Ok(None);
    }
    // Looked for every time: whoever runs the database may have dropped it.
    if is_indexed(tx, index).await? {
        return by_index(tx, &ids, index, near).await.map(Some);
    }
    if held(&core.vectors.making).insert(index) {
        tokio::spawn(make_index(Arc::downgrade(core), index));
    }
    Ok(None)
}

fn written(vector: &[f32]) -> String {
    listed(vector.iter().copied())
}

fn listed(values: impl Iterator<Item = f32>) -> String {
    let mut text = String::from("[");
    for (place, value) in values.enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing into a string succeeds.
        let _ = write!(text, "{comma}{value}");
    }
    text.push(']');
    text
}

/// Compares each chunk of some documents.
async fn compared(conn: &Conn, ids: &[i64], near: &Near) -> Result<Vec<ChunkKey>, Fail> {
    let sql = "select v.document_id, v.number from documents d \
               join chunk_vectors v on v.document_id = d.id and v.generation = d.generation \
               where d.id = any($1) and d.state = 'live' and d.is_active and v.width = $2 \
               order by v.vector <=> $3::text::vector, v.document_id, v.number limit $4";
    let width = rows::limit(near.vector.len());
    let found = conn.rows(sql, &[&ids, &width, &written(&near.vector), &rows::limit(near.limit)]).await?;
    found.iter().map(key).collect()
}

fn key(row: &tokio_postgres::Row) -> Result<ChunkKey, Fail> {
    Ok((DocumentId(row.try_get(0)?), rows::count(row, 1)?))
}

/// Lets the index give candidates, and takes those that are looked for. The index is a partial one, so that its tenant
/// and width have to stand in the statement.
async fn by_index(tx: &Tx, ids: &[i64], (tenant, width): (i64, usize), near: &Near) -> Result<Vec<ChunkKey>, Fail> {
    let sql = format!(
        "select v.document_id, v.number from ( \
           select document_id, number, generation, vector::vector({width}) <=> $1::text::vector({width}) as distance \
           from chunk_vectors where tenant = {tenant} and width = {width} \
           order by vector::vector({width}) <=> $1::text::vector({width}) limit {CANDIDATES}) v \
         join documents d on d.id = v.document_id and d.generation = v.generation \
         where d.id = any($2) and d.state = 'live' and d.is_active \
         order by v.distance, v.document_id, v.number limit $3"
    );
    let found = tx.rows(&sql, &[&written(&near.vector), &ids, &rows::limit(near.limit)]).await?;
    found.iter().map(key).collect()
}

fn name((tenant, width): (i64, usize)) -> String {
    format!("chunk_vectors_{tenant}_{width}")
}

/// Whether the index is there and whole.
async fn is_indexed(conn: &Conn, index: (i64, usize)) -> Result<bool, Fail> {
    let sql = "select 1 from pg_index where indexrelid = to_regclass($1) and indisvalid";
    Ok(conn.opt(sql, &[&name(index)]).await?.is_some())
}

/// Makes an index; one that another node makes is waited for by asking again.
async fn make_index(core: Weak<Core>, index: (i64, usize)) {
    let done = match core.upgrade() {
        Some(core) => indexed(&core.pool, index).await,
        None => return,
    };
    if let Err(fail) = done {
        let error = Error::from(fail);
        tracing::warn!(error = %error, index = name(index), "an index of vectors was not made");
    }
    tokio::time::sleep(AGAIN).await;
    if let Some(core) = core.upgrade() {
        held(&core.vectors.making).remove(&index);
    }
}

/// Writers do not wait meanwhile. What a crash left half made is removed before: it would be kept up for nothing.
async fn indexed(pool: &Pool, index: (i64, usize)) -> Result<(), Fail> {
    let (name, (tenant, width)) = (name(index), index);
    let conn = Conn::for_once(pool.get().await?);
    let is_mine: bool = conn.one("select pg_try_advisory_lock($1)", &[&INDEXING]).await?.try_get(0)?;
    if !is_mine || is_indexed(&conn, index).await? {
        return Ok(());
    }
    let count = conn.one("select count(*) from pg_index where indrelid = 'chunk_vectors'::regclass", &[]).await?;
    if count.try_get::<_, i64>(0)? > INDEXES_MAX {
        tracing::warn!(INDEXES_MAX, "there are as many indexes of vectors as may be: a tenant gets none");
        return Ok(());
    }
    conn.batch("set lock_timeout = 0; set statement_timeout = 0").await?;
    conn.batch(&format!("drop index concurrently if exists {name}")).await?;
    tracing::info!(index = name, "an index of vectors is made: until it is there a tenant is searched by words alone");
    conn.batch(&format!(
        "create index concurrently {name} on chunk_vectors \
         using hnsw ((vector::vector({width})) vector_cosine_ops) where tenant = {tenant} and width = {width}"
    ))
    .await?;
    tracing::info!(index = name, "an index of vectors is there");
    Ok(())
}

/// Copies the vectors of documents that went live where nobody knew of this: before the extension came, or by nodes of an
/// older version. Tried again until it went through; ends with the store.
pub(super) async fn fill(core: Weak<Core>) {
    loop {
        match fill_all(&core).await {
            Ok(()) => return,
            Err(_) if core.upgrade().is_none_or(|core| core.pool.is_closed()) => return,
            Err(fail) => {
                let error = Error::from(fail);
                tracing::warn!(error = %error, "vectors could not all be copied for pgvector yet");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn fill_all(core: &Weak<Core>) -> Result<(), Fail> {
    // Chunks are written in their order, so that the last one tells of all.
    let sql = "select d.id, d.generation, d.platform_id from documents d \
               where d.id > $1 and d.state = 'live' and d.vector_model is not null and not exists ( \
                 select 1 from chunk_vectors v where v.document_id = d.id and v.generation = d.generation \
                 and v.number = (select c.number from chunks c where c.document_id = d.id and c.vector is not null \
                                 order by c.number desc limit 1)) \
               order by d.id limit $2";
    let mut after = 0_i64;
    loop {
        // Only for a moment: whoever closes the store does not wait for this.
        let Some(held) = core.upgrade().filter(|core| !core.pool.is_closed()) else { return Ok(()) };
        let unfilled = held.conn().await?.rows(sql, &[&after, &DOCUMENTS_AT_ONCE]).await?;
        let Some(last) = unfilled.last() else {
            held.vectors.is_filled.store(true, Ordering::Release);
            return Ok(());
        };
        after = last.try_get(0)?;
        for row in &unfilled {
            let platform = row.try_get::<_, Option<i64>>(2)?.map(PlatformId);
            let of = Of { platform, id: DocumentId(row.try_get(0)?), generation: rows::count(row, 1)? };
            fill_document(&held, of).await?;
        }
    }
}

async fn fill_document(core: &Arc<Core>, of: Of) -> Result<(), Fail> {
    let mut after = 0;
    loop {
        let tx = Tx::begin(core).await?;
        let copied = copy_some(&tx, of, after).await;
        match tx.end(copied).await? {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

/// Copies some vectors of a document that is still the same; the last chunk of them.
async fn copy_some(tx: &Tx, of: Of, after: i64) -> Result<Option<i64>, Fail> {
    let sql = "select 1 from documents where id = $1 and generation = $2 and state = 'live' for no key update";
    if tx.opt(sql, &[&of.id.0, &rows::number(of.generation)]).await?.is_none() {
        return Ok(None);
    }
    let sql = "select number, vector from chunks where document_id = $1 and number > $2 and vector is not null \
               order by number limit $3";
    let found = tx.rows(sql, &[&of.id.0, &after, &rows::limit(CHUNKS_AT_ONCE)]).await?;
    let mut vectors: Vec<(i64, Option<&[u8]>)> = Vec::with_capacity(found.len());
    for row in &found {
        vectors.push((row.try_get(0)?, Some(row.try_get(1)?)));
    }
    keep(tx, of, &vectors).await?;
    Ok(vectors.last().map(|(number, _)| *number))
}
