//! The seed's requests and answers, key by key.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{issue, issues};
use crate::chats::keys;
use crate::support::app::TestApp;
use crate::support::neptun::Member;
use crate::support::raw::{Raw, request};

const MESSAGE: [&str; 7] =
    ["id", "chat_conversation_id", "neptun_user_id", "message", "actor", "created_at", "updated_at"];

/// The answer as it was sent.
async fn said(member: &Member<'_>, chat: i64, body: Value) -> String {
    let request = member.request(Method::POST, &member.messages(chat)).json(&body);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    answer.text().await.expect("text")
}

#[tokio::test]
async fn a_single_message_is_an_object() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let text = said(&lan, chat, json!({"message": "Hello, how can I help?", "actor": "assistant"})).await;
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(keys(&text), ["chatMessage"]);
    let message = text.strip_prefix("{\"chatMessage\":").and_then(|rest| rest.strip_suffix('}')).unwrap();
    assert_eq!(keys(message), MESSAGE, "in the seed's order");
    let message = &body["chatMessage"];
    assert_eq!((&message["message"], &message["actor"]), (&json!("Hello, how can I help?"), &json!("assistant")));
    assert_eq!((&message["chat_conversation_id"], &message["neptun_user_id"]), (&json!(chat), &json!(lan.id)));
    let at = message["created_at"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z') && at.as_bytes()[19] == b'.', "{at}");
}

#[tokio::test]
async fn several_messages_are_a_list_in_their_order() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let sent = json!({"messages": [
        {"content": "What is Python?", "role": "user"},
        {"content": "Python is a programming language...", "role": "assistant"},
        {"content": "Be brief", "role": "system"},
    ]});
    let text = said(&lan, chat, sent).await;
    assert_eq!(keys(&text), ["chatMessages"]);
    let body: Value = serde_json::from_str(&text).unwrap();
    let messages = body["chatMessages"].as_array().unwrap();
    let pairs: Vec<_> =
        messages.iter().map(|m| (m["actor"].as_str().unwrap(), m["message"].as_str().unwrap())).collect();
    assert_eq!(
        pairs,
        [("user", "What is Python?"), ("assistant", "Python is a programming language..."), ("system", "Be brief")]
    );
    let ids: Vec<_> = messages.iter().map(|m| m["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [ids[0], ids[0] + 1, ids[0] + 2], "consecutive");
    assert_eq!(&lan.reads(chat).await, messages, "the list says the same");
    let one = said(&lan, chat, json!({"messages": [{"content": "Alone", "role": "user"}]})).await;
    assert_eq!(keys(&one), ["chatMessages"], "a batch of one is a batch");
}

#[tokio::test]
async fn an_empty_body_is_refused_in_the_seeds_words() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let (status, body) = lan.post(&lan.messages(chat), json!({})).await;
    let want = json!({
        "statusCode": 400,
        "statusMessage": "Bad Request. Invalid body(message | messages).",
        "stack": [],
        "data": {
            "issues": [{"code": "invalid_type", "expected": "string", "received": "undefined", "path": ["message"],
                "message": "Required"}],
            "name": "ZodError",
        },
    });
    assert_eq!((status, body), (StatusCode::BAD_REQUEST, want));
}

#[tokio::test]
async fn the_statuses_are_the_seeds() {
    let app = TestApp::start().await;
    let (lan, tam) = (app.member("Lan").await, app.member("Tam").await);
    let chat = lan.chat("A chat").await;
    let message = json!({"message": "Hello", "actor": "user"});
    let (status, body) = app.post(&lan.messages(chat), message.clone()).await;
    assert_eq!((status, &body["statusMessage"]), (StatusCode::UNAUTHORIZED, &json!("Unauthorized")));
    for (path, what) in [
        (lan.messages(chat + 1000), "Chat not found"),
        (tam.messages(chat), "User not found"),
        (format!("/api/users/999999/chats/{chat}/messages"), "User not found"),
    ] {
        let (status, body) = lan.post(&path, message.clone()).await;
        assert_eq!((status, &body["statusMessage"]), (StatusCode::NOT_FOUND, &json!("Not Found")), "{path}");
        assert_eq!(body["data"]["message"], what, "{path}");
    }
    let (status, body) = tam.post(&tam.messages(chat), message).await;
    assert_eq!((status, &body["data"]["message"]), (StatusCode::NOT_FOUND, &json!("Chat not found")), "Lan's");
    assert!(lan.reads(chat).await.is_empty());
    let (status, body) = lan.post(&lan.path("/chats/abc/messages"), json!({})).await;
    assert_eq!((status, &body["statusMessage"]), (StatusCode::BAD_REQUEST, &json!("Bad Request.")));
    assert_eq!(issues(&body), [issue("invalid_type", json!(["chat_id"]), "Expected number, received nan")]);
}

#[tokio::test]
async fn the_reason_phrase_says_what_the_body_says() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let mut raw = Raw::connect(&app.url).await;
    let headers = [("Cookie", lan.cookie.as_str()), ("Content-Type", "application/json")];
    raw.send(request("POST", &lan.messages(chat), &headers, b"{}")).await;
    let answer = raw.answer().await.unwrap();
    assert!(
        answer.head.starts_with("http/1.1 400 bad request. invalid body(message | messages).\r\n"),
        "{}",
        answer.head
    );
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.starts_with("{\n  \"statusCode\": 400,\n  \"statusMessage\":"), "pretty-printed: {body}");
    assert_eq!(keys(&body), ["statusCode", "statusMessage", "stack", "data"]);
}
