//! Documents that answers rest on.
#![expect(missing_docs, reason = "roost.example.toml documents each option, and a test compares the two")]

use serde::{Deserialize, Serialize};

use super::section::section;

section!(Knowledge {
    auto: bool = false,
    doors: Vec<String> = ["guest", "chats", "neptun", "aisdk"].map(str::to_owned).to_vec(),
    bytes_max: u64 = 10 << 20,
    documents_max: u64 = 10_000,
    chunks_max: usize = 20_000,
    pages_max: usize = 2000,
    text_bytes_max: usize = 8 << 20,
    chunk_chars: usize = 900,
    chunk_overlap_chars: usize = 150,
    extractor: String = String::new(),
    extract_at_once: usize = 2,
    extract_timeout_s: u64 = 30,
    extract_memory_mib: u64 = 512,
    work_timeout_s: u64 = 600,
    claim_s: u64 = 60,
    sources: usize = 5,
    query_chars_max: usize = 2000,
    embeddings_url: String = String::new(),
    embeddings_key: String = String::new(),
    embeddings_model: String = String::new(),
    embeddings_timeout_s: u64 = 30,
    query_timeout_ms: u64 = 2000,
    vectors_mib_max: usize = 160,
});

impl Knowledge {
    /// # Errors
    /// One sentence for the operator.
    pub(super) fn check(&self) -> Result<(), String> {
        const DOORS: [&str; 5] = ["guest", "chats", "neptun", "openai", "aisdk"];
        if let Some(wrong) = self.doors.iter().find(|door| !DOORS.contains(&door.as_str())) {
            return Err(format!("knowledge.doors: {wrong:?} is none of {}", DOORS.join(", ")));
        }
        if self.chunk_chars < 100 || self.chunk_overlap_chars * 2 >= self.chunk_chars {
            return Err(
                "knowledge.chunk_chars must be at least 100, and chunk_overlap_chars less than half of it".to_owned()
            );
        }
        if self.extract_memory_mib < 64 {
            return Err("knowledge.extract_memory_mib must be at least 64".to_owned());
        }
        if self.embeddings_url.is_empty() != self.embeddings_model.is_empty() {
            return Err("knowledge.embeddings_url and knowledge.embeddings_model are set together".to_owned());
        }
        Ok(())
    }

    /// What must not be 0.
    pub(super) fn positive(&self) -> [(&'static str, u64); 12] {
        [
            ("knowledge.bytes_max", self.bytes_max),
            ("knowledge.documents_max", self.documents_max),
            ("knowledge.chunks_max", self.chunks_max as u64),
            ("knowledge.pages_max", self.pages_max as u64),
            ("knowledge.text_bytes_max", self.text_bytes_max as u64),
            ("knowledge.extract_at_once", self.extract_at_once as u64),
            ("knowledge.extract_timeout_s", self.extract_timeout_s),
            ("knowledge.work_timeout_s", self.work_timeout_s),
            ("knowledge.claim_s", self.claim_s),
            ("knowledge.query_chars_max", self.query_chars_max as u64),
            ("knowledge.embeddings_timeout_s", self.embeddings_timeout_s),
            ("knowledge.query_timeout_ms", self.query_timeout_ms),
        ]
    }
}
