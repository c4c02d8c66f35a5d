//! The knowledge dialect's requests and resources. The doc comments are the public documentation.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Chunk, Document, DocumentKind, DocumentState, DocumentStats, Source, chunk_name};

/// A document.
#[derive(Serialize, ToSchema)]
#[schema(as = knowledge::Document)]
pub struct DocumentResource {
    /// Its identifier.
    #[schema(example = "77bb3c1e-5d0c-4c3f-9a57-0c6f2b1f7f10")]
    pub id: Uuid,
    /// What people call it.
    pub title: String,
    /// Where its file is downloaded.
    pub file_url: String,
    /// What its file is: `pdf`, `txt`, `docx`, `html` or `md`.
    #[schema(example = "pdf")]
    pub file_type: &'static str,
    /// How far it has come: `uploaded`, `chunked`, `processing`, `live` or `removed_from_vectordb`.
    #[schema(example = "live")]
    pub state: &'static str,
    /// `none`, `processing`, `vectorized` (it has vectors), `words` (it is found by its words alone), `removed`, or
    /// `failed` (`error` says why).
    #[schema(example = "vectorized")]
    pub vector_status: &'static str,
    /// The name of its vectors, while it has any.
    #[schema(required = true)]
    pub vector_id: Option<Uuid>,
    /// Whether searches find it.
    pub is_vectorized: bool,
    /// When it last went live.
    #[schema(required = true)]
    pub vectorized_at: Option<String>,
    /// How many chunks it has.
    pub chunk_count: u64,
    /// Who uploaded it.
    pub uploaded_by: UploaderResource,
    /// Whether searches look at it.
    pub is_active: bool,
    /// Why the last step did not succeed.
    #[schema(required = true)]
    pub error: Option<String>,
    /// When it was uploaded.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// Its chunks, with `include_chunks=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<ChunkResource>>,
}

/// Who uploaded a document.
#[derive(Serialize, ToSchema)]
#[schema(as = knowledge::Uploader)]
pub struct UploaderResource {
    /// Their identifier.
    pub id: Uuid,
    /// Their name.
    pub username: String,
    /// Their address.
    pub email: String,
}

impl DocumentResource {
    /// The document; its file is below that origin.
    pub fn new(document: &Document, origin: Option<&str>) -> Self {
        Self {
            id: document.uuid,
            title: document.title.clone(),
            file_url: format!("{}/api/knowledgebase/documents/{}/download/", origin.unwrap_or(""), document.uuid),
            file_type: document.kind.as_str(),
            state: document.state.as_str(),
            vector_status: vector_status(document),
            vector_id: document.vector_model.as_ref().map(|_| document.uuid),
            is_vectorized: document.state == DocumentState::Live,
            vectorized_at: document.vectorized_at.map(|at| at.with_micros()),
            chunk_count: document.chunk_count,
            uploaded_by: UploaderResource {
                id: document.uploader.uuid,
                username: document.uploader.name.clone(),
                email: document.uploader.email.clone(),
            },
            is_active: document.is_active,
            error: document.failure.clone(),
            created_at: document.created_at.with_micros(),
            updated_at: document.updated_at.with_micros(),
            chunks: None,
        }
    }
}

fn vector_status(document: &Document) -> &'static str {
    match document.state {
        _ if document.failure.is_some() => "failed",
        DocumentState::Uploaded | DocumentState::Chunked => "none",
        DocumentState::Processing => "processing",
        DocumentState::Live if document.vector_model.is_some() => "vectorized",
        DocumentState::Live => "words",
        DocumentState::Removed => "removed",
    }
}

/// A page of the documents, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = knowledge::DocumentPage)]
pub struct DocumentPage {
    /// How many there are in all.
    pub count: u64,
    /// The next page.
    #[schema(required = true)]
    pub next: Option<String>,
    /// The page before.
    #[schema(required = true)]
    pub previous: Option<String>,
    /// The documents.
    pub results: Vec<DocumentResource>,
}

/// A document to be uploaded.
#[derive(ToSchema)]
#[schema(as = knowledge::Upload)]
#[expect(dead_code, reason = "describes what is read as it arrives")]
pub struct Upload {
    /// The file: PDF, DOCX, HTML, Markdown or plain text.
    #[schema(format = Binary, value_type = String)]
    file: (),
    /// What people call it; without it, the file's name.
    title: Option<String>,
}

/// What is changed of a document.
#[derive(ToSchema)]
#[schema(as = knowledge::Edit)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct Edit {
    /// What people call it.
    #[schema(max_length = 255)]
    title: Option<String>,
    /// Whether searches look at it.
    is_active: Option<bool>,
}

/// What became of a step.
#[derive(Serialize, ToSchema)]
#[schema(as = knowledge::Step)]
pub struct StepDone {
    /// Always true.
    pub success: bool,
    /// How many chunks the document was cut into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks_created: Option<usize>,
    /// How many vectors were made; 0 where none are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectors_uploaded: Option<usize>,
    /// A sentence.
    pub message: String,
}

/// A chunk.
#[derive(Serialize, ToSchema)]
#[schema(as = knowledge::Chunk)]
pub struct ChunkResource {
    /// Its number.
    pub id: i64,
    /// Its name: the document's identifier, `-chunk-` and its place.
    pub chunk_id: String,
    /// Its place, from 0 on.
    pub chunk_index: u64,
    /// What it says.
    pub text: String,
    /// How many characters that are.
    pub text_length: usize,
}

impl ChunkResource {
    /// The chunk of that document.
    pub fn new(document: Uuid, chunk: &Chunk) -> Self {
        Self {
            id: chunk.id.0,
            chunk_id: chunk_name(document, chunk.number),
            chunk_index: chunk.number.saturating_sub(1),
            text_length: chunk.text.chars().count(),
            text: chunk.text.clone(),
        }
    }
}

/// The chunks of a document.
#[derive(ToSchema)]
#[schema(as = knowledge::Chunks)]
#[expect(dead_code, reason = "describes what is sent piece by piece")]
pub struct Chunks {
    /// The document.
    document_id: Uuid,
    /// What people call it.
    document_title: String,
    /// How many chunks it has.
    total_chunks: u64,
    /// All of them, in order.
    chunks: Vec<ChunkResource>,
}

/// What is searched for.
#[derive(ToSchema)]
#[schema(as = knowledge::Query)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct Query {
    /// A question, or words.
    query: String,
    /// How many chunks to find, at most 50; without it, 5.
    top_k: Option<i64>,
    /// Look in this document only.
    document_id: Option<Uuid>,
}

/// What a search found.
#[derive(Serialize, ToSchema)]
#[schema(as = knowledge::Found)]
pub struct Found {
    /// Always true.
    pub success: bool,
    /// What was searched for.
    pub query: String,
    /// The chunks, the best first.
    pub results: Vec<FoundChunk>,
}

/// A chunk that was found.
#[derive(Serialize, ToSchema)]
#[schema(as = knowledge::FoundChunk)]
pub struct FoundChunk {
    /// What it says.
    pub text: String,
    /// Where the document can be read.
    pub url: String,
    /// How well it fits: of use only beside the others of this search.
    pub score: f64,
    /// The document.
    pub document_id: Uuid,
    /// What people call it.
    pub document_title: String,
    /// The chunk's name.
    pub chunk_id: String,
}

impl FoundChunk {
    /// The source; addresses are below that origin.
    pub fn new(source: Source, origin: Option<&str>) -> Self {
        Self {
            url: format!("{}{}", origin.unwrap_or(""), source.url),
            text: source.text,
            score: source.score,
            document_id: source.document_id,
            document_title: source.document_title,
            chunk_id: source.chunk_id,
        }
    }
}

/// How many documents there are.
#[derive(Serialize, ToSchema)]
#[schema(as = knowledge::Stats)]
pub struct Stats {
    /// In all.
    pub total_documents: u64,
    /// Of them, those that searches look at.
    pub active_documents: u64,
    /// By what their files are.
    pub by_type: ByType,
    /// Of them, those that searches find.
    pub vectorized: u64,
}

/// Documents by what their files are.
#[derive(Serialize, ToSchema)]
#[schema(as = knowledge::ByType)]
pub struct ByType {
    pdf: u64,
    txt: u64,
    docx: u64,
    html: u64,
    md: u64,
}

impl From<&DocumentStats> for Stats {
    fn from(stats: &DocumentStats) -> Self {
        let of = |kind: DocumentKind| stats.by_kind.iter().find(|(one, _)| *one == kind).map_or(0, |(_, count)| *count);
        let by_type = ByType {
            pdf: of(DocumentKind::Pdf),
            txt: of(DocumentKind::Txt),
            docx: of(DocumentKind::Docx),
            html: of(DocumentKind::Html),
            md: of(DocumentKind::Md),
        };
        Self { total_documents: stats.total, active_documents: stats.active, by_type, vectorized: stats.live }
    }
}
