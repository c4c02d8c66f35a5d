//! What a document holds: its chunks, and its file.

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::Answered;
use super::context::{Ctx, Segment};
use super::envelope::Failure;
use super::wire::{ChunkResource, Chunks};
use crate::domain::{Chunk, Document, DocumentKind};
use crate::http::download::{self, Download};
use crate::http::json;

/// How many chunks a document is shown with at the most.
pub const CHUNKS_SHOWN_MAX: usize = 200;

/// Read a document's chunks
#[utoipa::path(get, path = "/api/knowledgebase/documents/{id}/chunks/", operation_id = "knowledge_chunks",
    tag = "knowledge", security(("bearer" = [])), params(("id" = String, Path, description = "The document's id")),
    responses((status = 200, description = "All of them, in order", body = Chunks)))]
pub async fn chunks(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        let document = Arc::new(ctx.document(&access, &id).await?);
        let head = serde_json::json!({
            "document_id": document.uuid,
            "document_title": document.title,
            "total_chunks": document.chunk_count,
        });
        // The object is closed behind the last chunk.
        let head = head.to_string();
        let before = format!("{},\"chunks\":[", head.trim_end_matches('}'));
        let chat = Arc::clone(ctx.chat());
        let next = move |after: u64| {
            let (chat, document) = (Arc::clone(&chat), Arc::clone(&document));
            async move { page(&document, chat.document_chunks(&document, after, CHUNKS_SHOWN_MAX).await?) }
        };
        let first = next(0).await?;
        Ok(json::paged(before.into_bytes(), first, next, b"]}".to_vec()))
    })
    .await
}

fn page(document: &Arc<Document>, chunks: Vec<Chunk>) -> crate::error::Result<json::Page<u64>> {
    let uuid = document.uuid;
    let next = (chunks.len() == CHUNKS_SHOWN_MAX).then(|| chunks.last().map(|chunk| chunk.number)).flatten();
    Ok(json::Page::new(chunks, move |chunk| json::bytes(&ChunkResource::new(uuid, chunk)), next))
}

/// Chunks as they are shown.
pub fn shown_chunks(document: &Document, chunks: &[Chunk]) -> Vec<ChunkResource> {
    chunks.iter().map(|chunk| ChunkResource::new(document.uuid, chunk)).collect()
}

/// Download a document's file
///
/// As it was uploaded, whole or in part (`Range`).
#[utoipa::path(get, path = "/api/knowledgebase/documents/{id}/download/", operation_id = "knowledge_download",
    tag = "knowledge", security(("bearer" = [])), params(("id" = String, Path, description = "The document's id")),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "*/*"),
        (status = 206, description = "A part of it", body = Vec<u8>, content_type = "*/*"),
        (status = 304, description = "The client has it"),
        (status = 416, description = "The part lies outside of it", body = Vec<u8>, content_type = "*/*"),
    ))]
pub async fn download(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        let document = ctx.document(&access, &id).await?;
        sent(&ctx, &document, document.kind.mime()).await
    })
    .await
}

/// View a document's file
///
/// The same for a browser to show: a page is shown as its source, so that nothing in it runs.
#[utoipa::path(get, path = "/api/knowledgebase/documents/{id}/view/", operation_id = "knowledge_view",
    tag = "knowledge", security(("bearer" = [])), params(("id" = String, Path, description = "The document's id")),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "*/*"),
        (status = 206, description = "A part of it", body = Vec<u8>, content_type = "*/*"),
        (status = 304, description = "The client has it"),
        (status = 416, description = "The part lies outside of it", body = Vec<u8>, content_type = "*/*"),
    ))]
pub async fn view(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        let document = ctx.document(&access, &id).await?;
        let mime = match document.kind {
            DocumentKind::Html | DocumentKind::Md | DocumentKind::Txt => DocumentKind::Txt.mime(),
            other => other.mime(),
        };
        let mut response = sent(&ctx, &document, mime).await?;
        let headers = response.headers_mut();
        if let Some(disposition) = headers.get(header::CONTENT_DISPOSITION).and_then(|value| value.to_str().ok()) {
            let inline = disposition.replacen("attachment", "inline", 1);
            if let Ok(inline) = HeaderValue::from_str(&inline) {
                headers.insert(header::CONTENT_DISPOSITION, inline);
            }
        }
        Ok(response)
    })
    .await
}

async fn sent(ctx: &Ctx, document: &Document, mime: &str) -> Result<Response, Failure> {
    let tag = document.uuid.to_string();
    let file = Download { name: &document.name, mime, size: document.size, tag: &tag };
    let open = |range| ctx.chat().read_document(document, range);
    Ok(download::respond(ctx.headers(), &file, open).await?)
}
