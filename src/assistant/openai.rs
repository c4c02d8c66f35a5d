//! OpenAI's chat completions, streamed: what is asked, and what the events of an answer say. The wire format is that of
//! OpenAI's API reference ("Create chat completion", "Streaming events"); that others who speak it leave out the last
//! event, the usage, or send fields of their own is borne.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::heard::Heard;
use super::sse_decode::Event;
use super::turns::{Speaker, asked};
use super::{Ask, Failure, Finish, failures};
use crate::config;

/// What stands behind the address.
pub(super) const PATH: &str = "/chat/completions";

/// The body of a request.
pub(super) fn body(options: &config::OpenAi, model: &str, ask: &Ask) -> Vec<u8> {
    let message = |(speaker, text): (Speaker, String)| json!({"role": speaker.as_str(), "content": text});
    let messages: Vec<_> = asked(&ask.lines).into_iter().map(message).collect();
    let mut body = json!({"model": model, "messages": messages, "stream": true});
    if options.ask_usage {
        body["stream_options"] = json!({"include_usage": true});
    }
    if let Some(max) = ask.tokens_max {
        body[tokens_parameter(options)] = max.into();
    }
    body.to_string().into_bytes()
}

/// OpenAI's newer models refuse the older name, and many others know only that one.
fn tokens_parameter(options: &config::OpenAi) -> &'static str {
    let (older, newer) = ("max_tokens", "max_completion_tokens");
    match options.tokens_parameter {
        config::TokensParameter::MaxTokens => older,
        config::TokensParameter::MaxCompletionTokens => newer,
        config::TokensParameter::Auto => {
            let rest = options.base_url.split_once("://").map_or("", |(_, rest)| rest);
            let host = rest.split(['/', ':', '?']).next().unwrap_or(rest);
            if host == "api.openai.com" || host.ends_with(".openai.azure.com") { newer } else { older }
        }
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

/// Tools that it wants called are not read: nobody offered any.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
}

/// Takes an event in; `false` when it was no sign of life.
///
/// # Errors
/// When it says that the answer broke off, or is no event of this format.
pub(super) fn hear(event: Event<'_>, heard: &mut Heard) -> Result<bool, Failure> {
    if event.data.trim() == "[DONE]" {
        heard.end();
        return Ok(true);
    }
    let chunk: Chunk<'_> = object(event.data)?;
    if chunk.error.is_some() {
        return Err(failures::in_stream(event.data));
    }
    for choice in chunk.choices.iter().flatten().filter(|choice| choice.index == 0) {
        let delta = choice.delta.as_ref();
        let texts = delta.into_iter().flat_map(|delta| [&delta.content, &delta.refusal]).flatten();
        texts.for_each(|text| heard.text(text));
        if let Some(reason) = &choice.finish_reason {
            heard.finish(finish(reason));
        }
    }
    if let Some(usage) = &chunk.usage {
        let count = |name: &str| usage.get(name).and_then(Value::as_u64);
        let (prompt, completion) = (count("prompt_tokens"), count("completion_tokens"));
        if prompt.is_some() || completion.is_some() {
            heard.usage(prompt, completion);
        }
    }
    Ok(true)
}

/// An object in JSON. What is wrong about it is told by its place, without what stands there.
pub(super) fn object<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, Failure> {
    // A list would be read as the members of an object, in their order.
    if !data.trim_start().starts_with('{') {
        return Err(Failure::broken("the provider sent an event that is no object in JSON"));
    }
    let wrong = |error: serde_json::Error| format!("wrong JSON at byte {}", error.column());
    serde_json::from_str(data).map_err(|error| {
        Failure::broken(format!("the provider sent an event that is none of the format ({})", wrong(error)))
    })
}

fn finish(reason: &str) -> Finish {
    match reason {
        "length" => Finish::Length,
        "content_filter" => Finish::ContentFilter,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}
