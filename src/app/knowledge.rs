//! Documents as the configuration has them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::api::knowledge as door;
use crate::assistant::embeddings::Embeddings;
use crate::chat::{KnowledgeRules, SharedChat};
use crate::config::{Config, Knowledge};
use crate::error::Result;
use crate::http::SharedWeb;
use crate::http::multipart::FormLimits;
use crate::knowledge::chunk::Sizes;
use crate::knowledge::extract::Bounds;
use crate::knowledge::worker::WorkerRules;
use crate::limits::Limits;

/// # Errors
/// `Internal` with a sentence for the operator.
pub(super) fn rules(options: &Knowledge) -> Result<KnowledgeRules> {
    let time = Duration::from_secs(options.extract_timeout_s);
    Ok(KnowledgeRules {
        auto: options.auto,
        bytes_max: options.bytes_max,
        documents_max: options.documents_max,
        chunks_max: options.chunks_max,
        sizes: Sizes { chars: options.chunk_chars, overlap: options.chunk_overlap_chars },
        worker: WorkerRules {
            program: PathBuf::from(&options.extractor),
            at_once: options.extract_at_once,
            wait: time,
            time,
            memory_mib: options.extract_memory_mib,
            bounds: Bounds { text_bytes: options.text_bytes_max, pages: options.pages_max },
        },
        work_time: Duration::from_secs(options.work_timeout_s),
        claim_time: Duration::from_secs(options.claim_s),
        sources: options.sources,
        query_chars_max: options.query_chars_max,
        embeddings: embeddings(options)?.map(Arc::new),
        query_time: Duration::from_millis(options.query_timeout_ms),
        vector_bytes_max: options.vectors_mib_max << 20,
    })
}

/// What makes vectors, if the configuration names anything.
fn embeddings(options: &Knowledge) -> Result<Option<Embeddings>> {
    if options.embeddings_url.is_empty() {
        return Ok(None);
    }
    let time = Duration::from_secs(options.embeddings_timeout_s);
    Embeddings::new(&options.embeddings_url, &options.embeddings_key, &options.embeddings_model, time).map(Some)
}

pub(super) fn door(config: &Config, chat: &SharedChat, web: &SharedWeb, limits: &Arc<Limits>) -> door::Knowledge {
    Arc::new(door::Parts {
        chat: Arc::clone(chat),
        web: Arc::clone(web),
        limits: Arc::clone(limits),
        uploads: FormLimits {
            file_bytes_max: config.knowledge.bytes_max,
            time: Duration::from_secs(config.attachments.upload_timeout_s),
        },
    })
}
