//! Questions that are answered whole.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{all, text};
use crate::support::app::{TestApp, answer};

#[tokio::test]
async fn a_session_is_named_either_way_and_echoed_as_given() {
    let app = TestApp::start().await;
    let visitor = app.visitor_with(json!({"session_id": "lp-1"})).await;
    for name in ["lp-1", text(&visitor.session["id"])] {
        let (status, told) = app.post("/api/chats/messages/chat/", json!({"message": "Hi", "session_id": name})).await;
        assert_eq!(
            (status, &told["session_id"], &told["response"]),
            (StatusCode::OK, &json!(name), &json!("Echo: Hi"))
        );
        let stream = json!({"message": "Hi", "session_id": name});
        assert_eq!(app.post("/api/chats/messages/chat/stream/", stream).await.0, StatusCode::OK);
        assert_eq!(app.get(&format!("/api/chats/messages/?session_id={name}")).await.0, StatusCode::OK);
    }
    assert_eq!(visitor.lists().await.len(), 8);
}

#[tokio::test]
async fn a_question_may_come_as_a_form() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    for path in ["/api/chats/messages/chat/", "/api/chats/messages/chat/stream/"] {
        let form = [("message", "Xin chào & tạm biệt"), ("session_id", visitor.name())];
        assert_eq!(answer(app.request(Method::POST, path).form(&form)).await.0, StatusCode::OK);
    }
    let form = [("message", "plain"), ("session_id", visitor.name()), ("role", "user"), ("metadata", "{\"a\":1}")];
    let (status, stored) = answer(app.request(Method::POST, "/api/chats/messages/").form(&form)).await;
    assert_eq!((status, &stored["metadata"]), (StatusCode::CREATED, &json!({"a": 1})));
    let answered = "Echo: Xin chào & tạm biệt";
    let list = visitor.lists_with("&role=assistant").await;
    assert_eq!(all(&list, "message"), [answered, answered]);
}

#[tokio::test]
async fn a_number_stands_for_its_digits() {
    let app = TestApp::start().await;
    app.visitor_with(json!({"session_id": 7})).await;
    let (status, told) = app.post("/api/chats/messages/chat/", json!({"message": 42, "session_id": 7})).await;
    assert_eq!((status, &told["response"], &told["session_id"]), (StatusCode::OK, &json!("Echo: 42"), &json!("7")));
}

/// A stranger who names their session after somebody's identifier does not get that one's messages.
#[tokio::test]
async fn an_identifier_comes_before_a_name() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let impostor = app.visitor_with(json!({"session_id": visitor.session["id"]})).await;
    let question = json!({"message": "secret", "session_id": visitor.session["id"]});
    assert_eq!(app.post("/api/chats/messages/chat/", question).await.0, StatusCode::OK);
    assert_eq!(visitor.lists().await.len(), 2);
    let path = format!("/api/chats/messages/?session_id={}", text(&impostor.session["id"]));
    assert_eq!(app.get(&path).await.1, json!([]));
}

/// Everybody asks at once, in sessions of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_ask_at_once_and_each_gets_their_own_answer() {
    let app = TestApp::start().await;
    let visitors = futures_util::future::join_all((0..40).map(|_| app.visitor())).await;
    let asking = visitors.iter().enumerate().map(|(number, visitor)| async move {
        let (one, two) = (format!("one {number}"), format!("two {number}"));
        let (first, second) = tokio::join!(visitor.asks(&one), visitor.asks(&two));
        assert_eq!(
            (&first["response"], &second["response"]),
            (&json!(format!("Echo: {one}")), &json!(format!("Echo: {two}")))
        );
        assert_eq!(visitor.lists().await.len(), 4);
    });
    futures_util::future::join_all(asking).await;
}
