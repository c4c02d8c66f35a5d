//! Making a document searchable, step by step. The steps go on when whoever asked for them hangs up.

use std::sync::Arc;

use uuid::Uuid;

use crate::assistant::embeddings::TEXTS_AT_ONCE;
use crate::chat::Chat;
use crate::chat::attachments::{collected, key};
use crate::domain::{Access, Chunk, Document, DocumentState};
use crate::error::{Error, Result};
use crate::knowledge::chunk::cut;
use crate::knowledge::extract::Unreadable;
use crate::knowledge::vectors::{normal, to_bytes};
use crate::store::knowledge::{CHUNKS_AT_ONCE, Take, Worked};

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is done; so many chunks were made, or vectors.
    Done(Box<Document>, usize),
    /// It cannot be done: a sentence for whoever asked for it. The document says it, too, if it is about the file.
    Refused(String),
}

/// How work ended that was begun.
enum Outcome {
    /// With so many chunks or vectors.
    Done(usize, Worked),
    /// Not well, for a reason that whoever uploaded the document is told.
    Failed(String),
    /// The same, for a reason that may be gone later.
    Later(String),
}

const WENT_ON: &str = "Somebody else works on the document: look again in a minute.";
const TOO_LONG: &str = "It took too long: try again, or divide the document.";

impl Chat {
    /// Takes the text out of a document and cuts it into chunks, which take the place of those that it had.
    ///
    /// # Errors
    /// `NotFound(Document)`; `Busy` when too many are being read; what the store answers.
    pub async fn chunk_document(self: &Arc<Self>, access: &Access, uuid: Uuid) -> Result<Step> {
        let document = self.document(access, uuid).await?;
        let chat = Arc::clone(self);
        let work = tokio::spawn(async move { chat.chunk(document).await });
        work.await.unwrap_or_else(|error| Err(Error::internal(error)))
    }

    /// Makes a chunked document live: found by its words and, where vectors are made, by what it means.
    ///
    /// # Errors
    /// `NotFound(Document)`; what the store answers.
    pub async fn vectorize_document(self: &Arc<Self>, access: &Access, uuid: Uuid) -> Result<Step> {
        let document = self.document(access, uuid).await?;
        let chat = Arc::clone(self);
        let work = tokio::spawn(async move { chat.vectorize(document).await });
        work.await.unwrap_or_else(|error| Err(Error::internal(error)))
    }

    /// Takes a live document from the searches. It keeps its chunks.
    ///
    /// # Errors
    /// `NotFound(Document)`; what the store answers.
    pub async fn retire_document(&self, access: &Access, uuid: Uuid) -> Result<Step> {
        let document = self.document(access, uuid).await?;
        let Some(retired) = self.store.retire_document(document.id, self.clock.now()).await? else {
            return Ok(Step::Refused(wrong_state(&document, "live")));
        };
        // It is not found any more, whatever becomes of this.
        let mut forgotten = 0;
        loop {
            match self.store.forget_chunks(retired.id).await? {
                0 => return Ok(Step::Done(Box::new(retired), forgotten)),
                more => forgotten += more,
            }
        }
    }

    async fn chunk(&self, document: Document) -> Result<Step> {
        use DocumentState::{Chunked, Processing, Removed, Uploaded};
        let states = vec![Uploaded, Chunked, Removed, Processing];
        let Some(taken) = self.store.take_document(document.id, states, self.take()).await? else {
            return Ok(Step::Refused(wrong_state(&document, "uploaded, chunked or removed_from_vectordb")));
        };
        self.chunk_claimed(taken).await
    }

    /// Cuts a document into chunks that was taken for that.
    pub(super) async fn chunk_claimed(&self, taken: Document) -> Result<Step> {
        let before = if taken.state == DocumentState::Processing { DocumentState::Chunked } else { taken.state };
        let worked = self.work_on(&taken, self.chunk_taken(&taken)).await;
        self.end_document_work(&taken, before, worked).await
    }

    pub(super) async fn vectorize(&self, document: Document) -> Result<Step> {
        use DocumentState::{Chunked, Processing, Removed};
        let take = Take { is_processing: true, ..self.take() };
        let states = vec![Chunked, Removed, Processing];
        let Some(taken) = self.store.take_document(document.id, states, take).await? else {
            return Ok(Step::Refused(wrong_state(&document, "chunked or removed_from_vectordb")));
        };
        let worked = self.work_on(&taken, self.vectorize_taken(&taken)).await;
        self.end_document_work(&taken, Chunked, worked).await
    }

    /// Takes a document because somebody asked for it.
    pub(super) fn take(&self) -> Take {
        let now = self.clock.now();
        Take { now, until: now.plus(self.rules.knowledge.claim_time), is_processing: false, is_alone: false }
    }

    /// Does work on a document that was taken, for as long as it may take and as the claim is held.
    async fn work_on(
        &self,
        taken: &Document,
        work: impl Future<Output = Result<Outcome>>,
    ) -> Result<Result<Outcome>, tokio::time::error::Elapsed> {
        tokio::select! {
            worked = tokio::time::timeout(self.rules.knowledge.work_time, work) => worked,
            () = self.hold(taken) => Ok(Ok(Outcome::Failed(WENT_ON.to_owned()))),
        }
    }

    /// Holds on to a document; returns when somebody else has it, for this node was gone for longer than its claim. A store
    /// that does not answer is asked again: nobody else can have it from there.
    async fn hold(&self, taken: &Document) {
        let time = self.rules.knowledge.claim_time;
        loop {
            tokio::time::sleep(time / 3).await;
            let until = self.clock.now().plus(time);
            match self.store.hold_document(taken.id, taken.generation, until).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(error = %error, "a claim on a document could not be held on to yet"),
            }
        }
    }

    /// Ends work, however it went: with the claim nobody else could begin.
    async fn end_document_work(
        &self,
        taken: &Document,
        otherwise: DocumentState,
        worked: Result<Result<Outcome>, tokio::time::error::Elapsed>,
    ) -> Result<Step> {
        let now = self.clock.now();
        let failed = |why: String, again_at| Worked::Failed { state: otherwise, why, again_at };
        let (count, ended, error) = match worked {
            Ok(Ok(Outcome::Done(count, worked))) => (count, worked, None),
            Ok(Ok(Outcome::Failed(why))) => (0, failed(why, None), None),
            Ok(Ok(Outcome::Later(why))) => (0, failed(why, Some(self.again_at(taken, now))), None),
            Err(_) => (0, failed(TOO_LONG.to_owned(), None), None),
            Ok(Err(error)) => {
                let why = "It did not succeed, for no reason of the document's: try again.";
                (0, failed(why.to_owned(), Some(self.again_at(taken, now))), Some(error))
            }
        };
        let why = if let Worked::Failed { why, .. } = &ended { Some(why.clone()) } else { None };
        let document = self.store.end_work(taken.id, taken.generation, ended, now).await?;
        match (document, why, error) {
            (_, _, Some(error)) => Err(error),
            (None, ..) => Ok(Step::Refused(WENT_ON.to_owned())),
            (Some(_), Some(why), None) => Ok(Step::Refused(why)),
            (Some(document), None, None) => Ok(Step::Done(Box::new(document), count)),
        }
    }

    async fn chunk_taken(&self, taken: &Document) -> Result<Outcome> {
        let file = self.shelf.objects.get(&key(taken.uuid), None).await?;
        let Some(file) = file else { return Ok(Outcome::Failed("The file is not there any more.".to_owned())) };
        let text = match self.library.workers.text(taken.kind, collected(file.bytes)).await? {
            Ok(text) => text,
            Err(why) => return Ok(Outcome::Failed(why.sentence().to_owned())),
        };
        let sizes = self.rules.knowledge.sizes;
        let chunks = tokio::task::spawn_blocking(move || cut(&text, sizes)).await.map_err(Error::internal)?;
        match chunks.len() {
            0 => return Ok(Outcome::Failed(Unreadable::Empty.sentence().to_owned())),
            count if count > self.rules.knowledge.chunks_max => {
                return Ok(Outcome::Failed(Unreadable::TooLarge.sentence().to_owned()));
            }
            _ => {}
        }
        while self.store.clear_chunks(taken.id, Some(taken.generation)).await? > 0 {}
        for some in chunks.chunks(CHUNKS_AT_ONCE) {
            if !self.store.add_chunks(taken.id, taken.generation, some.to_vec()).await? {
                return Ok(Outcome::Failed(WENT_ON.to_owned()));
            }
        }
        Ok(Outcome::Done(chunks.len(), Worked::Chunked))
    }

    async fn vectorize_taken(&self, taken: &Document) -> Result<Outcome> {
        let embeddings = self.rules.knowledge.embeddings.as_ref();
        let (mut after, mut count) = (0, 0);
        loop {
            let chunks = self.store.chunks(taken.id, after, CHUNKS_AT_ONCE).await?;
            let Some(last) = chunks.last() else { break };
            after = last.number;
            let vectors = match self.vectors_of(&chunks).await {
                Ok(vectors) => vectors,
                Err(Error::Upstream(cause)) => {
                    tracing::warn!(cause = %cause, "vectors could not be made");
                    return Ok(Outcome::Later("The embeddings could not be made: try again later.".to_owned()));
                }
                Err(error) => return Err(error),
            };
            count += vectors.iter().filter(|vector| vector.is_some()).count();
            let ready = chunks.iter().map(|chunk| chunk.number).zip(vectors).collect();
            if !self.store.index_chunks(taken.id, taken.generation, ready).await? {
                return Ok(Outcome::Failed(WENT_ON.to_owned()));
            }
        }
        if after == 0 {
            return Ok(Outcome::Failed("The document has no chunks: cut it into chunks first.".to_owned()));
        }
        let model = embeddings.map(|embeddings| embeddings.model().to_owned());
        Ok(Outcome::Done(count, Worked::Live(model)))
    }

    /// A vector for each chunk, as far as any are made: a text without direction has none.
    async fn vectors_of(&self, chunks: &[Chunk]) -> Result<Vec<Option<Vec<u8>>>> {
        let Some(embeddings) = &self.rules.knowledge.embeddings else { return Ok(vec![None; chunks.len()]) };
        let mut vectors = Vec::with_capacity(chunks.len());
        for some in chunks.chunks(TEXTS_AT_ONCE) {
            let texts: Vec<&str> = some.iter().map(|chunk| chunk.text.as_str()).collect();
            let made = embeddings.embed(&texts).await?;
            vectors.extend(made.into_iter().map(|vector| normal(vector).map(|vector| to_bytes(&vector))));
        }
        Ok(vectors)
    }
}

fn wrong_state(document: &Document, wanted: &str) -> String {
    format!("The document is {}, or somebody works on it: it has to be {wanted}.", document.state.as_str())
}
