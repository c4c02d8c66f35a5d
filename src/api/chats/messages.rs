//! The messages of a session: listed, stored, read, deleted.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::Answered;
use super::context::{Ctx, Input, Segment};
use super::envelope::Failure;
use super::sessions::NAME_CHARS_MAX;
use super::wire::{ChatMessage, MessageFields, Session, Speaker};
use crate::api::events;
use crate::api::idempotency::{self, IdempotencyKey};
use crate::chat::{Draft, MessageFilter};
use crate::domain::{Conversation, EventId, Message, Role};
use crate::error::{Error, Result, Rule, Subject};
use crate::http::fields::Fields;
use crate::http::json;

/// The most messages that a client gets on a page.
const LIMIT_MAX: usize = 100;
/// Longest search, in characters.
const SEARCH_CHARS_MAX: usize = 1000;
/// Who may speak at this door.
const ROLES: &[&str] = &["user", "assistant", "system"];

/// List a session's messages
///
/// A bare array, oldest first. Without `limit` it is the whole list; with it, the header `Link` has
/// the addresses of the pages around (`rel="next"`, `rel="prev"`). The header `Event-Cursor` is
/// where to follow the session's events from so that nothing falls between.
#[utoipa::path(get, path = "/api/chats/messages/", operation_id = "chats_list_messages", tag = "chats",
    params(
        ("session_id" = String, Query, description = "The session's session_id or id"),
        ("role" = inline(Option<Speaker>), Query, description = "Only what they said"),
        ("search" = Option<String>, Query, description = "Only messages that contain this, in any letter case"),
        ("limit" = Option<u64>, Query,
            description = "Messages on a page, 1 to 100; long ones fill it earlier"),
        ("after" = Option<String>, Query, description = "Only messages after the one with this id"),
        ("before" = Option<String>, Query,
            description = "Only messages before the one with this id; with limit, the newest of them"),
    ),
    responses((status = 200, description = "The messages", body = Vec<ChatMessage<'static>>, headers(
        ("Link" = String, description = "The pages around this one"),
        ("Event-Cursor" = i64, description = "Follow the session's events from here"),
    )), (status = 404, description = "There is no such session or message")))]
pub async fn list(ctx: Ctx) -> Answered {
    let mut query = ctx.query();
    let name = query.required("session_id", NAME_CHARS_MAX);
    query.check().map_err(Failure::Plain)?;
    let asked = Asked::of(&mut query);
    query.finish().map_err(Failure::Filter)?;
    let session = ctx.session(&name).await?;
    let filter = asked.filter(&ctx, &session).await.map_err(Failure::Plain)?;
    let mut response = match asked.limit {
        Some(limit) => page(&ctx, &session, filter, limit).await?,
        None => whole(&ctx, &session, filter).await?,
    };
    events::mark(&mut response, session.head.event_id);
    Ok(response)
}

/// What a list's query asks for.
struct Asked {
    role: Option<Role>,
    search: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
    before: Option<String>,
}

impl Asked {
    fn of(query: &mut Fields) -> Self {
        let role = query.optional("role", SEARCH_CHARS_MAX).and_then(|word| role_of(query, word));
        let limit = query.optional("limit", 20);
        let number = limit.as_ref().and_then(|limit| limit.parse().ok());
        if limit.is_some() && number.is_none() {
            query.wrong("limit", Rule::Integer);
        }
        Self {
            role,
            search: query.optional("search", SEARCH_CHARS_MAX),
            limit: number.map(|limit: u64| limit.clamp(1, LIMIT_MAX as u64) as usize),
            after: query.optional("after", NAME_CHARS_MAX),
            before: query.optional("before", NAME_CHARS_MAX),
        }
    }

    async fn filter(&self, ctx: &Ctx, session: &Conversation) -> Result<MessageFilter> {
        Ok(MessageFilter {
            after: place(ctx, session, self.after.as_deref()).await?,
            before: place(ctx, session, self.before.as_deref()).await?,
            role: self.role,
            search: self.search.clone(),
            ..MessageFilter::default()
        })
    }
}

/// Where the message with that id stands.
async fn place(ctx: &Ctx, session: &Conversation, id: Option<&str>) -> Result<Option<EventId>> {
    let Some(id) = id else { return Ok(None) };
    let uuid = Uuid::try_parse(id).map_err(|_| Error::NotFound(Subject::Message))?;
    ctx.chat().place_of(session, uuid).await.map(Some)
}

/// The whole list, a page at a time.
async fn whole(ctx: &Ctx, session: &Conversation, filter: MessageFilter) -> Result<Response> {
    let (chat, id, shown) = (Arc::clone(ctx.chat()), session.id, Arc::new(Session::from(session)));
    let first = chat.message_page(id, filter.clone()).await?;
    let first = rendered(first.messages, &shown, first.next);
    let next = move |cursor: EventId| {
        let (chat, shown) = (Arc::clone(&chat), Arc::clone(&shown));
        let filter = MessageFilter { after: Some(cursor), ..filter.clone() };
        async move {
            let page = chat.message_page(id, filter).await?;
            Ok(rendered(page.messages, &shown, page.next))
        }
    };
    Ok(json::paged(b"[".to_vec(), first, next, b"]".to_vec()))
}

/// A page of which each message is rendered when it is sent: it is shown with its whole session,
/// so that many short ones are long.
fn rendered<C>(messages: Vec<Arc<Message>>, session: &Arc<Session>, next: Option<C>) -> json::Page<C> {
    let session = Arc::clone(session);
    json::Page::new(messages, move |message| json::bytes(&ChatMessage::new(message, &session)), next)
}

/// One page, with the addresses of those around it.
async fn page(ctx: &Ctx, session: &Conversation, filter: MessageFilter, limit: usize) -> Result<Response> {
    let backwards = filter.before.is_some() && filter.after.is_none();
    let is_continued = filter.after.is_some();
    let (messages, is_more) = ctx.chat().messages_at_most(session.id, filter, limit).await?;
    let (next, prev) = if backwards { (true, is_more) } else { (is_more, is_continued) };
    let end = |there: bool, message: Option<&Arc<Message>>| message.filter(|_| there).map(|end| end.uuid.to_string());
    let next = end(next, messages.last()).map(|id| ctx.link(&[("after", Some(id)), ("before", None)]));
    let prev = end(prev, messages.first()).map(|id| ctx.link(&[("before", Some(id)), ("after", None)]));
    let mut response = json::one_page(rendered(messages, &Arc::new(Session::from(session)), None));
    let links = [next.map(|url| format!("<{url}>; rel=\"next\"")), prev.map(|url| format!("<{url}>; rel=\"prev\""))];
    let links = links.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if let Some(links) = HeaderValue::from_str(&links).ok().filter(|links| !links.is_empty()) {
        response.headers_mut().insert(header::LINK, links);
    }
    Ok(response)
}

/// Store a message
///
/// Without asking the assistant. With the header `Idempotency-Key` a retry returns the first
/// message and `Idempotent-Replayed: true`.
#[utoipa::path(post, path = "/api/chats/messages/", operation_id = "chats_store_message",
    tag = "chats", request_body = MessageFields,
    params(("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
        description = "Makes a retry return the first message")),
    responses(
        (status = 201, description = "The message", body = ChatMessage<'static>),
        (status = 403, description = "The session has expired or is not active"),
        (status = 404, description = "There is no such session"),
    ))]
pub async fn create(ctx: Ctx, input: Input) -> Answered {
    let mut fields = input.fields()?;
    fields.number_as_text("session_id");
    let name = fields.required("session_id", NAME_CHARS_MAX);
    fields.number_as_text("message");
    let text = fields.text("message", ctx.door().message_chars_max);
    let role = role(&mut fields);
    fields.not_null("metadata");
    let metadata = fields.json("metadata", ctx.door().metadata_bytes_max);
    fields.finish()?;
    let key = ctx.idempotency_key()?;
    let session = ctx.session(&name).await?;
    let (Some(text), Some(role)) = (text, role) else { return Err(Error::field("message", Rule::Required).into()) };
    let draft = Draft { role, user_id: None, text, metadata, letter: None, key };
    let sent = ctx.chat().add_message(&session, draft).await?;
    let mut response = shown(&sent.message, &session);
    *response.status_mut() = StatusCode::CREATED;
    if sent.replayed {
        idempotency::mark_replayed(&mut response);
    }
    Ok(response)
}

fn role(fields: &mut Fields) -> Option<Role> {
    let before = fields.has("role");
    match fields.value("role") {
        Some(serde_json::Value::String(word)) => role_of(fields, word),
        Some(other) => role_of(fields, other.to_string()),
        None => {
            fields.wrong("role", if before { Rule::NotNull } else { Rule::Required });
            None
        }
    }
}

fn role_of(fields: &mut Fields, word: String) -> Option<Role> {
    let role = Role::parse(&word).filter(|_| ROLES.contains(&word.as_str()));
    if role.is_none() {
        fields.wrong("role", Rule::OneOf { got: word, choices: ROLES });
    }
    role
}

/// Read a message
#[utoipa::path(get, path = "/api/chats/messages/{id}/", operation_id = "chats_read_message", tag = "chats",
    params(("id" = String, Path, description = "The message's id")),
    responses((status = 200, description = "The message", body = ChatMessage<'static>)))]
pub async fn read(ctx: Ctx, Segment(id): Segment) -> Answered {
    let (message, session) = ctx.chat().message(uuid(&id)?).await?;
    Ok(shown(&message, &session))
}

/// Delete a message
///
/// It is shown no more; its row is kept.
#[utoipa::path(delete, path = "/api/chats/messages/{id}/", operation_id = "chats_delete_message", tag = "chats",
    params(("id" = String, Path, description = "The message's id")),
    responses((status = 204, description = "It is gone")))]
pub async fn remove(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.chat().delete_message(uuid(&id)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The message's identifier that a path holds.
pub fn uuid(id: &str) -> Result<Uuid, Failure> {
    Uuid::try_parse(id).map_err(|_| Failure::NoRoute)
}

fn shown(message: &Message, session: &Conversation) -> Response {
    let session = Session::from(session);
    json::response(json::bytes(&ChatMessage::new(message, &session)))
}
