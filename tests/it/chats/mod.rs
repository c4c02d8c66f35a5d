//! The chats door, from the outside.

mod answers;
mod crash;
mod errors;
mod following;
mod lists;
mod retries;
mod rules;
mod runs;
mod sessions;
mod streams;
mod workflow;

use reqwest::{Method, Response, StatusCode};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor as Visit};
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer};
use crate::support::sse::{Event, Events};

/// A landing page's visitor, who talks to the assistant in a session of their own.
pub struct Visitor<'a> {
    pub app: &'a TestApp,
    /// The session as it was made.
    pub session: Value,
}

impl TestApp {
    /// A visitor with a session of their own.
    pub async fn visitor(&self) -> Visitor<'_> {
        self.visitor_with(json!({})).await
    }

    /// A visitor with such a session.
    pub async fn visitor_with(&self, fields: Value) -> Visitor<'_> {
        let (status, session) = self.post("/api/chats/sessions/", fields).await;
        assert_eq!(status, StatusCode::CREATED, "{session}");
        Visitor { app: self, session }
    }

    /// `DELETE`, `PATCH` and the like: status and JSON.
    pub async fn send(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(method, path).json(&body)).await
    }

    /// `DELETE`: the status.
    pub async fn delete(&self, path: &str) -> StatusCode {
        answer(self.request(Method::DELETE, path)).await.0
    }
}

impl Visitor<'_> {
    /// The session's `session_id`.
    pub fn name(&self) -> &str {
        self.session["session_id"].as_str().expect("a name")
    }

    /// The session's path.
    pub fn path(&self) -> String {
        format!("/api/chats/sessions/{}/", text(&self.session["id"]))
    }

    /// Stores a message and returns it.
    pub async fn says(&self, text: &str) -> Value {
        let body = json!({"session_id": self.name(), "message": text, "role": "user"});
        let (status, message) = self.app.post("/api/chats/messages/", body).await;
        assert_eq!(status, StatusCode::CREATED, "{message}");
        message
    }

    /// Asks, and returns the whole answer.
    pub async fn asks(&self, text: &str) -> Value {
        let (status, answer) = self.app.post("/api/chats/messages/chat/", self.question(text)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    /// Asks, and hears the answer as it is made.
    pub async fn hears(&self, text: &str) -> Events {
        let url = format!("{}/api/chats/messages/chat/stream/", self.app.url);
        Events::open(self.app.client.post(url).json(&self.question(text))).await
    }

    /// Goes on hearing an answer from a cursor.
    pub async fn resumes(&self, question: &str, cursor: usize) -> Events {
        let url = format!("{}/api/chats/messages/chat/stream/{question}/", self.app.url);
        Events::open(self.app.client.get(url).header("last-event-id", cursor)).await
    }

    /// Stops an answer.
    pub async fn stops(&self, question: &str) -> Value {
        let body = json!({"session_id": self.name(), "message_id": question});
        let (status, stopped) = self.app.post("/api/chats/messages/chat/stop/", body).await;
        assert_eq!(status, StatusCode::OK, "{stopped}");
        stopped
    }

    pub fn question(&self, text: &str) -> Value {
        json!({"message": text, "session_id": self.name()})
    }

    /// The list's path with more of a query.
    pub fn list_path(&self, query: &str) -> String {
        let name = serde_urlencoded::to_string([("session_id", self.name())]).expect("a query");
        format!("/api/chats/messages/?{name}{query}")
    }

    /// The list with its headers.
    pub async fn list_response(&self, query: &str) -> Response {
        let response = self.app.request(Method::GET, &self.list_path(query)).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        response
    }

    /// The list, filtered or paged.
    pub async fn lists_with(&self, query: &str) -> Vec<Value> {
        self.list_response(query).await.json().await.expect("a bare array")
    }

    /// The whole list.
    pub async fn lists(&self) -> Vec<Value> {
        self.lists_with("").await
    }

    /// Follows the session from a cursor.
    pub async fn follows(&self, cursor: i64) -> Events {
        let url = format!("{}{}events/", self.app.url, self.path());
        Events::open(self.app.client.get(url).header("last-event-id", cursor)).await
    }

    /// The assistant's next message, as soon as it is stored.
    pub async fn waits_for_answer(&self) -> Value {
        let mut events = self.follows(0).await;
        loop {
            let message = events.next_of("message").await.expect("an open stream").data;
            if message["role"] == "assistant" {
                return message;
            }
        }
    }
}

/// A string out of JSON.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string"))
}

/// The fields of that name, in order.
pub fn all<'a>(list: &'a [Value], field: &str) -> Vec<&'a str> {
    list.iter().map(|item| text(&item[field])).collect()
}

/// What a stream of chunks amounts to.
#[derive(Debug, Default)]
pub struct Heard {
    /// The chunks.
    pub chunks: Vec<String>,
    /// The cursor behind each.
    pub cursors: Vec<usize>,
    /// The closing frame.
    pub end: Value,
}

impl Heard {
    /// A stream to its end, which has to be said once and last.
    pub async fn all(mut stream: Events) -> Self {
        let mut heard = Self::default();
        while let Some(event) = stream.next().await {
            assert_eq!(heard.end, Value::Null, "nothing follows the closing frame");
            heard.take(event);
        }
        assert_ne!(heard.end, Value::Null, "a closing frame");
        heard
    }

    fn take(&mut self, event: Event) {
        if event.data["done"] == json!(true) {
            assert_eq!(event.data["chunk"], "");
            self.end = event.data;
            return;
        }
        self.chunks.push(text(&event.data["chunk"]).to_owned());
        self.cursors.push(usize::try_from(event.id.expect("a cursor")).expect("an offset"));
    }

    /// The chunks joined.
    pub fn text(&self) -> String {
        self.chunks.concat()
    }
}

/// The names of an object's members, in the order in which they were sent.
pub fn keys(object: &str) -> Vec<String> {
    struct Keys;
    impl<'de> Visit<'de> for Keys {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, IgnoredAny)) = map.next_entry()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(object);
    (&mut reader).deserialize_map(Keys).unwrap_or_else(|error| panic!("{error}: {object}"))
}
