//! Questions to a model, answered as a stream.
//!
//! In a chat the question and the answer are stored, and the answer is made to its end whatever becomes of
//! the connection; without one nothing is.

use axum::response::Response;
use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::Answered;
use super::context::{Ctx, Input};
use super::data_stream::{self, Form, Writer};
use super::described::Question;
use super::envelope::Failure;
use super::messages::role;
use crate::api::budget;
use crate::api::idempotency::{self, IdempotencyKey};
use crate::api::run::no_answer;
use crate::api::sources;
use crate::chat::{Asked, Asking, Attached, Draft, Ended, Line, Piece, Unkept};
use crate::domain::{Access, ConversationId, MessageText, Role, RunOutcome};
use crate::error::{Error, Kind, Result, Rule};
use crate::http::streams::Place;
use crate::http::values::Values;
use crate::telemetry::Counted;

/// What is said of input that is wrong.
const MODEL: &str = "Bad Request. Invalid model.";
const QUERY: &str = "Bad Request. Invalid query(chat_id, is_playground).";
const BODY: &str = "Bad Request. Invalid body(messages).";

/// What a stream holds until its end.
pub(super) type Held = (Place, Counted);

/// Room for another stream.
pub(super) fn held(ctx: &Ctx) -> Result<Held, Failure> {
    Ok((ctx.stream_place()?, ctx.web().metrics.stream()))
}

/// Who offers a model, which decides where it is asked and how it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Any publisher's, hosted in one place.
    HuggingFace,
    /// Cloudflare's.
    Cloudflare,
    /// `OpenRouter`'s.
    OpenRouter,
    /// Ollama's.
    Ollama,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 4] = [Self::HuggingFace, Self::Cloudflare, Self::OpenRouter, Self::Ollama];

    /// Its name in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HuggingFace => "huggingface",
            Self::Cloudflare => "cloudflare",
            Self::OpenRouter => "openrouter",
            Self::Ollama => "ollama",
        }
    }

    /// The family of a model: told by its publisher.
    pub fn of(model: &str) -> Self {
        let publisher = model.split('/').next().unwrap_or_default();
        Self::ALL.into_iter().find(|family| family.as_str() == publisher).unwrap_or(Self::HuggingFace)
    }

    /// Where that model is asked.
    pub fn endpoint(self, model: &str) -> String {
        match self {
            Self::HuggingFace => format!("/api/ai/huggingface/{model}/chat"),
            _ => format!("/api/ai/{model}/chat"),
        }
    }

    /// In which form it answers.
    pub(super) fn form(self) -> Form {
        match self {
            Self::HuggingFace | Self::Cloudflare => Form::Bare,
            Self::OpenRouter | Self::Ollama => Form::Whole,
        }
    }
}

/// Ask a model
///
/// The answer is the AI SDK's data stream, version 1: `0:"text"` a line; of the models of `openrouter` and
/// `ollama` framed by `f:`, `e:` and `d:`, with an `h:` for each source; ended by `3:"why"` when it breaks off. With a chat's number the last
/// message and the answer are stored in it, the code blocks of the answer as its files. A client that goes
/// away changes nothing: the answer is finished and stored.
#[utoipa::path(post, path = "/api/ai/{publisher}/{model}/chat", operation_id = "neptun_ask", tag = "neptun",
    request_body(content((Question = "application/json"), (Question = "application/x-www-form-urlencoded"))),
    params(
        ("publisher" = String, Path, description = "The publisher of the model", example = "openrouter"),
        ("model" = String, Path, description = "The model", example = "deepseek-chat"),
        ("chat_id" = Option<i64>, Query, description = "The chat to store in; none or -1: nothing is stored"),
        ("is_playground" = Option<bool>, Query, description = "Changes nothing"),
        ("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
            description = "Makes a retry hear the first answer"),
    ),
    responses((status = 200, description = "The stream", body = String, content_type = "text/plain",
        example = "0:\"Echo: \"\n0:\"Write \"\n0:\"it\"\n")),
    security(("neptun-session" = [])))]
pub async fn ask(ctx: Ctx, input: Input) -> Answered {
    let model = format!("{}/{}", ctx.segment("publisher"), ctx.segment("model"));
    answered(&ctx, &model, Family::of(&model), input).await
}

/// Ask a model that is hosted at Hugging Face
///
/// As `POST /api/ai/{publisher}/{model}/chat`.
#[utoipa::path(post, path = "/api/ai/huggingface/{publisher}/{model}/chat",
    operation_id = "neptun_ask_at_hugging_face", tag = "neptun",
    request_body(content((Question = "application/json"), (Question = "application/x-www-form-urlencoded"))),
    params(
        ("publisher" = String, Path, description = "The publisher of the model", example = "google"),
        ("model" = String, Path, description = "The model", example = "gemma-2-27b-it"),
        ("chat_id" = Option<i64>, Query, description = "The chat to store in; none or -1: nothing is stored"),
        ("is_playground" = Option<bool>, Query, description = "Changes nothing"),
        ("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
            description = "Makes a retry hear the first answer"),
    ),
    responses((status = 200, description = "The stream", body = String, content_type = "text/plain",
        example = "0:\"Echo: \"\n0:\"Write \"\n0:\"it\"\n")),
    security(("neptun-session" = [])))]
pub async fn ask_at_hugging_face(ctx: Ctx, input: Input) -> Answered {
    let model = format!("{}/{}", ctx.segment("publisher"), ctx.segment("model"));
    answered(&ctx, &model, Family::HuggingFace, input).await
}

async fn answered(ctx: &Ctx, model: &str, family: Family, input: Input) -> Answered {
    let access = &ctx.caller()?.access;
    if !ctx.door().models.iter().any(|known| known == model && Family::of(known) == family) {
        let choices = ctx.door().models.clone();
        let wrong = Rule::Choice { got: Kind::String, word: model.to_owned(), choices };
        return Err(Failure::Input(MODEL, Error::field("model", wrong)));
    }
    let chat = chat_id(ctx.query()).map_err(|error| Failure::Input(QUERY, error))?;
    let (context, question) = context(ctx, ctx.values(input).await?)?;
    let words = context.iter().map(|line| line.text.split_whitespace().count()).sum();
    let writer = Writer::new(family.form(), words);
    // Before the question is stored: who gets no place has not asked.
    let held = held(ctx)?;
    let Some(chat) = chat else {
        let pieces = ctx.chat().ask_unkept(access, asking(ctx, access, model, context)).await?;
        return Ok(unkept(ctx, family.form(), writer, pieces, held));
    };
    let chat = ctx.chat().chat_of(access, chat).await?;
    let (role, key) = (Role::User, ctx.idempotency_key()?);
    let draft = Draft { role, user_id: Some(access.user.id), text: question, metadata: None, letter: None, key };
    let asked = ctx.chat().ask(&chat, draft, asking(ctx, access, model, context)).await?;
    Ok(kept(family.form(), writer, asked, held))
}

fn asking(ctx: &Ctx, access: &Access, model: &str, context: Vec<Line>) -> Asking {
    Asking {
        context: Some(context),
        model: Some(model.into()),
        address: Some(ctx.address()),
        tenant: access.user.platform_id,
        door: "neptun",
        ..Asking::default()
    }
}

/// The chat to store in, if there is one.
fn chat_id(mut query: Values) -> Result<Option<ConversationId>> {
    let number = query.number("chat_id");
    if query.has("is_playground") {
        let truths = ["true".to_owned(), "false".to_owned()];
        query.choice("is_playground", &truths.as_slice().into());
    }
    match number {
        Some(-1) | None => {}
        Some(number) if number > 0 => {}
        Some(_) => query.wrong("chat_id", Rule::Positive),
    }
    query.finish()?;
    Ok(number.filter(|number| *number > 0).map(ConversationId))
}

/// What the model is shown, and of it what is asked.
fn context(ctx: &Ctx, mut values: Values) -> Result<(Vec<Line>, MessageText), Failure> {
    let chars_max = ctx.door().message_chars_max;
    let items = values.list("messages", 1..=ctx.door().batch_max).unwrap_or_default();
    let last = items.len();
    let mut number = 0;
    let mut question = None;
    let lines = values.each("messages", items, |values| {
        number += 1;
        let text = if number == last {
            question = values.text("content", chars_max);
            question.as_ref().map(|text| text.as_str().to_owned())
        } else {
            // An answer that was nothing but a call of a tool is empty.
            values.string("content", 0..=chars_max)
        };
        let role = role(values, "role");
        Some(Line { role: role?, text: text? })
    });
    values.finish().map_err(|error| Failure::Input(BODY, error))?;
    let question = question.ok_or_else(|| Error::field("messages", Rule::Required))?;
    Ok((lines, question))
}

/// A stored answer to a question that was just put.
pub(super) fn kept(form: Form, writer: Writer, asked: Asked, held: Held) -> Response {
    let mut response = told(form, writer, (asked.question.uuid, asked.answer), held);
    budget::tell(&mut response, asked.budget);
    if asked.replayed {
        idempotency::mark_replayed(&mut response);
    }
    response
}

/// An answer that is stored, as it is made.
pub(super) fn told(form: Form, writer: Writer, (question, answer): (Uuid, Attached), held: Held) -> Response {
    let begin = writer.begin(&question.to_string());
    let parts = stream::unfold((answer, writer, held), |(mut answer, mut writer, held)| async move {
        let part = match answer.next().await? {
            Piece::Text { chunk, .. } => writer.text(&chunk),
            Piece::End(ended) => ends(&writer, &ended),
        };
        Some((part, (answer, writer, held)))
    });
    data_stream::response(form, stream::iter([begin]).chain(parts))
}

/// The end of an answer that is stored, with what it rests on.
fn ends(writer: &Writer, ended: &Ended) -> Vec<u8> {
    let sources = ended.answer.as_deref().map(sources::of).unwrap_or_default();
    let end = match (ended.outcome, &ended.answer) {
        (RunOutcome::Completed, Some(_)) => writer.end(),
        (outcome, _) => writer.error(no_answer(outcome, ended.reason)),
    };
    [writer.sources(&sources), end].concat()
}

/// An answer that ends with whoever listens.
fn unkept(ctx: &Ctx, form: Form, writer: Writer, pieces: Unkept, held: Held) -> Response {
    let begin = writer.begin(&ctx.web().clock.uuid().to_string());
    let left = pieces.budget.clone();
    let parts = stream::unfold((Some(pieces), writer, held), |(pieces, mut writer, held)| async move {
        let mut pieces = pieces?;
        let (part, rest) = match pieces.next().await {
            Some(Ok(piece)) => (writer.text(&piece), Some(pieces)),
            Some(Err(cause)) => {
                tracing::warn!(cause = %cause, "an answer could not be finished");
                (writer.error(no_answer(RunOutcome::Failed, None)), None)
            }
            None => (writer.end(), None),
        };
        Some((part, (rest, writer, held)))
    });
    let mut response = data_stream::response(form, stream::iter([begin]).chain(parts));
    budget::tell(&mut response, left);
    response
}
