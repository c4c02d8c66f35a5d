//! A client of server-sent events, as the HTML standard reads them.

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::app::PATIENCE;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Option<i64>,
    pub event: String,
    pub data: Value,
}

/// An open stream.
pub struct Events {
    response: Response,
    pending: Vec<u8>,
}

impl Events {
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        let kind = response.headers()["content-type"].to_str().expect("text");
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        Self { response, pending: Vec::new() }
    }

    /// The next event that carries data; `None` when the stream has ended. Fails when nothing
    /// comes.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = parse(&self.block().await?) {
                return Some(event);
            }
        }
    }

    /// The next comment, which only says that the stream is alive. Fails when the stream ends.
    pub async fn next_comment(&mut self) {
        while !self.block().await.expect("the stream goes on").starts_with(':') {}
    }

    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.pending.drain(..end + 2).collect();
                return Some(String::from_utf8(block).expect("an event is text"));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("an event in time");
            // A server that goes away in the middle ends the stream as well as one that says so.
            self.pending.extend_from_slice(&chunk.ok()??);
        }
    }

    /// The next event of that kind; others are skipped.
    pub async fn next_of(&mut self, kind: &str) -> Option<Event> {
        loop {
            let event = self.next().await?;
            if event.event == kind {
                return Some(event);
            }
        }
    }
}

fn parse(block: &str) -> Option<Event> {
    let (mut id, mut event, mut data) = (None, "message".to_owned(), None);
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("id", value)) => id = value.parse().ok(),
            Some(("event", value)) => value.clone_into(&mut event),
            Some(("data", value)) => data = Some(serde_json::from_str(value).expect("data is JSON")),
            _ => {}
        }
    }
    data.map(|data| Event { id, event, data })
}
