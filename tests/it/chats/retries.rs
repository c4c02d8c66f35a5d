//! Same key, same message: retries are harmless.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{Heard, Visitor, all, text};
use crate::support::app::TestApp;
use crate::support::sse::Events;

const ROUTES: [&str; 3] = ["messages/", "messages/chat/", "messages/chat/stream/"];

async fn send(visitor: &Visitor<'_>, route: &str, key: &str, said: &str) -> Response {
    let body = json!({"session_id": visitor.name(), "message": said, "role": "user"});
    let request = visitor.app.request(Method::POST, &format!("/api/chats/{route}"));
    request.header("idempotency-key", key).json(&body).send().await.unwrap()
}

/// What an answer says: of a stream the chunks joined and the end, because an answer that is stored
/// already is told in one piece.
async fn told(response: Response) -> (String, Value) {
    let body = response.text().await.unwrap();
    if !body.contains("data: ") {
        return (String::new(), serde_json::from_str(&body).unwrap());
    }
    let frames = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let frames: Vec<Value> = frames.map(|data| serde_json::from_str(data).unwrap()).collect();
    (all(&frames, "chunk").concat(), frames.last().unwrap().clone())
}

fn is_replay(response: &Response) -> bool {
    response.headers().get("idempotent-replayed").is_some_and(|value| value == "true")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_retries_at_once_are_one_message() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 5).await;
    for route in ROUTES {
        let visitor = app.visitor().await;
        let sending = (0..50).map(|_| async {
            let response = send(&visitor, route, "key", "hello you").await;
            assert!(response.status().is_success(), "{route}");
            (is_replay(&response), told(response).await)
        });
        let answers = futures_util::future::join_all(sending).await;
        assert_eq!(answers.iter().filter(|(replayed, _)| !replayed).count(), 1, "{route}");
        let bodies: HashSet<_> = answers.iter().map(|(_, told)| told).collect();
        assert_eq!(bodies.len(), 1, "{route}: all get the same answer: {bodies:?}");
        let stored = if route == "messages/" { 1 } else { 2 };
        assert_eq!(visitor.lists().await.len(), stored, "{route}");
    }
}

#[tokio::test]
async fn a_key_stands_for_one_body() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    for route in ROUTES {
        let first = send(&visitor, route, route, "hello").await;
        assert!(first.status().is_success());
        first.text().await.unwrap();
        let response = send(&visitor, route, route, "good-bye").await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body, json!({"error": "This Idempotency-Key was used with another body: use a new key."}));
    }
    assert_eq!(visitor.lists().await.len(), 5);
}

#[tokio::test]
async fn a_key_is_a_sessions_own_and_lasts() {
    let mut app = TestApp::start().await;
    let (first, second) = (app.visitor().await, app.visitor().await);
    let told: Value = send(&first, "messages/chat/", "key", "hello").await.json().await.unwrap();
    assert!(!is_replay(&send(&second, "messages/chat/", "key", "hello").await));
    let session = first.session.clone();
    app.restart().await;
    let first = Visitor { app: &app, session };
    let again = send(&first, "messages/chat/", "key", "hello").await;
    assert!(is_replay(&again));
    assert_eq!(again.json::<Value>().await.unwrap(), told);
}

/// A retry may come late: when the session is over, what was sent before is still known.
#[tokio::test]
async fn a_retry_is_told_of_its_message_after_the_session_expired() {
    let app = TestApp::start().await;
    for route in ROUTES {
        let visitor = app.visitor().await;
        let first = told(send(&visitor, route, route, "hello").await).await;
        app.clock.advance(Duration::from_secs(7 * 24 * 3600));
        let again = send(&visitor, route, route, "hello").await;
        assert!(again.status().is_success() && is_replay(&again), "{route}");
        assert_eq!(told(again).await, first);
        let new = send(&visitor, route, "another", "hello").await;
        assert_eq!(new.status(), StatusCode::FORBIDDEN);
    }
}

/// The connection broke in the middle of the stream, and the client sends its question again.
#[tokio::test]
async fn a_retried_stream_is_heard_from_its_beginning() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 10).await;
    let visitor = app.visitor().await;
    let url = format!("{}/api/chats/messages/chat/stream/", app.url);
    let ask = || app.client.post(&url).header("idempotency-key", "key").json(&visitor.question("one two three four"));
    let mut stream = Events::open(ask()).await;
    stream.next().await.unwrap();
    drop(stream);
    let heard = Heard::all(Events::open(ask()).await).await;
    let list = visitor.lists().await;
    assert_eq!((heard.text().as_str(), list.len()), ("Echo: one two three four", 2));
    assert_eq!(text(&heard.end["response_id"]), text(&list[1]["id"]));
}

#[tokio::test]
async fn a_key_is_visible_ascii() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    for key in ["", "with space", "schlüssel", &"k".repeat(256)] {
        let response = send(&visitor, "messages/", key, "hello").await;
        let want = json!({"Idempotency-Key": ["Must be 1 to 255 visible ASCII characters."]});
        assert_eq!((response.status(), response.json::<Value>().await.unwrap()), (StatusCode::BAD_REQUEST, want));
        let response = send(&visitor, "messages/chat/", key, "hello").await;
        let want = json!({"error": "Idempotency-Key must be 1 to 255 visible characters"});
        assert_eq!((response.status(), response.json::<Value>().await.unwrap()), (StatusCode::BAD_REQUEST, want));
    }
    assert!(visitor.lists().await.is_empty());
}
