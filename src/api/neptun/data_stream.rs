//! The AI SDK's data stream, version 1: one part a line, `<code>:<json>`.
//!
//! Two forms are spoken. `Bare` is text parts only; `Whole` frames them with the beginning of a step (`f`), its
//! end (`e`) and the end of the message (`d`), and says so in a header; before its end it tells what the answer rests on
//! (`h`). Either ends with an error part (`3`) when the answer does.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use serde_json::json;

use crate::api::sources::Cited;
use crate::http::json::{self, Never};

/// Which parts are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text only.
    Bare,
    /// Everything.
    Whole,
}

/// Writes the parts of one answer.
#[derive(Debug)]
pub struct Writer {
    form: Form,
    prompt_tokens: usize,
    completion_tokens: usize,
}

impl Writer {
    /// For an answer to so many words.
    pub fn new(form: Form, prompt_tokens: usize) -> Self {
        Self { form, prompt_tokens, completion_tokens: 0 }
    }

    /// What is sent before any text.
    pub fn begin(&self, message_id: &str) -> Vec<u8> {
        match self.form {
            Form::Bare => Vec::new(),
            Form::Whole => part('f', &json!({"messageId": format!("msg-{message_id}")})),
        }
    }

    /// A piece of text.
    pub fn text(&mut self, piece: &str) -> Vec<u8> {
        self.completion_tokens += 1;
        part('0', &piece)
    }

    /// What the answer rests on.
    pub fn sources(&self, sources: &[Cited]) -> Vec<u8> {
        if self.form == Form::Bare {
            return Vec::new();
        }
        let parts = sources.iter().map(|cited| {
            let Cited { chunk_id: id, document_title: title, text, url } = cited;
            let of_roost = json!({"roost": {"text": text}});
            part('h', &json!({"sourceType": "url", "id": id, "url": url, "title": title, "providerMetadata": of_roost}))
        });
        parts.flatten().collect()
    }

    /// The end of a whole answer.
    pub fn end(&self) -> Vec<u8> {
        if self.form == Form::Bare {
            return Vec::new();
        }
        let usage = Usage { prompt_tokens: self.prompt_tokens, completion_tokens: self.completion_tokens };
        let step = part('e', &End { finish_reason: "stop", usage, is_continued: Some(false) });
        let message = part('d', &End { finish_reason: "stop", usage, is_continued: None });
        [step, message].concat()
    }

    /// The end of an answer that is not whole.
    pub fn error(&self, why: &str) -> Vec<u8> {
        part('3', &why)
    }
}

/// The end of a step or of a message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct End {
    finish_reason: &'static str,
    usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_continued: Option<bool>,
}

/// What an answer cost: the echo counts words, and its pieces.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
}

fn part(code: char, value: &impl Serialize) -> Vec<u8> {
    let mut line = vec![code as u8, b':'];
    line.extend(json::bytes(value));
    line.push(b'\n');
    line
}

/// An answer of such parts, as soon as each is there.
pub fn response<S>(form: Form, parts: S) -> Response
where
    S: Stream<Item = Vec<u8>> + Send + 'static,
{
    // An empty chunk would say that the body is over.
    let chunks = parts.filter(|part| std::future::ready(!part.is_empty()));
    let body = Body::from_stream(chunks.map(|part| Never::Ok(Bytes::from(part))));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let mut response = (headers, body).into_response();
    if form == Form::Whole {
        let version = HeaderName::from_static("x-vercel-ai-data-stream");
        response.headers_mut().insert(version, HeaderValue::from_static("v1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(parts: &[Vec<u8>]) -> String {
        String::from_utf8(parts.concat()).unwrap()
    }

    #[test]
    fn a_part_is_a_line_whatever_it_says() {
        let mut writer = Writer::new(Form::Whole, 3);
        let parts = [writer.begin("1"), writer.text("a\n\"b\"\r\u{2028}"), writer.text("é"), writer.end()];
        assert_eq!(
            text(&parts),
            "f:{\"messageId\":\"msg-1\"}\n0:\"a\\n\\\"b\\\"\\r\u{2028}\"\n0:\"é\"\n\
             e:{\"finishReason\":\"stop\",\"usage\":{\"promptTokens\":3,\"completionTokens\":2},\"isContinued\":false}\n\
             d:{\"finishReason\":\"stop\",\"usage\":{\"promptTokens\":3,\"completionTokens\":2}}\n"
        );
    }

    #[test]
    fn the_bare_form_is_text_only() {
        let mut writer = Writer::new(Form::Bare, 3);
        let cited = Cited { chunk_id: "c".into(), document_title: "t".into(), text: "x".into(), url: "/".into() };
        let parts = [writer.begin("1"), writer.text("a"), writer.sources(&[cited]), writer.end(), writer.error("why")];
        assert_eq!(text(&parts), "0:\"a\"\n3:\"why\"\n");
    }
}
