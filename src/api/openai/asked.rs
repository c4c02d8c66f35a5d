//! What a client asks: messages in one of OpenAI's two forms, and where they are to be kept.

use std::sync::Arc;

use serde_json::Value;

use super::context::Ctx;
use super::envelope::Failure;
use crate::chat::Line;
use crate::domain::{Json, MessageText, Role, TextError};
use crate::error::{Error, Kind, Result, Rule};
use crate::http::values::Values;

/// The model that stands for whatever the operator has chosen.
pub const DEFAULT_MODEL: &str = "default";

/// Longest name of a conversation, a model or a response, in characters.
const NAME_CHARS_MAX: usize = 255;
/// Largest metadata, in bytes of JSON: more than OpenAI's sixteen pairs can have.
const METADATA_BYTES_MAX: usize = 16 << 10;
/// Who may speak.
const ROLES: &[&str] = &["developer", "system", "user", "assistant"];
/// What a text is called where a message consists of several.
const TEXTS: [&str; 3] = ["text", "input_text", "output_text"];

/// What both forms have.
#[derive(Debug)]
pub struct Asked {
    /// The model, by the name that the client knows.
    pub model: String,
    /// What the client says, oldest first; the last line is the question.
    pub lines: Vec<Line>,
    /// The conversation that it is to be kept in.
    pub conversation: Option<String>,
    /// What the client attached.
    pub metadata: Option<Json>,
    /// Whether the answer is to be streamed.
    pub is_streamed: bool,
    /// At most this many tokens.
    pub tokens_max: Option<u32>,
}

impl Asked {
    /// The model, unless it is the operator's choice.
    pub fn model_named(&self) -> Option<Arc<str>> {
        (self.model != DEFAULT_MODEL).then(|| self.model.as_str().into())
    }

    /// What is asked, as a message.
    pub fn question(&self, field: &'static str, chars_max: usize) -> Result<MessageText> {
        let Some(last) = self.lines.last() else { return Err(Error::field(field, Rule::Required)) };
        if last.role != Role::User {
            let choices = &["user"];
            let got = last.role.as_str().to_owned();
            return Err(Error::field(format!("{field}.{}.role", self.lines.len() - 1), Rule::OneOf { got, choices }));
        }
        MessageText::parse(&last.text, chars_max).map_err(|wrong| {
            let rule = match wrong {
                TextError::Empty => Rule::NotBlank,
                TextError::TooLong { max } => Rule::CharsMax(max),
            };
            Error::field(field, rule)
        })
    }
}

/// The model that is named, which has to be one of the door's.
pub fn model(ctx: &Ctx, values: &mut Values) -> Result<String, Failure> {
    let named = values.nullable_string("model", 1..=NAME_CHARS_MAX);
    let Some(named) = named else { return Ok(DEFAULT_MODEL.to_owned()) };
    if named == DEFAULT_MODEL || ctx.door().models.contains(&named) { Ok(named) } else { Err(Failure::NoModel(named)) }
}

/// The conversation that is named: a name, or an object with it as `id`; beside everything, or in the metadata, which
/// every library passes on.
pub fn conversation(values: &mut Values, metadata: Option<&Value>) -> Option<String> {
    let named = match values.value("conversation") {
        Some(Value::Object(mut object)) => object.remove("id"),
        Some(other) => Some(other),
        None => metadata.and_then(|metadata| metadata.get("conversation")).cloned(),
    }?;
    match named {
        Value::String(name) if name.contains('\0') => values.wrong("conversation", Rule::NoNul),
        Value::String(name) if (1..=NAME_CHARS_MAX).contains(&name.chars().count()) => return Some(name),
        Value::String(name) if name.is_empty() => values.wrong("conversation", Rule::CharsMin(1)),
        Value::String(_) => values.wrong("conversation", Rule::CharsMax(NAME_CHARS_MAX)),
        other => values.wrong_type("conversation", Kind::String, Some(&other)),
    }
    None
}

/// What the client attaches, an object.
pub fn metadata(values: &mut Values) -> Option<Value> {
    match values.value("metadata")? {
        object @ Value::Object(_) => {
            if object.to_string().len() > METADATA_BYTES_MAX {
                values.wrong("metadata", Rule::BytesMax(METADATA_BYTES_MAX));
                return None;
            }
            Some(object)
        }
        other => {
            values.wrong_type("metadata", Kind::Object, Some(&other));
            None
        }
    }
}

/// A whole number of at least one that bounds something, if it was sent.
pub fn bound(values: &mut Values, field: &str) -> Option<u32> {
    match values.value(field)? {
        Value::Number(number) if number.as_u64().is_some_and(|number| number > 0) => {
            return number.as_u64().map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        }
        Value::Number(number) if number.is_i64() || number.is_u64() => values.wrong(field, Rule::Positive),
        other => values.wrong_type(field, Kind::Integer, Some(&other)),
    }
    None
}

/// True or false, or what stands when nothing, or null, was sent.
pub fn boolean_or(values: &mut Values, field: &str, usual: bool) -> bool {
    match values.value(field) {
        None => usual,
        Some(Value::Bool(choice)) => choice,
        Some(other) => {
            values.wrong_type(field, Kind::Boolean, Some(&other));
            usual
        }
    }
}

/// The messages in a list.
pub fn messages(ctx: &Ctx, values: &mut Values, field: &str) -> Vec<Line> {
    let items = values.list(field, 1..=ctx.door().messages_max).unwrap_or_default();
    let chars_max = ctx.door().message_chars_max;
    values.each(field, items, |message| {
        let kind = message.value("type");
        if kind.as_ref().is_some_and(|kind| kind != "message") {
            let got = kind.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            message.wrong("type", Rule::OneOf { got, choices: &["message"] });
            return None;
        }
        let role = role(message);
        let text = content(message, role, chars_max);
        Some(Line { role: role?, text: text? })
    })
}

fn role(message: &mut Values) -> Option<Role> {
    let word = message.string("role", 1..=NAME_CHARS_MAX)?;
    let role = match word.as_str() {
        "developer" => Some(Role::System),
        _ => Role::parse(&word).filter(|_| ROLES.contains(&word.as_str())),
    };
    if role.is_none() {
        message.wrong("role", Rule::OneOf { got: word, choices: ROLES });
    }
    role
}

/// A message's text: a string, or a list of texts that are one after the other. An answer that was nothing but a call
/// of a tool has none.
fn content(message: &mut Values, role: Option<Role>, chars_max: usize) -> Option<String> {
    let text = match message.value("content") {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => message.each("content", parts, |part| text_part(part, chars_max)).concat(),
        None if role == Some(Role::Assistant) => String::new(),
        other => {
            message.wrong_type("content", Kind::String, other.as_ref());
            return None;
        }
    };
    if text.chars().count() > chars_max {
        message.wrong("content", Rule::CharsMax(chars_max));
        return None;
    }
    Some(text)
}

fn text_part(part: &mut Values, chars_max: usize) -> Option<String> {
    let kind = part.string("type", 1..=NAME_CHARS_MAX)?;
    if kind == "refusal" {
        return part.string("refusal", 0..=chars_max);
    }
    if !TEXTS.contains(&kind.as_str()) {
        part.wrong("type", Rule::OneOf { got: kind, choices: &TEXTS });
        return None;
    }
    part.string("text", 0..=chars_max)
}
