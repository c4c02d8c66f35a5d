//! Documents that answers rest on: uploaded, looked at, edited, removed. `work` makes them searchable, `alone` does so
//! without being asked, `search` searches.
//!
//! A document is its tenant's: the answers of the tenant's assistant rest on it. Who may see and change it is who
//! uploaded it, and the tenant's staff.

mod alone;
mod search;
mod work;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use super::Chat;
use super::attachments::{Place, Places, Unkept, UploadError, head, key};
use crate::assistant::embeddings::Embeddings;
use crate::domain::{Access, Chunk, Document, DocumentKind, DocumentStats, clean_line, file_name};
use crate::error::{Error, Result, Rule, Subject};
use crate::knowledge::chunk::Sizes;
use crate::knowledge::kind;
use crate::knowledge::vectors::Vectors;
use crate::knowledge::worker::{WorkerRules, Workers};
use crate::media;
use crate::objects::{ObjectBytes, PutError};
use crate::store::Page;
use crate::store::knowledge::{DocumentEdit, DocumentFilter, NewDocument, Shelf};

pub use search::SOURCES_MAX;
pub use work::Step;

/// The field that an upload's refusals name.
const FIELD: &str = "file";
/// Rows that the collector looks at in one go.
const COLLECT_AT_ONCE: usize = 100;
/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 255;

/// The rules for documents that an operator can set.
#[derive(Clone, Debug)]
pub struct KnowledgeRules {
    /// Whether an upload goes live by itself.
    pub auto: bool,
    /// Largest document, in bytes.
    pub bytes_max: u64,
    /// Documents of one tenant.
    pub documents_max: u64,
    /// Chunks of one document.
    pub chunks_max: usize,
    /// How large chunks are.
    pub sizes: Sizes,
    /// What takes the text out of files.
    pub worker: WorkerRules,
    /// How long work on one document may take.
    pub work_time: Duration,
    /// For how long a document is claimed that is worked on, again and again while the work goes on.
    pub claim_time: Duration,
    /// How many chunks an answer rests on.
    pub sources: usize,
    /// Longest query, in characters.
    pub query_chars_max: usize,
    /// What makes vectors, if anything does.
    pub embeddings: Option<Arc<Embeddings>>,
    /// How long a query's vector may take.
    pub query_time: Duration,
    /// Memory for vectors, in bytes.
    pub vector_bytes_max: usize,
}

/// What documents stand on besides the store.
pub(super) struct Library {
    workers: Workers,
    vectors: Arc<Vectors>,
    /// Who reads vectors from the store: one at a time, so that two do not read the same.
    loading: Semaphore,
    /// Searches among vectors at once: each takes a core.
    scanning: Arc<Semaphore>,
    /// Rung when a document came that is to go live by itself.
    came: Notify,
}

impl Library {
    pub fn new(rules: &KnowledgeRules) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            workers: Workers::new(rules.worker.clone()),
            vectors: Arc::new(Vectors::new(rules.vector_bytes_max)),
            loading: Semaphore::new(1),
            scanning: Arc::new(Semaphore::new(cores)),
            came: Notify::new(),
        }
    }
}

/// A file that has arrived and is no document yet; dropped, it is gone.
pub struct Received {
    unkept: Unkept,
    _place: Place,
    name: String,
    kind: DocumentKind,
    size: u64,
}

/// The documents that a caller may see.
fn shelf(access: &Access) -> Shelf {
    let user = &access.user;
    Shelf { platform_id: user.platform_id, user_id: (!user.is_staff).then_some(user.id) }
}

impl Chat {
    /// Takes a document's file as it arrives; [`Chat::keep_document`] makes a document of it.
    ///
    /// # Errors
    /// As [`Chat::upload`].
    pub async fn receive_document<E: Send>(
        &self,
        access: &Access,
        name: &str,
        mut bytes: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<Received, UploadError<E>> {
        let place = Places::enter(&self.shelf.places, access.user.id).ok_or(Error::Busy)?;
        let head = head(&mut bytes).await.map_err(UploadError::Source)?;
        if head.is_empty() {
            return Err(Error::field(FIELD, Rule::NotBlank).into());
        }
        let (got, name) = (media::sniff(&head), file_name(name));
        let kind = kind::of(got, &name).ok_or_else(|| Error::field(FIELD, Rule::FileType { got }))?;
        let uuid = self.clock.uuid();
        let unkept = Unkept { objects: self.shelf.objects.clone(), uuid, is_kept: false };
        let whole = stream::once(ready(Ok(head))).chain(bytes);
        let max = self.rules.knowledge.bytes_max;
        let size = self.shelf.objects.put(&key(uuid), whole, max).await.map_err(|error| match error {
            PutError::TooLarge => Error::field(FIELD, Rule::FileBytesMax(max)).into(),
            PutError::Source(error) => UploadError::Source(error),
            PutError::Store(error) => error.into(),
        })?;
        Ok(Received { unkept, _place: place, name, kind, size })
    }

    /// Makes a document of a file; without a title it has the file's name. Where the operator chose so, it goes live by
    /// itself.
    ///
    /// # Errors
    /// `Invalid` (`file`, count max) when the tenant has as many as may be; `Busy`, `StorageFull`, `StorageReadOnly`,
    /// `Internal`.
    pub async fn keep_document(&self, access: &Access, received: Received, title: Option<String>) -> Result<Document> {
        let title = title.map(|title| clean_line(&title)).filter(|title| !title.is_empty());
        let new = NewDocument {
            uuid: received.unkept.uuid,
            platform_id: access.user.platform_id,
            user_id: access.user.id,
            title: title.unwrap_or_else(|| received.name.clone()),
            name: received.name,
            kind: received.kind,
            size: received.size,
            count_max: self.rules.knowledge.documents_max,
            goes_on: self.rules.knowledge.auto,
            at: self.clock.now(),
        };
        let document = self.store.add_document(new).await?;
        received.unkept.keep();
        if self.rules.knowledge.auto {
            self.library.came.notify_one();
        }
        Ok(document)
    }

    /// A document that the caller may see.
    ///
    /// # Errors
    /// `NotFound(Document)`.
    pub async fn document(&self, access: &Access, uuid: Uuid) -> Result<Document> {
        let found = self.store.document(shelf(access), uuid).await?;
        found.ok_or(Error::NotFound(Subject::Document))
    }

    /// A page of the documents that the caller may see, newest first.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn documents(&self, access: &Access, filter: DocumentFilter) -> Result<Page<Document>> {
        self.store.documents(shelf(access), filter).await
    }

    /// How many documents the caller may see.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn document_stats(&self, access: &Access) -> Result<DocumentStats> {
        self.store.document_stats(shelf(access)).await
    }

    /// Changes a document that the caller may see.
    ///
    /// # Errors
    /// `NotFound(Document)`; what the store answers.
    pub async fn edit_document(&self, access: &Access, uuid: Uuid, edit: DocumentEdit) -> Result<Document> {
        let edited = self.store.edit_document(shelf(access), uuid, edit, self.clock.now()).await?;
        edited.ok_or(Error::NotFound(Subject::Document))
    }

    /// The chunks of a document that [`Chat::document`] answered, in their order: a page of them after that one.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn document_chunks(&self, document: &Document, after: u64, limit: usize) -> Result<Vec<Chunk>> {
        self.store.chunks(document.id, after, limit).await
    }

    /// The bytes of a document that [`Chat::document`] answered, or a part of them that lies within.
    ///
    /// # Errors
    /// `NotFound(Document)` when it was removed meanwhile; `Upstream`, `Internal`. The stream too.
    pub async fn read_document(&self, document: &Document, range: Option<std::ops::Range<u64>>) -> Result<ObjectBytes> {
        let object = self.shelf.objects.get(&key(document.uuid), range).await?;
        object.map(|object| object.bytes).ok_or(Error::NotFound(Subject::Document))
    }

    /// Removes a document with its file and its chunks; `false` when it is live or somebody works on it.
    ///
    /// # Errors
    /// `NotFound(Document)`; what the store answers.
    pub async fn remove_document(&self, access: &Access, uuid: Uuid) -> Result<bool> {
        let document = self.document(access, uuid).await?;
        if !self.store.condemn_document(document.id, self.clock.now()).await? {
            return Ok(false);
        }
        // Nobody sees it any more: what cannot be removed now is removed with the next chores.
        if let Err(error) = self.collect_documents().await {
            tracing::warn!(error = %error, "what is left of a removed document is removed later");
        }
        Ok(true)
    }

    /// Removes what is left of documents that were removed; returns how many there were.
    ///
    /// # Errors
    /// `Upstream`, `StorageReadOnly`, `Busy`, `Internal`.
    pub async fn collect_documents(&self) -> Result<u64> {
        let mut removed = 0;
        loop {
            let condemned = self.store.condemned_documents(COLLECT_AT_ONCE).await?;
            if condemned.is_empty() {
                return Ok(removed);
            }
            for (id, uuid) in condemned {
                self.shelf.objects.delete(&key(uuid)).await?;
                while self.store.clear_chunks(id, None).await? > 0 {}
                removed += u64::from(self.store.remove_document(id).await?);
            }
        }
    }
}
