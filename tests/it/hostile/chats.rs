//! The same at the chats door, whose refusals look different.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{assert_alive, hear, server};
use crate::support::app::{TestApp, answer};
use crate::support::raw::request;

const POSTS: [&str; 5] = [
    "/api/chats/sessions/",
    "/api/chats/messages/",
    "/api/chats/messages/chat/",
    "/api/chats/messages/chat/stream/",
    "/api/chats/messages/chat/stop/",
];

/// Fails unless it is a refusal in one of the door's shapes.
fn assert_refused(status: StatusCode, body: &Value, what: &str) {
    assert!(status.is_client_error(), "{what}: {status} {body}");
    let members = body.as_object().unwrap_or_else(|| panic!("{what}: no refusal: {body}"));
    let is_sentence = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let is_list = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(is_sentence));
    assert!(
        !members.is_empty() && members.values().all(|value| is_sentence(value) || is_list(value)),
        "{what}: {body}"
    );
}

async fn post(app: &TestApp, path: &str, body: Vec<u8>) -> (StatusCode, Value) {
    answer(app.request(Method::POST, path).header("content-type", "application/json").body(body)).await
}

#[tokio::test]
async fn bodies_that_are_no_objects_are_refused_by_every_route() {
    let app = server(|_| {}).await;
    let bodies: Vec<Vec<u8>> = vec![
        b"{".to_vec(),
        b"null".to_vec(),
        b"[{}]".to_vec(),
        b"\"text\"".to_vec(),
        b"{\"message\":\"caf\xe9\"}".to_vec(),
        br#"{"message":"\ud800"}"#.to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        "{}".encode_utf16().flat_map(u16::to_le_bytes).collect(),
        [b"[".repeat(40_000), b"]".repeat(40_000)].concat(),
        vec![b'a'; 300 << 10],
    ];
    for path in POSTS {
        for body in &bodies {
            let (status, refused) = post(&app, path, body.clone()).await;
            assert_refused(status, &refused, &format!("{path} {:?}", &body[..body.len().min(20)]));
        }
    }
    assert_alive(&app).await;
}

#[tokio::test]
async fn fields_of_any_type_are_judged_and_never_a_surprise() {
    let app = server(|_| {}).await;
    let (status, session) = app.post("/api/chats/sessions/", json!({"session_id": "hostile"})).await;
    assert_eq!(status, StatusCode::CREATED, "{session}");
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let values = [
        json!(null),
        json!(1),
        json!(-1.5),
        json!(1e300),
        json!(true),
        json!([]),
        json!({"a": "b"}),
        json!(""),
        json!("\u{0}"),
        json!("\u{202e}"),
        json!("x".repeat(200_000)),
        deep,
    ];
    let fields =
        ["session_id", "message", "role", "metadata", "external_user_id", "expires_at", "is_active", "message_id"];
    for path in POSTS {
        for field in fields {
            for value in &values {
                let mut body = json!({"session_id": "hostile", "message": "a", "role": "user"});
                body[field] = value.clone();
                let (status, said) = post(&app, path, body.to_string().into_bytes()).await;
                let what = format!("{path} {field} {:.40}", value.to_string());
                assert!(!status.is_server_error(), "{what}: {status} {said}");
                if status.is_client_error() {
                    assert_refused(status, &said, &what);
                }
            }
        }
    }
    assert_alive(&app).await;
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_refused_in_the_doors_shape() {
    let app = server(|_| {}).await;
    let unknown = "00000000-0000-0000-0000-000000000000";
    for (method, path) in [
        ("GET", "/api/chats".to_owned()),
        ("GET", "/api/chats/".to_owned()),
        ("GET", "/api/chats/nothing/".to_owned()),
        ("GET", "/api/chats/sessions/%00/".to_owned()),
        ("GET", "/api/chats/sessions/%ff/".to_owned()),
        ("GET", "/api/chats/sessions/..%2f..%2fetc/".to_owned()),
        ("GET", format!("/api/chats/sessions/{unknown}/")),
        ("GET", format!("/api/chats/sessions/{unknown}/events/")),
        ("DELETE", format!("/api/chats/messages/{unknown}/")),
        ("GET", "/api/chats/messages/x/".to_owned()),
        ("GET", format!("/api/chats/sessions/{}/", "k".repeat(20_000))),
        ("GET", "/api/chats/messages/?session_id=%00".to_owned()),
        ("GET", "/api/chats/messages/?session_id=hostile&limit=-1".to_owned()),
        ("BREW", "/api/chats/sessions/".to_owned()),
        ("PUT", "/api/chats/messages/chat/".to_owned()),
    ] {
        let answer = hear(&app, request(method, &path, &[], b"")).await.expect("an answer");
        let status = StatusCode::from_u16(answer.status).unwrap();
        assert_refused(status, &answer.json(), &format!("{method} {path:.60}"));
    }
    assert_alive(&app).await;
}
