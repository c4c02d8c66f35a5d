//! A client follows a session as a stream of events: what the list shows, as it happens.

use serde::Serialize;
use uuid::Uuid;

use super::Answered;
use super::context::{Ctx, Segment};
use super::envelope::Failure;
use super::sessions::find;
use super::wire::{ChatMessage, Session};
use crate::api::events::{self, Asked, Client, Feed, Polled, Show, Shown, StreamEvent};
use crate::api::run::{RunEvent, RunTextEvent};
use crate::chat::SharedChat;
use crate::domain::{ConversationId, EventBody, EventId, Logged};
use crate::error::Result;
use crate::http::json;

/// What a `deleted` event says.
#[derive(Serialize)]
struct DeletedEvent {
    id: Uuid,
}

/// Follow a session
///
/// Server-sent events: `message` (a message, as the list shows it), `deleted` (`{id}`), `session`
/// (the session after a change), `run` and `run_text` (an answer that is being made), `reset` (read the lists anew),
/// `gone`. First comes `resumed` with `{from}`. Every frame's `id` is the cursor; resume with the header `Last-Event-ID` or the query
/// `last_event_id`, and begin after a list with its `Event-Cursor`. With `wait`, or where only JSON is
/// accepted, the same as a long poll.
#[utoipa::path(get, path = "/api/chats/sessions/{id}/events/", operation_id = "chats_follow_session", tag = "chats",
    params(
        ("id" = String, Path, description = "The session's id or session_id"),
        ("last_event_id" = Option<i64>, Query, description = "The cursor to resume from, like Last-Event-ID"),
        ("wait" = Option<u32>, Query, maximum = 30, description = "Answer with JSON, after so many seconds at the most"),
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor to resume from"),
    ),
    responses((status = 200, description = "The stream, or what a long poll got",
        content((StreamEvent = "text/event-stream"), (Polled = "application/json")))))]
pub async fn follow(ctx: Ctx, Segment(id): Segment) -> Answered {
    let session = find(&ctx, &id).await?;
    let asked = Asked::of(ctx.headers(), &mut ctx.query());
    let start = asked.cursor.in_conversation(EventId::START);
    let follower = ctx.chat().follow_session(&session, start.from);
    let show = Shower { chat: ctx.chat().clone(), id: session.id, session: Session::from(&session) };
    let client = Client { address: ctx.address(), user: None };
    events::answer(ctx.web(), client, asked, Feed { follower, start, show }).await.map_err(Failure::from)
}

/// Shows a session's events. A message is shown with its session, so the session is kept at hand.
struct Shower {
    chat: SharedChat,
    id: ConversationId,
    session: Session,
}

impl Show for Shower {
    async fn show(&mut self, events: &[Logged]) -> Result<Vec<Shown>> {
        let mut shown = Vec::with_capacity(1);
        for Logged { event, .. } in events {
            let (name, data) = match &event.body {
                EventBody::MessageAdded(message) | EventBody::MessageEdited(message) => {
                    ("message", json::bytes(&ChatMessage::new(message, &self.session)))
                }
                EventBody::MessageDeleted { uuid, .. } => ("deleted", json::bytes(&DeletedEvent { id: *uuid })),
                EventBody::StateChanged { .. } => ("session", self.session_event().await),
                EventBody::RunChanged { state, run } => ("run", json::bytes(&RunEvent::new(run, *state))),
                EventBody::RunTold(told) => ("run_text", json::bytes(&RunTextEvent::from(told))),
                EventBody::MessageGone | EventBody::Void | EventBody::Reacted { .. } | EventBody::Received { .. } => {
                    continue;
                }
            };
            shown.push(Shown::new(event.id, name, data));
        }
        Ok(shown)
    }
}

impl Shower {
    /// The session is shown as it is now, which is at least as new as the event: its name is not in
    /// the event, and what is newer is told again by the event that brought it.
    async fn session_event(&mut self) -> Vec<u8> {
        match self.chat.session_numbered(self.id).await {
            Ok(session) => self.session = Session::from(&session),
            Err(error) => tracing::debug!(error = %error, "a follower is shown a session as it was"),
        }
        json::bytes(&self.session)
    }
}
