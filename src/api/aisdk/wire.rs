//! UI messages and the parts of a UI message stream, as the package `ai` reads them. The doc comments are the public
//! documentation.

use axum::body::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::run::no_answer;
use crate::api::sources::{self, Cited};
use crate::chat::Ended;
use crate::domain::{Message, Role, RunOutcome};
use crate::http::json;
use crate::http::sse::Frame;

/// What `useChat` sends.
#[derive(ToSchema)]
#[schema(as = aisdk::Sent)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct Sent {
    /// The chat: 1 to 255 characters of the client's choice, and all that is needed to read it.
    #[schema(min_length = 1, max_length = 255, example = "zKcYMqs3fY8dA0wq")]
    id: String,
    /// The chat as the client has it. Only the last message is looked at, which is the user's.
    #[schema(nullable)]
    messages: Option<Vec<SentMessage>>,
    /// The last message alone, from a transport that sends no more.
    #[schema(nullable)]
    message: Option<SentMessage>,
    /// `submit-message` or `regenerate-message`.
    #[schema(nullable, example = "submit-message")]
    trigger: Option<String>,
}

/// A message as `useChat` sends it.
#[derive(ToSchema)]
#[schema(as = aisdk::SentMessage)]
#[expect(dead_code, reason = "describes what is read field by field")]
pub struct SentMessage {
    /// `user`.
    #[schema(example = "user")]
    role: String,
    /// Its parts; the texts are joined, and files are refused.
    parts: Vec<Part>,
}

/// A part of a message.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[schema(as = aisdk::Part)]
pub enum Part {
    /// What it says.
    Text {
        /// The text.
        #[schema(example = "What is AI?")]
        text: String,
    },
    /// What it rests on.
    SourceDocument(SourceDocument),
}

/// A piece of a document that an answer rests on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = aisdk::SourceDocument)]
pub struct SourceDocument {
    /// The piece's name.
    source_id: String,
    /// `text/plain`: the piece is text, whatever the document is.
    #[schema(example = "text/plain")]
    media_type: &'static str,
    /// What people call the document.
    #[schema(example = "Opening hours")]
    title: String,
    /// What only Roost says of it.
    provider_metadata: OfRoost,
}

/// What only Roost says of a source.
#[derive(Serialize, ToSchema)]
#[schema(as = aisdk::OfRoost)]
pub struct OfRoost {
    /// The excerpt.
    roost: Excerpt,
}

/// A piece of a document.
#[derive(Serialize, ToSchema)]
#[schema(as = aisdk::Excerpt)]
pub struct Excerpt {
    /// What it says.
    text: String,
    /// Where the document can be read, by whoever may: a path on this server.
    url: String,
}

impl From<Cited> for SourceDocument {
    fn from(cited: Cited) -> Self {
        Self {
            source_id: cited.chunk_id,
            media_type: "text/plain",
            title: cited.document_title,
            provider_metadata: OfRoost { roost: Excerpt { text: cited.text, url: cited.url } },
        }
    }
}

/// A message as `useChat` takes it.
#[derive(Serialize, ToSchema)]
#[schema(as = aisdk::UiMessage)]
pub struct UiMessage {
    /// Its identifier. An answer's is that of the stream that brought it.
    #[schema(example = "019c1e6f-0a0b-7d2e-8f30-415263748596")]
    id: String,
    /// Who speaks: `user`, `assistant` or `system`.
    #[schema(example = "user")]
    role: &'static str,
    /// What was attached. An answer that lacks its end has `incomplete: true` here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    metadata: Option<Box<RawValue>>,
    /// Its text, and what it rests on.
    parts: Vec<Part>,
}

impl UiMessage {
    /// A stored message; `question` is what it answers.
    pub fn new(message: &Message, question: Option<Uuid>) -> Self {
        let metadata = message.metadata.as_ref().and_then(|json| RawValue::from_string(json.0.clone()).ok());
        let role = match message.role {
            // The SDK knows no third person.
            Role::Staff => Role::Assistant,
            role => role,
        };
        let id = question.map_or_else(|| message.uuid.to_string(), answer_id);
        let said = Part::Text { text: message.text.clone() };
        let rests_on = sources::of(message).into_iter().map(|cited| Part::SourceDocument(cited.into()));
        let parts = std::iter::once(said).chain(rests_on).collect();
        Self { id, role: role.as_str(), metadata, parts }
    }
}

/// The identifier of the answer to a question, the same in its stream and in the list: a page that loads the list and
/// resumes the stream must not show the answer twice.
fn answer_id(question: Uuid) -> String {
    format!("answer-{question}")
}

/// What became of an answer that was to be stopped.
#[derive(Serialize, ToSchema)]
#[schema(as = aisdk::Stopped)]
pub struct Stopped {
    /// Whether it ended by being stopped; false when none was under way.
    #[schema(example = true)]
    pub stopped: bool,
}

/// What goes over the stream. Nothing that only newer releases of the package know: older ones refuse it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Chunk<'a> {
    Start { message_id: &'a str },
    StartStep,
    TextStart { id: &'static str },
    TextDelta { id: &'static str, delta: &'a str },
    TextEnd { id: &'static str },
    SourceDocument(SourceDocument),
    FinishStep,
    Finish,
    Abort,
    Error { error_text: &'a str },
}

/// An answer has one text.
const TEXT: &str = "0";

/// Writes the stream of one answer.
#[derive(Debug)]
pub struct Writer {
    has_text: bool,
}

impl Writer {
    /// A writer, and what is sent before any text.
    pub fn begin(question: Uuid) -> (Self, Bytes) {
        let id = answer_id(question);
        (Self { has_text: false }, frames(&[Chunk::Start { message_id: &id }, Chunk::StartStep]))
    }

    /// A piece of text.
    pub fn text(&mut self, delta: &str) -> Bytes {
        let more = Chunk::TextDelta { id: TEXT, delta };
        if std::mem::replace(&mut self.has_text, true) {
            frames(&[more])
        } else {
            frames(&[Chunk::TextStart { id: TEXT }, more])
        }
    }

    /// The end of the stream. What the answer rests on is known by then.
    pub fn end(&self, ended: &Ended) -> Bytes {
        let outcome = ended.outcome;
        let text_end = self.has_text.then_some(Chunk::TextEnd { id: TEXT });
        let rest = match outcome {
            RunOutcome::Completed => vec![Chunk::FinishStep, Chunk::Finish],
            RunOutcome::Stopped => vec![Chunk::Abort],
            RunOutcome::Failed | RunOutcome::Interrupted => {
                vec![Chunk::Error { error_text: no_answer(outcome, ended.reason) }]
            }
        };
        let rests_on = ended.answer.as_deref().map(sources::of).unwrap_or_default();
        let rests_on = rests_on.into_iter().map(|cited| Chunk::SourceDocument(cited.into()));
        let chunks: Vec<_> = text_end.into_iter().chain(rests_on).chain(rest).collect();
        let done = Frame { data: "[DONE]", ..Frame::default() }.bytes();
        [frames(&chunks), done].concat().into()
    }
}

fn frames(chunks: &[Chunk<'_>]) -> Bytes {
    let mut frames = Vec::new();
    for chunk in chunks {
        let data = json::bytes(chunk);
        frames.extend_from_slice(&Frame { data: &String::from_utf8_lossy(&data), ..Frame::default() }.bytes());
    }
    frames.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Usage;

    fn written(outcome: RunOutcome, texts: &[&str]) -> String {
        let (mut writer, mut all) = Writer::begin(Uuid::nil());
        for text in texts {
            all = [all, writer.text(text)].concat().into();
        }
        let ended = Ended { outcome, reason: None, answer: None, usage: Usage::default() };
        String::from_utf8([all, writer.end(&ended)].concat()).unwrap()
    }

    #[test]
    fn a_stream_is_framed_as_the_sdk_reads_it() {
        let begin = "data: {\"type\":\"start\",\"messageId\":\"answer-00000000-0000-0000-0000-000000000000\"}\n\n\
                     data: {\"type\":\"start-step\"}\n\n";
        let done = "data: [DONE]\n\n";
        assert_eq!(
            written(RunOutcome::Completed, &["a\n", "b"]),
            format!(
                "{begin}data: {{\"type\":\"text-start\",\"id\":\"0\"}}\n\n\
                 data: {{\"type\":\"text-delta\",\"id\":\"0\",\"delta\":\"a\\n\"}}\n\n\
                 data: {{\"type\":\"text-delta\",\"id\":\"0\",\"delta\":\"b\"}}\n\n\
                 data: {{\"type\":\"text-end\",\"id\":\"0\"}}\n\n\
                 data: {{\"type\":\"finish-step\"}}\n\ndata: {{\"type\":\"finish\"}}\n\n{done}"
            )
        );
        assert_eq!(written(RunOutcome::Stopped, &[]), format!("{begin}data: {{\"type\":\"abort\"}}\n\n{done}"));
        let failed = written(RunOutcome::Failed, &[]);
        assert!(failed.contains("{\"type\":\"error\",\"errorText\":\"The assistant"), "{failed}");
    }
}
