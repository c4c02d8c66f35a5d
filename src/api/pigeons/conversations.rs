//! The conversations of the caller: listed, opened, put away, read.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

use super::Answered;
use super::context::{Caller, Ctx, Input, Segment};
use super::envelope::{Failure, Told};
use super::lists::{self, Asked, Beside, Numbered};
use super::messages::number_of;
use super::requests::{ArchiveConversation, OpenConversation, ReadConversation};
use super::wire::{ConversationResource, OpenedConversation, ReadUpTo};
use crate::api::events;
use crate::api::idempotency::{self, IdempotencyKey};
use crate::chat::{Deed, Direct, InboxEntry, InboxFilter};
use crate::domain::{Access, Tag};
use crate::error::{Error, Rule, Subject};
use crate::http::fields::Fields;
use crate::http::json;

/// Longest name of what a conversation is about, in characters.
const TAG_CHARS_MAX: usize = 255;

/// List my conversations
///
/// The one with the newest message first. Bare it is the whole list; with `limit`, `before` or `after`
/// (conversations), or with `page` or `per_page`, it is a page, with `links` and `meta`. The header
/// `Event-Cursor` is where to follow from so that nothing falls between.
#[utoipa::path(get, path = "/api/v1/pigeons/chat/conversations", operation_id = "pigeons_list_conversations",
    tag = "pigeons", security(("bearer" = [])),
    params(
        ("limit" = Option<i64>, Query, description = "Conversations on a page, 1 to 100"),
        ("before" = Option<Uuid>, Query, description = "Only those below this one: with older messages"),
        ("after" = Option<Uuid>, Query, description = "Only those above this one: with newer messages"),
        ("page" = Option<i64>, Query, description = "The page's number, from 1 on"),
        ("per_page" = Option<i64>, Query, description = "Conversations on a numbered page, 1 to 100"),
    ),
    responses(
        (status = 200, description = "The conversations", body = lists::ConversationList, headers(("Event-Cursor" = i64, description = "Follow from here"))),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn list(ctx: Ctx) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let mut query = ctx.query();
        let asked = lists::asked(&mut query, |raw| Uuid::try_parse(raw).ok());
        query.finish()?;
        let cursor = ctx.chat().told_end();
        let mut response = match asked {
            Asked::Whole => whole(&ctx, access).await,
            Asked::Beside(beside) => beside_cursor(&ctx, &access, beside).await,
            Asked::Page(page) => numbered(&ctx, &access, page).await,
        }?;
        events::mark(&mut response, cursor);
        Ok(response)
    })
    .await
}

fn shown(entry: &InboxEntry) -> Vec<u8> {
    json::bytes(&ConversationResource::whole(&entry.direct, entry.last.as_deref()))
}

const OPENING: &[u8] = b"{\"data\":[";

/// The whole list as it stands now, a piece at a time.
async fn whole(ctx: &Ctx, access: Access) -> Result<Response, Failure> {
    let (chat, user) = (Arc::clone(ctx.chat()), access.user.id);
    let read = move |numbers| {
        let chat = Arc::clone(&chat);
        async move {
            let (entries, left) = chat.inbox_page(user, numbers).await?;
            Ok(json::Page::new(entries, shown, left))
        }
    };
    let first = read(ctx.chat().inbox_numbers(&access).await?).await?;
    Ok(json::paged(OPENING.to_vec(), first, read, b"]}".to_vec()))
}

async fn beside_cursor(ctx: &Ctx, access: &Access, asked: Beside<Uuid>) -> Result<Response, Failure> {
    let chat = ctx.chat();
    let place = async |field: &'static str, uuid: Option<Uuid>| {
        let Some(uuid) = uuid else { return Ok(None) };
        match chat.direct(access, uuid).await {
            Ok(direct) => Ok(Some(direct.place())),
            Err(Error::NotFound(Subject::Conversation) | Error::Forbidden(_)) => Err(Error::field(field, Rule::Exists)),
            Err(error) => Err(error),
        }
    };
    let (below, above) = (place("before", asked.before).await?, place("after", asked.after).await?);
    let upwards = below.is_none() && above.is_some();
    let filter = InboxFilter { below, above, limit: asked.limit + 1, ..InboxFilter::default() };
    let mut entries = chat.inbox(access, filter).await?;
    let is_more = entries.len() > asked.limit;
    if is_more && upwards {
        entries.remove(0);
    }
    entries.truncate(asked.limit);
    let (prev, next) = if upwards { (is_more, true) } else { (below.is_some(), is_more) };
    let end = |there: bool, name: &'static str, entry: Option<&InboxEntry>| {
        entry.filter(|_| there).map(|entry| (name, entry.direct.conversation.uuid.to_string()))
    };
    let (prev, next) = (end(prev, "after", entries.first()), end(next, "before", entries.last()));
    let around = lists::around_cursors(ctx, asked.limit, prev, next);
    Ok(one_page(entries, lists::closing("", &around)))
}

async fn numbered(ctx: &Ctx, access: &Access, page: Numbered) -> Result<Response, Failure> {
    let total = ctx.chat().inbox_total(access).await?;
    let limit = usize::try_from(page.size).unwrap_or(1);
    let entries = if page.offset() < total {
        ctx.chat().inbox(access, InboxFilter { offset: page.offset(), limit, ..InboxFilter::default() }).await?
    } else {
        Vec::new()
    };
    let around = lists::around_number(ctx, page, entries.len(), total);
    Ok(one_page(entries, lists::closing("", &around)))
}

fn one_page(entries: Vec<InboxEntry>, after: Vec<u8>) -> Response {
    let page = json::Page::new(entries, shown, None::<std::convert::Infallible>);
    json::paged(OPENING.to_vec(), page, |never| async move { match never {} }, after)
}

/// Open a conversation
///
/// With another user of the platform. The two have one conversation about each thing, so that opening
/// it again, from either side, returns the same one.
#[utoipa::path(post, path = "/api/v1/pigeons/chat/conversations", operation_id = "pigeons_open_conversation",
    tag = "pigeons", security(("bearer" = [])), request_body = OpenConversation,
    params(("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
        description = "A key stands for one body: with another one it is refused")),
    responses(
        (status = 201, description = "The conversation", body = Told<OpenedConversation>),
        (status = 400, description = "The body is not a JSON object"),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn open(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let mut fields = input.fields().await?;
        let peer = fields.needed("participant_uuid", Fields::uuid);
        let kind = fields.optional_line("taggable_type", TAG_CHARS_MAX);
        let id = fields.integer("taggable_id");
        fields.finish()?;
        let key = ctx.idempotency_key()?;
        let peer = peer.ok_or_else(|| Error::field("participant_uuid", Rule::Required))?;
        let (chat, tag) = (ctx.chat(), Tag { kind, id });
        let (direct, replayed) = match key {
            Some(key) => chat.open_direct_once(&access, peer, tag, key).await?,
            None => (chat.open_direct(&access, peer, tag).await?.0, false),
        };
        let last = ctx.chat().last_letter(&direct).await?;
        let opened = OpenedConversation::new(&direct, last.as_deref(), &access.user);
        let mut response = ctx.told(StatusCode::CREATED, "conversation-created", opened);
        if replayed {
            idempotency::mark_replayed(&mut response);
        }
        Ok(response)
    })
    .await
}

/// The conversation that a path names, which has to be the caller's.
pub async fn find(ctx: &Ctx, access: &Access, name: &str) -> Result<Direct, Failure> {
    let uuid = Uuid::try_parse(name).map_err(|_| Error::NotFound(Subject::Conversation))?;
    Ok(ctx.chat().direct(access, uuid).await?)
}

/// Put a conversation away
///
/// Or take it out again, for both of its users.
#[utoipa::path(patch, path = "/api/v1/pigeons/chat/conversations/{conversation}",
    operation_id = "pigeons_archive_conversation", tag = "pigeons", security(("bearer" = [])),
    request_body = ArchiveConversation,
    params(("conversation" = String, Path, description = "The conversation's uuid")),
    responses(
        (status = 200, description = "The conversation as it is now", body = Told<ConversationResource>),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn archive(ctx: Ctx, Segment(name): Segment, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let direct = find(&ctx, &access, &name).await?;
        let mut fields = input.fields().await?;
        let is_archived = fields.needed("is_archived", |fields, name| fields.unless_blank(name, Fields::boolean));
        fields.finish()?;
        let is_archived = is_archived.ok_or_else(|| Error::field("is_archived", Rule::Required))?;
        let direct = ctx.chat().archive(&access, direct.conversation.uuid, is_archived).await?;
        let last = ctx.chat().last_letter(&direct).await?;
        let data = ConversationResource::whole(&direct, last.as_deref());
        Ok(ctx.told(StatusCode::OK, "conversation-updated", data))
    })
    .await
}

/// Mark a conversation as read
///
/// Every message to the caller, up to one of them or to the last.
#[utoipa::path(post, path = "/api/v1/pigeons/chat/conversations/{conversation}/read",
    operation_id = "pigeons_read_conversation", tag = "pigeons", security(("bearer" = [])),
    request_body = ReadConversation,
    params(("conversation" = String, Path, description = "The conversation's uuid")),
    responses(
        (status = 200, description = "How many were read, and how many still wait", body = Told<ReadUpTo>),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn read(ctx: Ctx, Segment(name): Segment, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let direct = find(&ctx, &access, &name).await?;
        let mut fields = input.fields().await?;
        let last = number_of(&mut fields, "message_id");
        fields.finish()?;
        let end = last.unwrap_or(direct.conversation.head.message_id);
        ctx.spare(Deed::Read(end, access.user.id));
        let marked = ctx.chat().read_through(&access, &direct, end).await?;
        let now = ctx.chat().direct(&access, direct.conversation.uuid).await?;
        let unread_count = now.member(access.user.id)?.unread;
        Ok(ctx.told(StatusCode::OK, "conversation-read", ReadUpTo { marked, unread_count }))
    })
    .await
}
