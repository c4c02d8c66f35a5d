//! A guest follows a session as a stream of events: what polling shows, as it happens.

use serde::Serialize;

use super::Answered;
use super::context::{Count, Ctx, Segment};
use super::wire::{ChatMessageResource, GuestMeta, StaffSummary};
use crate::api::events::{self, Asked, Feed, Polled, Show, Shown, StreamEvent};
use crate::api::run::{RunEvent, RunTextEvent};
use crate::chat::SharedChat;
use crate::domain::{Change, ConversationState, Event, EventBody, EventId, Logged, Signal, Typist, UserId};
use crate::error::Result;
use crate::http::json;

/// What a `session` event says.
#[derive(Serialize)]
pub(super) struct SessionEvent<'a> {
    change: &'a str,
    is_active: bool,
    assigned_user_id: Option<i64>,
    assigned_at: Option<String>,
    meta: GuestMeta,
}

impl<'a> SessionEvent<'a> {
    /// The state after a change.
    pub fn new(change: &'a str, state: &ConversationState) -> Self {
        Self {
            change,
            is_active: state.is_active,
            assigned_user_id: state.assigned.map(|assigned| assigned.user_id.0),
            assigned_at: state.assigned.map(|assigned| assigned.at.with_micros()),
            meta: (&state.contact).into(),
        }
    }
}

/// What a `deleted` event says.
#[derive(Serialize)]
pub(super) struct DeletedEvent {
    pub id: i64,
}

/// What a `staff_joined` event says.
#[derive(Serialize)]
struct JoinedEvent {
    staff: StaffSummary,
    assigned_at: String,
}

/// What a `typing` event says.
#[derive(Serialize)]
pub(super) struct TypingEvent<'a> {
    pub who: &'static str,
    pub name: Option<&'a str>,
    pub is_typing: bool,
}

/// Follow a session
///
/// Server-sent events: `message` (a `ChatMessageResource`), `deleted` (`{id}`), `session` (the state
/// after a change), `staff_joined` (`{staff, assigned_at}`, before the `session` that says so), `typing`
/// (`{who, name, is_typing}` of staff; over after 6 seconds), `run` and `run_text` (what the assistant is saying),
/// `reset` (read the history anew), `gone`. First comes
/// `resumed` with `{from}`. Every frame's `id` is the cursor; resume with the header `Last-Event-ID` or the
/// query `last_event_id`, begin after a list with its `Event-Cursor`. With `wait`, or where only JSON is
/// accepted, the same as a long poll.
#[utoipa::path(get, path = "/api/v1/chat/guest/{sessionId}/events", operation_id = "guest_follow_session",
    tag = "guest",
    params(
        ("sessionId" = String, Path, description = "Guest session key"),
        ("last_event_id" = Option<i64>, Query, description = "The cursor to resume from, like Last-Event-ID"),
        ("wait" = Option<u32>, Query, maximum = 30, description = "Answer with JSON, after so many seconds at the most"),
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor to resume from"),
    ),
    responses((status = 200, description = "The stream, or what a long poll got",
        content((StreamEvent = "text/event-stream"), (Polled = "application/json")))))]
pub async fn follow(ctx: Ctx, Segment(key): Segment) -> Answered {
    ctx.run(async {
        let channel = ctx.session(&key, Count::Poll).await?;
        let asked = Asked::of(ctx.headers(), &mut ctx.query());
        let start = asked.cursor.in_conversation(super::messages::cursor(&ctx));
        let follower = ctx.chat().follow(&channel, start.from);
        let feed = Feed { follower, start, show: Guests { chat: ctx.chat().clone() } };
        Ok(events::answer(ctx.web(), ctx.client(None), asked, feed).await?)
    })
    .await
}

/// Shows a session to its guest.
struct Guests {
    chat: SharedChat,
}

impl Show for Guests {
    async fn show(&mut self, events: &[Logged]) -> Result<Vec<Shown>> {
        let mut shown = Vec::with_capacity(2);
        for Logged { event, .. } in events {
            shown.extend(self.joined(event).await?);
            shown.extend(seen(event));
        }
        Ok(shown)
    }

    async fn signal(&mut self, signal: &Signal) -> Option<Shown> {
        // Their own typing is no news to a guest.
        let Signal::Typing { who: Typist::Staff(_, name), is_typing, .. } = signal else { return None };
        let typing = TypingEvent { who: "staff", name: Some(name), is_typing: *is_typing };
        Some(Shown::passing("typing", json::bytes(&typing)))
    }
}

impl Guests {
    /// Who of the staff has joined, if somebody has. Told before the state and under the cursor before it, so that
    /// who is cut off between the two is told both again.
    async fn joined(&self, event: &Event) -> Result<Option<Shown>> {
        let EventBody::StateChanged { change: Change::Assigned, state } = &event.body else { return Ok(None) };
        let Some(assigned) = state.assigned else { return Ok(None) };
        let Some(staff) = staff(&self.chat, assigned.user_id).await? else { return Ok(None) };
        let joined = JoinedEvent { staff, assigned_at: assigned.at.with_micros() };
        Ok(Some(Shown::new(EventId(event.id.0 - 1), "staff_joined", json::bytes(&joined))))
    }
}

/// A member of staff as guests see them.
async fn staff(chat: &SharedChat, user: UserId) -> Result<Option<StaffSummary>> {
    let user = chat.user(user).await?;
    Ok(user.map(|user| StaffSummary { id: user.id.0, name: user.name, avatar: user.avatar }))
}

fn seen(event: &Event) -> Option<Shown> {
    let (name, data) = match &event.body {
        EventBody::MessageAdded(message) | EventBody::MessageEdited(message) => {
            ("message", json::bytes(&ChatMessageResource::from(message.as_ref())))
        }
        EventBody::MessageDeleted { message_id, .. } => ("deleted", json::bytes(&DeletedEvent { id: message_id.0 })),
        EventBody::StateChanged { change, state } => {
            ("session", json::bytes(&SessionEvent::new(change.as_str(), state)))
        }
        EventBody::RunChanged { state, run } => ("run", json::bytes(&RunEvent::new(run, *state))),
        EventBody::RunTold(told) => ("run_text", json::bytes(&RunTextEvent::from(told))),
        EventBody::MessageGone | EventBody::Void | EventBody::Reacted { .. } | EventBody::Received { .. } => {
            return None;
        }
    };
    Some(Shown::new(event.id, name, data))
}
