//! Chat completions: a list of messages is answered, whole or as it is made.

use axum::body::Bytes;
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;

use super::Answered;
use super::answer::{self, Begun, End, Heard};
use super::asked::{self, Asked};
use super::context::{Ctx, Input};
use super::envelope::{self, Failure};
use super::usage::Usage;
use super::wire::{
    Choice, Chunk, ChunkChoice, Completion, CompletionFields, Delta, Said, completion_identifier, seconds,
};
use crate::api::budget;
use crate::api::events::StreamEvent;
use crate::api::idempotency::{self, IdempotencyKey};
use crate::chat::Line;
use crate::domain::{Json, Role, RunOutcome, RunReason};
use crate::error::{Kind, Rule};
use crate::http::json;
use crate::http::sse::{self, Frame};
use crate::http::streams::Place;
use crate::http::values::Values;

/// The field that the messages are in.
const MESSAGES: &str = "messages";

/// Ask for a completion
///
/// With `stream` the answer comes as server-sent events, ended by `[DONE]`. Nothing is stored, and the answer ends
/// with the connection, unless a `conversation` is named: then the last message and the answer are stored in it, and
/// the answer is made to its end whatever becomes of the connection; `GET /v1/responses/{id}` with the completion's
/// identifier hears it again. Where only one message comes, the assistant is shown what was said in the conversation
/// before.
#[utoipa::path(post, path = "/v1/chat/completions", operation_id = "openai_complete", tag = "openai",
    request_body = CompletionFields,
    params(("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
        description = "Makes a retry in the same conversation return the first answer")),
    responses(
        (status = 200, description = "The answer",
            content((Completion = "application/json"), (StreamEvent = "text/event-stream"))),
        (status = 404, description = "There is no such model"),
    ),
    security(("bearer" = [])))]
pub async fn create(ctx: Ctx, input: Input) -> Answered {
    let (mut asked, include_usage) = read(&ctx, ctx.values(input).await?)?;
    // Before anything is stored: who gets no place has not asked.
    let place = if asked.is_streamed { Some(ctx.stream_place()?) } else { None };
    let model = asked.model.clone();
    let begun = match asked.conversation.take() {
        None => answer::ask_unkept(&ctx, asked).await?,
        Some(name) => {
            // Before the conversation is made: one that nobody asks in would be in the list.
            asked.question(MESSAGES, ctx.door().message_chars_max)?;
            let chat = ctx.chat().named_chat(ctx.access(), &name, &asked.model).await?;
            if said(&asked.lines) == 1 {
                answer::after_history(&ctx, &chat, &mut asked).await?;
            }
            answer::ask(&ctx, &chat, asked, MESSAGES).await?
        }
    };
    let (replayed, left) = (begun.replayed, begun.budget.clone());
    let mut response = match place {
        Some(place) => streamed(&ctx, place, Writer::of(&begun, model, include_usage), begun),
        None => whole(begun, model).await?,
    };
    budget::tell(&mut response, left);
    if replayed {
        idempotency::mark_replayed(&mut response);
    }
    Ok(response)
}

/// How many messages are more than instructions.
fn said(lines: &[Line]) -> usize {
    lines.iter().filter(|line| line.role != Role::System).count()
}

/// What is asked, and whether to tell at the end of a stream what it took.
fn read(ctx: &Ctx, mut values: Values) -> Result<(Asked, bool), Failure> {
    let model = asked::model(ctx, &mut values)?;
    let metadata = asked::metadata(&mut values);
    let conversation = asked::conversation(&mut values, metadata.as_ref());
    let lines = asked::messages(ctx, &mut values, MESSAGES);
    let is_streamed = asked::boolean_or(&mut values, "stream", false);
    let old_bound = asked::bound(&mut values, "max_tokens");
    let tokens_max = asked::bound(&mut values, "max_completion_tokens").or(old_bound);
    match values.value("n") {
        None => {}
        Some(Value::Number(number)) if number.as_u64() == Some(1) => {}
        Some(Value::Number(number)) => {
            values.wrong("n", Rule::OneOf { got: number.to_string(), choices: &["1"] });
        }
        Some(other) => values.wrong_type("n", Kind::Integer, Some(&other)),
    }
    let include_usage = match values.value("stream_options") {
        None => false,
        Some(Value::Object(options)) => options.get("include_usage") == Some(&Value::Bool(true)),
        Some(other) => {
            values.wrong_type("stream_options", Kind::Object, Some(&other));
            false
        }
    };
    values.finish()?;
    let metadata = metadata.map(|metadata| Json(metadata.to_string()));
    Ok((Asked { model, lines, conversation, metadata, is_streamed, tokens_max }, include_usage))
}

async fn whole(begun: Begun, model: String) -> Result<Response, Failure> {
    let is_kept = begun.conversation.is_some();
    let end = begun.hearing.end().await;
    // One that was stopped by somebody who had read enough is an answer.
    if end.outcome.is_incomplete() && (end.outcome != RunOutcome::Stopped || end.text.is_empty()) {
        return Err(end.refusal(is_kept));
    }
    let (usage, finish_reason) = (end.took(&begun.lines), finish_reason(&end));
    let message = Said { role: "assistant", content: end.text, refusal: None };
    let completion = Completion {
        id: completion_identifier(begun.question),
        object: "chat.completion",
        created: seconds(begun.at),
        model,
        choices: vec![Choice { index: 0, message, logprobs: None, finish_reason }],
        usage,
        conversation: begun.conversation,
    };
    Ok(json::response(json::bytes(&completion)))
}

/// Why the assistant said no more.
fn finish_reason(end: &End) -> &'static str {
    match end.reason {
        Some(RunReason::Length) => "length",
        Some(RunReason::ContentFilter) => "content_filter",
        _ => "stop",
    }
}

fn streamed(ctx: &Ctx, place: Place, writer: Writer, begun: Begun) -> Response {
    let first = writer.chunk(Delta { role: Some("assistant"), content: Some("") }, None);
    let rest = stream::unfold((begun.hearing, writer), |(mut hearing, writer)| async move {
        let frames = match hearing.next().await? {
            Heard::Text(text, _) => writer.chunk(Delta { role: None, content: Some(&text) }, None),
            Heard::End(end) => writer.end(&end),
        };
        Some((frames, (hearing, writer)))
    });
    let frames = futures_util::StreamExt::chain(stream::iter([first]), rest);
    sse::finite(frames, place, ctx.web().metrics.stream(), ctx.web().heartbeat())
}

/// Writes the chunks of one answer.
struct Writer {
    id: String,
    created: i64,
    model: String,
    lines: Option<Vec<Line>>,
}

impl Writer {
    fn of(begun: &Begun, model: String, include_usage: bool) -> Self {
        let lines = include_usage.then(|| begun.lines.clone());
        Self { id: completion_identifier(begun.question), created: seconds(begun.at), model, lines }
    }

    fn chunk(&self, delta: Delta<'_>, finish_reason: Option<&'static str>) -> Bytes {
        let choice = ChunkChoice { index: 0, delta, logprobs: None, finish_reason };
        self.frame(vec![choice], self.lines.as_ref().map(|_| None))
    }

    fn frame(&self, choices: Vec<ChunkChoice<'_>>, usage: Option<Option<Usage>>) -> Bytes {
        let (object, created) = ("chat.completion.chunk", self.created);
        frame(&json::bytes(&Chunk { id: &self.id, object, created, model: &self.model, choices, usage }))
    }

    /// The end of the stream. The libraries raise what an `error` says.
    fn end(&self, end: &End) -> Bytes {
        if !matches!(end.outcome, RunOutcome::Completed | RunOutcome::Stopped) {
            return frame(&json::bytes(&envelope::broken_off(end.outcome, end.reason)));
        }
        let mut frames = self.chunk(Delta::default(), Some(finish_reason(end))).to_vec();
        if let Some(lines) = &self.lines {
            frames.extend_from_slice(&self.frame(Vec::new(), Some(Some(end.took(lines)))));
        }
        frames.extend_from_slice(&frame(b"[DONE]"));
        frames.into()
    }
}

fn frame(data: &[u8]) -> Bytes {
    Frame { data: &String::from_utf8_lossy(data), ..Frame::default() }.bytes()
}
