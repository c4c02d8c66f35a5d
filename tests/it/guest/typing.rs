//! Who types, and who of the staff has joined.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::app::{Guest, Staff, TestApp};

impl Guest<'_> {
    /// Says that they type.
    pub async fn typing(&self) {
        let (status, body) = self.app.post(&self.path("typing"), json!({})).await;
        assert_eq!((status, &body["data"]), (StatusCode::OK, &json!({"is_typing": true})), "{body}");
    }
}

impl Staff<'_> {
    async fn types(&self, guest: &Guest<'_>, body: Value) -> (StatusCode, Value) {
        self.post(&format!("/api/v1/chat/sessions/{}/typing", guest.id), body).await
    }
}

#[tokio::test]
async fn each_side_sees_the_other_type_and_not_itself() {
    let app = TestApp::start().await;
    let (lan, mai, tuan) = (app.guest().await, app.staff("Mai").await, app.staff("Tuan").await);
    mai.takes(&lan).await;
    let (mut guest, mut desk, mut other) = (lan.follows(1000).await, mai.follows("").await, tuan.follows("").await);
    for events in [&mut guest, &mut desk, &mut other] {
        events.next_of("resumed").await.unwrap();
    }
    lan.typing().await;
    let seen =
        json!({"who": "guest", "name": null, "is_typing": true, "chat_session_id": lan.id, "session_key": lan.key});
    for events in [&mut desk, &mut other] {
        let event = events.next().await.unwrap();
        assert_eq!((event.event.as_str(), event.id, &event.data), ("typing", None, &seen));
    }
    assert_eq!(mai.types(&lan, json!({"is_typing": true})).await.0, StatusCode::OK);
    assert_eq!(mai.types(&lan, json!({"is_typing": false})).await.1["data"], json!({"is_typing": false}));
    guest.next_of("reset").await.unwrap();
    for is_typing in [true, false] {
        let event = guest.next().await.unwrap();
        assert_eq!(
            (event.event.as_str(), &event.data),
            ("typing", &json!({"who": "staff", "name": "Mai", "is_typing": is_typing}))
        );
        let event = other.next().await.unwrap();
        assert_eq!((&event.data["who"], &event.data["name"]), (&json!("staff"), &json!("Mai")));
    }
    lan.says("done").await;
    assert_eq!(desk.next().await.unwrap().event, "message", "one's own typing is no news");
    assert_eq!(guest.next().await.unwrap().event, "message");
    assert_eq!(lan.polls(0).await.len(), 1, "it is kept nowhere");
}

#[tokio::test]
async fn typing_is_for_who_is_there_and_says_so_clearly() {
    let app = TestApp::start().await;
    let (lan, mai, tuan) = (app.guest().await, app.staff("Mai").await, app.staff("Tuan").await);
    mai.takes(&lan).await;
    assert_eq!(tuan.types(&lan, json!({})).await.0, StatusCode::FORBIDDEN, "somebody else has it");
    assert_eq!(app.post("/api/v1/chat/guest/nobody/typing", json!({})).await.0, StatusCode::NOT_FOUND);
    for body in [json!({"is_typing": "perhaps"}), json!({"is_typing": []}), json!({"is_typing": 7})] {
        let (status, answer) = app.post(&lan.path("typing"), body.clone()).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!("VALIDATION_FAILED")),
            "{body}"
        );
        assert_eq!(mai.types(&lan, body).await.0, StatusCode::BAD_REQUEST);
    }
    let without = app.request(reqwest::Method::POST, &lan.path("typing")).send().await.unwrap();
    assert_eq!(without.status(), StatusCode::OK, "no body means that they type");
}

#[tokio::test]
async fn typing_has_a_limit_of_its_own() {
    let app = TestApp::with(|config| {
        config.limits.enabled = true;
        config.limits.typing_per_minute = 5;
    })
    .await;
    let lan = app.guest().await;
    let mut told = 0;
    while app.post(&lan.path("typing"), json!({})).await.0 == StatusCode::OK {
        told += 1;
        assert!(told < 10, "there is no limit");
    }
    assert!(told >= 5);
    lan.says("who types may still speak").await;
}

#[tokio::test]
async fn a_guest_is_told_who_has_joined() {
    let app = TestApp::start().await;
    let (lan, mai) = (app.guest().await, app.staff("Mai").await);
    let mut events = lan.follows(0).await;
    events.next_of("resumed").await.unwrap();
    let (_, body) = app.post(&lan.path("transfer-human"), json!({})).await;
    assert_eq!(body["data"]["staff"]["id"], mai.id, "{body}");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(events.next().await.unwrap());
    }
    let joined = seen.iter().find(|event| event.event == "staff_joined").expect("it says who");
    assert_eq!(joined.data["staff"], json!({"id": mai.id, "name": "Mai", "avatar": null}));
    let session = seen.iter().find(|event| event.event == "session").expect("it says what");
    assert_eq!((&session.data["change"], &session.data["assigned_user_id"]), (&json!("assigned"), &json!(mai.id)));
    assert!(seen.iter().any(|event| event.data["message"] == "Mai has joined the conversation"), "{seen:?}");
    // Cut off between the two, the guest is told both again.
    let mut again = lan.follows(joined.id.unwrap()).await;
    assert_eq!(again.next_of("staff_joined").await.unwrap(), *joined);
    assert_eq!(again.next_of("session").await.unwrap(), *session);
    let tuan = app.staff("Tuan").await;
    tuan.takes(&lan).await;
    lan.says("still there?").await;
    assert_eq!(events.next().await.unwrap().event, "message", "who is not given it has not joined");
}
