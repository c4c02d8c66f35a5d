//! Paths that try to be something else.

use reqwest::StatusCode;
use serde_json::json;

use super::{assert_alive, hear, refusal, server};
use crate::support::raw::request;

#[tokio::test]
async fn an_unknown_path_under_the_door_is_answered_in_its_envelope() {
    let app = server(|_| {}).await;
    for path in [
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v1/chat",
        "/api/v1/chat/guest/session/",
        "/api/v1/chat/guest/k-hostile/",
        "/api/v1/chat/guest/k-hostile/nothing",
        "/api/v1/chat/guest/k-hostile/message/more",
        "/api/v1/../v1/auth/me",
        "/api/v1/%2e%2e/v1/auth/me",
        "/api/v1/chat/guest/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/chat/guest/..%2f..%2fetc/history/more",
        "/api/v1//auth/me",
        "/api/v1/chat/guest/a/b/message",
        "/api/v1/AUTH/ME",
        "/api/v1/auth/me;jsessionid=1",
        "/api/v1/auth/me%00",
        "/api/v1/auth/me%20",
    ] {
        let answer = hear(&app, request("GET", path, &[], b"")).await.expect("an answer");
        assert_eq!(refusal(answer.status, &answer.json()), "NOT_FOUND", "{path}");
        assert_eq!((answer.status, &answer.json()["message"]), (404, &json!("Endpoint not found")), "{path}");
    }
}

#[tokio::test]
async fn a_key_in_the_path_is_a_name_and_nothing_else() {
    let app = server(|_| {}).await;
    let long = "k".repeat(20_000);
    for key in [
        "",
        "%00",
        "k-hostile%00",
        "%ff%fe",
        "%",
        "%zz",
        "..",
        "%2e%2e",
        "%2f",
        "..%2f..%2fetc%2fpasswd",
        "'%20or%201=1",
        "%F0%9F%A6%89",
        "%E2%80%AEevil",
        "*",
        "null",
        "{sessionId}",
        ":id",
        "k-hostile%0d%0aX-Injected:%20yes",
        long.as_str(),
    ] {
        for (method, rest) in [("GET", "messages"), ("POST", "message"), ("POST", "transfer-human"), ("GET", "events")]
        {
            let path = format!("/api/v1/chat/guest/{key}/{rest}");
            let answer = hear(&app, request(method, &path, &[], b"")).await.expect("an answer");
            assert_eq!(refusal(answer.status, &answer.json()), "NOT_FOUND", "{path}");
            assert!(answer.header("x-injected").is_none(), "{}", answer.head);
        }
    }
    for id in ["0", "-1", "1.0", "0x1", "1e3", "99999999999999999999", "%00", "k-hostile"] {
        let staff = app.request(reqwest::Method::GET, &format!("/api/v1/chat/sessions/{id}/messages"));
        assert_eq!(staff.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{id}");
    }
    assert_alive(&app).await;
}

#[tokio::test]
async fn a_key_may_be_in_any_script() {
    let app = server(|_| {}).await;
    for (key, in_path) in [
        ("phiên trò chuyện số một", "phi%C3%AAn%20tr%C3%B2%20chuy%E1%BB%87n%20s%E1%BB%91%20m%E1%BB%99t"),
        ("a/b/../c?d=e&f#g%41", "a%2Fb%2F..%2Fc%3Fd=e&f%23g%2541"),
        ("🦉🦉🦉🦉", "%F0%9F%A6%89%F0%9F%A6%89%F0%9F%A6%89%F0%9F%A6%89"),
        ("+ + +", "+%20+%20+"),
    ] {
        let (status, opened) = app.post("/api/v1/chat/guest/session", json!({"session_key": key})).await;
        assert_eq!((status, &opened["data"]["session"]["session_key"]), (StatusCode::CREATED, &json!(key)));
        let path = format!("/api/v1/chat/guest/{in_path}/message");
        let sent = hear(&app, request("POST", &path, &[], br#"{"message":"here"}"#)).await.expect("an answer");
        assert_eq!(
            (sent.status, &sent.json()["data"]["chat_session_id"]),
            (200, &opened["data"]["session"]["id"]),
            "{key}"
        );
    }
}

#[tokio::test]
async fn queries_without_sense_are_read_loosely() {
    let app = server(|_| {}).await;
    for query in [
        "?",
        "?&&&=",
        "?last_message_id",
        "?last_message_id=%ff",
        "?last_message_id[]=1",
        "?last_message_id=1e9",
        "?last_message_id=-1",
        "?last_message_id=NaN",
        "?wait=-1",
        "?wait=x",
        "?wait=1e9&last_message_id=0",
        "?wait=0.5",
        "?locale=%00",
        "?language=../../etc",
    ] {
        let path = format!("/api/v1/chat/guest/k-hostile/messages{query}");
        let answer = hear(&app, request("GET", &path, &[], b"")).await.expect("an answer");
        assert_eq!((answer.status, &answer.json()["data"]), (200, &json!([])), "{query}");
    }
    let far = hear(
        &app,
        request("GET", "/api/v1/chat/guest/k-hostile/messages?last_message_id=99999999999999999999", &[], b""),
    );
    assert_eq!(far.await.map(|answer| answer.status), Some(200));
}
