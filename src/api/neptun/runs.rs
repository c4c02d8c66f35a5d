//! The answers of a chat that are being made: seen and heard by who comes back, stopped, and made again.

use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::Answered;
use super::answers::{Family, held, kept, told};
use super::context::Ctx;
use super::data_stream::{Form, Writer};
use super::described::OfChat;
use super::envelope::Failure;
use super::wire::{ChatMessage, Runs, Stopped};
use crate::api::events;
use crate::chat::{Again, Asking};
use crate::domain::{Conversation, ConversationId, EventId, Message};
use crate::error::Rule;
use crate::http::json;
use crate::http::values::Values;

/// What is said of input that is wrong.
const CONTINUE: &str = "Bad Request. Invalid query(continue).";
const CURSOR: &str = "Bad Request. Invalid query(cursor).";

/// List the answers under way
///
/// In the order in which they were asked for, each with its text so far: what the `runChanged` and `runText` events
/// that come after `Event-Cursor` are applied to.
#[utoipa::path(get, path = "/api/users/{user_id}/chats/{chat_id}/runs", operation_id = "neptun_list_runs",
    tag = "neptun",
    params(OfChat),
    responses(
        (status = 200, description = "The answers under way", body = Runs<'static>,
            headers(("Event-Cursor" = i64, description = "Follow from here"))),
        (status = 400, description = "A number in the path is none"),
    ),
    security(("neptun-session" = [])))]
pub async fn list(ctx: Ctx) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    let cursor = ctx.chat().told_end();
    let chat = ctx.chat().chat_of(access, id).await?;
    let runs = ctx.chat().runs_of(chat.id).await?;
    let mut response = json::response(json::bytes(&Runs { runs: runs.iter().map(Into::into).collect() }));
    events::mark(&mut response, cursor);
    Ok(response)
}

/// Stop answering
///
/// What had arrived is stored; what waits for its turn does not begin.
#[utoipa::path(post, path = "/api/users/{user_id}/chats/{chat_id}/stop", operation_id = "neptun_stop_answer",
    tag = "neptun",
    params(OfChat),
    responses(
        (status = 200, description = "What became of it", body = Stopped<'static>),
        (status = 400, description = "A number in the path is none"),
    ),
    security(("neptun-session" = [])))]
pub async fn stop(ctx: Ctx) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    let chat = ctx.chat().chat_of(access, id).await?;
    let (stopped, kept) = ctx.chat().stop_answering(chat.id).await?;
    let chat_message = kept.as_deref().map(|message| ChatMessage::new(message, access.user.id));
    Ok(json::response(json::bytes(&Stopped { stopped, chat_message })))
}

/// Hear the answer under way
///
/// The newest one, from that byte of its text on, in the form of the chat's model. 204 when there is none.
#[utoipa::path(get, path = "/api/users/{user_id}/chats/{chat_id}/answer", operation_id = "neptun_resume_answer",
    tag = "neptun",
    params(
        OfChat,
        ("cursor" = Option<u64>, Query, description = "How many bytes of the text are known; none by default"),
    ),
    responses(
        (status = 200, description = "The stream", body = String, content_type = "text/plain"),
        (status = 204, description = "No answer is under way"),
    ),
    security(("neptun-session" = [])))]
pub async fn resume(ctx: Ctx) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    let cursor = cursor(ctx.query())?;
    let chat = ctx.chat().chat_of(access, id).await?;
    let none = || Ok(StatusCode::NO_CONTENT.into_response());
    let Some(question) = ctx.chat().answer_under_way(chat.id).await? else { return none() };
    let held = held(&ctx)?;
    let Some(answer) = ctx.chat().attach_to(&question, cursor).await? else { return none() };
    let (form, writer) = form_of(&chat, &question);
    Ok(told(form, writer, (question.uuid, answer), held))
}

fn cursor(mut query: Values) -> Result<usize, Failure> {
    let cursor = query.number("cursor").unwrap_or(0);
    let bytes = usize::try_from(cursor);
    if bytes.is_err() {
        query.wrong("cursor", Rule::Positive);
    }
    query.finish().map_err(|error| Failure::Input(CURSOR, error))?;
    Ok(bytes.unwrap_or(0))
}

/// Answer a message again
///
/// Another answer takes the place of the one that is there, once it ended with any text; with `continue` one that lacks
/// its end goes on from there, and the stream brings the whole of it. The chat's model is asked, and shown the chat's
/// messages. While an answer to the message is under way, that is heard instead; so is one that is to go on and lacks
/// nothing.
#[utoipa::path(post, path = "/api/users/{user_id}/chats/{chat_id}/messages/{message_id}/answer",
    operation_id = "neptun_answer_again", tag = "neptun",
    params(
        OfChat,
        ("message_id" = u64, Path, description = "The user's message"),
        ("continue" = Option<bool>, Query, description = "Whether an answer that lacks its end goes on; false by default"),
    ),
    responses((status = 200, description = "The stream", body = String, content_type = "text/plain")),
    security(("neptun-session" = [])))]
pub async fn again(ctx: Ctx) -> Answered {
    let (access, [chat, message]) = ctx.owner_with(["chat_id", "message_id"])?;
    let how = how(ctx.query())?;
    let (chat, question) = ctx.chat().question_of(access, ConversationId(chat), EventId(message)).await?;
    let held = held(&ctx)?;
    let asking =
        Asking { address: Some(ctx.address()), tenant: access.user.platform_id, door: "neptun", ..Asking::default() };
    let asked = ctx.chat().ask_again(&chat, &question, how, asking).await?;
    let (form, writer) = form_of(&chat, &question);
    // No key was sent that this could be a repeat of.
    Ok(kept(form, writer, crate::chat::Asked { replayed: false, ..asked }, held))
}

fn how(mut query: Values) -> Result<Again, Failure> {
    let truths = ["true".to_owned(), "false".to_owned()];
    let is_there = query.has("continue");
    let goes_on = if is_there { query.choice("continue", &truths.as_slice().into()) } else { None };
    query.finish().map_err(|error| Failure::Input(CONTINUE, error))?;
    Ok(if goes_on.as_deref() == Some("true") { Again::Onwards } else { Again::Anew })
}

/// How the chat's model answers. What it was shown is not known here; the question at least is counted.
fn form_of(chat: &Conversation, question: &Message) -> (Form, Writer) {
    let form = Family::of(chat.state.model.as_deref().unwrap_or_default()).form();
    (form, Writer::new(form, question.text.split_whitespace().count()))
}
