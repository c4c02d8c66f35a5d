//! Opening sessions: keys, contacts, history.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::{TestApp, answer};

const OPEN: &str = "/api/v1/chat/guest/session";

#[tokio::test]
async fn the_same_key_opens_the_same_session() {
    let app = TestApp::start().await;
    let (status, first) = app.post(OPEN, json!({"session_key": "the-same-key"})).await;
    assert_eq!((status, &first["message"]), (StatusCode::CREATED, &json!("Session created successfully")));
    app.post("/api/v1/chat/guest/the-same-key/message", json!({"message": "kept"})).await;
    let (status, again) = app.post(OPEN, json!({"session_id": " the-same-key "})).await;
    assert_eq!((status, &again["data"]["session"]["id"]), (StatusCode::CREATED, &first["data"]["session"]["id"]));
    assert_eq!(again["data"]["messages"][0]["message"], "kept");
    let (_, again) = app.post(OPEN, json!({"session_key": null, "session_id": "the-same-key"})).await;
    assert_eq!(again["data"]["session"]["id"], first["data"]["session"]["id"], "null is as good as not there");
    let (_, other) = app.post(OPEN, json!({"session_key": "The-Same-Key"})).await;
    assert_ne!(other["data"]["session"]["id"], first["data"]["session"]["id"], "keys are compared letter by letter");
}

#[tokio::test]
async fn without_a_key_the_server_makes_one_that_cannot_be_guessed() {
    let app = TestApp::start().await;
    let mut keys = std::collections::HashSet::new();
    for body in [json!({}), json!({"session_key": null}), json!({"session_id": ""}), json!({"guest_name": "Lan"})] {
        let (status, opened) = app.post(OPEN, body).await;
        assert_eq!(status, StatusCode::CREATED);
        let key = opened["data"]["session"]["session_key"].as_str().expect("a key").to_owned();
        assert!(uuid::Uuid::try_parse(&key).is_ok_and(|key| key.get_version_num() == 4), "{key}");
        assert!(keys.insert(key));
    }
    let (status, _) = answer(app.request(Method::POST, OPEN)).await;
    assert_eq!(status, StatusCode::CREATED, "a body is not needed at all");
}

#[tokio::test]
async fn a_key_that_could_be_guessed_is_refused_at_every_route_that_opens() {
    let app = TestApp::with(|config| config.guest.allow_weak_keys = roost::config::AutoBool::Always(false)).await;
    for field in ["session_key", "session_id"] {
        let (status, refused) = app.post(OPEN, json!({field: "fifteen-letters"})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
        assert_eq!(refused["error"]["details"].as_object().unwrap().keys().collect::<Vec<_>>(), [field]);
        assert_eq!(app.post(OPEN, json!({field: "sixteen-letters-"})).await.0, StatusCode::CREATED);
    }
    let (status, refused) = app.post("/api/v1/chatbot", json!({"message": "a", "session_key": "short"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
    let by_header = app.request(Method::POST, "/api/v1/chatbot").header("x-chat-session", "short");
    let (status, refused) = answer(by_header.json(&json!({"message": "a"}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
    assert_eq!(app.post("/api/v1/chatbot", json!({"message": "a"})).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_said_of_the_guest_is_added_to_what_is_known() {
    let app = TestApp::start().await;
    let open = async |body| app.post(OPEN, body).await.1["data"]["session"]["meta"].clone();
    let key = "about-somebody";
    let known = open(json!({"session_key": key, "guest_name": "Lan", "guest_phone": "1"})).await;
    assert_eq!(known, json!({"guest_name": "Lan", "guest_email": null, "guest_phone": "1"}));
    let known = open(json!({"session_key": key, "guest_email": "LAN@example.test", "guest_phone": null})).await;
    assert_eq!(known, json!({"guest_name": "Lan", "guest_email": "lan@example.test", "guest_phone": "1"}));
    let known = open(json!({"session_key": key, "guest_name": "Lan Anh", "guest_email": ""})).await;
    assert_eq!(known, json!({"guest_name": "Lan Anh", "guest_email": "lan@example.test", "guest_phone": "1"}));
}

#[tokio::test]
async fn opened_by_many_at_once_a_session_is_one() {
    let app = TestApp::start().await;
    let opens = (0..30).map(|_| app.post(OPEN, json!({"session_key": "everybody-at-once"})));
    let opened = futures_util::future::join_all(opens).await;
    let ids: std::collections::HashSet<_> =
        opened.iter().map(|(status, body)| (status.as_u16(), body["data"]["session"]["id"].as_i64())).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
async fn a_history_is_whole_and_an_unknown_one_is_empty() {
    let app = TestApp::start().await;
    let (status, none) = app.get("/api/v1/chat/guest/nobody-at-all/history").await;
    assert_eq!(
        (status, &none["data"], &none["message"]),
        (StatusCode::OK, &json!([]), &json!("No chat history found"))
    );
    let guest = app.guest().await;
    // More than one page holds, and more than memory keeps.
    for n in 0..30 {
        guest.says(&format!("{n} {}", "ế".repeat(990))).await;
    }
    let (status, history) = app.get(&guest.path("history")).await;
    assert_eq!((status, &history["message"]), (StatusCode::OK, &json!("History retrieved")));
    let messages = history["data"]["messages"].as_array().unwrap();
    let ids: Vec<_> = messages.iter().map(|message| message["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), 30);
    assert!(ids.is_sorted(), "{ids:?}");
    assert_eq!(guest.polls(0).await, *messages, "and polling from the beginning shows the same");
    assert_eq!(guest.polls(ids[9]).await, messages[10..]);
    let (_, opened) = app.post(OPEN, json!({"session_key": guest.key})).await;
    assert_eq!(opened["data"]["messages"], history["data"]["messages"]);
}

#[tokio::test]
async fn a_retry_with_its_key_is_the_same_message() {
    let app = TestApp::start().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    let staff = format!("/api/v1/chat/sessions/{}/staff-message", guest.id);
    let bot = "/api/v1/chatbot".to_owned();
    for (path, token) in [(bot, None), (guest.path("message"), None), (staff, Some(&mai.token))] {
        if token.is_some() {
            mai.post(&format!("/api/v1/chat/admin/{}/assign", guest.key), json!({})).await;
        }
        let send = |text: &str| {
            let body = json!({"message": text, "session_key": guest.key});
            let request = app.request(Method::POST, &path).header("idempotency-key", format!("again-{}", path.len()));
            let request = request.json(&body);
            if let Some(token) = token { request.bearer_auth(token) } else { request }
        };
        let first = send("once").send().await.unwrap();
        assert!(first.headers().get("idempotent-replayed").is_none());
        let first: serde_json::Value = first.json().await.unwrap();
        let count = guest.polls(0).await.len();
        let again = send("once").send().await.unwrap();
        assert_eq!(again.headers().get("idempotent-replayed").map(|v| v.as_bytes()), Some(&b"true"[..]), "{path}");
        let again: serde_json::Value = again.json().await.unwrap();
        assert_eq!(first["data"], again["data"], "{path}");
        assert_eq!(guest.polls(0).await.len(), count, "nothing is stored twice");
        assert_eq!(send("something else").send().await.unwrap().status(), StatusCode::CONFLICT, "{path}");
    }
    for hostile in ["", " ", "a b", &"k".repeat(256)] {
        let request = app.request(Method::POST, &guest.path("message")).header("idempotency-key", hostile);
        let (status, refused) = answer(request.json(&json!({"message": "a"}))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{hostile:?}");
        assert_eq!(refused["error"]["details"].as_object().unwrap().keys().collect::<Vec<_>>(), ["Idempotency-Key"]);
    }
}
