//! Platforms are closed to each other: who comes through another one learns nothing.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer};

#[tokio::test]
async fn nothing_of_one_platform_is_seen_through_another() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let id = ana.says(&conversation, &rui, "our secret").await;
    let eve = app.pigeon_of_staff(&app.platform("Other").await, "Eve").await;
    let none = |what: &str| (StatusCode::NOT_FOUND, json!({"message": format!("{what} not found")}));
    for (method, path, body, what) in [
        (Method::GET, format!("conversations/{conversation}/messages"), Value::Null, "Conversation"),
        (Method::PATCH, format!("conversations/{conversation}"), json!({"is_archived": true}), "Conversation"),
        (Method::POST, format!("conversations/{conversation}/read"), json!({}), "Conversation"),
        (Method::POST, "messages".to_owned(), eve.message(&conversation, &rui, "x"), "Conversation"),
        (Method::PATCH, format!("messages/{id}/read"), json!({}), "Message"),
        (Method::PATCH, format!("messages/{id}"), json!({"context_text": "x"}), "Message"),
        (Method::DELETE, format!("messages/{id}"), Value::Null, "Message"),
        (Method::POST, format!("messages/{id}/reactions"), json!({"emoji": "x"}), "Message"),
        (Method::DELETE, format!("messages/{id}/reactions/x"), Value::Null, "Message"),
        (Method::PUT, format!("/api/v1/pigeons/users/{}", ana.uuid()), json!({"name": "x"}), "User"),
        (
            Method::PUT,
            format!("/api/v1/pigeons/users/{}/roles/backoffice", ana.uuid()),
            json!({"status": "approved"}),
            "User",
        ),
        (
            Method::POST,
            "/broadcasting/auth".to_owned(),
            json!({"channel_name": format!("private-conversation.{conversation}"), "socket_id": "1.1"}),
            "Conversation",
        ),
    ] {
        assert_eq!(eve.send(method.clone(), &path, body).await, none(what), "{method} {path}");
    }
    // Nor is a stranger told from nobody when a conversation is opened.
    let (status, told) = eve.post("conversations", json!({"participant_uuid": ana.uuid()})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(told["errors"], json!({"participant_uuid": ["The selected participant uuid is invalid."]}));
    for (path, want) in [("conversations", json!([])), ("search?q=secret", json!([])), ("stats/devices", json!([]))] {
        assert_eq!(eve.get(path).await.1["data"], want, "{path}");
    }
    assert_eq!(ana.lists(&conversation).await.len(), 1);
}

#[tokio::test]
async fn an_address_is_an_account_of_its_own_on_each_platform() {
    let app = TestApp::start().await;
    let (acme, other) = (app.platform("Acme").await, app.platform("Other").await);
    let ana = app.pigeon(&acme, "Ana").await;
    let request = |platform: &roost::domain::Platform| {
        let request = app.request(Method::POST, "/api/v1/auth").header("x-public-key", platform.key.to_string());
        request.basic_auth("ana@pigeons.test", Some(crate::support::pigeon::PASSWORD))
    };
    let (status, told) = answer(request(&acme)).await;
    assert_eq!((status, &told["data"]["user"]["uuid"]), (StatusCode::OK, &json!(ana.uuid())));
    assert_eq!(answer(request(&other)).await, (StatusCode::UNAUTHORIZED, json!({"message": "Unauthenticated."})));
    let namesake = app.pigeon(&other, "Ana").await;
    let (_, told) = answer(request(&other)).await;
    assert_eq!(told["data"]["user"]["uuid"], namesake.uuid());
    assert_eq!(told["data"]["user"]["roles"], json!([]));
}
