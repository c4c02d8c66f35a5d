//! The events of a response that is streamed, numbered so that a client can go on behind any of them.
//!
//! The first five numbers stand for the beginning (the second for a wait before it); after them a number is how many bytes of the answer there are up to
//! the event's end, and four more stand for the end. So numbers leave gaps, and need no memory: what comes behind one
//! is told by the text alone, also by another node or after a restart.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::answer::End;
use super::wire_responses::{Broken, Item, ResponseUsage, Shown, Status, Text};
use crate::api::run::no_answer;
use crate::domain::{RunOutcome, RunReason};
use crate::http::json;
use crate::http::sse::Frame;

/// The number of the first event of an answer whose turn it is.
const TURN: usize = 2;
/// The number of the last event before the text.
const BEGUN: usize = 4;

/// Writes the events of one response.
pub struct Writer {
    response: Shown,
    item_id: String,
    /// What the client has heard.
    after: Option<usize>,
}

impl Writer {
    /// For a client that has heard everything up to that number. The response is shown as it is before any text.
    pub fn new(response: Shown, item_id: String, after: Option<usize>) -> Self {
        Self { response, item_id, after }
    }

    /// Where in the answer's text, in bytes, a client goes on that has heard everything up to that number.
    pub fn cursor(after: Option<usize>) -> usize {
        after.unwrap_or(0).saturating_sub(BEGUN)
    }

    /// What comes before the text, or before the wait for another answer.
    pub fn begin(&mut self) -> Bytes {
        let response = json!({"response": self.response});
        if self.response.status == Status::Queued {
            return self.written(0, [("response.created", response.clone()), ("response.queued", response)]).into();
        }
        let created = self.written(0, [("response.created", response)]);
        [created, self.turn()].concat().into()
    }

    /// What comes before the text of an answer whose turn it is.
    fn turn(&mut self) -> Vec<u8> {
        self.response.status = Status::InProgress;
        let item = item(&self.item_id, "in_progress", None);
        let events = [
            ("response.in_progress", json!({"response": self.response})),
            ("response.output_item.added", json!({"output_index": 0, "item": item})),
            ("response.content_part.added", self.part(json!({"part": text(String::new())}))),
        ];
        self.written(TURN, events)
    }

    /// The same, unless it was told: that there is text, or an end, says that the wait is over.
    fn after_wait(&mut self) -> Vec<u8> {
        if self.response.status == Status::Queued { self.turn() } else { Vec::new() }
    }

    /// More text, up to that many bytes in all.
    pub fn text(&mut self, chunk: &str, cursor: usize) -> Bytes {
        let before = self.after_wait();
        let delta = self.part(json!({"delta": chunk, "logprobs": []}));
        [before, self.written(BEGUN + cursor, [("response.output_text.delta", delta)])].concat().into()
    }

    /// The end, after that many bytes of text.
    pub fn end(&mut self, end: End, cursor: usize) -> Bytes {
        let before = self.after_wait();
        let (outcome, whole) = (end.outcome, end.text.clone());
        let number = BEGUN + cursor.max(whole.len()) + 1;
        let response = ended(&self.response, &self.item_id, end);
        let item = response.output.first().cloned();
        let last = match outcome {
            RunOutcome::Completed => "response.completed",
            // There is no event for one that was stopped.
            RunOutcome::Stopped => "response.incomplete",
            RunOutcome::Failed | RunOutcome::Interrupted => "response.failed",
        };
        let done = self.part(json!({"text": whole, "logprobs": []}));
        let events = [
            ("response.output_text.done", done),
            ("response.content_part.done", self.part(json!({"part": text(whole)}))),
            ("response.output_item.done", json!({"output_index": 0, "item": item})),
            (last, json!({"response": response})),
        ];
        [before, self.written(number, events)].concat().into()
    }

    fn part(&self, mut event: Value) -> Value {
        event["item_id"] = Value::from(self.item_id.as_str());
        event["output_index"] = Value::from(0);
        event["content_index"] = Value::from(0);
        event
    }

    /// The events from that number on, but for those that the client has heard.
    fn written<const N: usize>(&self, first: usize, events: [(&'static str, Value); N]) -> Vec<u8> {
        let mut frames = Vec::new();
        for (number, (name, mut event)) in events.into_iter().enumerate() {
            let number = first + number;
            if self.after.is_some_and(|after| number <= after) {
                continue;
            }
            event["type"] = Value::from(name);
            event["sequence_number"] = Value::from(number);
            let data = String::from_utf8_lossy(&json::bytes(&event)).into_owned();
            frames.extend_from_slice(&Frame { event: Some(name), data: &data, ..Frame::default() }.bytes());
        }
        frames
    }
}

/// A response as it is after its end.
pub fn ended(begun: &Shown, item_id: &str, end: End) -> Shown {
    let (outcome, whole) = (end.outcome, end.text);
    let (status, usage) = (Status::from(outcome), end.usage.map(ResponseUsage::from));
    // Of the words that the libraries know for it, the nearest.
    let code = if end.reason == Some(RunReason::Budget) { "rate_limit_exceeded" } else { "server_error" };
    let message = no_answer(outcome, end.reason);
    let error = (status == Status::Failed).then_some(Broken { code, message });
    let of_item = if status == Status::Completed { "completed" } else { "incomplete" };
    let output = if whole.is_empty() && status != Status::Completed {
        Vec::new()
    } else {
        vec![item(item_id, of_item, Some(whole))]
    };
    Shown { status, error, output, usage, ..begun.clone() }
}

/// A response as it is while its text is on its way.
pub fn under_way(begun: &Shown, item_id: &str, so_far: String) -> Shown {
    let output = if so_far.is_empty() { Vec::new() } else { vec![item(item_id, "in_progress", Some(so_far))] };
    let status = if output.is_empty() { begun.status } else { Status::InProgress };
    Shown { status, output, ..begun.clone() }
}

fn item(id: &str, status: &'static str, said: Option<String>) -> Item {
    let content = said.map(text).into_iter().collect();
    Item { id: id.to_owned(), kind: "message", role: "assistant", status, content }
}

fn text(text: String) -> Text {
    Text { kind: "output_text", text, annotations: Vec::new(), logprobs: Vec::new() }
}
