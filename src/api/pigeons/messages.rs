//! The messages of a conversation: listed, sent, edited, hidden, read.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::context::{Caller, Ctx, Input, Segment};
use super::conversations;
use super::envelope::{Failure, Note, Told};
use super::lists::{self, Asked, Beside, Numbered};
use super::requests::{EditMessage, SendMessage};
use super::wire::{ConversationResource, MessageResource, Showing};
use super::{Answered, attachments};
use crate::api::events;
use crate::api::idempotency::{self, IdempotencyKey};
use crate::chat::{Appended, Deed, Direct, Draft, NewLetter};
use crate::domain::{Device, DeviceKind, EventId, Json, LetterKind, Message, MessageId, MessageText, Role};
use crate::error::{Error, Result, Rule, Subject};
use crate::http::fields::Fields;
use crate::http::json;

/// The most that may be attached to a message, and how many bytes of JSON it may be in all.
const ATTACHMENTS_MAX: usize = 20;
const ATTACHMENTS_BYTES_MAX: usize = 32 << 10;
/// The largest metadata, in bytes of JSON.
const METADATA_BYTES_MAX: usize = 32 << 10;
/// Longest word of a device about itself, in characters.
const DEVICE_CHARS_MAX: usize = 255;
/// What stands before a message's number on the wire.
const PREFIX: &str = "msg_";

/// The message's number in its name; `None` for what is no name of a message.
pub fn number(name: &str) -> Option<MessageId> {
    let digits = name.strip_prefix(PREFIX).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().map(EventId)
}

/// The message that a path names.
pub fn named(name: &str) -> Result<MessageId> {
    number(name).ok_or(Error::NotFound(Subject::Message))
}

/// The message that a field names, if it names one.
pub fn number_of(fields: &mut Fields, field: &'static str) -> Option<MessageId> {
    let name = fields.optional(field, DEVICE_CHARS_MAX)?;
    let number = number(&name);
    if number.is_none() {
        fields.wrong(field, Rule::Exists);
    }
    number
}

/// List a conversation's messages
///
/// Oldest first. Bare it is the whole list, and with it the messages to the caller count as delivered.
/// With `limit`, `before` or `after` (messages) it is a page, the newest unless a cursor says otherwise;
/// with `page` or `per_page` a numbered one, from the oldest on. Pages have `links` and `meta`.
#[utoipa::path(get, path = "/api/v1/pigeons/chat/conversations/{conversation}/messages",
    operation_id = "pigeons_list_messages", tag = "pigeons", security(("bearer" = [])),
    params(
        ("conversation" = String, Path, description = "The conversation's uuid"),
        ("limit" = Option<i64>, Query, description = "Messages on a page, 1 to 100; long ones fill it earlier"),
        ("before" = Option<String>, Query, description = "Only messages before this one"),
        ("after" = Option<String>, Query, description = "Only messages after this one"),
        ("page" = Option<i64>, Query, description = "The page's number, from 1 on"),
        ("per_page" = Option<i64>, Query, description = "Messages on a numbered page, 1 to 100"),
    ),
    responses(
        (status = 200, description = "The messages", body = lists::MessageList<'static>,
            headers(("Event-Cursor" = i64, description = "Follow from here"))),
        (status = 422, description = "A cursor names no message"),
    ))]
pub async fn list(ctx: Ctx, Segment(name): Segment) -> Answered {
    ctx.run(async {
        let Caller { access, platform } = ctx.caller().await?;
        let direct = conversations::find(&ctx, &access, &name).await?;
        let mut query = ctx.query();
        let asked = lists::asked(&mut query, number);
        query.finish()?;
        let cursor = ctx.chat().told_end();
        ctx.chat().deliver(&access, &direct).await?;
        let view = Arc::new(View { direct, pbk: platform.key });
        let mut response = match asked {
            Asked::Whole => whole(&ctx, view).await,
            Asked::Beside(beside) => beside_cursor(&ctx, view, beside).await,
            Asked::Page(page) => numbered(&ctx, view, page).await,
        }?;
        events::mark(&mut response, cursor);
        Ok(response)
    })
    .await
}

/// What it takes to show a conversation's messages.
struct View {
    direct: Direct,
    pbk: Uuid,
}

impl View {
    fn page<C>(self: &Arc<Self>, messages: Vec<Arc<Message>>, next: Option<C>) -> json::Page<C> {
        let view = Arc::clone(self);
        let render = move |message: &Arc<Message>| {
            json::bytes(&MessageResource::new(message, &view.direct, view.pbk, Showing::Now))
        };
        json::Page::new(messages, render, next)
    }

    /// The member `conversation`, with a comma before it.
    async fn conversation(&self, ctx: &Ctx) -> Result<String> {
        let last = ctx.chat().last_letter(&self.direct).await?;
        let shown = json::bytes(&ConversationResource::bare(&self.direct, last.as_deref()));
        Ok(format!(",\"conversation\":{}", String::from_utf8_lossy(&shown)))
    }
}

const OPENING: &[u8] = b"{\"data\":[";

/// The whole list, a page at a time.
async fn whole(ctx: &Ctx, view: Arc<View>) -> Result<Response, Failure> {
    let conversation = view.conversation(ctx).await?;
    let chat = Arc::clone(ctx.chat());
    let first = chat.letter_page(&view.direct, EventId::START).await?;
    let first = view.page(first.messages, first.next);
    let next = move |cursor| {
        let (chat, view) = (Arc::clone(&chat), Arc::clone(&view));
        async move {
            let page = chat.letter_page(&view.direct, cursor).await?;
            Ok(view.page(page.messages, page.next))
        }
    };
    Ok(json::paged(OPENING.to_vec(), first, next, format!("]{conversation}}}").into_bytes()))
}

async fn beside_cursor(ctx: &Ctx, view: Arc<View>, asked: Beside<MessageId>) -> Result<Response, Failure> {
    let (is_first, is_continued) = (asked.before.is_none() && asked.after.is_none(), asked.after.is_some());
    let (messages, is_more) = ctx.chat().letters(&view.direct, asked.before, asked.after, asked.limit).await?;
    let (prev, next) = if is_continued { (true, is_more) } else { (is_more, !is_first) };
    let end = |there: bool, name: &'static str, message: Option<&Arc<Message>>| {
        message.filter(|_| there).map(|end| (name, format!("{PREFIX}{}", end.id)))
    };
    let (prev, next) = (end(prev, "before", messages.first()), end(next, "after", messages.last()));
    let around = lists::around_cursors(ctx, asked.limit, prev, next);
    let conversation = view.conversation(ctx).await?;
    Ok(one_page(view.page(messages, None), lists::closing(&conversation, &around)))
}

async fn numbered(ctx: &Ctx, view: Arc<View>, page: Numbered) -> Result<Response, Failure> {
    let (total, after) = ctx.chat().letters_from(&view.direct, page.offset()).await?;
    let count = usize::try_from(page.size.min(total.saturating_sub(page.offset()))).unwrap_or(0);
    let around = lists::around_number(ctx, page, count, total);
    let conversation = view.conversation(ctx).await?;
    let chat = Arc::clone(ctx.chat());
    let read = move |(after, count): (EventId, usize)| {
        let (chat, view) = (Arc::clone(&chat), Arc::clone(&view));
        async move {
            // In pieces as long as those of the whole list: a hundred long messages are many bytes.
            let (messages, is_more) = chat.letters(&view.direct, None, Some(after), count).await?;
            let left = count - messages.len();
            let next = messages.last().filter(|_| is_more && left > 0).map(|last| (last.id, left));
            Ok(view.page(messages, next))
        }
    };
    let first = read((after, count)).await?;
    Ok(json::paged(OPENING.to_vec(), first, read, lists::closing(&conversation, &around)))
}

fn one_page(page: json::Page<std::convert::Infallible>, after: Vec<u8>) -> Response {
    json::paged(OPENING.to_vec(), page, |never| async move { match never {} }, after)
}

/// Send a message
///
/// To the other user of a conversation. With the header `Idempotency-Key` a retry returns the first
/// message and `Idempotent-Replayed: true`.
#[utoipa::path(post, path = "/api/v1/pigeons/chat/messages", operation_id = "pigeons_send_message",
    tag = "pigeons", security(("bearer" = [])), request_body = SendMessage,
    params(("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
        description = "Makes a retry return the first message")),
    responses(
        (status = 201, description = "The message", body = Told<MessageResource<'static>>),
        (status = 400, description = "The body is not a JSON object"),
        (status = 404, description = "There is no such conversation, or the receiver is not its other user"),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn send(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, platform } = ctx.caller().await?;
        let letter = Asking::read(&mut input.fields().await?, ctx.door().message_chars_max)?;
        let (attachments, uploads) = attachments::take_uploads(&ctx, &access, &letter.attachments).await?;
        let key = ctx.idempotency_key()?;
        let direct = ctx.chat().direct(&access, letter.conversation).await?;
        let receiver_id = direct.other(access.user.id, letter.receiver)?;
        let new = NewLetter { receiver_id, kind: letter.kind, attachments, uploads, device: letter.device };
        let draft = Draft {
            role: Role::User,
            user_id: Some(access.user.id),
            text: letter.text,
            metadata: letter.metadata,
            letter: Some(new),
            key,
        };
        let Appended { message, replayed } = ctx.chat().send_letter(&access, &direct, draft, ctx.socket()).await?;
        let data = MessageResource::new(&message, &direct, platform.key, Showing::Sent);
        let mut response = ctx.told(StatusCode::CREATED, "message-sent", data);
        if replayed {
            idempotency::mark_replayed(&mut response);
        }
        Ok(response)
    })
    .await
}

/// What a body asks to send.
struct Asking {
    conversation: Uuid,
    receiver: Uuid,
    text: MessageText,
    kind: LetterKind,
    attachments: Vec<Value>,
    metadata: Option<Json>,
    device: Device,
}

impl Asking {
    fn read(fields: &mut Fields, chars_max: usize) -> Result<Self> {
        let conversation = fields.needed("conversation_uuid", Fields::uuid);
        let receiver = fields.needed("receiver_uuid", Fields::uuid);
        let text = fields.text("context_text", chars_max);
        let kind = fields.needed("context_type", |fields, name| fields.choice(name, LetterKind::NAMES));
        let attachments = attached(fields);
        let metadata = fields.map("metadata", METADATA_BYTES_MAX);
        let (kind_of_device, device) = fields.inside("device", |device| {
            let kind = device.needed("type", |device, name| device.choice(name, DeviceKind::NAMES));
            (kind, described(device, kind, true))
        });
        fields.check()?;
        // Whatever is missing was noted above.
        let missing = || Error::field("context_text", Rule::Required);
        Ok(Self {
            conversation: conversation.ok_or_else(missing)?,
            receiver: receiver.ok_or_else(missing)?,
            text: text.ok_or_else(missing)?,
            kind: kind.and_then(LetterKind::parse).ok_or_else(missing)?,
            attachments,
            metadata,
            device: Device { kind: kind_of_device.and_then(DeviceKind::parse).ok_or_else(missing)?, details: device },
        })
    }
}

fn attached(fields: &mut Fields) -> Vec<Value> {
    let items = fields.list("attachments", ATTACHMENTS_MAX, ATTACHMENTS_BYTES_MAX).unwrap_or_default();
    for (at, item) in items.iter().enumerate() {
        if !item.is_object() {
            fields.wrong(format!("attachments.{at}"), Rule::Object);
        }
    }
    items
}

/// What a device says of itself, in the order in which it is shown.
#[derive(Serialize)]
struct Described<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    os: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    browser: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    browser_version: Option<String>,
}

/// What a device of that kind says of itself: the members that are known, as an object.
pub fn described(fields: &mut Fields, kind: Option<&str>, needs_os: bool) -> Json {
    let line = |fields: &mut Fields, name| fields.optional_line(name, DEVICE_CHARS_MAX);
    let os = if needs_os { fields.needed("os", line) } else { line(fields, "os") };
    let described = Described {
        kind,
        os,
        os_version: line(fields, "os_version"),
        app_version: line(fields, "app_version"),
        model: line(fields, "model"),
        browser: line(fields, "browser"),
        browser_version: line(fields, "browser_version"),
    };
    Json(String::from_utf8_lossy(&json::bytes(&described)).into_owned())
}

/// Edit a message
///
/// Only its sender may. The other user sees that it was edited, and when.
#[utoipa::path(patch, path = "/api/v1/pigeons/chat/messages/{message}", operation_id = "pigeons_edit_message",
    tag = "pigeons", security(("bearer" = [])), request_body = EditMessage,
    params(("message" = String, Path, description = "The message's id")),
    responses(
        (status = 200, description = "The message as it is now", body = Told<MessageResource<'static>>),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn edit(ctx: Ctx, Segment(name): Segment, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, platform } = ctx.caller().await?;
        let mut fields = input.fields().await?;
        let text = fields.text("context_text", ctx.door().message_chars_max);
        fields.finish()?;
        let text = text.ok_or_else(|| Error::field("context_text", Rule::Required))?;
        let number = named(&name)?;
        ctx.spare(Deed::Edited(number));
        let (message, direct) = ctx.chat().edit_letter(&access, number, text).await?;
        let data = MessageResource::new(&message, &direct, platform.key, Showing::Now);
        Ok(ctx.told(StatusCode::OK, "message-updated", data))
    })
    .await
}

/// Delete a message
///
/// Only its sender may. Neither user sees it any more.
#[utoipa::path(delete, path = "/api/v1/pigeons/chat/messages/{message}", operation_id = "pigeons_delete_message",
    tag = "pigeons", security(("bearer" = [])),
    params(("message" = String, Path, description = "The message's id")),
    responses((status = 200, description = "It is gone", body = Note)))]
pub async fn remove(ctx: Ctx, Segment(name): Segment) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let number = named(&name)?;
        ctx.spare(Deed::Deleted(number));
        ctx.chat().delete_letter(&access, number).await?;
        Ok(ctx.note("message-deleted"))
    })
    .await
}

/// Mark a message as read
///
/// Only its receiver may. A second time changes nothing.
#[utoipa::path(patch, path = "/api/v1/pigeons/chat/messages/{message}/read",
    operation_id = "pigeons_read_message", tag = "pigeons", security(("bearer" = [])),
    params(("message" = String, Path, description = "The message's id")),
    responses((status = 200, description = "It is read", body = Note)))]
pub async fn read(ctx: Ctx, Segment(name): Segment) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let number = named(&name)?;
        ctx.spare(Deed::Read(number, access.user.id));
        ctx.chat().read_letter(&access, number).await?;
        Ok(ctx.note("message-read"))
    })
    .await
}
