//! The seed's complete workflow, word for word: every key, in its order.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{all, keys, text};
use crate::support::app::TestApp;

const SESSION: [&str; 7] =
    ["id", "session_id", "external_user_id", "created_at", "expires_at", "is_active", "metadata"];
const MESSAGE: [&str; 6] = ["id", "session", "message", "role", "metadata", "timestamp"];

/// Status and text.
async fn told(app: &TestApp, method: Method, path: &str, body: Value) -> (StatusCode, String) {
    let request = app.request(method, path);
    let request = if body.is_null() { request } else { request.json(&body) };
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

#[tokio::test]
async fn the_seeds_workflow() {
    let app = TestApp::start().await;

    // 1. Create session
    let metadata = json!({"metadata": {"device": "web", "browser": "Chrome"}});
    let (status, body) = told(&app, Method::POST, "/api/chats/sessions/", metadata.clone()).await;
    assert_eq!((status, keys(&body)), (StatusCode::CREATED, SESSION.map(str::to_owned).to_vec()));
    let session: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(session["metadata"], metadata["metadata"]);
    assert_eq!((&session["external_user_id"], &session["is_active"]), (&Value::Null, &json!(true)));
    let name = text(&session["session_id"]).to_owned();

    // 2. Send non-streaming message
    let question = json!({"message": "What is AI?", "session_id": name});
    let (status, body) = told(&app, Method::POST, "/api/chats/messages/chat/", question).await;
    assert_eq!(
        (status, keys(&body)),
        (StatusCode::OK, ["response", "session_id", "message_id", "response_id"].map(str::to_owned).to_vec())
    );
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((text(&answer["response"]), text(&answer["session_id"])), ("Echo: What is AI?", name.as_str()));

    // 3. Send streaming message
    let question = json!({"message": "Tell me a joke", "session_id": name});
    let response = app.request(Method::POST, "/api/chats/messages/chat/stream/").json(&question).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with("text/event-stream"));
    assert!(header("cache-control").starts_with("no-cache"));
    assert_eq!(header("x-accel-buffering"), "no");
    let body = response.text().await.unwrap();

    // 4. Get all messages for session
    let (status, list) = told(&app, Method::GET, &format!("/api/chats/messages/?session_id={name}"), Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let messages: Vec<Value> = serde_json::from_str(&list).unwrap();
    assert_eq!(
        all(&messages, "message"),
        ["What is AI?", "Echo: What is AI?", "Tell me a joke", "Echo: Tell me a joke"]
    );
    assert_eq!(all(&messages, "role"), ["user", "assistant", "user", "assistant"]);
    assert_eq!([&messages[0]["id"], &messages[1]["id"]], [&answer["message_id"], &answer["response_id"]]);
    let (asked, answered) = (text(&messages[2]["id"]), text(&messages[3]["id"]));
    assert_eq!(body, streamed(asked, answered));
    let (_, one) = told(&app, Method::GET, &format!("/api/chats/messages/{asked}/"), Value::Null).await;
    assert_eq!(keys(&one), MESSAGE);
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap(), messages[2]);
    assert_eq!(messages[2]["session"], session);

    // 5. Delete session
    let path = format!("/api/chats/sessions/{}/", text(&session["id"]));
    assert_eq!(told(&app, Method::DELETE, &path, Value::Null).await, (StatusCode::NO_CONTENT, String::new()));
    assert_eq!(told(&app, Method::GET, &path, Value::Null).await.0, StatusCode::NOT_FOUND);
}

/// The frames to the byte: as the seed prints them, with the cursor.
fn streamed(asked: &str, answered: &str) -> String {
    let mut cursor = 0;
    let mut frames = String::new();
    for chunk in ["Echo: ", "Tell ", "me ", "a ", "joke"] {
        cursor += chunk.len();
        frames += &format!(
            "id: {cursor}\ndata: {{\"chunk\": \"{chunk}\", \"done\": false, \"message_id\": \"{asked}\"}}\n\n"
        );
    }
    frames
        + &format!(
            "data: {{\"chunk\": \"\", \"done\": true, \"message_id\": \"{asked}\", \"response_id\": \"{answered}\"}}\n\n"
        )
}

#[tokio::test]
async fn every_path_answers_with_and_without_its_slash() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let asked = visitor.asks("hello").await;
    let (session, message) = (text(&visitor.session["id"]), text(&asked["message_id"]));
    for path in [
        "/api/chats/sessions".to_owned(),
        format!("/api/chats/sessions/{session}"),
        format!("/api/chats/messages/{message}"),
        format!("/api/chats/messages/chat/stream/{message}"),
    ] {
        for path in [path.clone(), path + "/"] {
            let response = app.request(Method::GET, &path).send().await.unwrap();
            assert_eq!((response.status(), response.url().path()), (StatusCode::OK, path.as_str()));
        }
    }
    for path in ["sessions", "messages", "messages/chat", "messages/chat/stream", "messages/chat/stop"] {
        let body = json!({"session_id": session, "message": "again", "role": "user", "message_id": message});
        let body = if path == "sessions" { json!({}) } else { body };
        for path in [format!("/api/chats/{path}"), format!("/api/chats/{path}/")] {
            assert!(app.post(&path, body.clone()).await.0.is_success(), "{path}");
        }
    }
    assert_eq!(app.delete(&format!("/api/chats/messages/{message}")).await, StatusCode::NO_CONTENT);
    assert_eq!(app.delete(&format!("/api/chats/sessions/{session}")).await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn every_route_is_described() {
    let app = TestApp::start().await;
    let (_, document) = app.get("/openapi.json").await;
    for (path, methods) in [
        ("sessions/", &["post", "get"][..]),
        ("sessions/{id}/", &["get", "put", "patch", "delete"]),
        ("sessions/{id}/events/", &["get"]),
        ("messages/", &["get", "post"]),
        ("messages/{id}/", &["get", "delete"]),
        ("messages/chat/", &["post"]),
        ("messages/chat/stream/", &["post"]),
        ("messages/chat/stream/{message_id}/", &["get"]),
        ("messages/chat/stop/", &["post"]),
    ] {
        for method in methods {
            let responses = &document["paths"][format!("/api/chats/{path}")][method]["responses"];
            let refused = &responses["429"]["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(refused, "#/components/schemas/chats.Error", "{method} {path}");
        }
    }
}
