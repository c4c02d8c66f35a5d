//! Every refusal, to the letter: clients compare these.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::text;
use crate::support::app::{TestApp, answer};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn assert_refused(app: &TestApp, method: Method, path: &str, body: Value, status: u16, want: Value) {
    let request = app.request(method.clone(), &format!("/api/chats{path}"));
    let request = if body.is_null() { request } else { request.json(&body) };
    let (got, told) = answer(request).await;
    assert_eq!((got.as_u16(), told), (status, want), "{method} {path} {body}");
}

#[tokio::test]
async fn wrong_fields_of_a_session_are_told_at_once() {
    let app = TestApp::start().await;
    let taken = app.visitor_with(json!({"session_id": "taken"})).await;
    let other = app.visitor().await;
    let long = "x".repeat(256);
    for (body, want) in [
        (
            json!({"expires_at": "tomorrow", "is_active": "perhaps"}),
            json!({
                "expires_at": ["Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."],
                "is_active": ["Must be a valid boolean."],
            }),
        ),
        (json!({"session_id": "taken"}), json!({"session_id": ["Session with this session id already exists."]})),
        (
            json!({"session_id": long, "external_user_id": long}),
            json!({
                "session_id": ["Ensure this field has no more than 255 characters."],
                "external_user_id": ["Ensure this field has no more than 255 characters."],
            }),
        ),
        (
            json!({"session_id": true, "external_user_id": {}}),
            json!({"session_id": ["Not a valid string."], "external_user_id": ["Not a valid string."]}),
        ),
        (
            json!({"session_id": null, "metadata": null, "expires_at": null, "is_active": null}),
            json!({
                "session_id": ["This field may not be null."], "metadata": ["This field may not be null."],
                "expires_at": ["This field may not be null."], "is_active": ["This field may not be null."],
            }),
        ),
        (json!({"session_id": "a\u{0}b"}), json!({"session_id": ["Null characters are not allowed."]})),
        (
            json!({"metadata": "x".repeat(40_000)}),
            json!({"metadata": ["Ensure this field has no more than 32768 bytes of JSON."]}),
        ),
        (json!([1]), json!({"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]})),
        (json!("x"), json!({"non_field_errors": ["Invalid data. Expected a dictionary, but got str."]})),
    ] {
        assert_refused(&app, Method::POST, "/sessions/", body.clone(), 400, want.clone()).await;
        for method in [Method::PUT, Method::PATCH] {
            let path = format!("/sessions/{}/", text(&other.session["id"]));
            assert_refused(&app, method, &path, body.clone(), 400, want.clone()).await;
        }
    }
    // One's own name is not taken.
    let (status, _) = app.send(Method::PATCH, &taken.path(), json!({"session_id": "taken"})).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn wrong_fields_of_a_message_are_told_at_once() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let name = visitor.name();
    let required = "This field is required.";
    for (body, want) in [
        (json!({}), json!({"session_id": [required], "message": [required], "role": [required]})),
        (
            json!({"session_id": name, "message": "  ", "role": "robot"}),
            json!({"message": ["This field may not be blank."], "role": ["\"robot\" is not a valid choice."]}),
        ),
        (
            json!({"session_id": null, "message": null, "role": null, "metadata": null}),
            json!({
                "session_id": ["This field may not be null."], "message": ["This field may not be null."],
                "role": ["This field may not be null."], "metadata": ["This field may not be null."],
            }),
        ),
        (
            json!({"session_id": [], "message": {}, "role": ""}),
            json!({
                "session_id": ["Not a valid string."], "message": ["Not a valid string."],
                "role": ["\"\" is not a valid choice."],
            }),
        ),
        (
            json!({"session_id": name, "message": "x".repeat(32_001), "role": "staff"}),
            json!({
                "message": ["Ensure this field has no more than 32000 characters."],
                "role": ["\"staff\" is not a valid choice."],
            }),
        ),
    ] {
        assert_refused(&app, Method::POST, "/messages/", body, 400, want).await;
    }
    for name in ["nobody", NOBODY] {
        let body = json!({"session_id": name, "message": "hello", "role": "user"});
        assert_refused(&app, Method::POST, "/messages/", body, 404, json!({"error": "Session not found"})).await;
    }
    assert!(visitor.lists().await.is_empty());
}

#[tokio::test]
async fn the_message_is_checked_before_the_session() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let name = visitor.name();
    for route in ["/messages/chat/", "/messages/chat/stream/"] {
        for (body, status, want) in [
            (json!({}), 400, "message is required"),
            (json!({"session_id": name}), 400, "message is required"),
            (json!({"session_id": name, "message": " "}), 400, "message is required"),
            (json!({"session_id": "nobody", "message": null}), 400, "message is required"),
            (json!({"session_id": name, "message": []}), 400, "message must be a string"),
            (
                json!({"session_id": 7, "message": "x".repeat(32_001)}),
                400,
                "message must have at most 32000 characters",
            ),
            (json!({"message": "hello"}), 400, "session_id is required"),
            (json!({"message": "hello", "session_id": ""}), 400, "session_id is required"),
            (json!({"message": "hello", "session_id": {}}), 400, "session_id must be a string"),
            (json!({"message": "hello", "session_id": "nobody"}), 404, "Session not found"),
            (json!({"message": "hello", "session_id": NOBODY}), 404, "Session not found"),
        ] {
            assert_refused(&app, Method::POST, route, body, status, json!({"error": want})).await;
        }
    }
    let stop = "/messages/chat/stop/";
    let said = visitor.says("hello").await;
    let other = app.visitor().await;
    for (body, status, want) in [
        (json!({"session_id": name}), 400, "message_id is required"),
        (json!({"message_id": NOBODY}), 400, "session_id is required"),
        (json!({"message_id": NOBODY, "session_id": "nobody"}), 404, "Session not found"),
        (json!({"message_id": NOBODY, "session_id": name}), 404, "Message not found"),
        (json!({"message_id": "x", "session_id": name}), 404, "Message not found"),
        (json!({"message_id": said["id"], "session_id": other.name()}), 404, "Message not found"),
    ] {
        assert_refused(&app, Method::POST, stop, body, status, json!({"error": want})).await;
    }
    assert_eq!(visitor.lists().await.len(), 1, "nothing but what was said is stored");
}

#[tokio::test]
async fn a_list_wants_a_session_and_filters_that_exist() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let name = visitor.name();
    let not_found = json!({"error": "Session not found"});
    for (query, status, want) in [
        (String::new(), 400, json!({"error": "session_id is required"})),
        ("?session_id=&role=robot".to_owned(), 400, json!({"error": "session_id is required"})),
        (
            format!("?session_id={name}&role=robot"),
            400,
            json!({"role": ["Select a valid choice. robot is not one of the available choices."]}),
        ),
        (format!("?session_id={name}&limit=many"), 400, json!({"limit": ["A valid integer is required."]})),
        (
            format!("?session_id={name}&search={}", "x".repeat(1001)),
            400,
            json!({"search": ["Ensure this field has no more than 1000 characters."]}),
        ),
        ("?session_id=nobody".to_owned(), 404, not_found.clone()),
        (format!("?session_id={NOBODY}"), 404, not_found),
        (format!("?session_id={name}&after={NOBODY}"), 404, json!({"error": "Message not found"})),
        (format!("?session_id={name}&before=x"), 404, json!({"error": "Message not found"})),
    ] {
        assert_refused(&app, Method::GET, &format!("/messages/{query}"), Value::Null, status, want).await;
    }
    let want = json!({"is_active": ["Must be a valid boolean."]});
    assert_refused(&app, Method::GET, "/sessions/?is_active=perhaps", Value::Null, 400, want).await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let app = TestApp::start().await;
    let said = app.visitor().await.says("hello").await;
    let nothing = || json!({"detail": "Not found."});
    let no_session = || json!({"detail": "No Session matches the given query."});
    let no_message = || json!({"detail": "No ChatMessage matches the given query."});
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let body = if method == Method::PUT { json!({"is_active": 7}) } else { Value::Null };
        assert_refused(&app, method.clone(), "/sessions/nobody/", body.clone(), 404, nothing()).await;
        assert_refused(&app, method.clone(), &format!("/sessions/{NOBODY}/"), body, 404, no_session()).await;
    }
    for method in [Method::GET, Method::DELETE] {
        assert_refused(&app, method.clone(), "/messages/nothing/", Value::Null, 404, nothing()).await;
        assert_refused(&app, method, &format!("/messages/{NOBODY}/"), Value::Null, 404, no_message()).await;
    }
    let stream = |id: &str| format!("/messages/chat/stream/{id}/");
    assert_refused(&app, Method::GET, &stream("nothing"), Value::Null, 404, nothing()).await;
    assert_refused(&app, Method::GET, &stream(NOBODY), Value::Null, 404, no_message()).await;
    let not_asked = json!({"detail": "The assistant was not asked to answer this message."});
    assert_refused(&app, Method::GET, &stream(text(&said["id"])), Value::Null, 404, not_asked).await;
    assert_refused(&app, Method::GET, &format!("/sessions/{NOBODY}/events/"), Value::Null, 404, no_session()).await;
    for path in ["", "/", "/nothing/", "/sessions/a/b/c/", "/sessions/%FF/", "/messages/chat/stream/a/b"] {
        assert_refused(&app, Method::GET, path, Value::Null, 404, nothing()).await;
    }
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_named() {
    let app = TestApp::start().await;
    for (method, path) in [
        (Method::GET, "/messages/chat/"),
        (Method::GET, "/messages/chat/stream"),
        (Method::PUT, "/sessions/"),
        (Method::PATCH, "/messages/5a1e6f0a-0b1c-7d2e-8f30-415263748596/"),
        (Method::DELETE, "/messages/chat/stop/"),
        (Method::OPTIONS, "/sessions/"),
    ] {
        let want = json!({"detail": format!("Method \"{method}\" not allowed.")});
        assert_refused(&app, method, path, Value::Null, 405, want).await;
    }
    let response = app.request(Method::PUT, "/api/chats/sessions/").send().await.unwrap();
    assert!(response.headers()["allow"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_explained() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let (id, name) = (text(&visitor.session["id"]), visitor.name());
    for (method, path) in [
        (Method::POST, "/sessions/".to_owned()),
        (Method::PUT, format!("/sessions/{id}/")),
        (Method::POST, "/messages/".to_owned()),
        (Method::POST, "/messages/chat/".to_owned()),
        (Method::POST, "/messages/chat/stream/".to_owned()),
        (Method::POST, "/messages/chat/stop/".to_owned()),
    ] {
        let post = |kind: &str, body: String| {
            let request = app.request(method.clone(), &format!("/api/chats{path}"));
            answer(request.header("content-type", kind).body(body))
        };
        let (status, body) = post("application/json", "{\"a\":".to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(text(&body["detail"]).starts_with("JSON parse error - "), "{body}");
        let (status, body) = post("text/plain", "hello".to_owned()).await;
        let want = json!({"detail": "Unsupported media type \"text/plain\" in request."});
        assert_eq!((status, body), (StatusCode::UNSUPPORTED_MEDIA_TYPE, want));
        let (status, body) = post("application/json", format!("\"{}\"", "x".repeat(300_000))).await;
        let want = json!({"detail": "The body is larger than 262144 bytes: send less."});
        assert_eq!((status, body), (StatusCode::PAYLOAD_TOO_LARGE, want));
    }
    assert!(visitor.lists().await.is_empty(), "{name}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let app = TestApp::with(|config| config.http.body_timeout_s = 1).await;
    let address = app.url.strip_prefix("http://").unwrap();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /api/chats/sessions/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut told = String::new();
    connection.read_to_string(&mut told).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    assert!(told.ends_with("{\"detail\":\"The body did not arrive in time: send it again.\"}"), "{told}");
}

#[tokio::test]
async fn a_full_store_refuses_and_can_be_read() {
    if crate::support::engine::is_other("a full store") {
        return;
    }
    let app = TestApp::with(|config| config.store.size_mib_max = 1).await;
    let visitor = app.visitor().await;
    let body = json!({"session_id": visitor.name(), "message": "x".repeat(30_000), "role": "user"});
    let mut stored = 0;
    let refused = loop {
        let (status, body) = app.post("/api/chats/messages/", body.clone()).await;
        if status != StatusCode::CREATED {
            break (status, body);
        }
        stored += 1;
        assert!(stored < 100, "the store is never full");
    };
    let want = json!({"error": "The server's storage is full: reading works, writing does not."});
    assert_eq!(refused, (StatusCode::INSUFFICIENT_STORAGE, want));
    assert_eq!(visitor.lists().await.len(), stored);
}
