//! What is made of a document, step by step.

use axum::response::Response;

use super::Answered;
use super::context::{Ctx, Segment, uuid};
use super::envelope::Failure;
use super::wire::StepDone;
use crate::chat::Step;
use crate::domain::Document;
use crate::http::json;

/// Cut a document into chunks
///
/// Its text is taken out of the file. A file that no text can be taken out of is refused, and `error` of the document
/// says why.
#[utoipa::path(post, path = "/api/knowledgebase/documents/{id}/chunk/", operation_id = "knowledge_chunk",
    tag = "knowledge", security(("bearer" = [])), params(("id" = String, Path, description = "The document's id")),
    responses(
        (status = 200, description = "It is chunked", body = StepDone),
        (status = 400, description = "It is in a wrong state, or cannot be read"),
    ))]
pub async fn chunk(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        let step = ctx.chat().chunk_document(&access, uuid(&id)?).await?;
        told(step, |_, count| StepDone {
            success: true,
            chunks_created: Some(count),
            vectors_uploaded: None,
            message: format!("The document has {count} chunks."),
        })
    })
    .await
}

/// Make a document live
///
/// Searches find it from then on.
#[utoipa::path(post, path = "/api/knowledgebase/documents/{id}/vectorize/", operation_id = "knowledge_vectorize",
    tag = "knowledge", security(("bearer" = [])), params(("id" = String, Path, description = "The document's id")),
    responses(
        (status = 200, description = "It is live", body = StepDone),
        (status = 400, description = "It is in a wrong state, or no vectors could be made"),
    ))]
pub async fn vectorize(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        let step = ctx.chat().vectorize_document(&access, uuid(&id)?).await?;
        told(step, |document, count| StepDone {
            success: true,
            chunks_created: None,
            vectors_uploaded: Some(count),
            message: match &document.vector_model {
                Some(_) => "The document is live.".to_owned(),
                None => "The document is live, found by its words: this server makes no vectors.".to_owned(),
            },
        })
    })
    .await
}

/// Take a live document from the searches
///
/// It keeps its chunks and can go live again.
#[utoipa::path(post, path = "/api/knowledgebase/documents/{id}/remove-from-vectordb/",
    operation_id = "knowledge_retire", tag = "knowledge", security(("bearer" = [])),
    params(("id" = String, Path, description = "The document's id")),
    responses(
        (status = 200, description = "It is not found any more", body = StepDone),
        (status = 400, description = "It is in a wrong state"),
    ))]
pub async fn retire(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        let step = ctx.chat().retire_document(&access, uuid(&id)?).await?;
        told(step, |_, _| StepDone {
            success: true,
            chunks_created: None,
            vectors_uploaded: None,
            message: "The document is not found by searches any more.".to_owned(),
        })
    })
    .await
}

fn told(step: Step, done: impl Fn(&Document, usize) -> StepDone) -> Result<Response, Failure> {
    match step {
        Step::Done(document, count) => Ok(json::response(json::bytes(&done(&document, count)))),
        Step::Refused(why) => Err(Failure::Step(why)),
    }
}
