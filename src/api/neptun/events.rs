//! A user follows their chats as one stream of events, over all tabs.

use serde::Serialize;

use super::Answered;
use super::context::Ctx;
use super::envelope::Failure;
use super::wire::{Chat, ChatMessage};
use crate::api::events::{self, Asked, Client, Feed, Polled, Show, Shown, StreamEvent};
use crate::api::run::{RunEvent, RunTextEvent};
use crate::chat::SharedChat;
use crate::domain::{Access, ConversationId, ConversationKind, Event, EventBody, Logged, Scope, Signal};
use crate::error::{Error, Result, Subject};
use crate::http::fields::Fields;
use crate::http::json;

/// What `messageAdded` and `messageEdited` say.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageEvent<'a> {
    chat_message: ChatMessage<'a>,
}

/// What `messageDeleted` says.
#[derive(Serialize)]
struct DeletedEvent {
    id: i64,
    chat_conversation_id: i64,
}

/// What `chatCreated` and `chatChanged` say.
#[derive(Serialize)]
struct ChatEvent {
    chat: Chat,
}

/// What `chatDeleted` says.
#[derive(Serialize)]
struct RemovedEvent {
    id: i64,
}

/// What `chats` says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChatsEvent {
    chat_ids: Vec<i64>,
}

/// Follow the chats
///
/// Server-sent events of all chats: `messageAdded` and `messageEdited` (`{chatMessage}`), `messageDeleted` (`{id,
/// chat_conversation_id}`), `chatCreated` and `chatChanged` (`{chat}`), `chatDeleted` (`{id}`), `reset` (read the
/// lists anew), `runChanged` and `runText` (an answer that is being made). First come `resumed` with `{from}` and `chats` with `{chatIds}`: the chats that there are, because
/// the log does not keep that one was made or removed. Without a cursor it begins at the end: read the lists
/// then, and begin with their `Event-Cursor` to miss nothing between. Every frame's `id` is the cursor; resume with
/// the header `Last-Event-ID` or the query `last_event_id`. With `wait`, or where only JSON is accepted, the same
/// as a long poll.
#[utoipa::path(get, path = "/api/users/{user_id}/chats/events", operation_id = "neptun_follow_chats", tag = "neptun",
    params(
        ("user_id" = u64, Path, description = "The caller's own number"),
        ("last_event_id" = Option<i64>, Query, description = "The cursor to resume from, like Last-Event-ID"),
        ("wait" = Option<u32>, Query, maximum = 30, description = "Answer with JSON, after so many seconds at the most"),
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor to resume from"),
    ),
    responses((status = 200, description = "The stream, or what a long poll got",
        content((StreamEvent = "text/event-stream"), (Polled = "application/json")))),
    security(("neptun-session" = [])))]
pub async fn follow(ctx: Ctx) -> Answered {
    let access = ctx.owner()?;
    let asked = Asked::of(ctx.headers(), &mut Fields::of_query(ctx.query_text()));
    let start = asked.cursor.in_inbox(ctx.chat().inbox_end().await?);
    let user = access.user.id;
    let follower = ctx.chat().follow_scope(Scope::User(user, ConversationKind::AssistantChat), start.from);
    let sealed = ctx.caller()?.sealed.clone();
    let show = Tabs { chat: ctx.chat().clone(), access: access.clone(), sealed };
    let client = Client { address: ctx.address(), user: Some(user) };
    events::answer(ctx.web(), client, asked, Feed { follower, start, show }).await.map_err(Failure::from)
}

/// Shows a user's chats.
struct Tabs {
    chat: SharedChat,
    access: Access,
    sealed: String,
}

impl Show for Tabs {
    async fn show(&mut self, events: &[Logged]) -> Result<Vec<Shown>> {
        let mut shown = Vec::with_capacity(1);
        for Logged { event, .. } in events {
            let seen = match &event.body {
                EventBody::StateChanged { .. } => {
                    self.chat(event.conversation_id).await?.map(|chat| ("chatChanged", chat))
                }
                EventBody::RunChanged { state, run } => {
                    Some(("runChanged", in_chat(event, RunEvent::new(run, *state))))
                }
                EventBody::RunTold(told) => Some(("runText", in_chat(event, RunTextEvent::from(told)))),
                _ => self.message(event),
            };
            shown.extend(seen.map(|(name, data)| Shown::new(event.id, name, data)));
        }
        Ok(shown)
    }

    async fn signal(&mut self, signal: &Signal) -> Option<Shown> {
        match signal {
            Signal::Made(id) => Some(Shown::passing("chatCreated", self.chat(*id).await.ok()??)),
            Signal::Removed(id) => Some(Shown::passing("chatDeleted", json::bytes(&RemovedEvent { id: id.0 }))),
            Signal::Typing { .. } => None,
        }
    }

    async fn begin(&mut self) -> Result<Option<Shown>> {
        let there = self.chat.chat_numbers(&self.access, Vec::new()).await?;
        let mut chat_ids: Vec<_> = there.into_iter().map(|id| id.0).collect();
        chat_ids.sort_unstable();
        Ok(Some(Shown::passing("chats", json::bytes(&ChatsEvent { chat_ids }))))
    }

    async fn may_go_on(&mut self) -> bool {
        let asked = self.chat.authenticate_session(&self.sealed).await;
        events::is_still_let_in(asked, |access| access.can(super::context::ABILITY))
    }
}

/// What happened in a chat, with which.
#[derive(Serialize)]
struct InChat<T> {
    chat_conversation_id: i64,
    #[serde(flatten)]
    what: T,
}

fn in_chat(event: &Event, what: impl Serialize) -> Vec<u8> {
    json::bytes(&InChat { chat_conversation_id: event.conversation_id.0, what })
}

impl Tabs {
    /// A chat as it is now, which is at least as new as what happened to it; `None` when it is gone.
    async fn chat(&self, id: ConversationId) -> Result<Option<Vec<u8>>> {
        match self.chat.chat_of(&self.access, id).await {
            Ok(chat) => Ok(Some(json::bytes(&ChatEvent { chat: (&chat).into() }))),
            Err(Error::NotFound(Subject::Conversation)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn message(&self, event: &Event) -> Option<(&'static str, Vec<u8>)> {
        let (name, message) = match &event.body {
            EventBody::MessageAdded(message) => ("messageAdded", message),
            EventBody::MessageEdited(message) => ("messageEdited", message),
            EventBody::MessageDeleted { message_id, .. } => {
                let deleted = DeletedEvent { id: message_id.0, chat_conversation_id: event.conversation_id.0 };
                return Some(("messageDeleted", json::bytes(&deleted)));
            }
            _ => return None,
        };
        let chat_message = ChatMessage::new(message, self.access.user.id);
        Some((name, json::bytes(&MessageEvent { chat_message })))
    }
}
