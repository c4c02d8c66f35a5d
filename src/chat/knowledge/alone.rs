//! Documents that go live by themselves, where the operator chose so: any node goes on with one that nobody works on.
//!
//! What is to be done stands in the store, so that nothing is forgotten with a node, and the claim decides which of many
//! does it. What fails for a reason of the document's own waits for a person; for another reason, it waits a while.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::work::Step;
use crate::chat::Chat;
use crate::domain::{Document, DocumentState, Timestamp};
use crate::error::Result;
use crate::store::knowledge::Take;

/// The longest wait before another try, when what failed is not the document.
const AGAIN_MAX: Duration = Duration::from_secs(3600);
/// Documents that are looked at for one that nobody else takes first.
const LOOKED_AT: usize = 8;

impl Chat {
    /// Makes documents live that wait for it, some at a time, for ever. Returns at once where they wait for people.
    pub async fn make_documents_live(self: Arc<Self>) {
        if self.rules.knowledge.auto {
            let hands = (0..self.rules.knowledge.worker.at_once.max(1)).map(|_| self.make_live_one_by_one());
            join_all(hands).await;
        }
    }

    async fn make_live_one_by_one(&self) {
        loop {
            match self.make_one_live().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %error, "documents that wait to go live are looked at later"),
            }
            // The bell is this node's. What another one left is found by looking.
            let bell = self.library.came.notified();
            let _ = tokio::time::timeout(self.rules.knowledge.claim_time / 2, bell).await;
        }
    }

    /// Works on one document that waits; `false` when there is none.
    async fn make_one_live(&self) -> Result<bool> {
        for document in self.store.waiting_documents(self.clock.now(), LOOKED_AT).await? {
            use DocumentState::{Chunked, Processing, Uploaded};
            let take = Take { is_alone: true, ..self.take() };
            let states = vec![Uploaded, Chunked, Processing];
            if let Some(taken) = self.store.take_document(document.id, states, take).await? {
                self.make_live(taken).await;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// From the beginning, wherever it was left: who died while cutting left some of the chunks.
    async fn make_live(&self, taken: Document) {
        let done = match self.chunk_claimed(taken).await {
            Ok(Step::Done(document, _)) => self.vectorize(*document).await,
            other => other,
        };
        // What is wrong with the document itself stands in its row.
        if let Err(error) = done {
            tracing::warn!(error = %error, "a document does not go live yet");
        }
    }

    /// When another try is worth it: soon for a young document, and ever later.
    pub(super) fn again_at(&self, document: &Document, now: Timestamp) -> Timestamp {
        let age = Duration::from_micros(u64::try_from(now.0 - document.created_at.0).unwrap_or(0));
        let least = self.rules.knowledge.claim_time.min(AGAIN_MAX);
        now.plus(age.clamp(least, AGAIN_MAX))
    }
}
