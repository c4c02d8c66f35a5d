//! A guest follows a session as a stream of events: what polling shows, as it happens.

use serde::Serialize;

use super::Answered;
use super::context::{Count, Ctx, Segment};
use super::envelope::Failure;
use super::wire::ChatMessageResource;
use crate::api::events::{self, Shown, StreamEvent};
use crate::domain::{ConversationState, Event, EventBody};
use crate::http::json;

/// What a `session` event says.
#[derive(Serialize)]
struct SessionEvent<'a> {
    change: &'a str,
    is_active: bool,
    assigned_user_id: Option<i64>,
    assigned_at: Option<String>,
    meta: super::wire::GuestMeta,
}

/// What a `deleted` event says.
#[derive(Serialize)]
struct DeletedEvent {
    id: i64,
}

/// Follow a session
///
/// Server-sent events: `message` (a `ChatMessageResource`), `deleted` (`{id}`), `session` (the state
/// after a change), `reset` (read the history anew), `gone`. First comes `resumed` with `{from}`.
/// Every frame's `id` is the cursor; resume with the header `Last-Event-ID` or the query
/// `last_event_id`.
#[utoipa::path(get, path = "/api/v1/chat/guest/{sessionId}/events", operation_id = "guest_follow_session",
    tag = "guest",
    params(
        ("sessionId" = String, Path, description = "Guest session key"),
        ("last_event_id" = Option<i64>, Query, description = "The cursor to resume from, like Last-Event-ID"),
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor to resume from"),
    ),
    responses((status = 200, description = "The stream", body = StreamEvent, content_type = "text/event-stream")))]
pub async fn follow(ctx: Ctx, Segment(key): Segment) -> Answered {
    ctx.run(async {
        let channel = ctx.session(&key, Count::Poll).await?;
        let cursor =
            events::cursor(ctx.header("last-event-id"), ctx.query()).unwrap_or_else(|| super::messages::cursor(&ctx));
        let follower = ctx.chat().follow(&channel, cursor);
        let show: fn(&Event) -> Option<Shown> = show;
        events::response(ctx.web(), ctx.address(), follower, cursor, show).ok_or(Failure::NoStream)
    })
    .await
}

fn show(event: &Event) -> Option<Shown> {
    match &event.body {
        EventBody::MessageAdded(message) | EventBody::MessageEdited(message) => {
            Some(Shown::new("message", json::bytes(&ChatMessageResource::from(message.as_ref()))))
        }
        EventBody::MessageDeleted { message_id, .. } => {
            Some(Shown::new("deleted", json::bytes(&DeletedEvent { id: message_id.0 })))
        }
        EventBody::StateChanged { change, state } => {
            Some(Shown::new("session", json::bytes(&session_event(change.as_str(), state))))
        }
        EventBody::MessageGone | EventBody::Void | EventBody::Reacted { .. } | EventBody::Received { .. } => None,
    }
}

fn session_event<'a>(change: &'a str, state: &ConversationState) -> SessionEvent<'a> {
    SessionEvent {
        change,
        is_active: state.is_active,
        assigned_user_id: state.assigned.map(|assigned| assigned.user_id.0),
        assigned_at: state.assigned.map(|assigned| assigned.at.with_micros()),
        meta: (&state.contact).into(),
    }
}
