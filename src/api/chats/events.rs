//! A client follows a session as a stream of events: what the list shows, as it happens.

use serde::Serialize;
use uuid::Uuid;

use super::Answered;
use super::context::{Ctx, Segment};
use super::envelope::Failure;
use super::sessions::find;
use super::wire::{ChatMessage, Session};
use crate::api::events::{self, Show, Shown, StreamEvent};
use crate::chat::SharedChat;
use crate::domain::{ConversationId, EventBody, EventId, Logged};
use crate::http::json;

/// What a `deleted` event says.
#[derive(Serialize)]
struct DeletedEvent {
    id: Uuid,
}

/// Follow a session
///
/// Server-sent events: `message` (a message, as the list shows it), `deleted` (`{id}`), `session`
/// (the session after a change), `reset` (read the list anew), `gone`. First comes `resumed` with
/// `{from}`. Every frame's `id` is the cursor; resume with the header `Last-Event-ID` or the query
/// `last_event_id`, and begin after a list with its `Event-Cursor`.
#[utoipa::path(get, path = "/api/chats/sessions/{id}/events/", operation_id = "chats_follow_session", tag = "chats",
    params(
        ("id" = String, Path, description = "The session's id or session_id"),
        ("last_event_id" = Option<i64>, Query, description = "The cursor to resume from, like Last-Event-ID"),
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor to resume from"),
    ),
    responses((status = 200, description = "The stream", body = StreamEvent, content_type = "text/event-stream")))]
pub async fn follow(ctx: Ctx, Segment(id): Segment) -> Answered {
    let session = find(&ctx, &id).await?;
    let cursor = events::cursor(ctx.header("last-event-id"), ctx.query()).unwrap_or(EventId::START);
    let follower = ctx.chat().follow_session(&session, cursor);
    let shower = Shower { chat: ctx.chat().clone(), id: session.id, session: Session::from(&session) };
    events::response(ctx.web(), ctx.address(), follower, cursor, shower).ok_or(Failure::NoStream)
}

/// Shows a session's events. A message is shown with its session, so the session is kept at hand.
struct Shower {
    chat: SharedChat,
    id: ConversationId,
    session: Session,
}

impl Show for Shower {
    async fn show(&mut self, logged: &Logged) -> Option<Shown> {
        match &logged.event.body {
            EventBody::MessageAdded(message) | EventBody::MessageEdited(message) => {
                Some(Shown::new("message", json::bytes(&ChatMessage::new(message, &self.session))))
            }
            EventBody::MessageDeleted { uuid, .. } => {
                Some(Shown::new("deleted", json::bytes(&DeletedEvent { id: *uuid })))
            }
            EventBody::StateChanged { .. } => self.session_event().await,
            EventBody::MessageGone | EventBody::Void | EventBody::Reacted { .. } | EventBody::Received { .. } => None,
        }
    }
}

impl Shower {
    /// The session is shown as it is now, which is at least as new as the event: its name is not in
    /// the event, and what is newer is told again by the event that brought it.
    async fn session_event(&mut self) -> Option<Shown> {
        match self.chat.session_numbered(self.id).await {
            Ok(session) => self.session = Session::from(&session),
            Err(error) => tracing::debug!(error = %error, "a follower is shown a session as it was"),
        }
        Some(Shown::new("session", json::bytes(&self.session)))
    }
}
