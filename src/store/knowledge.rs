//! The contract of documents and their chunks: rows only, the files' bytes are in the object store. What [`super`] says
//! of every method holds here too.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{
    Chunk, Document, DocumentId, DocumentKind, DocumentState, DocumentStats, PlatformId, Timestamp, UserId,
};
use crate::error::{Error, Result, Rule};

/// A document whose bytes are whole in the object store.
#[derive(Clone, Debug)]
pub struct NewDocument {
    /// Its public identifier, under which its bytes are kept.
    pub uuid: Uuid,
    /// The tenant; `None`: the default one.
    pub platform_id: Option<PlatformId>,
    /// Who uploaded it.
    pub user_id: UserId,
    /// What people call it.
    pub title: String,
    /// What its file is called.
    pub name: String,
    /// What its file is.
    pub kind: DocumentKind,
    /// Its size, in bytes.
    pub size: u64,
    /// The tenant has at most so many with it.
    pub count_max: u64,
    /// Whether nodes make it live by themselves ([`Knowledge::waiting_documents`]).
    pub goes_on: bool,
    /// When.
    pub at: Timestamp,
}

/// Whose documents are meant: always one tenant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shelf {
    /// The tenant; `None`: the default one.
    pub platform_id: Option<PlatformId>,
    /// Of that user only; `None`: everybody's.
    pub user_id: Option<UserId>,
}

/// Which documents are listed, newest first.
#[derive(Clone, Debug, Default)]
pub struct DocumentFilter {
    /// Only those whose title or file name contains this, in any letter case.
    pub search: Option<String>,
    /// Only those in that state.
    pub state: Option<DocumentState>,
    /// Only those of that kind.
    pub kind: Option<DocumentKind>,
    /// Skip so many.
    pub offset: u64,
    /// At most so many.
    pub limit: usize,
}

/// What is changed of a document; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct DocumentEdit {
    /// What people call it.
    pub title: Option<String>,
    /// Whether searches look at it.
    pub is_active: Option<bool>,
}

/// Somebody begins to work on a document.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// The present instant: a claim that lapsed before it is nobody's.
    pub now: Timestamp,
    /// When this claim lapses.
    pub until: Timestamp,
    /// Whether the document is shown as `processing` meanwhile.
    pub is_processing: bool,
    /// Whether nobody asked for it: the document can then be taken only while it waits for a node to go on with it.
    pub is_alone: bool,
}

/// What work on a document ended with.
#[derive(Clone, Debug)]
pub enum Worked {
    /// Its text was cut into the chunks that it has by now.
    Chunked,
    /// It goes live: with vectors that this model made (each chunk has one by then), or without any.
    Live(Option<String>),
    /// It did not succeed.
    Failed {
        /// What the state becomes.
        state: DocumentState,
        /// Why: a sentence.
        why: String,
        /// When a node may go on with the document by itself, if nodes do so at all; `None`: never again, for the reason
        /// is the document's own.
        again_at: Option<Timestamp>,
    },
}

/// What is written of work that ended.
pub(super) struct Ended<'a> {
    pub state: DocumentState,
    pub model: Option<&'a str>,
    pub failure: Option<&'a str>,
    /// Whether the document goes on to wait for a node, if it did so far.
    pub goes_on: bool,
    /// The instant from which on, if it is another than before.
    pub again_at: Option<Timestamp>,
}

impl Worked {
    pub(super) fn ended(&self) -> Ended<'_> {
        let ended = |state, model, goes_on| Ended { state, model, failure: None, goes_on, again_at: None };
        match self {
            Self::Chunked => ended(DocumentState::Chunked, None, true),
            Self::Live(model) => ended(DocumentState::Live, model.as_deref(), false),
            Self::Failed { state, why, again_at } => {
                Ended { failure: Some(why), again_at: *again_at, ..ended(*state, None, again_at.is_some()) }
            }
        }
    }
}

/// A document that is live: what a search needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveDocument {
    /// Its number.
    pub id: DocumentId,
    /// Who uploaded it.
    pub user_id: UserId,
    /// Which chunks and vectors it has, as far as the number tells.
    pub generation: u64,
    /// How many chunks.
    pub chunk_count: u64,
    /// What made its vectors.
    pub vector_model: Option<String>,
}

/// Which chunks are looked for by what they mean.
#[derive(Clone, Debug)]
pub struct Near {
    /// What made the vector; those of another model say nothing beside it.
    pub model: String,
    /// Of length 1.
    pub vector: Vec<f32>,
    /// In that document only.
    pub only: Option<DocumentId>,
    /// At most so many.
    pub limit: usize,
}

/// The name of a chunk: its document, and its place there from 1 on.
pub type ChunkKey = (DocumentId, u64);

/// How many chunks one call takes, gives or removes at the most: a bound on how long it holds the writer, and on its
/// memory.
pub const CHUNKS_AT_ONCE: usize = 256;

/// How many different words of a question are looked for at the most.
pub const QUERY_WORDS_MAX: usize = 48;

/// What is read of a document, with [`DOCUMENT_TABLES`].
pub(super) const DOCUMENT_COLUMNS: &str = "d.id, d.uuid, d.platform_id, d.user_id, u.uuid, u.name, u.email, d.title, \
     d.name, d.kind, d.size, d.state, d.failure, d.is_active, d.chunk_count, d.generation, d.vector_model, \
     d.vectorized_at, d.created_at, d.updated_at";
/// How many columns those are.
pub(super) const DOCUMENT_COLUMN_COUNT: usize = 20;
/// What [`DOCUMENT_COLUMNS`] are columns of.
pub(super) const DOCUMENT_TABLES: &str = "documents d join users u on u.id = d.user_id";
/// Which documents wait for a node, but for the instant, which is compared to `goes_on_at`, and the claim. The generation
/// counts how often it was taken: a bound for a document at which every node dies. That it was never live is asked for
/// because nodes of an older schema take from the searches, and know nothing of `goes_on_at`.
pub(super) const IS_WAITING: &str = "goes_on_at is not null and vectorized_at is null and generation < 40 \
                                     and state in ('uploaded', 'chunked', 'processing')";

/// The numbers of a shelf's tenant and user.
pub(super) fn whose(shelf: Shelf) -> (Option<i64>, Option<i64>) {
    (shelf.platform_id.map(|platform| platform.0), shelf.user_id.map(|user| user.0))
}

/// A tenant has as many documents as may be.
pub(super) fn too_many(max: u64) -> Error {
    Error::field("file", Rule::CountMax(usize::try_from(max).unwrap_or(usize::MAX)))
}

/// In how many chunks more, or fewer, each word is; in the words' order, so that two who write such counts wait for each
/// other and do not lock each other out.
#[derive(Default)]
pub(super) struct WordCounts(pub BTreeMap<String, i64>);

impl WordCounts {
    /// Counts a chunk's words.
    pub fn add(&mut self, words: impl Iterator<Item = String>, by: i64) {
        for word in words.collect::<BTreeSet<_>>() {
            *self.0.entry(word).or_default() += by;
        }
    }
}

/// What every engine does for documents.
///
/// **Work.** Whoever works on a document takes it first ([`Knowledge::take_document`]); until they end it
/// ([`Knowledge::end_work`]), or the claim lapses, nobody else can, and it is neither removed nor taken from the
/// searches. A claim has the document's generation: work of a claim that lapsed and was taken over changes nothing. Claims
/// are short, and held on to while work goes on ([`Knowledge::hold_document`]), so that a dead node's lapse soon.
///
/// **Going on.** A document that was uploaded to go live by itself waits for a node until it is live or fails for a reason
/// of its own; which node, the claim decides.
///
/// **Searches.** They see the chunks of documents that are live and active, of one tenant, and never another's.
#[async_trait]
pub trait Knowledge: Send + Sync {
    /// Stores an upload.
    ///
    /// # Errors
    /// `Invalid` (`file`, count max) when the tenant has as many as may be.
    async fn add_document(&self, new: NewDocument) -> Result<Document>;

    /// The document of that identifier, if it stands on that shelf.
    async fn document(&self, shelf: Shelf, uuid: Uuid) -> Result<Option<Document>>;

    /// A page of the documents of a shelf, newest first, with the number of all that match.
    async fn documents(&self, shelf: Shelf, filter: DocumentFilter) -> Result<super::Page<Document>>;

    /// How many documents stand on a shelf.
    async fn document_stats(&self, shelf: Shelf) -> Result<DocumentStats>;

    /// Changes a document; as it then stands, or `None` when it is not on the shelf.
    async fn edit_document(
        &self,
        shelf: Shelf,
        uuid: Uuid,
        edit: DocumentEdit,
        at: Timestamp,
    ) -> Result<Option<Document>>;

    /// At most so many documents of any tenant that nobody works on and that a node may go on with by now, those first
    /// that have waited longest.
    async fn waiting_documents(&self, now: Timestamp, limit: usize) -> Result<Vec<Document>>;

    /// Takes a document that nobody works on, and that is in one of these states (a claim that lapsed counts as no
    /// claim), to work on it; as it then stands. `None` when it cannot be taken.
    async fn take_document(&self, id: DocumentId, from: Vec<DocumentState>, take: Take) -> Result<Option<Document>>;

    /// Makes the claim of that generation lapse later; `false` when it was lost.
    async fn hold_document(&self, id: DocumentId, generation: u64, until: Timestamp) -> Result<bool>;

    /// Ends work that was taken with that generation; as the document then stands, or `None` when the claim was lost.
    async fn end_work(
        &self,
        id: DocumentId,
        generation: u64,
        worked: Worked,
        at: Timestamp,
    ) -> Result<Option<Document>>;

    /// Adds chunks behind those that a document has, at most [`CHUNKS_AT_ONCE`]; `false` when the claim was lost.
    async fn add_chunks(&self, id: DocumentId, generation: u64, texts: Vec<String>) -> Result<bool>;

    /// Removes some chunks of a document that is being worked on with that generation, or that was condemned, at most
    /// [`CHUNKS_AT_ONCE`]; how many. Whoever wants all of them gone asks until there are none.
    async fn clear_chunks(&self, id: DocumentId, generation: Option<u64>) -> Result<usize>;

    /// Makes chunks of a document that is being worked on ready to be found once it is live, at most [`CHUNKS_AT_ONCE`]:
    /// by their words, and by these vectors; `false` when the claim was lost.
    async fn index_chunks(&self, id: DocumentId, generation: u64, ready: Vec<(u64, Option<Vec<u8>>)>) -> Result<bool>;

    /// Takes the words and the vectors of some chunks of a document that is not live out of the index, at most
    /// [`CHUNKS_AT_ONCE`]; how many. That it is not found does not wait for this.
    async fn forget_chunks(&self, id: DocumentId) -> Result<usize>;

    /// Takes a live document that nobody works on from the searches; as it then stands, `None` when it is not live.
    /// Its chunks stay.
    async fn retire_document(&self, id: DocumentId, at: Timestamp) -> Result<Option<Document>>;

    /// Makes sure that nobody sees a document any more; `false` when it is live, somebody works on it, or it is not
    /// there. Condemning twice is condemning once.
    async fn condemn_document(&self, id: DocumentId, at: Timestamp) -> Result<bool>;

    /// At most so many condemned documents: their bytes and chunks are to be deleted.
    async fn condemned_documents(&self, limit: usize) -> Result<Vec<(DocumentId, Uuid)>>;

    /// Removes the row of a condemned document that has no chunks any more; `false` when there is none.
    async fn remove_document(&self, id: DocumentId) -> Result<bool>;

    /// A page of a document's chunks in their order: at most so many after that one.
    async fn chunks(&self, id: DocumentId, after: u64, limit: usize) -> Result<Vec<Chunk>>;

    /// A page of a document's vectors in the order of its chunks: at most [`CHUNKS_AT_ONCE`] after that chunk. Empty
    /// also when the document is of another generation by now.
    async fn vectors(&self, id: DocumentId, generation: u64, after: u64) -> Result<Vec<(u64, Vec<u8>)>>;

    /// The live and active documents of a tenant, in the order of their numbers.
    async fn live_documents(&self, platform: Option<PlatformId>) -> Result<Vec<LiveDocument>>;

    /// The chunks of a shelf that hold some of a text's words, in any letter case and without regard to Latin accents,
    /// the best by BM25 first: at most `limit`, in one document only if that is named. Words that very many chunks hold
    /// are left out where rarer ones are there to look for.
    async fn search_chunks(
        &self,
        shelf: Shelf,
        text: String,
        only: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<(ChunkKey, f64)>>;

    /// The chunks of a shelf whose vectors are nearest to another, the nearest first: of few chunks for certain, of many as
    /// an index finds them, which may overlook some. `None`: this store does not compare vectors, or not yet.
    async fn near_chunks(&self, shelf: Shelf, near: Near) -> Result<Option<Vec<ChunkKey>>>;

    /// Those of the named chunks whose documents are live, active and of that shelf, in the order of the names: with
    /// their documents and texts.
    async fn found_chunks(&self, shelf: Shelf, keys: Vec<ChunkKey>) -> Result<Vec<(ChunkKey, Document, String)>>;
}
