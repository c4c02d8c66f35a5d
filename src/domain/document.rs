//! Documents that answers rest on, and what is found in them. Their bytes are elsewhere.

use uuid::Uuid;

use super::{ChunkId, DocumentId, PlatformId, Timestamp, UserId};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$inner])* $variant),+ }

        impl $name {
            /// The name in the store and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The one of that name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(
    /// What a document's file is, found in its content.
    DocumentKind {
        /// Pages.
        Pdf = "pdf",
        /// A text document of a word processor (Office Open XML).
        Docx = "docx",
        /// A web page.
        Html = "html",
        /// Markdown.
        Md = "md",
        /// Plain text.
        Txt = "txt",
    }
);

words!(
    /// How far a document has come.
    DocumentState {
        /// Its file is there.
        Uploaded = "uploaded",
        /// Its text is cut into chunks.
        Chunked = "chunked",
        /// Its chunks are being made searchable.
        Processing = "processing",
        /// It is found by searches.
        Live = "live",
        /// It was found by searches; its chunks are still there.
        Removed = "removed_from_vectordb",
    }
);

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Pdf, Self::Txt, Self::Docx, Self::Html, Self::Md];

    /// Its media type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Html => "text/html",
            Self::Md => "text/markdown",
            Self::Txt => "text/plain",
        }
    }
}

/// An uploaded document. Its file never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its number.
    pub id: DocumentId,
    /// Its public identifier, under which its bytes are kept.
    pub uuid: Uuid,
    /// The tenant whose answers rest on it; `None`: the default one.
    pub platform_id: Option<PlatformId>,
    /// Who uploaded it.
    pub uploader: Uploader,
    /// What people call it.
    pub title: String,
    /// What its file is called.
    pub name: String,
    /// What its file is.
    pub kind: DocumentKind,
    /// Its file's size, in bytes.
    pub size: u64,
    /// How far it has come.
    pub state: DocumentState,
    /// Why the last step did not succeed: a sentence for whoever uploaded it.
    pub failure: Option<String>,
    /// Whether searches look at it.
    pub is_active: bool,
    /// How many chunks it has.
    pub chunk_count: u64,
    /// Grows whenever its chunks or their vectors change.
    pub generation: u64,
    /// What made its vectors; `None`: it has none.
    pub vector_model: Option<String>,
    /// When it last went live.
    pub vectorized_at: Option<Timestamp>,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Who uploaded a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploader {
    /// Their number.
    pub id: UserId,
    /// Their public identifier.
    pub uuid: Uuid,
    /// Their name.
    pub name: String,
    /// Their address.
    pub email: String,
}

/// A piece of a document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its number in the store.
    pub id: ChunkId,
    /// Its place in the document, from 1 on.
    pub number: u64,
    /// What it says.
    pub text: String,
}

/// A chunk that was found, with its document: what an answer may rest on.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The document.
    pub document_id: Uuid,
    /// What people call it.
    pub document_title: String,
    /// The chunk's name: see [`chunk_name`].
    pub chunk_id: String,
    /// What it says.
    pub text: String,
    /// Where the document can be read, by whoever may: a path on this server.
    pub url: String,
    /// How well it fits: of use only beside the others of one search.
    pub score: f64,
}

/// What a chunk is called outside.
pub fn chunk_name(document: Uuid, number: u64) -> String {
    format!("{document}-chunk-{number}")
}

/// How many documents there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentStats {
    /// In all.
    pub total: u64,
    /// Of them, those that searches look at when they are live.
    pub active: u64,
    /// Of them, those that are live.
    pub live: u64,
    /// By kind.
    pub by_kind: Vec<(DocumentKind, u64)>,
}
