//! Staff follow the live chats as one stream of events, or one of them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::Answered;
use super::context::{Ctx, Segment};
use super::envelope::{Failure, Success};
use super::events::{DeletedEvent, SessionEvent, TypingEvent};
use super::staff::number;
use super::wire::ChatMessageResource;
use crate::api::events::{self, Asked, EventTicket, Feed, Polled, Show, Shown, StreamEvent};
use crate::api::run::{RunEvent, RunTextEvent};
use crate::chat::{SharedChat, TicketFor};
use crate::domain::{
    Access, ConversationId, ConversationKind, Event, EventBody, EventId, Logged, Scope, Signal, Typist, UserId,
};
use crate::error::{Error, Result, Subject};
use crate::http::json;

/// Keys held at once by a stream.
const KEYS_MAX: usize = 1024;

/// Follow the inbox
///
/// Server-sent events of all live chats: `message` (a `ChatMessageResource`), `deleted` (`{id}`), `session` (the
/// state after a change; `opened` for a new one), `typing` (`{who, name, is_typing}` of guests and other staff; over
/// after 6 seconds), each with `chat_session_id` and `session_key`, and with `cursor` where it is kept; `reset` (read
/// the lists anew). First comes `resumed` with `{from}`. Without a cursor it begins at the end: read the lists
/// then, and begin with their `Event-Cursor` to miss nothing between. Every frame's `id` is the cursor. With
/// `wait`, or where only JSON is accepted, the same as a long poll. A browser's `EventSource` comes with a ticket.
#[utoipa::path(get, path = "/api/v1/chat/staff/events", operation_id = "staff_follow_inbox", tag = "staff",
    security(("bearer" = []), ()),
    params(
        ("ticket" = Option<String>, Query, description = "A ticket instead of Authorization"),
        ("last_event_id" = Option<i64>, Query, description = "The cursor to resume from, like Last-Event-ID"),
        ("wait" = Option<u32>, Query, maximum = 30, description = "Answer with JSON, after so many seconds at the most"),
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor to resume from"),
    ),
    responses((status = 200, description = "The stream, or what a long poll got",
        content((StreamEvent = "text/event-stream"), (Polled = "application/json")))))]
pub async fn follow(ctx: Ctx) -> Answered {
    ctx.run(async {
        let (bearer, access) = ctx.staff_or_ticket().await?;
        followed(&ctx, bearer, &access, Scope::Kind(ConversationKind::LiveChat)).await
    })
    .await
}

/// Follow a session as staff
///
/// The same of one session that is assigned to me.
#[utoipa::path(get, path = "/api/v1/chat/sessions/{id}/events", operation_id = "staff_follow_session", tag = "staff",
    security(("bearer" = []), ()),
    params(
        ("id" = i64, Path, description = "The session's number"),
        ("ticket" = Option<String>, Query, description = "A ticket instead of Authorization"),
        ("last_event_id" = Option<i64>, Query, description = "The cursor to resume from, like Last-Event-ID"),
        ("wait" = Option<u32>, Query, maximum = 30, description = "Answer with JSON, after so many seconds at the most"),
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor to resume from"),
    ),
    responses((status = 200, description = "The stream, or what a long poll got",
        content((StreamEvent = "text/event-stream"), (Polled = "application/json")))))]
pub async fn follow_one(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let (bearer, access) = ctx.staff_or_ticket().await?;
        let channel = ctx.chat().live_chat_numbered(number(&id)?).await?;
        ctx.chat().must_have(&access, &channel).await?;
        followed(&ctx, bearer, &access, Scope::Conversation(channel.id())).await
    })
    .await
}

/// Get a ticket for the stream
///
/// For a browser's `EventSource`, which can send no headers: it lets in to the streams of staff and to nothing else,
/// as often as the browser comes back, until it is over or the token is revoked.
#[utoipa::path(post, path = "/api/v1/chat/staff/events/ticket", operation_id = "staff_get_ticket", tag = "staff",
    security(("bearer" = [])),
    responses((status = 201, description = "The ticket", body = Success<EventTicket>)))]
pub async fn ticket(ctx: Ctx) -> Answered {
    ctx.run(async {
        ctx.staff().await?;
        let ticket = ctx.chat().make_ticket(ctx.bearer(), TicketFor::Desk)?;
        Ok(ctx.success(StatusCode::CREATED, "ticket-made", EventTicket::from(ticket)))
    })
    .await
}

async fn followed(ctx: &Ctx, bearer: String, access: &Access, scope: Scope) -> Result<Response, Failure> {
    let asked = Asked::of(ctx.headers(), &mut ctx.query());
    let start = asked.cursor.in_inbox(ctx.chat().inbox_end().await?);
    let follower = ctx.chat().follow_scope(scope, start.from);
    let show = Desk { chat: ctx.chat().clone(), bearer, user: access.user.id, keys: HashMap::new() };
    let feed = Feed { follower, start, show };
    Ok(events::answer(ctx.web(), ctx.client(Some(access.user.id)), asked, feed).await?)
}

/// What a staff event says beside what guests are told.
#[derive(Serialize)]
struct InSession<'a, T> {
    #[serde(flatten)]
    what: T,
    chat_session_id: i64,
    session_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<i64>,
}

/// A message says which session it is of.
#[derive(Serialize)]
struct Keyed<'a> {
    #[serde(flatten)]
    message: ChatMessageResource,
    session_key: &'a str,
    cursor: i64,
}

/// Shows the live chats to a member of staff.
struct Desk {
    chat: SharedChat,
    bearer: String,
    user: UserId,
    /// Sessions are addressed by their keys at the front desk, and those never change.
    keys: HashMap<ConversationId, Arc<str>>,
}

impl Show for Desk {
    async fn show(&mut self, events: &[Logged]) -> Result<Vec<Shown>> {
        let mut shown = Vec::with_capacity(1);
        for Logged { event, .. } in events {
            // Removed since: nobody has to know any more.
            let Some(key) = self.key(event.conversation_id).await? else { continue };
            shown.extend(seen(event, &key));
        }
        Ok(shown)
    }

    async fn signal(&mut self, signal: &Signal) -> Option<Shown> {
        match signal {
            Signal::Typing { who: Typist::Staff(user, _), .. } if *user == self.user => None,
            Signal::Typing { conversation_id, who, is_typing } => {
                let typing = typing(who, *is_typing)?;
                let key = self.key(*conversation_id).await.ok()??;
                Some(Shown::passing("typing", in_session(typing, *conversation_id, &key, None)))
            }
            Signal::Made(id) => {
                let session = self.chat.conversation(ConversationKind::LiveChat, *id).await.ok()?;
                let opened = SessionEvent::new("opened", &session.state);
                Some(Shown::passing("session", in_session(opened, *id, &session.key, None)))
            }
            Signal::Removed(_) => None,
        }
    }

    async fn may_go_on(&mut self) -> bool {
        events::is_still_let_in(self.chat.authenticate(&self.bearer).await, Access::is_staff)
    }
}

impl Desk {
    /// A session's key; `None` when it is gone.
    async fn key(&mut self, id: ConversationId) -> Result<Option<Arc<str>>> {
        if let Some(key) = self.keys.get(&id) {
            return Ok(Some(Arc::clone(key)));
        }
        let key: Arc<str> = match self.chat.conversation(ConversationKind::LiveChat, id).await {
            Ok(session) => session.key.into(),
            Err(Error::NotFound(Subject::Conversation)) => return Ok(None),
            Err(error) => return Err(error),
        };
        if self.keys.len() >= KEYS_MAX {
            self.keys.clear();
        }
        self.keys.insert(id, Arc::clone(&key));
        Ok(Some(key))
    }
}

fn typing(who: &Typist, is_typing: bool) -> Option<TypingEvent<'_>> {
    match who {
        Typist::Guest => Some(TypingEvent { who: "guest", name: None, is_typing }),
        Typist::Staff(_, name) => Some(TypingEvent { who: "staff", name: Some(name), is_typing }),
        Typist::User(_) => None,
    }
}

fn in_session(what: impl Serialize, id: ConversationId, session_key: &str, cursor: Option<EventId>) -> Vec<u8> {
    let cursor = cursor.map(|cursor| cursor.0);
    json::bytes(&InSession { what, chat_session_id: id.0, session_key, cursor })
}

fn seen(event: &Event, key: &str) -> Option<Shown> {
    let (id, cursor) = (event.conversation_id, Some(event.id));
    let (name, data) = match &event.body {
        EventBody::MessageAdded(message) | EventBody::MessageEdited(message) => {
            let message = ChatMessageResource::from(message.as_ref());
            ("message", json::bytes(&Keyed { message, session_key: key, cursor: event.id.0 }))
        }
        EventBody::MessageDeleted { message_id, .. } => {
            ("deleted", in_session(DeletedEvent { id: message_id.0 }, id, key, cursor))
        }
        EventBody::StateChanged { change, state } => {
            ("session", in_session(SessionEvent::new(change.as_str(), state), id, key, cursor))
        }
        EventBody::RunChanged { state, run } => ("run", in_session(RunEvent::new(run, *state), id, key, cursor)),
        EventBody::RunTold(told) => ("run_text", in_session(RunTextEvent::from(told), id, key, cursor)),
        EventBody::MessageGone | EventBody::Void | EventBody::Reacted { .. } | EventBody::Received { .. } => {
            return None;
        }
    };
    Some(Shown::new(event.id, name, data))
}
