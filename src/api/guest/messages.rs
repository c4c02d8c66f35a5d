//! A guest sends, and polls.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Answered;
use super::context::{Count, Ctx, Input, Segment};
use super::envelope::{Failure, Success};
use super::wire::{ChatMessageResource, SendMessage};
use crate::api::events;
use crate::api::idempotency::{self, IdempotencyKey};
use crate::chat::{Appended, Channel, Draft, MessagePage};
use crate::domain::{EventId, Role};
use crate::error::Result;
use crate::http::json;

/// The longest wait of a long poll.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Send a message
///
/// Stores a guest's message in an existing session. With the header `Idempotency-Key` a retry
/// returns the first message and `Idempotent-Replayed: true`.
#[utoipa::path(post, path = "/api/v1/chat/guest/{sessionId}/message", operation_id = "guest_send_message",
    tag = "guest",
    params(
        ("sessionId" = String, Path, description = "Guest session key"),
        ("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
            description = "Makes a retry return the first message"),
    ),
    request_body = SendMessage,
    responses((status = 200, description = "The message", body = Success<ChatMessageResource>)))]
pub async fn send(ctx: Ctx, Segment(key): Segment, input: Input) -> Answered {
    ctx.run(async {
        let channel = ctx.session(&key, Count::Send).await?;
        let draft = draft(&ctx, input, Role::User).await?;
        let sent = ctx.chat().send(&channel, draft, ctx.address()).await?;
        Ok(sent_answer(&ctx, &sent))
    })
    .await
}

/// Poll for new messages
///
/// The messages with an id greater than `last_message_id`, oldest first. With `wait` the answer
/// comes as soon as there is one, or empty after that many seconds. An unchanged session answers
/// 304 to its own `ETag`.
#[utoipa::path(get, path = "/api/v1/chat/guest/{sessionId}/messages", operation_id = "guest_poll_messages",
    tag = "guest",
    params(
        ("sessionId" = String, Path, description = "Guest session key"),
        ("last_message_id" = Option<i64>, Query, description = "The last message that is known; 0 by default"),
        ("wait" = Option<u32>, Query, maximum = 30, description = "Seconds to wait for a message"),
    ),
    responses(
        (status = 200, description = "The messages", body = Success<Vec<ChatMessageResource>>,
            headers(("Event-Cursor" = i64, description = "Follow from here"))),
        (status = 304, description = "Nothing has changed since the answer with that ETag"),
    ))]
pub async fn poll(ctx: Ctx, Segment(key): Segment) -> Answered {
    ctx.run(async {
        let channel = ctx.session(&key, Count::Poll).await?;
        let cursor = cursor(&ctx);
        wait(&ctx, &channel, cursor).await?;
        let tag = entity_tag(&channel, cursor);
        if let (Some(tag), Some(known)) = (&tag, ctx.header(header::IF_NONE_MATCH))
            && known.split(',').any(|one| one.trim() == tag)
        {
            return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag.clone())]).into_response());
        }
        let mut response = list(&ctx, &channel, cursor).await?;
        if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        Ok(response)
    })
    .await
}

/// The cursor of the query, read loosely.
pub(super) fn cursor(ctx: &Ctx) -> EventId {
    ctx.parameter("last_message_id").map_or(EventId::START, |asked| EventId::parse_loosely(&asked))
}

/// Waits as long as the query asks, unless there is something already.
async fn wait(ctx: &Ctx, channel: &Channel, cursor: EventId) -> Result<(), Failure> {
    let seconds = ctx.parameter("wait").and_then(|asked| asked.trim().parse::<u64>().ok()).unwrap_or(0);
    if seconds == 0 || channel.has_message_after(cursor) != Some(false) {
        return Ok(());
    }
    let place = ctx.web().streams.enter(ctx.address()).ok_or(Failure::NoStream)?;
    let _counted = ctx.web().metrics.stream();
    let longest = Duration::from_secs(seconds).min(WAIT_MAX);
    tokio::select! {
        () = ctx.chat().wait_for_message(channel, cursor, longest) => {}
        () = place.closed(ctx.web().drain_spread()) => {}
    }
    Ok(())
}

/// Weak, because the envelope carries the time and the trace id.
fn entity_tag(channel: &Channel, cursor: EventId) -> Option<String> {
    let head = channel.head()?;
    Some(format!("W/\"{}-{}-{}\"", channel.id(), head.event_id, cursor))
}

/// The messages after the cursor in the envelope: at once when they are few, else in pages.
pub(super) async fn list(ctx: &Ctx, channel: &Arc<Channel>, cursor: EventId) -> Result<Response, Failure> {
    // Before the messages are read, so that nothing falls between them and what is followed from there.
    let head = channel.head();
    let page = ctx.chat().messages_after(channel, cursor).await?;
    let mut response = if page.next.is_none() {
        let data: Vec<ChatMessageResource> = page.messages.iter().map(|message| message.as_ref().into()).collect();
        ctx.ok("messages-retrieved", data)
    } else {
        paged(ctx, channel, page, "messages-retrieved", "[", "]")
    };
    if let Some(head) = head {
        events::mark(&mut response, head.event_id);
    }
    Ok(response)
}

/// An envelope whose data is `open`, the messages from that page on, and `close`.
pub(super) fn paged(
    ctx: &Ctx,
    channel: &Arc<Channel>,
    first: MessagePage,
    text: &str,
    open: &str,
    close: &str,
) -> Response {
    /// Stands where the data goes while the envelope is cut in two.
    const HERE: &str = "\u{1}";
    let whole = Success {
        success: true,
        message: ctx.text(text).to_owned(),
        data: HERE,
        meta: (),
        trace_id: ctx.trace_id().to_owned(),
        timestamp: ctx.timestamp(),
    };
    let whole = String::from_utf8(json::bytes(&whole)).unwrap_or_default();
    let (before, after) = whole.split_once("\"\\u0001\"").unwrap_or((&whole, ""));
    let (before, after) = (format!("{before}{open}"), format!("{close}{after}"));
    let (chat, channel) = (Arc::clone(ctx.chat()), Arc::clone(channel));
    let next = move |cursor| {
        let (chat, channel) = (Arc::clone(&chat), Arc::clone(&channel));
        async move { Ok(rendered(chat.messages_after(&channel, cursor).await?)) }
    };
    json::paged(before.into_bytes(), rendered(first), next, after.into_bytes())
}

fn rendered(page: MessagePage) -> json::Page<EventId> {
    json::Page::new(page.messages, |message| json::bytes(&ChatMessageResource::from(message.as_ref())), page.next)
}

/// The message that the body holds.
pub(super) async fn draft(ctx: &Ctx, input: Input, role: Role) -> Result<Draft, Failure> {
    let key = ctx.idempotency_key()?;
    let mut fields = input.fields().await?;
    let text = fields.text("message", ctx.door().message_chars_max);
    fields.finish()?;
    let text = text.ok_or_else(|| crate::error::Error::field("message", crate::error::Rule::Required))?;
    Ok(Draft { role, user_id: None, text, metadata: None, letter: None, key })
}

/// The answer to a send.
pub(super) fn sent_answer(ctx: &Ctx, sent: &Appended) -> Response {
    let mut response = ctx.ok("message-sent", ChatMessageResource::from(sent.message.as_ref()));
    if sent.replayed {
        idempotency::mark_replayed(&mut response);
    }
    response
}
