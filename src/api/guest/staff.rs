//! A member of staff answers the guests that were assigned to them.

use std::collections::HashMap;

use super::Answered;
use super::context::{Ctx, Input, Segment};
use super::envelope::{Failure, Success};
use super::messages::{cursor, draft, list, sent_answer};
use super::wire::{ChatMessageResource, ChatSessionResource, ListedSession, SendMessage};
use crate::api::events;
use crate::api::idempotency::IdempotencyKey;
use crate::chat::{Desk, MessageFilter};
use crate::domain::{Conversation, ConversationId, Role};
use crate::error::{Error, Subject};

/// How many sessions a list holds at the most.
pub(super) const LISTED_MAX: usize = 200;

/// My sessions
///
/// The open sessions that are assigned to me, the most recently active first, each with its last
/// message.
#[utoipa::path(get, path = "/api/v1/chat/staff/sessions", operation_id = "staff_list_my_sessions",
    tag = "staff", security(("bearer" = [])),
    responses((status = 200, description = "The sessions", body = Success<Vec<ListedSession>>,
        headers(("Event-Cursor" = i64, description = "Follow from here")))))]
pub async fn sessions(ctx: Ctx) -> Answered {
    ctx.run(async {
        let access = ctx.access().await?;
        if !access.is_staff() {
            return Err(Error::NotFound(Subject::User).into());
        }
        let cursor = ctx.chat().told_end();
        let mine = ctx.chat().desk(&access, Desk::Of(access.user.id), LISTED_MAX).await?;
        let mut response = ctx.ok("sessions-retrieved", listed(&ctx, mine).await?);
        events::mark(&mut response, cursor);
        Ok(response)
    })
    .await
}

/// Sessions with their last messages.
pub(super) async fn listed(ctx: &Ctx, sessions: Vec<Conversation>) -> Result<Vec<ListedSession>, Failure> {
    let mut last = HashMap::new();
    for conversation in &sessions {
        let filter = MessageFilter {
            before: Some(crate::domain::EventId(conversation.head.message_id.0 + 1)),
            limit: 1,
            ..MessageFilter::default()
        };
        if let Some(message) = ctx.chat().messages(conversation.id, filter).await?.pop() {
            last.insert(conversation.id, ChatMessageResource::from(message.as_ref()));
        }
    }
    let resource = |conversation: &Conversation| ListedSession {
        session: ChatSessionResource::from(conversation),
        last_message: last.remove(&conversation.id),
    };
    Ok(sessions.iter().map(resource).collect())
}

/// Poll a session
///
/// The messages with an id greater than `last_message_id`, of a session that is assigned to me.
#[utoipa::path(get, path = "/api/v1/chat/sessions/{id}/messages", operation_id = "staff_poll_messages",
    tag = "staff", security(("bearer" = [])),
    params(
        ("id" = i64, Path, description = "The session's number"),
        ("last_message_id" = Option<i64>, Query, description = "The last message that is known; 0 by default"),
    ),
    responses((status = 200, description = "The messages", body = Success<Vec<ChatMessageResource>>,
        headers(("Event-Cursor" = i64, description = "Follow from here")))))]
pub async fn messages(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.staff().await?;
        let channel = ctx.chat().live_chat_numbered(number(&id)?).await?;
        ctx.chat().must_have(&access, &channel).await?;
        list(&ctx, &channel, cursor(&ctx)).await
    })
    .await
}

/// Answer a guest
///
/// Sends a message as staff into a session that is assigned to me.
#[utoipa::path(post, path = "/api/v1/chat/sessions/{id}/staff-message", operation_id = "staff_send_message",
    tag = "staff", security(("bearer" = [])),
    params(
        ("id" = i64, Path, description = "The session's number"),
        ("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
            description = "Makes a retry return the first message"),
    ),
    request_body = SendMessage,
    responses((status = 200, description = "The message", body = Success<ChatMessageResource>)))]
pub async fn send(ctx: Ctx, Segment(id): Segment, input: Input) -> Answered {
    ctx.run(async {
        let access = ctx.staff().await?;
        let channel = ctx.chat().live_chat_numbered(number(&id)?).await?;
        ctx.chat().must_have(&access, &channel).await?;
        let draft = draft(&ctx, input, Role::Staff).await?;
        let sent = ctx.chat().send_as_staff(&access, &channel, draft).await?;
        Ok(sent_answer(&ctx, &sent))
    })
    .await
}

/// Close a session
///
/// The guest sees `is_active: false`; the guest's next message reopens it.
#[utoipa::path(post, path = "/api/v1/chat/sessions/{id}/close", operation_id = "staff_close_session",
    tag = "staff", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The session's number")),
    responses((status = 200, description = "The session", body = Success<ChatSessionResource>)))]
pub async fn close(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.staff().await?;
        let channel = ctx.chat().live_chat_numbered(number(&id)?).await?;
        let closed = ctx.chat().close(&access, &channel).await?;
        Ok(ctx.ok("session-closed", ChatSessionResource::from(&closed)))
    })
    .await
}

/// Hand a session back
///
/// From here on nobody has it, which the guest sees; where the assistant answers guests it answers the next message.
#[utoipa::path(post, path = "/api/v1/chat/sessions/{id}/hand-back", operation_id = "staff_hand_back_session",
    tag = "staff", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The session's number")),
    responses((status = 200, description = "The session", body = Success<ChatSessionResource>)))]
pub async fn hand_back(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let access = ctx.staff().await?;
        let channel = ctx.chat().live_chat_numbered(number(&id)?).await?;
        let free = ctx.chat().hand_back(&access, &channel).await?;
        Ok(ctx.ok("session-handed-back", ChatSessionResource::from(&free)))
    })
    .await
}

/// What is no number is no session's number.
pub(super) fn number(raw: &str) -> Result<ConversationId, Failure> {
    let number = raw.parse().map(ConversationId);
    number.map_err(|_| Error::NotFound(Subject::Conversation).into())
}
