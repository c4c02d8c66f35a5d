//! Searching documents by words and by vectors, and making one ranking of both.

use std::sync::Arc;

use uuid::Uuid;

use super::shelf;
use crate::chat::Chat;
use crate::domain::{Access, DocumentId, PlatformId, Source, chunk_name};
use crate::error::{Error, Result};
use crate::knowledge::fuse::fuse;
use crate::knowledge::vectors::{Block, Blocks, memory, nearest, normal};
use crate::store::knowledge::{ChunkKey, LiveDocument, Near, Shelf};

/// How far down each ranking is looked at, for a search that gives so many. Much further, and what both rankings know but
/// neither thinks much of would come before what one of them is sure of.
fn depth(limit: usize) -> usize {
    (2 * limit).max(10)
}

/// The most that a search gives.
pub const SOURCES_MAX: usize = 50;

impl Chat {
    /// What the documents that the caller may see, or one of them, say about a query: at most `limit` chunks, the best
    /// first.
    ///
    /// # Errors
    /// `NotFound(Document)`; what the store answers.
    pub async fn search_documents(
        &self,
        access: &Access,
        query: &str,
        only: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<Source>> {
        let only = match only {
            Some(uuid) => Some(self.document(access, uuid).await?.id),
            None => None,
        };
        self.find(shelf(access), query, only, limit).await
    }

    /// What a tenant's documents say about a message to its assistant, the best first; `None` is the default tenant. A
    /// long message is cut.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn retrieve(&self, platform: Option<PlatformId>, query: &str) -> Result<Vec<Source>> {
        let rules = &self.rules.knowledge;
        let end = query.char_indices().nth(rules.query_chars_max).map_or(query.len(), |(at, _)| at);
        self.find(Shelf { platform_id: platform, user_id: None }, &query[..end], None, rules.sources).await
    }

    /// Longest query of a search, in characters.
    pub fn query_chars_max(&self) -> usize {
        self.rules.knowledge.query_chars_max
    }

    /// Bytes of vectors in memory.
    pub fn vector_bytes(&self) -> usize {
        self.library.vectors.bytes()
    }

    async fn find(&self, shelf: Shelf, query: &str, only: Option<DocumentId>, limit: usize) -> Result<Vec<Source>> {
        let limit = limit.min(SOURCES_MAX);
        if limit == 0 || query.trim().is_empty() {
            return Ok(Vec::new());
        }
        let depth = depth(limit);
        let by_words = self.store.search_chunks(shelf, query.to_owned(), only, depth);
        let (by_words, by_vectors) = tokio::join!(by_words, self.by_vectors(shelf, query, only, depth));
        let by_words = by_words?.into_iter().map(|(key, _)| key).collect();
        let fused = fuse(&[by_words, by_vectors?]);
        let keys: Vec<ChunkKey> = fused.iter().take(limit).map(|(key, _)| *key).collect();
        let found = self.store.found_chunks(shelf, keys).await?;
        let score = |key: &ChunkKey| fused.iter().find(|(one, _)| one == key).map_or(0.0, |(_, score)| *score);
        let source = |(key, document, text): (ChunkKey, crate::domain::Document, String)| Source {
            document_id: document.uuid,
            document_title: document.title,
            chunk_id: chunk_name(document.uuid, key.1),
            text,
            url: format!("/api/knowledgebase/documents/{}/view/", document.uuid),
            score: score(&key),
        };
        Ok(found.into_iter().map(source).collect())
    }

    /// The chunks whose vectors are nearest to the query's. None where no vectors are made, where the tenant has more of
    /// them than fit into the memory for them and the store does not compare them, and while whoever makes them does not
    /// answer: words go on.
    async fn by_vectors(
        &self,
        shelf: Shelf,
        query: &str,
        only: Option<DocumentId>,
        depth: usize,
    ) -> Result<Vec<ChunkKey>> {
        let rules = &self.rules.knowledge;
        let Some(embeddings) = &rules.embeddings else { return Ok(Vec::new()) };
        let mut live = self.store.live_documents(shelf.platform_id).await?;
        live.retain(|document| document.vector_model.as_deref() == Some(embeddings.model()));
        if live.is_empty() {
            return Ok(Vec::new());
        }
        let vector = match tokio::time::timeout(rules.query_time, embeddings.embed_one(query)).await {
            Ok(Ok(vector)) => vector,
            Ok(Err(error)) => {
                tracing::warn!(cause = %error, "a search goes by words alone: its vector was not made");
                return Ok(Vec::new());
            }
            Err(_) => {
                tracing::warn!("a search goes by words alone: its vector was not made in time");
                return Ok(Vec::new());
            }
        };
        let Some(vector) = normal(vector) else { return Ok(Vec::new()) };
        let near = Near { model: embeddings.model().to_owned(), vector, only, limit: depth };
        self.near(shelf, &live, near).await
    }

    /// The nearest chunks among these documents: in memory, or in the store when they do not fit there.
    async fn near(&self, shelf: Shelf, live: &[LiveDocument], near: Near) -> Result<Vec<ChunkKey>> {
        let chunks: u64 = live.iter().map(|document| document.chunk_count).sum();
        let bytes = memory(chunks, near.vector.len());
        if bytes <= self.rules.knowledge.vector_bytes_max {
            return self.near_in_memory(shelf, live, near).await;
        }
        match tokio::time::timeout(self.rules.knowledge.query_time, self.store.near_chunks(shelf, near)).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => {
                tracing::warn!(
                    bytes,
                    "a tenant is searched by words alone: knowledge.vectors_mib_max is too small for it"
                );
            }
            Ok(Err(error)) => tracing::warn!(error = %error, "a search goes by words alone: the store did not compare"),
            Err(_) => tracing::warn!("a search goes by words alone: the store did not compare vectors in time"),
        }
        Ok(Vec::new())
    }

    async fn near_in_memory(&self, shelf: Shelf, live: &[LiveDocument], near: Near) -> Result<Vec<ChunkKey>> {
        let Near { vector, only, limit, .. } = near;
        let mut blocks = self.blocks(shelf.platform_id, live).await?;
        let is_wanted = |id: DocumentId| {
            let mine = |document: &&LiveDocument| document.id == id;
            only.is_none_or(|only| only == id)
                && shelf.user_id.is_none_or(|user| live.iter().find(mine).is_some_and(|found| found.user_id == user))
        };
        if only.is_some() || shelf.user_id.is_some() {
            blocks.retain(|(id, _)| is_wanted(*id));
        }
        let scan = Arc::clone(&self.library.scanning).acquire_owned().await.map_err(Error::internal)?;
        let scanned = tokio::task::spawn_blocking(move || {
            // The permit goes along: a caller who hangs up does not stop the work.
            let _scan = scan;
            nearest(&blocks, &vector, limit)
        });
        let found = scanned.await.map_err(Error::internal)?;
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }

    /// The vectors of these documents: those that are not in memory are read. What does not fit is left out.
    async fn blocks(&self, platform: Option<PlatformId>, live: &[LiveDocument]) -> Result<Blocks> {
        let wanted: Vec<_> = live.iter().map(|document| (document.id, document.generation)).collect();
        let (here, missing) = self.library.vectors.blocks(platform, &wanted);
        if missing.is_empty() {
            return Ok(here);
        }
        let _turn = self.library.loading.acquire().await.map_err(Error::internal)?;
        let (mut here, missing) = self.library.vectors.blocks(platform, &wanted);
        for (id, generation) in missing {
            let block = Arc::new(self.block(id, generation).await?);
            if self.library.vectors.keep(platform, id, Arc::clone(&block)) {
                here.push((id, block));
            }
        }
        Ok(here)
    }

    async fn block(&self, id: DocumentId, generation: u64) -> Result<Block> {
        let (mut block, mut after) = (Block::new(generation), 0);
        loop {
            let some = self.store.vectors(id, generation, after).await?;
            let Some((last, _)) = some.last() else { return Ok(block) };
            after = *last;
            some.iter().for_each(|(number, bytes)| block.push(*number, bytes));
        }
    }
}
