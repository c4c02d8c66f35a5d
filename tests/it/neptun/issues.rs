//! Zod's issues for each field of each route: missing, null, of another type, too long, hostile.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{issue, issues};
use crate::support::app::{TestApp, answer};
use crate::support::neptun::PASSWORD;

fn required(field: &str) -> (String, Value, String) {
    issue("invalid_type", json!([field]), "Required")
}

fn wrong_type(field: &str, want: &str, got: &str) -> (String, Value, String) {
    issue("invalid_type", json!([field]), &format!("Expected {want}, received {got}"))
}

fn too_long(field: &str, max: usize) -> (String, Value, String) {
    issue("too_big", json!([field]), &format!("String must contain at most {max} character(s)"))
}

fn too_short(field: &str, min: usize) -> (String, Value, String) {
    issue("too_small", json!([field]), &format!("String must contain at least {min} character(s)"))
}

#[tokio::test]
async fn credentials_are_judged_whole() {
    let app = TestApp::start().await;
    let weak = || {
        issue(
            "custom",
            json!(["password"]),
            "Password must contain at least one lower-case letter, one upper-case letter, one digit and one special character",
        )
    };
    let email = "lan@example.test";
    let with = |field: &str, value: Value| {
        let mut body = json!({"email": email, "password": PASSWORD});
        body[field] = value;
        body
    };
    for path in ["/api/auth/sign-up", "/api/auth/login"] {
        for (body, want) in [
            (json!({}), vec![required("email"), required("password")]),
            (
                json!({"email": null, "password": null}),
                vec![wrong_type("email", "string", "null"), wrong_type("password", "string", "null")],
            ),
            (
                json!({"email": 1, "password": []}),
                vec![wrong_type("email", "string", "number"), wrong_type("password", "string", "array")],
            ),
            (with("email", json!("a@b")), vec![too_short("email", 5)]),
            (with("email", json!("nobody")), vec![issue("invalid_string", json!(["email"]), "Invalid email")]),
            (
                with("email", json!("<a@b>\r\nBcc: x@y.z")),
                vec![issue("invalid_string", json!(["email"]), "Invalid email")],
            ),
            (with("email", json!(format!("{}@b.c", "x".repeat(253)))), vec![too_long("email", 256)]),
            (with("password", json!("Ab-9")), vec![too_short("password", 8)]),
            (with("password", json!(format!("Ab-9{}", "x".repeat(253)))), vec![too_long("password", 256)]),
            (with("password", json!("correct-horse-9")), vec![weak()]),
            (with("password", json!("CORRECT-HORSE-9")), vec![weak()]),
            (with("password", json!("Correct-Horse")), vec![weak()]),
            (with("password", json!("CorrectHorse9")), vec![weak()]),
            (
                with("confirmPassword", json!("other")),
                vec![issue("custom", json!(["confirmPassword"]), "Passwords do not match")],
            ),
            (
                json!("text"),
                vec![
                    issue("invalid_type", json!([]), "Expected object, received string"),
                    required("email"),
                    required("password"),
                ],
            ),
        ] {
            let (status, refused) = app.post(path, body.clone()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}: {refused}");
            assert_eq!(refused["statusMessage"], "Bad Request. Invalid body(email, password).");
            let found = issues(&refused);
            assert!(want.iter().all(|want| found.contains(want)), "{path} {body}: {found:?}");
            assert!(found.len() <= want.len(), "{path} {body}: {found:?}");
        }
    }
    assert_eq!(app.logs_in(email, PASSWORD).await.0, StatusCode::UNAUTHORIZED, "nobody has signed up");
}

#[tokio::test]
async fn issues_bear_what_belongs_to_their_code() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let first = |body: Value| body["data"]["issues"][0].clone();
    let (_, body) = lan.post(&lan.messages(chat), json!({"message": "x", "actor": "staff"})).await;
    let want = json!({"code": "invalid_enum_value", "options": ["user", "assistant", "system"], "received": "staff",
        "path": ["actor"], "message": "Invalid enum value. Expected 'user' | 'assistant' | 'system', received 'staff'"});
    assert_eq!(first(body), want);
    let (_, body) = lan.post(&lan.messages(chat), json!({"message": "x", "actor": 5})).await;
    let want = json!({"code": "invalid_type", "expected": "'user' | 'assistant' | 'system'", "received": "number",
        "path": ["actor"], "message": "Expected 'user' | 'assistant' | 'system', received number"});
    assert_eq!(first(body), want);
    let (_, body) = lan.post(&lan.messages(chat), json!({"messages": []})).await;
    let want = json!({"code": "too_small", "minimum": 1, "type": "array", "inclusive": true, "exact": false,
        "path": ["messages"], "message": "Array must contain at least 1 element(s)"});
    assert_eq!(first(body), want);
    let (_, body) = lan.get(&lan.path("/chats/0/messages")).await;
    let want = json!({"code": "too_small", "minimum": 0, "type": "number", "inclusive": false, "exact": false,
        "path": ["chat_id"], "message": "Number must be greater than 0"});
    assert_eq!(first(body), want);
    let (_, body) = app.post("/api/auth/login", json!({"email": "nobody", "password": PASSWORD})).await;
    let want = json!({"code": "invalid_string", "validation": "email", "path": ["email"], "message": "Invalid email"});
    assert_eq!(first(body), want);
}

#[tokio::test]
async fn both_forms_of_a_message_are_judged() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let at = |path: Value, code: &str, message: &str| issue(code, path, message);
    for (body, want) in [
        (json!({"actor": "user"}), vec![required("message")]),
        (json!({"message": "x"}), vec![required("actor")]),
        (
            json!({"message": null, "actor": null}),
            vec![
                wrong_type("message", "string", "null"),
                wrong_type("actor", "'user' | 'assistant' | 'system'", "null"),
            ],
        ),
        (json!({"message": " \n\u{0}\u{202e}", "actor": "user"}), vec![too_short("message", 1)]),
        (json!({"message": "x".repeat(32_001), "actor": "user"}), vec![too_long("message", 32_000)]),
        (json!({"message": {"$ne": 1}, "actor": "user"}), vec![wrong_type("message", "string", "object")]),
        (json!({"messages": null}), vec![wrong_type("messages", "array", "null")]),
        (json!({"messages": {"0": {}}}), vec![wrong_type("messages", "array", "object")]),
        (
            json!({"messages": [{"content": 1, "role": "USER"}]}),
            vec![
                at(json!(["messages", 0, "content"]), "invalid_type", "Expected string, received number"),
                at(
                    json!(["messages", 0, "role"]),
                    "invalid_enum_value",
                    "Invalid enum value. Expected 'user' | 'assistant' | 'system', received 'USER'",
                ),
            ],
        ),
    ] {
        let (status, refused) = lan.post(&lan.messages(chat), body.clone()).await;
        assert_eq!((status, issues(&refused)), (StatusCode::BAD_REQUEST, want), "{body:.80}");
        assert_eq!(refused["statusMessage"], "Bad Request. Invalid body(message | messages).");
    }
    assert!(lan.reads(chat).await.is_empty());
}

#[tokio::test]
async fn chats_are_judged() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let (_, refused) = lan.post(&lan.path("/chats"), json!({"name": "ok?", "model": "gpt-5"})).await;
    assert_eq!(refused["statusMessage"], "Bad Request. Invalid body(model, name).");
    let options = refused["data"]["issues"][0]["options"].as_array().unwrap();
    assert_eq!((options.len(), &options[0]), (14, &json!("google/gemma-2-27b-it")));
    let (_, refused) = lan.post(&lan.path("/chats"), json!({})).await;
    assert_eq!(issues(&refused), [required("model"), required("name")]);
    let path = lan.path(&format!("/chats/{chat}"));
    for (name, want) in [
        (json!(null), wrong_type("name", "string", "null")),
        (json!("ab"), too_short("name", 3)),
        (json!("  ab  "), too_short("name", 3)),
        (json!("\u{202e}\u{7}\n\n"), too_short("name", 3)),
        (json!("x".repeat(256)), too_long("name", 255)),
        (json!(true), wrong_type("name", "string", "boolean")),
    ] {
        let (status, refused) = lan.send(Method::PATCH, &path, json!({"name": name})).await;
        assert_eq!((status, issues(&refused)), (StatusCode::BAD_REQUEST, vec![want]), "{name}");
        assert_eq!(refused["statusMessage"], "Bad Request. Invalid body(name).");
    }
    for (ids, want) in [
        (json!(null), vec![wrong_type("chat_ids", "array", "null")]),
        (json!([]), vec![issue("too_small", json!(["chat_ids"]), "Array must contain at least 1 element(s)")]),
        (json!(chat), vec![wrong_type("chat_ids", "array", "number")]),
        (
            json!([chat, "1", null, 1.5, 0, -3]),
            vec![
                issue("invalid_type", json!(["chat_ids", 1]), "Expected number, received string"),
                issue("invalid_type", json!(["chat_ids", 2]), "Expected number, received null"),
                issue("invalid_type", json!(["chat_ids", 3]), "Expected integer, received float"),
                issue("too_small", json!(["chat_ids", 4]), "Number must be greater than 0"),
                issue("too_small", json!(["chat_ids", 5]), "Number must be greater than 0"),
            ],
        ),
    ] {
        let (status, refused) = lan.send(Method::DELETE, &lan.path("/chats"), json!({"chat_ids": ids})).await;
        assert_eq!((status, issues(&refused)), (StatusCode::BAD_REQUEST, want), "{ids}");
        assert_eq!(refused["statusMessage"], "Bad Request. Invalid body(chat_ids).");
    }
    assert_eq!(lan.get(&lan.path("/chats")).await.1["chats"][0]["name"], "A chat");
}

#[tokio::test]
async fn an_account_is_judged() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    for (body, want) in [
        (json!({}), required("email")),
        (json!({"email": null}), wrong_type("email", "string", "null")),
        (json!({"password": "Ab-9"}), too_short("password", 8)),
    ] {
        let (status, refused) = lan.send(Method::PATCH, &lan.path(""), body.clone()).await;
        assert_eq!((status, issues(&refused)), (StatusCode::BAD_REQUEST, vec![want]), "{body}");
    }
}

/// Every route with numbers in its path.
fn numbered(user: &str, chat: &str) -> Vec<(Method, String)> {
    let chats = format!("/api/users/{user}/chats/{chat}");
    vec![
        (Method::PATCH, chats.clone()),
        (Method::DELETE, chats.clone()),
        (Method::GET, format!("{chats}/messages")),
        (Method::POST, format!("{chats}/messages")),
        (Method::DELETE, format!("{chats}/messages/last")),
        (Method::GET, format!("{chats}/files")),
        (Method::POST, format!("{chats}/files/1")),
        (Method::GET, format!("{chats}/shares")),
        (Method::POST, format!("{chats}/shares")),
        (Method::POST, format!("{chats}/shares/1/whitelist-entries")),
    ]
}

#[tokio::test]
async fn numbers_in_paths_are_judged_together() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let nan = |field: &str| issue("invalid_type", json!([field]), "Expected number, received nan");
    for (method, path) in numbered("x", "y") {
        let (status, body) = lan.send(method.clone(), &path, json!({})).await;
        assert_eq!(
            (status, &body["statusMessage"]),
            (StatusCode::BAD_REQUEST, &json!("Bad Request.")),
            "{method} {path}"
        );
        assert_eq!(issues(&body), [nan("user_id"), nan("chat_id")], "{method} {path}");
        let (status, _) = answer(app.request(method.clone(), &path).json(&json!({}))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}: the guard comes first");
    }
    let me = lan.id.to_string();
    for chat in
        ["-1", "1.5", "1e400", "%20", "null", "NaN", "0x1", "1;drop table", "💥", "..%2f", "9".repeat(400).as_str()]
    {
        for (method, path) in numbered(&me, chat) {
            let (status, body) = lan
                .send(
                    method.clone(),
                    &path,
                    json!({"name": "Name", "text": "x", "message": "x", "actor": "user", "emails": ["a@b.co"]}),
                )
                .await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{method} {path}: {body}");
            assert_eq!(issues(&body)[0].1, json!(["chat_id"]), "{method} {path}");
        }
    }
    for (method, path) in numbered(&me, "9007199254740993") {
        let body = json!({"name": "Name", "text": "x", "message": "x", "actor": "user", "emails": ["a@b.co"]});
        assert_eq!(lan.send(method, &path, body).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}
