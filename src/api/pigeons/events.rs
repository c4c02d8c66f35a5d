//! A user follows all of their conversations as one stream of events.

use axum::http::StatusCode;

use super::Answered;
use super::context::{Caller, Ctx};
use super::envelope::Shown as ShownBody;
use super::news::{self, To};
use crate::api::events::{self, Asked, Client, EventTicket, Feed, Polled, Show, Shown, StreamEvent};
use crate::chat::{SharedChat, TicketFor};
use crate::domain::{ConversationId, ConversationKind, EventId, Logged, MessageId, Scope, UserId};
use crate::error::Result;

/// Follow my conversations
///
/// Server-sent events: `message.sent`, `message.updated`, `message.deleted`, `message.reaction`, `message.delivered`,
/// `message.read` and `conversation.updated`, as the channels of the same names carry them, each with `cursor` in its
/// data; `reset` (read the lists anew). First comes `resumed` with `{from}`. Without a cursor it begins at the end:
/// read the lists then, and begin with their `Event-Cursor` to miss nothing between. Every frame's `id` is the cursor;
/// resume with the header `Last-Event-ID` or the query `last_event_id`. Messages to the caller that the stream
/// carries become delivered. With `wait`, or where only JSON is accepted, the same as a long poll. A browser's
/// `EventSource` comes with a ticket; the platform's key may be left out then.
#[utoipa::path(get, path = "/api/v1/pigeons/chat/events", operation_id = "pigeons_follow_conversations",
    tag = "pigeons", security(("bearer" = []), ()),
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
        let (bearer, Caller { access, .. }) = ctx.caller_or_ticket().await?;
        let asked = Asked::of(ctx.headers(), &mut ctx.query());
        let start = asked.cursor.in_inbox(ctx.chat().inbox_end().await?);
        let user = access.user.id;
        let follower = ctx.chat().follow_scope(Scope::User(user, ConversationKind::Direct), start.from);
        let show = Letters { chat: ctx.chat().clone(), bearer, user, got: Vec::new() };
        let client = Client { address: ctx.address(), user: Some(user) };
        Ok(events::answer(&ctx.door().web, client, asked, Feed { follower, start, show }).await?)
    })
    .await
}

/// Get a ticket for the stream
///
/// For a browser's `EventSource`, which can send no headers: it lets in to the stream and to nothing else, as often
/// as the browser comes back, until it is over or the token is revoked.
#[utoipa::path(post, path = "/api/v1/pigeons/chat/events/ticket", operation_id = "pigeons_get_ticket",
    tag = "pigeons", security(("bearer" = [])),
    responses((status = 201, description = "The ticket", body = ShownBody<EventTicket>)))]
pub async fn ticket(ctx: Ctx) -> Answered {
    ctx.run(async {
        ctx.caller().await?;
        let ticket = ctx.chat().make_ticket(ctx.bearer(), TicketFor::Letters)?;
        Ok(ctx.answer(StatusCode::CREATED, &ShownBody { data: EventTicket::from(ticket) }))
    })
    .await
}

/// Shows a user what happens in their conversations.
struct Letters {
    chat: SharedChat,
    bearer: String,
    user: UserId,
    /// What was shown of letters to the user and is not on its way yet.
    got: Vec<(EventId, ConversationId, MessageId)>,
}

impl Show for Letters {
    /// A conversation and its users are looked up once for all of these.
    const TOGETHER: usize = 16;

    async fn show(&mut self, events: &[Logged]) -> Result<Vec<Shown>> {
        let news = news::of(&self.chat, events, |_| true).await?;
        let mut shown = Vec::with_capacity(news.len());
        for one in news {
            let letter = one.sent.filter(|(.., receiver)| *receiver == self.user);
            self.got.extend(letter.map(|(conversation, letter, _)| (one.id, conversation, letter)));
            // A conversation's own news comes before the event that moved it: see there.
            let cursor = if matches!(one.to, To::Users(_)) { EventId(one.id.0 - 1) } else { one.id };
            shown.push(Shown::new(cursor, one.event, one.data.into_bytes()));
        }
        Ok(shown)
    }

    fn handed_over(&mut self, through: EventId) {
        for (_, conversation, letter) in self.got.extract_if(.., |(event, ..)| *event <= through) {
            self.chat.reached_soon(conversation, self.user, letter);
        }
    }

    async fn may_go_on(&mut self) -> bool {
        let asked = self.chat.authenticate(&self.bearer).await;
        events::is_still_let_in(asked, |access| access.can(super::context::ABILITY))
    }
}
