//! Assistant sessions: made, found, listed, edited, removed.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::Answered;
use super::context::{Ctx, Input, Segment};
use super::envelope::Failure;
use super::wire::{Session, SessionFields, SessionPage};
use crate::api::run;
use crate::chat::{ConversationFilter, NewSession, SessionEdit};
use crate::domain::{Conversation, WhileAnswering};
use crate::error::{Error, Result, Subject};
use crate::http::fields::Fields;
use crate::http::json;

/// Longest `session_id` and `external_user_id`, in characters.
pub const NAME_CHARS_MAX: usize = 255;
const WHILE_ANSWERING: &str = "while_answering";
/// Sessions on a page unless the client says otherwise.
const PAGE_SIZE: u64 = 20;
/// The most that a client gets, whatever it says.
const PAGE_SIZE_MAX: u64 = 100;

/// Create a session
///
/// All fields are optional: without a `session_id` the server makes one, without `expires_at` the
/// session lasts 24 hours.
#[utoipa::path(post, path = "/api/chats/sessions/", operation_id = "chats_create_session",
    tag = "chats", request_body = SessionFields,
    responses((status = 201, description = "The session", body = Session)))]
pub async fn create(ctx: Ctx, input: Input) -> Answered {
    let mut fields = input.fields()?;
    let new = NewSession {
        key: name(&mut fields, "session_id"),
        external_user_id: name(&mut fields, "external_user_id"),
        metadata: required_if_there(&mut fields, "metadata", |f, name| f.json(name, ctx.door().metadata_bytes_max)),
        expires_at: required_if_there(&mut fields, "expires_at", Fields::instant),
        is_active: required_if_there(&mut fields, "is_active", Fields::boolean),
        while_answering: way(&mut fields),
    };
    fields.finish()?;
    let session = ctx.chat().create_session(new).await?;
    Ok(shown(StatusCode::CREATED, &session))
}

/// List the sessions
///
/// Newest first, 20 a page. The list shows other people's sessions: `chats.list_sessions` decides
/// whether it is open to everybody, wants a token, or is closed.
#[utoipa::path(get, path = "/api/chats/sessions/", operation_id = "chats_list_sessions",
    tag = "chats", security((), ("bearer" = [])),
    params(
        ("is_active" = Option<bool>, Query, description = "Only active, or only inactive sessions"),
        ("external_user_id" = Option<String>, Query, description = "Only this visitor's sessions"),
        ("search" = Option<String>, Query,
            description = "Only sessions whose session_id or external_user_id contains this, in any letter case"),
        ("page" = Option<String>, Query, description = "Which page: a number from 1 on, or `last`"),
        ("page_size" = Option<u64>, Query, description = "Sessions on a page, at most 100"),
        ("X-API-Key" = Option<String>, Header, description = "A token, like Authorization"),
    ),
    responses(
        (status = 200, description = "A page of the sessions", body = SessionPage),
        (status = 404, description = "There is no such page"),
    ))]
pub async fn list(ctx: Ctx) -> Answered {
    ctx.may_list().await?;
    let mut query = ctx.query();
    let asked = Paging::of(&mut query);
    let filter = ConversationFilter {
        is_active: query.unless_blank("is_active", Fields::boolean),
        external_user_id: query.optional("external_user_id", NAME_CHARS_MAX),
        search: query.optional("search", NAME_CHARS_MAX),
        ..ConversationFilter::default()
    };
    query.finish()?;
    let page = page(&ctx, filter, asked?).await?;
    Ok(json::response(json::bytes(&page)))
}

/// Which page a client wants.
struct Paging {
    /// `None` for the last.
    number: Option<u64>,
    size: u64,
}

impl Paging {
    /// As the original reads it: a page that is no number is a page that is not there, a size that
    /// is none is the usual one.
    fn of(query: &mut Fields) -> Result<Self> {
        let size = query.optional("page_size", 20).and_then(|size| size.parse().ok()).filter(|size| *size > 0);
        let size = size.unwrap_or(PAGE_SIZE).min(PAGE_SIZE_MAX);
        let number = match query.optional("page", 20).as_deref() {
            None => Some(1),
            Some("last") => None,
            Some(number) => Some(number.parse().ok().filter(|number| *number > 0).ok_or(NO_PAGE)?),
        };
        Ok(Self { number, size })
    }
}

const NO_PAGE: Error = Error::NotFound(Subject::Page);

async fn page(ctx: &Ctx, filter: ConversationFilter, asked: Paging) -> Result<SessionPage> {
    let size = asked.size;
    let of = |number: u64| ConversationFilter {
        offset: (number - 1).saturating_mul(size),
        limit: size as usize,
        ..filter.clone()
    };
    let number = match asked.number {
        Some(number) => number,
        None => ctx.chat().sessions(of(1)).await?.total.div_ceil(size).max(1),
    };
    let found = ctx.chat().sessions(of(number)).await?;
    if found.items.is_empty() && number > 1 {
        return Err(NO_PAGE);
    }
    let link = |number: Option<u64>| ctx.link(&[("page", number.map(|number| number.to_string()))]);
    Ok(SessionPage {
        count: found.total,
        next: (number.saturating_mul(size) < found.total).then(|| link(Some(number + 1))),
        previous: (number > 1).then(|| link(Some(number - 1).filter(|previous| *previous > 1))),
        results: found.items.iter().map(Session::from).collect(),
    })
}

/// Read a session
#[utoipa::path(get, path = "/api/chats/sessions/{id}/", operation_id = "chats_read_session", tag = "chats",
    params(("id" = String, Path, description = "The session's id or session_id")),
    responses((status = 200, description = "The session", body = Session)))]
pub async fn read(ctx: Ctx, Segment(id): Segment) -> Answered {
    Ok(shown(StatusCode::OK, &find(&ctx, &id).await?))
}

/// Replace a session
///
/// Fields that are left out keep what they have.
#[utoipa::path(put, path = "/api/chats/sessions/{id}/", operation_id = "chats_replace_session",
    tag = "chats", request_body = SessionFields,
    params(("id" = String, Path, description = "The session's id or session_id")),
    responses((status = 200, description = "The session as it is now", body = Session)))]
pub async fn replace(ctx: Ctx, segment: Segment, input: Input) -> Answered {
    // No field is required, so that a full update and a partial one are the same.
    change(&ctx, segment, input).await
}

/// Edit a session
///
/// Fields that are left out keep what they have.
#[utoipa::path(patch, path = "/api/chats/sessions/{id}/", operation_id = "chats_edit_session",
    tag = "chats", request_body = SessionFields,
    params(("id" = String, Path, description = "The session's id or session_id")),
    responses((status = 200, description = "The session as it is now", body = Session)))]
pub async fn edit(ctx: Ctx, segment: Segment, input: Input) -> Answered {
    change(&ctx, segment, input).await
}

async fn change(ctx: &Ctx, Segment(id): Segment, input: Input) -> Answered {
    let session = find(ctx, &id).await?;
    let mut fields = input.fields()?;
    let visitor_is_named = fields.has("external_user_id");
    let way_is_named = fields.has(WHILE_ANSWERING);
    let edit = SessionEdit {
        key: name(&mut fields, "session_id"),
        external_user_id: visitor_is_named.then(|| name(&mut fields, "external_user_id")),
        metadata: required_if_there(&mut fields, "metadata", |f, name| f.json(name, ctx.door().metadata_bytes_max)),
        expires_at: required_if_there(&mut fields, "expires_at", Fields::instant),
        is_active: required_if_there(&mut fields, "is_active", Fields::boolean),
        while_answering: way_is_named.then(|| way(&mut fields)),
        ..SessionEdit::default()
    };
    fields.finish()?;
    let session = ctx.chat().edit_session(session.id, edit).await?;
    Ok(shown(StatusCode::OK, &session))
}

/// Delete a session
///
/// With all its messages. An answer under way is stopped.
#[utoipa::path(delete, path = "/api/chats/sessions/{id}/", operation_id = "chats_delete_session", tag = "chats",
    params(("id" = String, Path, description = "The session's id or session_id")),
    responses((status = 204, description = "It is gone")))]
pub async fn remove(ctx: Ctx, Segment(id): Segment) -> Answered {
    let session = find(&ctx, &id).await?;
    ctx.chat().remove_session(session.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The session that a path names.
pub async fn find(ctx: &Ctx, id: &str) -> Result<Conversation, Failure> {
    match ctx.session(id).await {
        Err(Error::NotFound(_)) if Uuid::try_parse(id).is_ok() => Err(Failure::NoMatch("Session")),
        Err(Error::NotFound(_)) => Err(Failure::NoRoute),
        found => Ok(found?),
    }
}

/// A name that may be left out or blank; `session_id` may not be null.
fn name(fields: &mut Fields, field: &'static str) -> Option<String> {
    if field == "session_id" {
        fields.not_null(field);
    }
    fields.number_as_text(field);
    fields.optional(field, NAME_CHARS_MAX)
}

/// A field that may be left out, but not be null.
fn required_if_there<T>(
    fields: &mut Fields,
    field: &'static str,
    take: impl FnOnce(&mut Fields, &'static str) -> Option<T>,
) -> Option<T> {
    fields.not_null(field);
    take(fields, field)
}

/// What becomes of a message that is sent while an answer is under way; null is what the configuration says.
fn way(fields: &mut Fields) -> Option<WhileAnswering> {
    fields.choice(WHILE_ANSWERING, run::WAYS).and_then(run::way)
}

fn shown(status: StatusCode, session: &Conversation) -> Response {
    let mut response = json::response(json::bytes(&Session::from(session)));
    *response.status_mut() = status;
    response
}
