//! The rules that an operator can set: expiry, activity, limits.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Visitor, text};
use crate::support::app::TestApp;

/// Every way to write into a session.
async fn writes(visitor: &Visitor<'_>) -> Vec<(StatusCode, Value)> {
    let mut answers = Vec::new();
    for path in ["messages/", "messages/chat/", "messages/chat/stream/"] {
        let body = json!({"session_id": visitor.name(), "message": "hello", "role": "user"});
        answers.push(visitor.app.post(&format!("/api/chats/{path}"), body).await);
    }
    answers
}

async fn assert_closed(visitor: &Visitor<'_>, why: &str) {
    let before = visitor.lists().await;
    for answer in writes(visitor).await {
        assert_eq!(answer, (StatusCode::FORBIDDEN, json!({"error": why})));
    }
    assert_eq!(visitor.lists().await, before, "reading works, and nothing was stored");
}

#[tokio::test]
async fn an_expired_session_can_be_read_and_not_written() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    visitor.asks("hello").await;
    app.clock.advance(Duration::from_secs(24 * 3600 - 60));
    visitor.says("still time").await;
    app.clock.advance(Duration::from_secs(60));
    assert_closed(&visitor, "Session is expired").await;
    assert_eq!(visitor.lists().await.len(), 3, "expiry deletes nothing");
    let later = json!({"expires_at": "2999-01-01T00:00:00Z"});
    assert_eq!(app.send(Method::PATCH, &visitor.path(), later).await.0, StatusCode::OK);
    visitor.asks("and now?").await;
}

#[tokio::test]
async fn a_session_that_was_switched_off_takes_no_messages() {
    let app = TestApp::start().await;
    let visitor = app.visitor_with(json!({"is_active": false})).await;
    assert_closed(&visitor, "Session is not active").await;
    assert_eq!(app.send(Method::PATCH, &visitor.path(), json!({"is_active": true})).await.0, StatusCode::OK);
    visitor.asks("and now?").await;
}

#[tokio::test]
async fn expiry_can_be_left_to_the_client() {
    let app = TestApp::with(|config| config.chats.enforce_expiry = false).await;
    let over = json!({"is_active": false, "expires_at": "2001-01-01T00:00:00Z"});
    let visitor = app.visitor_with(over).await;
    assert!(writes(&visitor).await.iter().all(|(status, _)| status.is_success()));
}

#[tokio::test]
async fn an_address_is_limited_over_every_route() {
    let app = TestApp::with(|config| {
        config.limits.enabled = true;
        config.limits.chats_per_minute = 4;
    })
    .await;
    let paths = ["sessions/", "messages/", "nothing/", "messages/chat/"];
    for (path, left) in paths.iter().zip([3, 2, 1, 0]) {
        let response = app.request(Method::GET, &format!("/api/chats/{path}")).send().await.unwrap();
        assert_ne!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["x-ratelimit-limit"], "4", "{path}");
        assert_eq!(response.headers()["x-ratelimit-remaining"], left.to_string().as_str(), "{path}");
    }
    for path in paths {
        let response = app.request(Method::GET, &format!("/api/chats/{path}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().parse::<u64>().unwrap();
        let after = header("retry-after");
        assert_eq!((header("x-ratelimit-limit"), header("x-ratelimit-remaining")), (4, 0));
        assert_eq!(header("x-ratelimit-reset"), after);
        assert!((1..=15).contains(&after), "{after}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(text(&body["detail"]), format!("Request was throttled. Expected available in {after} seconds."));
    }
}

#[tokio::test]
async fn who_gets_no_place_for_a_stream_has_asked_nothing() {
    let app = TestApp::with(|config| config.http.streams_per_address_max = 1).await;
    let visitor = app.visitor().await;
    let following = visitor.follows(0).await;
    let refused = app.request(Method::POST, "/api/chats/messages/chat/stream/").json(&visitor.question("hello"));
    let response = refused.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body, json!({"error": "Too many streams are open: try again in a second."}));
    assert!(visitor.lists().await.is_empty());
    drop(following);
}

#[tokio::test]
async fn without_an_assistant_a_question_is_refused_and_a_message_is_stored() {
    let app = TestApp::with(|config| config.assistant.provider = roost::config::ProviderName::None).await;
    let visitor = app.visitor().await;
    let (status, body) = app.post("/api/chats/messages/chat/", visitor.question("hello")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body, json!({"error": "The assistant is not available at the moment: try again later."}));
    visitor.says("hello").await;
    assert_eq!(visitor.lists().await.len(), 1);
}
