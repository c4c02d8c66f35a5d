//! The assistant at the guest door: a question, its answer, and the history.

use std::sync::Arc;

use axum::response::Response;

use super::Answered;
use super::context::{Ctx, Input};
use super::envelope::{Failure, Success};
use super::messages::paged;
use super::sessions::key;
use super::wire::{AskChatbot, ChatbotAnswer, ChatbotHistory};
use crate::api::budget;
use crate::api::idempotency::{self, IdempotencyKey};
use crate::chat::{Asking, Channel, Draft, Ended};
use crate::domain::{Contact, ConversationKind, EventId, Message, Role, RunReason};
use crate::error::{Error, Refusal, Shortage, Subject};
use crate::http::json;
use crate::limits::LimitKey;

/// Longest session key here, in characters.
const KEY_CHARS_MAX: usize = 191;
/// Where a key may stand instead, also as the field that its errors name.
const HEADER: &str = "X-Chat-Session";

/// Ask the assistant
///
/// Stores the question and the assistant's answer in the session, and returns the answer. Without
/// a session a new one is opened.
#[utoipa::path(post, path = "/api/v1/chatbot", operation_id = "chatbot_ask",
    tag = "guest", security((), ("bearer" = [])), request_body = AskChatbot,
    params(
        ("X-Chat-Session" = Option<String>, Header, description = "The session to go on with"),
        ("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
            description = "Makes a retry return the first message"),
    ),
    responses((status = 200, description = "The answer", body = Success<ChatbotAnswer>)))]
pub async fn ask(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        let access = ctx.optional_access().await?;
        let user = access.map(|access| access.user.id);
        let idempotency = ctx.idempotency_key()?;
        let mut fields = input.fields().await?;
        let text = fields.text("message", ctx.door().message_chars_max);
        ctx.add_header(&mut fields, HEADER);
        let by_header = key(&ctx, &mut fields, HEADER, KEY_CHARS_MAX);
        let key = key(&ctx, &mut fields, "session_key", KEY_CHARS_MAX).or(by_header);
        fields.finish()?;
        if ctx.chat().assistant().is_none() {
            // Before a session is opened for nothing.
            return Err(Failure::NoAssistant);
        }
        let channel = channel(&ctx, key, user).await?;
        let conversation = ctx.chat().conversation(ConversationKind::LiveChat, channel.id()).await?;
        let text = text.ok_or(Error::NotFound(Subject::Message))?;
        let draft = Draft { role: Role::User, user_id: user, text, metadata: None, letter: None, key: idempotency };
        let asked = ctx
            .chat()
            .ask(
                &conversation,
                draft,
                Asking {
                    address: Some(ctx.address()),
                    door: "guest",
                    language: Some(ctx.language().as_str()),
                    ..Asking::default()
                },
            )
            .await?;
        let (is_replayed, left) = (asked.replayed, asked.budget.clone());
        let answer = said(asked.answer.end().await)?;
        let answer = ChatbotAnswer {
            message: answer.text.clone(),
            user_id: user.map(|user| user.0),
            locale: ctx.language().as_str(),
            session_key: conversation.key,
            entities: [],
        };
        let mut response = ctx.ok("chatbot-answered", answer);
        budget::tell(&mut response, left);
        if is_replayed {
            idempotency::mark_replayed(&mut response);
        }
        Ok(response)
    })
    .await
}

/// The text of an answer; when a person got the chat before there was any, it is theirs to answer.
fn said(ended: Option<Ended>) -> Result<Arc<Message>, Failure> {
    match ended {
        Some(Ended { answer: Some(answer), .. }) => Ok(answer),
        Some(Ended { reason: Some(RunReason::TakenOver), .. }) => Err(Error::Forbidden(Refusal::Assigned).into()),
        Some(Ended { reason: Some(RunReason::Budget), .. }) => Err(Error::OverBudget(Shortage::default()).into()),
        _ => Err(Failure::Chatbot),
    }
}

/// The session of the request, opened if need be, counted like a guest's send.
async fn channel(ctx: &Ctx, key: Option<String>, user: Option<crate::domain::UserId>) -> Result<Arc<Channel>, Failure> {
    let known = match &key {
        Some(key) => ctx.chat().live_chat(key).await.ok(),
        None => None,
    };
    if let Some(channel) = known {
        ctx.count_send(LimitKey::Conversation(channel.id().0, ctx.address())).await?;
        return Ok(channel);
    }
    ctx.count_address().await?;
    let (conversation, _) = ctx.chat().open_live_chat(key, Contact::default(), user).await?;
    Ok(ctx.chat().live_chat(&conversation.key).await?)
}

/// Read the assistant's session
///
/// The messages of the session, oldest first; an empty list without a session.
#[utoipa::path(get, path = "/api/v1/chatbot/history", operation_id = "chatbot_read_history",
    tag = "guest", security((), ("bearer" = [])),
    params(
        ("session_key" = Option<String>, Query, description = "The session"),
        ("X-Chat-Session" = Option<String>, Header, description = "The session"),
    ),
    responses((status = 200, description = "The messages", body = Success<ChatbotHistory>)))]
pub async fn history(ctx: Ctx) -> Answered {
    ctx.run(async {
        ctx.optional_access().await?;
        let mut fields = ctx.query();
        ctx.add_header(&mut fields, HEADER);
        let by_header = fields.optional(HEADER, KEY_CHARS_MAX);
        let key = fields.optional("session_key", KEY_CHARS_MAX).or(by_header);
        fields.finish()?;
        let found = match &key {
            Some(key) => match ctx.session(key, super::context::Count::Poll).await {
                Err(Failure::Chat(Error::NotFound(_))) => None,
                other => Some(other?),
            },
            None => None,
        };
        match found {
            Some(channel) => Ok(messages(&ctx, &channel, key.unwrap_or_default()).await?),
            None => Ok(nothing(&ctx)),
        }
    })
    .await
}

fn nothing(ctx: &Ctx) -> Response {
    ctx.ok("history-none", serde_json::json!({"messages": []}))
}

async fn messages(ctx: &Ctx, channel: &Arc<Channel>, key: String) -> Result<Response, Error> {
    let page = ctx.chat().messages_after(channel, EventId::START).await?;
    let key = String::from_utf8_lossy(&json::bytes(&key)).into_owned();
    let open = format!("{{\"session_key\":{key},\"messages\":[");
    Ok(paged(ctx, channel, page, "history-retrieved", &open, "]}"))
}
