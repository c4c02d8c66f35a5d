//! Questions to the assistant: answered whole or as a stream, which can be resumed and stopped.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::response::Response;
use futures_util::stream;
use uuid::Uuid;

use super::Answered;
use super::context::{Ctx, Input, Segment};
use super::envelope::Failure;
use super::messages::uuid;
use super::sessions::NAME_CHARS_MAX;
use super::wire::{Answer, AnswerAgain, Question, Stop, Stopped};
use crate::api::budget;
use crate::api::events::{self, StreamEvent};
use crate::api::idempotency::{self, IdempotencyKey};
use crate::api::run::no_answer;
use crate::chat::{Again, Asked, Asking, Attached, Draft, Ended, Piece};
use crate::domain::{Conversation, Message, Role, RunOutcome};
use crate::error::{Error, Result, Rule, Shortage, Subject};
use crate::http::fields::Fields;
use crate::http::json;
use crate::http::sse::{self, Frame};
use crate::http::streams::Place;

/// Ask, and get the whole answer
///
/// Stores the question and the answer. A client that goes away gets its answer from the list: it is
/// finished all the same. With the header `Idempotency-Key` a retry returns the first answer.
#[utoipa::path(post, path = "/api/chats/messages/chat/", operation_id = "chats_ask", tag = "chats",
    request_body(content((Question = "application/json"), (Question = "application/x-www-form-urlencoded"))),
    params(("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
        description = "Makes a retry return the first message")),
    responses(
        (status = 200, description = "The answer", body = Answer),
        (status = 403, description = "The session has expired or is not active"),
        (status = 404, description = "There is no such session"),
    ))]
pub async fn ask(ctx: Ctx, input: Input) -> Answered {
    let (session, name, draft) = question(&ctx, input).await?;
    let asked = ctx.chat().ask(&session, draft, asking(&ctx)).await?;
    let (replayed, message_id, budget) = (asked.replayed, asked.question.uuid, asked.budget.clone());
    let (response, response_id) = whole(asked).await?;
    let answer = Answer { response, session_id: name, message_id, response_id };
    let mut response = json::response(json::bytes(&answer));
    budget::tell(&mut response, budget);
    if replayed {
        idempotency::mark_replayed(&mut response);
    }
    Ok(response)
}

/// The text and the identifier of an answer that ended well, or was stopped by somebody who had
/// read enough.
async fn whole(asked: Asked) -> Result<(String, Uuid), Failure> {
    match asked.answer.end().await {
        Some(Ended { outcome: RunOutcome::Completed | RunOutcome::Stopped, answer: Some(answer), .. }) => {
            Ok((answer.text.clone(), answer.uuid))
        }
        Some(ended) if ended.is_over_budget() => Err(Error::OverBudget(Shortage::default()).into()),
        Some(ended) => Err(Failure::NoAnswer(ended.outcome, ended.reason)),
        None => Err(Failure::NoAnswer(RunOutcome::Failed, None)),
    }
}

/// Ask, and get the answer as it is made
///
/// Server-sent events: a `chunk` each, then one with `done`, which has the answer's `response_id`,
/// or an `error` when the answer lacks its end. The chunks joined are the stored answer. Every
/// frame's `id` is a cursor: `GET …/stream/{message_id}/` goes on from it. A client that goes away
/// changes nothing: the answer is finished and stored.
#[utoipa::path(post, path = "/api/chats/messages/chat/stream/", operation_id = "chats_stream_answer", tag = "chats",
    request_body(content((Question = "application/json"), (Question = "application/x-www-form-urlencoded"))),
    params(("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
        description = "Makes a retry return the first message")),
    responses(
        (status = 200, description = "The stream", body = StreamEvent, content_type = "text/event-stream",
            example = json!({"id": "6", "event": "message",
                "data": "{\"chunk\": \"Echo: \", \"done\": false, \"message_id\": \"5a1e…\"}"})),
        (status = 403, description = "The session has expired or is not active"),
        (status = 404, description = "There is no such session"),
    ))]
pub async fn stream(ctx: Ctx, input: Input) -> Answered {
    let (session, _, draft) = question(&ctx, input).await?;
    // Before the question is stored: who gets no place has not asked.
    let place = ctx.stream_place()?;
    let asked = ctx.chat().ask(&session, draft, asking(&ctx)).await?;
    let mut response = streamed(&ctx, place, &asked.question, asked.answer);
    budget::tell(&mut response, asked.budget);
    if asked.replayed {
        idempotency::mark_replayed(&mut response);
    }
    Ok(response)
}

/// Resume an answer's stream
///
/// What comes after `Last-Event-ID` of the answer to this message, while it is made or afterwards:
/// frames as in the stream that began it, but an answer that is stored already comes in one piece.
#[utoipa::path(get, path = "/api/chats/messages/chat/stream/{message_id}/", operation_id = "chats_resume_answer",
    tag = "chats",
    params(
        ("message_id" = String, Path, description = "The question's message"),
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor; from the beginning without one"),
        ("last_event_id" = Option<i64>, Query, description = "The cursor, like Last-Event-ID"),
    ),
    responses((status = 200, description = "The stream", body = StreamEvent, content_type = "text/event-stream")))]
pub async fn resume(ctx: Ctx, Segment(id): Segment) -> Answered {
    let (question, _) = ctx.chat().message(uuid(&id)?).await?;
    // Read like an event's cursor, but it counts bytes of the answer.
    let cursor = events::cursor(ctx.header("last-event-id"), ctx.query()).map_or(0, |cursor| cursor.0);
    let place = ctx.stream_place()?;
    let attached = ctx.chat().attach_to(&question, usize::try_from(cursor).unwrap_or(0)).await?;
    Ok(streamed(&ctx, place, &question, attached.ok_or(Failure::NotAsked)?))
}

/// Answer a message again
///
/// Another answer takes the place of the one that is there, once it ended with any text; with `continue` one that lacks
/// its end goes on from there, and the stream brings the whole of it. While an answer to the message is under way, that
/// is heard instead; so is one that is to go on and lacks nothing. Frames as in the stream of a question.
#[utoipa::path(post, path = "/api/chats/messages/chat/again/", operation_id = "chats_answer_again", tag = "chats",
    request_body(content((AnswerAgain = "application/json"), (AnswerAgain = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "The stream", body = StreamEvent, content_type = "text/event-stream"),
        (status = 403, description = "The session has expired or is not active"),
        (status = 404, description = "There is no such session or message, or nobody asks in it"),
    ))]
pub async fn again(ctx: Ctx, input: Input) -> Answered {
    let mut fields = input.fields()?;
    let named = Named::of(&mut fields);
    fields.not_null("continue");
    let how = if fields.boolean("continue").unwrap_or(false) { Again::Onwards } else { Again::Anew };
    fields.finish().map_err(Failure::Plain)?;
    let (session, question) = named.find(&ctx).await?;
    if question.role != Role::User {
        return Err(Failure::NotAsked);
    }
    let place = ctx.stream_place()?;
    let asked = ctx.chat().ask_again(&session, &question, how, asking(&ctx)).await?;
    let mut response = streamed(&ctx, place, &asked.question, asked.answer);
    budget::tell(&mut response, asked.budget);
    Ok(response)
}

/// The message that a body names.
struct Named {
    message_id: String,
    session: String,
}

impl Named {
    fn of(fields: &mut Fields) -> Self {
        Self { message_id: fields.required("message_id", NAME_CHARS_MAX), session: session_name(fields) }
    }

    /// That message, and its session.
    async fn find(&self, ctx: &Ctx) -> Result<(Conversation, Arc<Message>), Failure> {
        let session = ctx.session(&self.session).await?;
        let found = match Uuid::try_parse(&self.message_id) {
            Ok(uuid) => ctx.chat().message_of(&session, uuid).await,
            Err(_) => Err(Error::NotFound(Subject::Message)),
        };
        Ok((session, found.map_err(Failure::Plain)?))
    }
}

/// Stop an answer
///
/// What had arrived is stored, with `incomplete: true` in its metadata.
#[utoipa::path(post, path = "/api/chats/messages/chat/stop/", operation_id = "chats_stop_answer", tag = "chats",
    request_body(content((Stop = "application/json"), (Stop = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "What became of it", body = Stopped),
        (status = 404, description = "There is no such session or message"),
    ))]
pub async fn stop(ctx: Ctx, input: Input) -> Answered {
    let mut fields = input.fields()?;
    let named = Named::of(&mut fields);
    fields.finish().map_err(Failure::Plain)?;
    let (_, question) = named.find(&ctx).await?;
    let (stopped, ended) = ctx.chat().stop_answer(&question).await?;
    let response_id = ended.and_then(|ended| ended.answer).map(|answer| answer.uuid);
    Ok(json::response(json::bytes(&Stopped { stopped, message_id: question.uuid, response_id })))
}

/// The session, as it was named, and what is asked in it.
async fn question(ctx: &Ctx, input: Input) -> Result<(Conversation, String, Draft), Failure> {
    let mut fields = input.fields()?;
    fields.number_as_text("message");
    let text = fields.text("message", ctx.door().message_chars_max);
    let name = session_name(&mut fields);
    fields.finish().map_err(Failure::Plain)?;
    let key = ctx.idempotency_key().map_err(Failure::Plain)?;
    let session = ctx.session(&name).await?;
    let text = text.ok_or_else(|| Failure::Plain(Error::field("message", Rule::Required)))?;
    Ok((session, name, Draft { role: Role::User, user_id: None, text, metadata: None, letter: None, key }))
}

fn asking(ctx: &Ctx) -> Asking {
    Asking { address: Some(ctx.address()), door: "chats", ..Asking::default() }
}

fn session_name(fields: &mut Fields) -> String {
    fields.number_as_text("session_id");
    fields.required("session_id", NAME_CHARS_MAX)
}

fn streamed(ctx: &Ctx, place: Place, question: &Message, answer: Attached) -> Response {
    let id = question.uuid;
    let frames = stream::unfold(answer, move |mut answer| async move {
        let frame = match answer.next().await? {
            Piece::Text { chunk, cursor } => text_frame(id, &chunk, cursor),
            Piece::End(ended) => end_frame(id, &ended),
        };
        Some((frame, answer))
    });
    sse::finite(frames, place, ctx.web().metrics.stream(), ctx.web().heartbeat())
}

fn text_frame(question: Uuid, chunk: &str, cursor: usize) -> Bytes {
    let chunk = quoted(chunk);
    let data = format!(r#"{{"chunk": {chunk}, "done": false, "message_id": "{question}"}}"#);
    Frame { id: i64::try_from(cursor).ok(), data: &data, ..Frame::default() }.bytes()
}

/// The one frame that ends a stream.
fn end_frame(question: Uuid, ended: &Ended) -> Bytes {
    let mut data = format!(r#"{{"chunk": "", "done": true, "message_id": "{question}", "#);
    let _ = match (&ended.answer, ended.outcome) {
        (Some(answer), RunOutcome::Completed) => write!(data, r#""response_id": "{}"}}"#, answer.uuid),
        (_, outcome) => write!(data, r#""error": {}}}"#, quoted(no_answer(outcome, ended.reason))),
    };
    Frame { data: &data, ..Frame::default() }.bytes()
}

fn quoted(text: &str) -> String {
    String::from_utf8_lossy(&json::bytes(&text)).into_owned()
}
