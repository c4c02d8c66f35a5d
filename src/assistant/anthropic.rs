//! Anthropic's messages, streamed: what is asked, and what the events of an answer say. The wire format is that of
//! Anthropic's API reference ("Create a message", "Streaming messages", "Stop reasons"), version 2023-06-01.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;

use super::heard::Heard;
use super::openai::object;
use super::sse_decode::Event;
use super::turns::{Speaker, asked, turns};
use super::{Ask, Failure, Finish, failures};
use crate::domain::Role;

/// What stands behind the address.
pub(super) const PATH: &str = "/v1/messages";

/// The version of the format, as its header has it.
pub(super) const VERSION: &str = "2023-06-01";

/// The body of a request. What the operator says stands beside the messages, and the first of them is the user's.
pub(super) fn body(model: &str, ask: &Ask) -> Vec<u8> {
    let (system, said): (Vec<_>, Vec<_>) = ask.lines.iter().cloned().partition(|line| line.role == Role::System);
    let mut said = asked(&said);
    if said.first().is_none_or(|(speaker, _)| *speaker != Speaker::User) {
        said.insert(0, (Speaker::User, "(The conversation begins.)".to_owned()));
    }
    let message = |(speaker, text): (Speaker, String)| json!({"role": speaker.as_str(), "content": text});
    let messages: Vec<_> = said.into_iter().map(message).collect();
    let mut body =
        json!({"model": model, "max_tokens": ask.tokens_max.unwrap_or(1), "messages": messages, "stream": true});
    if let Some((_, text)) = turns(&system).pop() {
        body["system"] = text.into();
    }
    body.to_string().into_bytes()
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told<'a> {
    MessageStart {
        message: Message,
    },
    ContentBlockDelta {
        #[serde(borrow)]
        delta: Delta<'a>,
    },
    MessageDelta {
        #[serde(borrow)]
        delta: Reason<'a>,
        #[serde(default)]
        usage: Tokens,
    },
    MessageStop,
    Ping,
    Error,
    /// Of no interest, or new: the format has clients bear events that they do not know.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    usage: Tokens,
}

/// The tokens of the prompt are told in three parts, by how they are charged.
#[derive(Default, Deserialize)]
struct Tokens {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Tokens {
    fn prompt(&self) -> Option<u64> {
        let cached = [self.cache_creation_input_tokens, self.cache_read_input_tokens];
        let cached = cached.into_iter().flatten().fold(0, u64::saturating_add);
        self.input_tokens.map(|tokens| tokens.saturating_add(cached))
    }

    fn is_told(&self) -> bool {
        self.input_tokens.is_some() || self.output_tokens.is_some()
    }
}

/// Text; what is no text (tools, thoughts) has none.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Reason<'a> {
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

/// Takes an event in; `false` when it was no sign of life.
///
/// # Errors
/// When it says that the answer broke off, or is no event of this format.
pub(super) fn hear(event: Event<'_>, heard: &mut Heard) -> Result<bool, Failure> {
    let told: Told<'_> = object(event.data)?;
    let mut count = |tokens: &Tokens| {
        if tokens.is_told() {
            heard.usage(tokens.prompt(), tokens.output_tokens);
        }
    };
    match told {
        Told::MessageStart { message } => count(&message.usage),
        Told::ContentBlockDelta { delta } => delta.text.iter().for_each(|text| heard.text(text)),
        Told::MessageDelta { delta, usage } => {
            count(&usage);
            if let Some(reason) = &delta.stop_reason {
                heard.finish(finish(reason));
            }
        }
        Told::MessageStop => heard.end(),
        Told::Ping => return Ok(false),
        Told::Error => return Err(failures::in_stream(event.data)),
        Told::Other => {}
    }
    Ok(true)
}

fn finish(reason: &str) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" => Finish::ContentFilter,
        "tool_use" => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}
