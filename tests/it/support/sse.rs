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
    /// What a browser would come back with: the last id, also one that came without an event.
    pub last_id: Option<i64>,
}

impl Events {
    pub async fn open(request: RequestBuilder) -> Self {
        let events = Self::through_a_proxy(request).await;
        assert_eq!(events.response.headers()["x-accel-buffering"], "no", "what proxies are told");
        events
    }

    /// The same behind a proxy, which keeps to itself what was meant for it.
    pub async fn through_a_proxy(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        let kind = response.headers()["content-type"].to_str().expect("text");
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        assert_eq!(response.headers()["cache-control"], "no-cache, no-transform", "what proxies are told");
        assert!(
            !response.headers().contains_key("content-encoding") && !response.headers().contains_key("content-length")
        );
        Self { response, pending: Vec::new(), last_id: None }
    }

    /// A stream that has been answered.
    pub fn of(response: Response) -> Self {
        Self { response, pending: Vec::new(), last_id: None }
    }

    /// The next event that carries data; `None` when the stream has ended. Fails when nothing
    /// comes.
    pub async fn next(&mut self) -> Option<Event> {
        let next = async {
            loop {
                let block = self.block().await?;
                if let Some(event) = parse(&block) {
                    return Some(event);
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("an event in time")
    }

    /// Waits for a sign of life: a block without data that is no `retry`.
    pub async fn beat(&mut self) -> Option<()> {
        loop {
            let block = self.block().await?;
            if block.starts_with(':') {
                assert!(parse(&block).is_none(), "a comment moves nothing: {block}");
                return Some(());
            }
        }
    }

    /// The next block; what it says of the id is kept.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.pending.drain(..end + 2).collect();
                let block = String::from_utf8(block).expect("an event is text");
                let id =
                    block.lines().find_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().expect("a number"));
                assert!(
                    id.is_none() || block.contains("event: reset") || id >= self.last_id,
                    "a cursor goes back: {block}"
                );
                self.last_id = id.or(self.last_id);
                return Some(block);
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
            // What ends the streams of assistants is no JSON.
            Some(("data", "[DONE]")) => data = Some(Value::from("[DONE]")),
            Some(("data", value)) => data = Some(serde_json::from_str(value).expect("data is JSON")),
            _ => {}
        }
    }
    data.map(|data| Event { id, event, data })
}
