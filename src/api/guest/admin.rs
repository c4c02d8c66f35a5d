//! The front desk: sessions that nobody has yet, by the guest's key.

use super::Answered;
use super::context::{Ctx, Input, Segment};
use super::envelope::Success;
use super::messages::{cursor, draft, list, sent_answer};
use super::staff::{LISTED_MAX, listed};
use super::wire::{ChatMessageResource, ChatSessionResource, DeskFilter, ListedSession, SendMessage};
use crate::api::events;
use crate::api::idempotency::IdempotencyKey;
use crate::chat::Desk;
use crate::domain::Role;
use crate::error::{Error, Rule};

/// Open sessions
///
/// The unassigned ones unless `filter` says otherwise; the most recently active first.
#[utoipa::path(get, path = "/api/v1/chat/admin/sessions", operation_id = "desk_list_sessions",
    tag = "staff", security(("bearer" = [])),
    params(("filter" = inline(Option<DeskFilter>), Query, description = "Which of them")),
    responses((status = 200, description = "The sessions", body = Success<Vec<ListedSession>>,
        headers(("Event-Cursor" = i64, description = "Follow from here")))))]
pub async fn sessions(ctx: Ctx) -> Answered {
    ctx.run(async {
        const FILTERS: &[&str] = &["unassigned", "mine", "all"];
        let access = ctx.access().await?;
        let asked = ctx.query().optional("filter", 255);
        let desk = match asked.as_deref() {
            None | Some("unassigned") => Desk::Unassigned,
            Some("mine") => Desk::Of(access.user.id),
            Some("all") => Desk::All,
            Some(other) => {
                return Err(Error::field("filter", Rule::OneOf { got: other.to_owned(), choices: FILTERS }).into());
            }
        };
        let cursor = ctx.chat().told_end();
        let found = ctx.chat().desk(&access, desk, LISTED_MAX).await?;
        let mut response = ctx.ok("sessions-retrieved", listed(&ctx, found).await?);
        events::mark(&mut response, cursor);
        Ok(response)
    })
    .await
}

/// Take a session
///
/// Assigns the session to me. One that somebody else has is returned unchanged.
#[utoipa::path(post, path = "/api/v1/chat/admin/{sessionKey}/assign", operation_id = "desk_take_session",
    tag = "staff", security(("bearer" = [])),
    params(("sessionKey" = String, Path, description = "Guest session key")),
    responses((status = 200, description = "The session", body = Success<ChatSessionResource>)))]
pub async fn assign(ctx: Ctx, Segment(key): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.staff().await?;
        let channel = ctx.chat().live_chat(&key).await?;
        let assigned = ctx.chat().assign(&access, &channel).await?;
        Ok(ctx.ok("session-assigned", ChatSessionResource::from(&assigned)))
    })
    .await
}

/// Answer a guest
///
/// Sends a message as staff; a session that nobody has becomes mine.
#[utoipa::path(post, path = "/api/v1/chat/admin/{sessionKey}/message", operation_id = "desk_send_message",
    tag = "staff", security(("bearer" = [])),
    params(
        ("sessionKey" = String, Path, description = "Guest session key"),
        ("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
            description = "Makes a retry return the first message"),
    ),
    request_body = SendMessage,
    responses((status = 200, description = "The message", body = Success<ChatMessageResource>)))]
pub async fn send(ctx: Ctx, Segment(key): Segment, input: Input) -> Answered {
    ctx.run(async {
        let access = ctx.staff().await?;
        let channel = ctx.chat().live_chat(&key).await?;
        let draft = draft(&ctx, input, Role::Staff).await?;
        let sent = ctx.chat().take_and_send(&access, &channel, draft).await?;
        Ok(sent_answer(&ctx, &sent))
    })
    .await
}

/// Poll a session
///
/// The messages with an id greater than `last_message_id`.
#[utoipa::path(get, path = "/api/v1/chat/admin/{sessionKey}/messages", operation_id = "desk_poll_messages",
    tag = "staff", security(("bearer" = [])),
    params(
        ("sessionKey" = String, Path, description = "Guest session key"),
        ("last_message_id" = Option<i64>, Query, description = "The last message that is known; 0 by default"),
    ),
    responses((status = 200, description = "The messages", body = Success<Vec<ChatMessageResource>>,
        headers(("Event-Cursor" = i64, description = "Follow from here")))))]
pub async fn messages(ctx: Ctx, Segment(key): Segment) -> Answered {
    ctx.run(async {
        ctx.staff().await?;
        let channel = ctx.chat().live_chat(&key).await?;
        list(&ctx, &channel, cursor(&ctx)).await
    })
    .await
}
