//! Documents: uploaded, listed, looked at, edited, removed, searched.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::context::{Ctx, Input, Segment, uuid};
use super::envelope::Failure;
use super::files::{CHUNKS_SHOWN_MAX, shown_chunks};
use super::wire::{DocumentPage, DocumentResource, Edit, Found, FoundChunk, Query, Stats, Upload};
use super::{Answered, Knowledge};
use crate::chat::{DocumentEdit, DocumentFilter, SOURCES_MAX, TITLE_CHARS_MAX, UploadError};
use crate::domain::{Access, DocumentKind, DocumentState};
use crate::error::{Error, FieldError, Result, Rule, Subject};
use crate::http::fields::Fields;
use crate::http::json;
use crate::http::multipart::Form;

/// The field that holds the file.
const FILE: &str = "file";
const PAGE_SIZE: u64 = 20;
const PAGE_SIZE_MAX: u64 = 100;
/// Chunks that a search finds unless the client says otherwise.
const TOP_K: i64 = 5;

const STATES: &[&str] = &["uploaded", "chunked", "processing", "live", "removed_from_vectordb"];
const KINDS: &[&str] = &["pdf", "txt", "docx", "html", "md"];

/// Upload a document
///
/// As `multipart/form-data`: the file in `file`, perhaps a `title`. What the file is, is found in its content; its name
/// must not say something else.
#[utoipa::path(post, path = "/api/knowledgebase/documents/", operation_id = "knowledge_upload", tag = "knowledge",
    security(("bearer" = [])), request_body(content = Upload, content_type = "multipart/form-data"),
    responses((status = 201, description = "The document", body = DocumentResource)))]
pub async fn upload(State(door): State<Knowledge>, ctx: Ctx, request: Request) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        let (parts, body) = request.into_parts();
        let mut form = Form::read(&parts.headers, body, door.uploads)?;
        let file = form.file(FILE).await?.ok_or_else(|| Error::field(FILE, Rule::Required))?;
        let name = file.name.clone();
        let received = ctx.chat().receive_document(&access, &name, file).await.map_err(|error| match error {
            UploadError::Chat(error) => Failure::from(error),
            UploadError::Source(error) => error.into(),
        })?;
        form.end().await?;
        let title = form.text("title").map(str::to_owned);
        if title.as_ref().is_some_and(|title| title.chars().count() > TITLE_CHARS_MAX) {
            return Err(Error::field("title", Rule::CharsMax(TITLE_CHARS_MAX)).into());
        }
        let document = ctx.chat().keep_document(&access, received, title).await?;
        Ok(shown(&ctx, StatusCode::CREATED, &document))
    })
    .await
}

/// List the documents
///
/// Newest first, 20 a page.
#[utoipa::path(get, path = "/api/knowledgebase/documents/", operation_id = "knowledge_list", tag = "knowledge",
    security(("bearer" = [])),
    params(
        ("search" = Option<String>, Query, description = "Only those whose title or file name contains this"),
        ("state" = Option<String>, Query, description = "Only those in this state"),
        ("file_type" = Option<String>, Query, description = "Only files of this type"),
        ("page" = Option<u64>, Query, description = "Which page, from 1 on"),
        ("page_size" = Option<u64>, Query, description = "Documents on a page, at most 100"),
    ),
    responses(
        (status = 200, description = "A page of the documents", body = DocumentPage),
        (status = 404, description = "There is no such page"),
    ))]
pub async fn list(ctx: Ctx) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        let mut query = ctx.query();
        let (number, size) = paging(&mut query);
        let filter = DocumentFilter {
            search: query.optional("search", TITLE_CHARS_MAX),
            state: query.unless_blank("state", |q, f| q.choice(f, STATES)).and_then(DocumentState::parse),
            kind: query.unless_blank("file_type", |q, f| q.choice(f, KINDS)).and_then(DocumentKind::parse),
            offset: number.unwrap_or(1).saturating_sub(1).saturating_mul(size),
            limit: size as usize,
        };
        query.finish()?;
        let number = number.ok_or(Error::NotFound(Subject::Page))?;
        let found = ctx.chat().documents(&access, filter).await?;
        if found.items.is_empty() && number > 1 {
            return Err(Error::NotFound(Subject::Page).into());
        }
        let link = |number: u64| ctx.link(&[("page", (number > 1).then(|| number.to_string()))]);
        let origin = ctx.origin();
        let page = DocumentPage {
            count: found.total,
            next: (number.saturating_mul(size) < found.total).then(|| link(number + 1)),
            previous: (number > 1).then(|| link(number - 1)),
            results: found.items.iter().map(|document| DocumentResource::new(document, origin.as_deref())).collect(),
        };
        Ok(json::response(json::bytes(&page)))
    })
    .await
}

/// Which page, `None` for one that is not there, and how large it is.
fn paging(query: &mut Fields) -> (Option<u64>, u64) {
    let size = query.optional("page_size", 20).and_then(|size| size.parse().ok()).filter(|size| *size > 0);
    let number = match query.optional("page", 20) {
        None => Some(1),
        // There are no more pages than that of what a tenant may have.
        Some(number) => number.parse::<u32>().ok().map(u64::from).filter(|number| *number > 0),
    };
    (number, size.unwrap_or(PAGE_SIZE).min(PAGE_SIZE_MAX))
}

/// Read a document
///
/// With `include_chunks=true` its chunks come along, the first 200 of them.
#[utoipa::path(get, path = "/api/knowledgebase/documents/{id}/", operation_id = "knowledge_read", tag = "knowledge",
    security(("bearer" = [])),
    params(
        ("id" = String, Path, description = "The document's id"),
        ("include_chunks" = Option<bool>, Query, description = "Show its chunks, too"),
    ),
    responses((status = 200, description = "The document", body = DocumentResource)))]
pub async fn read(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        let document = ctx.document(&access, &id).await?;
        let mut query = ctx.query();
        let with_chunks = query.unless_blank("include_chunks", Fields::boolean).unwrap_or(false);
        query.finish()?;
        let mut resource = DocumentResource::new(&document, ctx.origin().as_deref());
        if with_chunks {
            let chunks = ctx.chat().document_chunks(&document, 0, CHUNKS_SHOWN_MAX).await?;
            resource.chunks = Some(shown_chunks(&document, &chunks));
        }
        Ok(json::response(json::bytes(&resource)))
    })
    .await
}

/// Replace what can be changed of a document
///
/// Fields that are left out keep what they have; the file never changes.
#[utoipa::path(put, path = "/api/knowledgebase/documents/{id}/", operation_id = "knowledge_replace", tag = "knowledge",
    security(("bearer" = [])), request_body = Edit, params(("id" = String, Path, description = "The document's id")),
    responses((status = 200, description = "The document as it is now", body = DocumentResource)))]
pub async fn replace(ctx: Ctx, segment: Segment, input: Input) -> Answered {
    ctx.run(change(&ctx, segment, input)).await
}

/// Edit a document
///
/// Fields that are left out keep what they have; the file never changes.
#[utoipa::path(patch, path = "/api/knowledgebase/documents/{id}/", operation_id = "knowledge_edit", tag = "knowledge",
    security(("bearer" = [])), request_body = Edit, params(("id" = String, Path, description = "The document's id")),
    responses((status = 200, description = "The document as it is now", body = DocumentResource)))]
pub async fn edit(ctx: Ctx, segment: Segment, input: Input) -> Answered {
    ctx.run(change(&ctx, segment, input)).await
}

async fn change(ctx: &Ctx, Segment(id): Segment, input: Input) -> Result<Response, Failure> {
    let access = ctx.caller().await?;
    let document = ctx.document(&access, &id).await?;
    let mut fields = input.fields().await?;
    fields.not_null("title");
    fields.not_null("is_active");
    let is_named = fields.has("title");
    let title = fields.optional_line("title", TITLE_CHARS_MAX);
    let is_active = fields.boolean("is_active");
    fields.finish()?;
    if is_named && title.is_none() {
        return Err(Error::field("title", Rule::NotBlank).into());
    }
    let edited = ctx.chat().edit_document(&access, document.uuid, DocumentEdit { title, is_active }).await?;
    Ok(shown(ctx, StatusCode::OK, &edited))
}

/// Delete a document
///
/// With its file and its chunks. One that is live, or that somebody works on, is not deleted.
#[utoipa::path(delete, path = "/api/knowledgebase/documents/{id}/", operation_id = "knowledge_delete",
    tag = "knowledge", security(("bearer" = [])), params(("id" = String, Path, description = "The document's id")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 403, description = "It is live, or being worked on"),
    ))]
pub async fn remove(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        match ctx.chat().remove_document(&access, uuid(&id)?).await? {
            true => Ok(StatusCode::NO_CONTENT.into_response()),
            false => Err(Failure::NotRemoved),
        }
    })
    .await
}

/// Search the documents
///
/// In those that the caller may see and that are live and active: by their words and, where vectors are made, by what
/// they mean, in one ranking.
#[utoipa::path(post, path = "/api/knowledgebase/documents/search/", operation_id = "knowledge_search",
    tag = "knowledge", security(("bearer" = [])), request_body = Query,
    responses(
        (status = 200, description = "What was found", body = Found),
        (status = 404, description = "There is no such document"),
    ))]
pub async fn search(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        searched(&ctx, &access, input.fields().await?).await
    })
    .await
}

async fn searched(ctx: &Ctx, access: &Access, mut fields: Fields) -> Result<Response, Failure> {
    let query = fields.optional("query", ctx.chat().query_chars_max());
    let top_k = fields.integer("top_k").unwrap_or(TOP_K);
    if top_k < 1 {
        fields.wrong("top_k", Rule::Positive);
    }
    let only = fields.unless_blank("document_id", Fields::uuid);
    match fields.finish() {
        // That there is no query is said as the original says it, whatever else is wrong.
        Err(Error::Invalid(wrong)) if !is_about_query(&wrong) && query.is_none() => return Err(Failure::NoQuery),
        other => other?,
    }
    let query = query.ok_or(Failure::NoQuery)?;
    let limit = usize::try_from(top_k).unwrap_or(SOURCES_MAX).min(SOURCES_MAX);
    let found = ctx.chat().search_documents(access, &query, only, limit).await?;
    let origin = ctx.origin();
    let results = found.into_iter().map(|source| FoundChunk::new(source, origin.as_deref())).collect();
    Ok(json::response(json::bytes(&Found { success: true, query, results })))
}

fn is_about_query(wrong: &[FieldError]) -> bool {
    wrong.iter().any(|wrong| wrong.field == "query")
}

/// Count the documents
#[utoipa::path(get, path = "/api/knowledgebase/stats/", operation_id = "knowledge_stats", tag = "knowledge",
    security(("bearer" = [])), responses((status = 200, description = "How many there are", body = Stats)))]
pub async fn stats(ctx: Ctx) -> Answered {
    ctx.run(async {
        let access = ctx.caller().await?;
        let stats = ctx.chat().document_stats(&access).await?;
        Ok(json::response(json::bytes(&Stats::from(&stats))))
    })
    .await
}

fn shown(ctx: &Ctx, status: StatusCode, document: &crate::domain::Document) -> Response {
    let mut response = json::response(json::bytes(&DocumentResource::new(document, ctx.origin().as_deref())));
    *response.status_mut() = status;
    response
}
