//! A guest, the assistant and the staff in one conversation, as the story goes.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::app::TestApp;

fn texts(messages: &[Value]) -> Vec<(&str, &str)> {
    messages.iter().map(|message| (message["role"].as_str().unwrap(), message["message"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn the_seeds_lines_answer_with_the_seeds_keys() {
    let app = TestApp::start().await;
    let (status, body) = app.post("/api/v1/chat/guest/session", json!({"session_key": "k-77"})).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let (status, sent) = app.post("/api/v1/chat/guest/k-77/message", json!({"message": "Xin chào"})).await;
    assert_eq!(status, StatusCode::OK);
    let keys: Vec<_> = sent.as_object().unwrap().keys().collect();
    // A map sorts its keys; their order on the wire is looked at below.
    assert_eq!(keys, ["data", "message", "meta", "success", "timestamp", "trace_id"]);
    assert_eq!(
        (&sent["success"], &sent["message"], &sent["meta"]),
        (&json!(true), &json!("Message sent"), &json!(null))
    );
    let request = app.request(reqwest::Method::GET, "/api/v1/chat/guest/k-77/messages");
    let text = request.send().await.unwrap().text().await.unwrap();
    let order = [
        "success",
        "message\":\"Messages",
        "data",
        "chat_session_id",
        "user_id",
        "role",
        "message\":\"Xin",
        "\"meta\":null,\"is_bot\"",
        "created_at",
        "updated_at",
        "}],\"meta",
        "trace_id",
        "timestamp",
    ];
    let places: Vec<_> = order.iter().map(|key| text.find(key).unwrap_or_else(|| panic!("{key} in {text}"))).collect();
    assert!(places.is_sorted(), "{text}");
}

#[tokio::test]
async fn a_guest_is_handed_from_the_assistant_to_a_person() {
    let app = TestApp::with(|config| config.guest.assistant = true).await;
    let guest = app.guest().await;
    let asked = guest.says("Is room 3 free?").await;
    let mut events = guest.follows(asked["id"].as_i64().unwrap()).await;
    let echo = events.next_of("message").await.unwrap();
    assert_eq!((&echo.data["message"], &echo.data["is_bot"]), (&json!("Echo: Is room 3 free?"), &json!(true)));

    let (_, nobody) = app.post(&guest.path("transfer-human"), json!({})).await;
    assert_eq!((&nobody["message"], &nobody["data"]), (&json!("No staff available at the moment"), &json!(null)));

    let mai = app.staff("Mai").await;
    let (status, taken) = app.post(&guest.path("transfer-human"), json!({})).await;
    assert_eq!((status, &taken["data"]["staff"]["name"]), (StatusCode::OK, &json!("Mai")));
    let session = events.next_of("session").await.unwrap();
    assert_eq!((&session.data["change"], &session.data["assigned_user_id"]), (&json!("assigned"), &json!(mai.id)));
    assert_eq!(events.next_of("message").await.unwrap().data["message"], "Mai has joined the conversation");

    guest.says("A person, how nice").await;
    let (status, answer) =
        mai.post(&format!("/api/v1/chat/sessions/{}/staff-message", guest.id), json!({"message": "Yes, it is"})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!((&answer["data"]["role"], &answer["data"]["user_id"]), (&json!("staff"), &json!(mai.id)));
    assert_eq!(
        texts(&guest.polls(0).await),
        [
            ("user", "Is room 3 free?"),
            ("assistant", "Echo: Is room 3 free?"),
            ("staff", "Mai has joined the conversation"),
            ("user", "A person, how nice"),
            ("staff", "Yes, it is"),
        ]
    );
}

#[tokio::test]
async fn a_closed_session_is_reopened_by_its_guest() {
    let app = TestApp::start().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    let assign = format!("/api/v1/chat/admin/{}/assign", guest.key);
    assert_eq!(mai.post(&assign, json!({})).await.0, StatusCode::OK);
    let (status, closed) = mai.post(&format!("/api/v1/chat/sessions/{}/close", guest.id), json!({})).await;
    assert_eq!((status, &closed["data"]["is_active"]), (StatusCode::OK, &json!(false)));
    assert_eq!(guest.session().await["is_active"], false);
    guest.says("One more thing").await;
    assert_eq!(guest.session().await["is_active"], true);
    assert_eq!(guest.session().await["assigned_user_id"], mai.id);
}
