//! Responses: asked for, heard again from any place, stopped.

use std::sync::Arc;

use axum::response::Response;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::Value;

use super::Answered;
use super::answer::{self, Begun, Heard, Hearing};
use super::asked::{self, Asked};
use super::context::{Ctx, Input, Segment};
use super::envelope::Failure;
use super::events::{self, Writer};
use super::wire::{Named, identifier, question_of, seconds};
use super::wire_responses::{ResponseFields, Shown, Status, raw};
use crate::api::budget;
use crate::api::events::StreamEvent;
use crate::api::idempotency::{self, IdempotencyKey};
use crate::chat::{Line, chat_name};
use crate::domain::{Conversation, Json, Message, Role};
use crate::error::{Error, Rule, Subject};
use crate::http::streams::Place;
use crate::http::values::Values;
use crate::http::{json, sse};

/// The field that the messages are in.
const INPUT: &str = "input";
/// Longest title of a conversation that nobody named, in characters.
const TITLE_CHARS_MAX: usize = 80;

/// What only a response has.
struct Wanted {
    asked: Asked,
    is_background: bool,
    is_stored: bool,
    previous: Option<String>,
}

/// Ask for a response
///
/// The last message and the answer are stored in the conversation that is named, in that of the previous response, or
/// in a new one, unless `store` is false; and the answer is made to its end whatever becomes of the connection. With
/// `stream` it comes as server-sent events, with `background` the answer to this request comes before it.
#[utoipa::path(post, path = "/v1/responses", operation_id = "openai_respond", tag = "openai",
    request_body = ResponseFields,
    params(("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
        description = "Makes a retry return the first response")),
    responses(
        (status = 200, description = "The response",
            content((Shown = "application/json"), (StreamEvent = "text/event-stream"))),
        (status = 404, description = "There is no such model or previous response"),
    ),
    security(("bearer" = [])))]
pub async fn create(ctx: Ctx, input: Input) -> Answered {
    let wanted = wanted(&ctx, ctx.values(input).await?)?;
    // Before anything is stored: who gets no place has not asked.
    let place = if wanted.asked.is_streamed { Some(ctx.stream_place()?) } else { None };
    let (model, is_background, is_stored) = (wanted.asked.model.clone(), wanted.is_background, wanted.is_stored);
    let begun = if is_stored { kept(&ctx, wanted).await? } else { answer::ask_unkept(&ctx, wanted.asked).await? };
    let (replayed, left) = (begun.replayed, begun.budget.clone());
    let item_id = identifier("msg", begun.question);
    let response = Shown { background: Some(is_background), store: is_stored, ..shown(&begun, model) };
    let mut answered = match place {
        Some(place) => {
            let writer = Writer::new(response, item_id, None);
            streamed(&ctx, place, writer, begun.hearing, Some(begun.lines))
        }
        None if is_background => json::response(json::bytes(&response)),
        None => {
            let mut end = begun.hearing.end().await;
            end.usage = Some(end.took(&begun.lines));
            json::response(json::bytes(&events::ended(&response, &item_id, end)))
        }
    };
    budget::tell(&mut answered, left);
    if replayed {
        idempotency::mark_replayed(&mut answered);
    }
    Ok(answered)
}

fn wanted(ctx: &Ctx, mut values: Values) -> Result<Wanted, Failure> {
    let model = asked::model(ctx, &mut values)?;
    let metadata = asked::metadata(&mut values);
    let conversation = asked::conversation(&mut values, metadata.as_ref());
    let mut lines: Vec<Line> = values
        .nullable_string("instructions", 0..=ctx.door().message_chars_max)
        .filter(|text| !text.is_empty())
        .map(|text| Line { role: Role::System, text })
        .into_iter()
        .collect();
    lines.extend(input(ctx, &mut values));
    let is_streamed = asked::boolean_or(&mut values, "stream", false);
    let is_background = asked::boolean_or(&mut values, "background", false);
    let is_stored = asked::boolean_or(&mut values, "store", true);
    let previous = values.nullable_string("previous_response_id", 1..=255);
    let tokens_max = asked::bound(&mut values, "max_output_tokens");
    values.finish()?;
    if previous.is_some() && conversation.is_some() {
        let message = "Mutually exclusive parameters: send either 'conversation' or 'previous_response_id', not both.";
        return Err(Failure::Contradiction("conversation", message));
    }
    if !is_stored && (is_background || conversation.is_some() || previous.is_some()) {
        let message = "A response with a conversation, a previous response or in the background is stored.";
        return Err(Failure::Contradiction("store", message));
    }
    let metadata = metadata.map(|metadata| Json(metadata.to_string()));
    let asked = Asked { model, lines, conversation, metadata, is_streamed, tokens_max };
    Ok(Wanted { asked, is_background, is_stored, previous })
}

fn input(ctx: &Ctx, values: &mut Values) -> Vec<Line> {
    match values.peek(INPUT) {
        Some(Value::Array(_)) => asked::messages(ctx, values, INPUT),
        _ => {
            let text = values.string(INPUT, 1..=ctx.door().message_chars_max);
            text.map(|text| Line { role: Role::User, text }).into_iter().collect()
        }
    }
}

/// Asks in the conversation that is named, in the previous response's, or in a new one.
async fn kept(ctx: &Ctx, wanted: Wanted) -> Result<Begun, Failure> {
    let mut asked = wanted.asked;
    // Before a conversation is made: one that nobody asks in would be in the list.
    let question = asked.question(INPUT, ctx.door().message_chars_max)?;
    let key = ctx.idempotency_key()?;
    let (chat, access) = (ctx.chat(), ctx.access());
    let found = match (asked.conversation.take(), wanted.previous) {
        (Some(name), _) => chat.named_chat(access, &name, &asked.model).await?,
        (None, Some(id)) => question_named(ctx, &id).await?.1,
        (None, None) => chat.chat_for(access, key.as_ref(), title(question.as_str()), &asked.model).await?,
    };
    answer::after_history(ctx, &found, &mut asked).await?;
    answer::ask(ctx, &found, asked, INPUT).await
}

/// The beginning of a question, on one line.
fn title(question: &str) -> String {
    let words = question.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(TITLE_CHARS_MAX).collect()
}

/// The question that a response answers, and the conversation that it is in.
async fn question_named(ctx: &Ctx, id: &str) -> Result<(Arc<Message>, Conversation), Failure> {
    let none = || Failure::NoResponse(id.to_owned());
    let question = question_of(id).ok_or_else(none)?;
    match ctx.chat().own_message(ctx.access(), question).await {
        Err(Error::NotFound(Subject::Message)) => Err(none()),
        found => Ok(found?),
    }
}

/// A response as it is before any text.
fn shown(begun: &Begun, model: String) -> Shown {
    Shown {
        id: identifier("resp", begun.question),
        object: "response",
        created_at: seconds(begun.at),
        status: Status::begun(begun.hearing.is_queued()),
        background: None,
        conversation: begun.conversation.clone(),
        error: None,
        incomplete_details: None,
        instructions: None,
        max_output_tokens: None,
        metadata: raw(begun.metadata.as_ref()),
        model,
        output: Vec::new(),
        parallel_tool_calls: true,
        previous_response_id: None,
        store: true,
        temperature: Some(1.0),
        tool_choice: "auto",
        tools: Vec::new(),
        top_p: Some(1.0),
        usage: None,
    }
}

fn streamed(ctx: &Ctx, place: Place, mut writer: Writer, hearing: Hearing, lines: Option<Vec<Line>>) -> Response {
    let begin = writer.begin();
    let rest = stream::unfold((hearing, writer, lines), |(mut hearing, mut writer, lines)| async move {
        let frames = match hearing.next().await? {
            Heard::Text(text, cursor) => writer.text(&text, cursor),
            Heard::End(mut end) => {
                end.usage = lines.as_ref().map(|lines| end.took(lines)).or(end.usage);
                writer.end(end, hearing.cursor())
            }
        };
        Some((frames, (hearing, writer, lines)))
    });
    let frames = stream::iter([begin]).chain(rest);
    // An empty chunk would say that the body is over.
    let frames = frames.filter(|frames| std::future::ready(!frames.is_empty()));
    sse::finite(frames, place, ctx.web().metrics.stream(), ctx.web().heartbeat())
}

/// Read a response, or hear it again
///
/// With `stream` the events as they were, from behind the one with the number `starting_after`, while the answer is
/// made or afterwards; what is stored already comes in one piece.
#[utoipa::path(get, path = "/v1/responses/{response_id}", operation_id = "openai_read_response", tag = "openai",
    params(
        ("response_id" = String, Path, description = "The response's identifier, or a stored completion's"),
        ("stream" = Option<bool>, Query, description = "Whether to stream it"),
        ("starting_after" = Option<i64>, Query, description = "The sequence_number of the last event that was heard"),
    ),
    responses((status = 200, description = "The response",
        content((Shown = "application/json"), (StreamEvent = "text/event-stream")))),
    security(("bearer" = [])))]
pub async fn read(ctx: Ctx, Segment(id): Segment) -> Answered {
    let mut query = ctx.query();
    let is_streamed = query.boolean_or("stream", false);
    let after = query.number("starting_after");
    if after.is_some_and(|after| after < 0) {
        query.wrong("starting_after", Rule::Positive);
    }
    query.finish()?;
    let after = after.and_then(|after| usize::try_from(after).ok());
    let (question, chat) = question_named(&ctx, &id).await?;
    let place = if is_streamed { Some(ctx.stream_place()?) } else { None };
    let cursor = if is_streamed { Writer::cursor(after) } else { 0 };
    let attached = ctx.chat().attach_to(&question, cursor).await?.ok_or(Failure::NoResponse(id))?;
    let (item_id, hearing) = (identifier("msg", question.uuid), Hearing::kept(attached));
    let response = Shown { status: Status::begun(hearing.is_queued()), ..stored(&question, &chat) };
    Ok(match place {
        Some(place) => streamed(&ctx, place, Writer::new(response, item_id, after), hearing, None),
        None => json::response(json::bytes(&as_it_is(&response, &item_id, hearing))),
    })
}

/// A response of which nothing is known but what is stored.
fn stored(question: &Message, chat: &Conversation) -> Shown {
    let begun = Begun {
        question: question.uuid,
        at: question.created_at,
        conversation: Some(Named { id: chat_name(chat) }),
        replayed: false,
        lines: Vec::new(),
        metadata: question.metadata.clone(),
        budget: None,
        hearing: Hearing::over(),
    };
    shown(&begun, chat.state.model.clone().unwrap_or_else(|| asked::DEFAULT_MODEL.to_owned()))
}

/// What is there of it at this moment.
fn as_it_is(begun: &Shown, item_id: &str, mut hearing: Hearing) -> Shown {
    let mut so_far = String::new();
    while let Some(Some(heard)) = hearing.next().now_or_never() {
        match heard {
            Heard::Text(text, _) => so_far.push_str(&text),
            Heard::End(end) => return events::ended(begun, item_id, end),
        }
    }
    events::under_way(begun, item_id, so_far)
}

/// Stop a response
///
/// What had arrived is kept. One that has ended stays as it is.
#[utoipa::path(post, path = "/v1/responses/{response_id}/cancel", operation_id = "openai_cancel_response",
    tag = "openai",
    params(("response_id" = String, Path, description = "The response's identifier, or a stored completion's")),
    responses((status = 200, description = "The response as it then is", body = Shown)),
    security(("bearer" = [])))]
pub async fn cancel(ctx: Ctx, Segment(id): Segment) -> Answered {
    let (question, chat) = question_named(&ctx, &id).await?;
    let (_, ended) = ctx.chat().stop_answer(&question).await?;
    let ended = ended.ok_or(Failure::NoResponse(id))?;
    let response = events::ended(&stored(&question, &chat), &identifier("msg", question.uuid), ended.into());
    Ok(json::response(json::bytes(&response)))
}
