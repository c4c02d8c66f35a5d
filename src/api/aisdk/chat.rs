//! A chat: asked in, followed again, stopped, read.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::Answered;
use super::context::{Ctx, Input, Named};
use super::wire::{Sent, Stopped, UiMessage, Writer};
use crate::api::budget;
use crate::api::events::StreamEvent;
use crate::api::idempotency::{self, IdempotencyKey};
use crate::chat::{Again, Asking, Attached, Draft, MessageFilter, MessagePage, Piece};
use crate::domain::{EventId, Message, MessageId, MessageText, Role, TextError};
use crate::error::{Error, Result, Rule};
use crate::http::json::{self, Page};
use crate::http::sse;
use crate::http::streams::Place;
use crate::http::values::Values;

/// Longest id of a chat, in characters.
pub const NAME_CHARS_MAX: usize = 255;
/// Why a message is sent.
const TRIGGERS: &[&str] = &["submit-message", AGAIN];
/// The answer to the last message is to be made again.
const AGAIN: &str = "regenerate-message";
/// Who may speak.
const ROLES: &[&str] = &["user"];

/// Send a message
///
/// The answer is a UI message stream: server-sent events with a part each, ended by `[DONE]`. The message and the
/// answer are stored in the chat, which is made when it is not there. A client that goes away changes nothing: the
/// answer is made to its end, and `GET /api/chat/{id}/stream` follows it again.
#[utoipa::path(post, path = "/api/chat", operation_id = "aisdk_send", tag = "aisdk", request_body = Sent,
    params(("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
        description = "Makes a retry hear the first answer")),
    responses(
        (status = 200, description = "The stream", body = StreamEvent, content_type = "text/event-stream"),
        (status = 403, description = "The chat has expired, is not active, or a person has it"),
    ))]
pub async fn send(ctx: Ctx, input: Input) -> Answered {
    let mut values = ctx.values(input).await?;
    let id = values.string("id", 1..=NAME_CHARS_MAX);
    let trigger = values.nullable_string("trigger", 0..=NAME_CHARS_MAX);
    let is_again = trigger.as_deref() == Some(AGAIN);
    if let Some(got) = trigger.filter(|trigger| !TRIGGERS.contains(&trigger.as_str())) {
        values.wrong("trigger", Rule::OneOf { got, choices: TRIGGERS });
    }
    let text = question(&ctx, &mut values);
    values.finish()?;
    let (Some(id), Some(text)) = (id, text) else { return Err(Error::field("messages", Rule::Required).into()) };
    let key = ctx.idempotency_key()?;
    // Before the question is stored: who gets no place has not asked.
    let place = ctx.stream_place()?;
    let session = ctx.chat().named_session(&id).await?;
    let asking = asking(&ctx);
    // Only what was said last is answered again; what the page went back to before that is asked anew.
    let newest = if is_again { ctx.chat().newest_question(session.id).await? } else { None };
    let asked = match newest.filter(|newest| newest.text == text.as_str()) {
        Some(question) => ctx.chat().ask_again(&session, &question, Again::Anew, asking).await?,
        None => {
            let draft = Draft { role: Role::User, user_id: None, text, metadata: None, letter: None, key };
            ctx.chat().ask(&session, draft, asking).await?
        }
    };
    let mut response = streamed(&ctx, place, &asked.question, asked.answer);
    budget::tell(&mut response, asked.budget);
    if asked.replayed {
        idempotency::mark_replayed(&mut response);
    }
    Ok(response)
}

fn asking(ctx: &Ctx) -> Asking {
    Asking { address: Some(ctx.address()), door: "aisdk", ..Asking::default() }
}

/// What is asked: the last message of the list, or the only one.
fn question(ctx: &Ctx, values: &mut Values) -> Option<MessageText> {
    let (field, last) = match values.value("message") {
        Some(message) => ("message", vec![message]),
        None => {
            let mut items = values.list("messages", 1..=ctx.door().messages_max)?;
            ("messages", items.split_off(items.len() - 1))
        }
    };
    values.each(field, last, |message| said(message, ctx.door().message_chars_max)).pop()
}

/// What a message says. Files are refused: to leave them out would answer another question.
fn said(message: &mut Values, chars_max: usize) -> Option<MessageText> {
    let role = message.string("role", 1..=NAME_CHARS_MAX)?;
    if !ROLES.contains(&role.as_str()) {
        message.wrong("role", Rule::OneOf { got: role, choices: ROLES });
        return None;
    }
    let (field, text) = match message.value("content") {
        Some(Value::String(text)) if !message.has("parts") => ("content", text),
        _ => {
            let parts = message.list("parts", 1..=NAME_CHARS_MAX)?;
            ("parts", message.each("parts", parts, part).concat())
        }
    };
    let wrong = match MessageText::parse(&text, chars_max) {
        Ok(text) => return Some(text),
        Err(TextError::Empty) => Rule::NotBlank,
        Err(TextError::TooLong { max }) => Rule::CharsMax(max),
    };
    message.wrong(field, wrong);
    None
}

fn part(part: &mut Values) -> Option<String> {
    let kind = part.string("type", 1..=NAME_CHARS_MAX)?;
    match kind.as_str() {
        "text" => part.string("text", 0..=usize::MAX),
        "file" => {
            part.wrong("type", Rule::OneOf { got: kind, choices: &["text"] });
            None
        }
        // What a page adds for itself.
        _ => None,
    }
}

fn streamed(ctx: &Ctx, place: Place, question: &Message, answer: Attached) -> Response {
    let (writer, begin) = Writer::begin(question.uuid);
    let rest = stream::unfold((answer, writer), |(mut answer, mut writer)| async move {
        let frames = match answer.next().await? {
            Piece::Text { chunk, .. } => writer.text(&chunk),
            Piece::End(ended) => writer.end(&ended),
        };
        Some((frames, (answer, writer)))
    });
    let frames = stream::iter([begin]).chain(rest);
    let mut response = sse::finite(frames, place, ctx.web().metrics.stream(), ctx.web().heartbeat());
    let version = HeaderName::from_static("x-vercel-ai-ui-message-stream");
    response.headers_mut().insert(version, HeaderValue::from_static("v1"));
    response
}

/// Follow the answer under way
///
/// From its beginning, as the SDK expects. 204 when there is none.
#[utoipa::path(get, path = "/api/chat/{id}/stream", operation_id = "aisdk_resume", tag = "aisdk",
    params(("id" = String, Path, description = "The chat")),
    responses(
        (status = 200, description = "The stream", body = StreamEvent, content_type = "text/event-stream"),
        (status = 204, description = "No answer is under way"),
    ))]
pub async fn resume(ctx: Ctx, Named(id): Named) -> Answered {
    let none = || Ok(StatusCode::NO_CONTENT.into_response());
    let Some(question) = under_way(&ctx, &id).await? else { return none() };
    let place = ctx.stream_place()?;
    let Some(answer) = ctx.chat().attach_to(&question, 0).await? else { return none() };
    Ok(streamed(&ctx, place, &question, answer))
}

async fn under_way(ctx: &Ctx, id: &str) -> Result<Option<Arc<Message>>> {
    let Some(session) = ctx.session(id).await? else { return Ok(None) };
    ctx.chat().answer_under_way(session.id).await
}

/// Stop the answers under way
///
/// All of the chat, and what waits for its turn. What had arrived is stored. (The SDK's own `stop` closes the connection, which stops nothing here.)
#[utoipa::path(post, path = "/api/chat/{id}/stop", operation_id = "aisdk_stop", tag = "aisdk",
    params(("id" = String, Path, description = "The chat")),
    responses((status = 200, description = "What became of it", body = Stopped)))]
pub async fn stop(ctx: Ctx, Named(id): Named) -> Answered {
    let stopped = match ctx.session(&id).await? {
        Some(session) => ctx.chat().stop_answering(session.id).await?.0,
        None => false,
    };
    Ok(json::response(json::bytes(&Stopped { stopped })))
}

/// Read a chat
///
/// All messages as `useChat` takes them (`messages`), oldest first; nothing of a chat that nobody has used. An answer
/// under way is not among them: it comes with the stream.
#[utoipa::path(get, path = "/api/chat/{id}/messages", operation_id = "aisdk_messages", tag = "aisdk",
    params(("id" = String, Path, description = "The chat")),
    responses((status = 200, description = "The messages", body = Vec<UiMessage>)))]
pub async fn messages(ctx: Ctx, Named(id): Named) -> Answered {
    let Some(session) = ctx.session(&id).await? else { return Ok(json::response(b"[]".to_vec())) };
    let (chat, id) = (Arc::clone(ctx.chat()), session.id);
    let first = page(chat.message_page(id, MessageFilter::default()).await?);
    let next = move |cursor: EventId| {
        let chat = Arc::clone(&chat);
        let filter = MessageFilter { after: Some(cursor), ..MessageFilter::default() };
        async move { chat.message_page(id, filter).await.map(page) }
    };
    Ok(json::paged(b"[".to_vec(), first, next, b"]".to_vec()))
}

/// A page of which each message is rendered when it is sent. An answer whose question is on another page is known by
/// its own identifier; that happens to old ones only, which no stream brings again.
fn page(found: MessagePage) -> Page<EventId> {
    let questions: HashMap<MessageId, uuid::Uuid> =
        found.messages.iter().filter(|one| one.role == Role::User).map(|one| (one.id, one.uuid)).collect();
    let render = move |message: &Arc<Message>| {
        let question = message.reply_to.filter(|_| message.role == Role::Assistant);
        let question = question.and_then(|question| questions.get(&question)).copied();
        json::bytes(&UiMessage::new(message, question))
    };
    Page::new(found.messages, render, found.next)
}
