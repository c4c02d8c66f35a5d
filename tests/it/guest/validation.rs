//! Every field of every route: missing, null, of another type, too long, hostile.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::app::TestApp;

/// A field of a route: how many characters it takes, and whether it has to be there.
struct Field {
    name: &'static str,
    max: usize,
    required: bool,
}

const fn required(name: &'static str, max: usize) -> Field {
    Field { name, max, required: true }
}

const fn optional(name: &'static str, max: usize) -> Field {
    Field { name, max, required: false }
}

/// Every route that reads a body, with its fields.
const ROUTES: &[(&str, &[Field])] = &[
    (
        "/api/v1/chat/guest/session",
        &[
            optional("guest_name", 255),
            optional("guest_email", 255),
            optional("guest_phone", 20),
            optional("session_key", 100),
        ],
    ),
    ("/api/v1/chat/guest/session", &[optional("session_id", 100)]),
    ("/api/v1/chat/guest/k-validation/message", &[required("message", 1000)]),
    ("/api/v1/chatbot", &[required("message", 1000), optional("session_key", 191)]),
    (
        "/api/v1/auth/register",
        &[
            required("name", 255),
            required("email", 255),
            required("password", 255),
            optional("phone", 20),
            optional("language_preference", 35),
        ],
    ),
    ("/api/v1/auth/verify-otp", &[required("email", 255), required("otp", 16)]),
    ("/api/v1/auth/login", &[required("email", 255), required("password", 255), optional("device_name", 255)]),
];

async fn server() -> TestApp {
    let app = TestApp::start().await;
    app.post("/api/v1/chat/guest/session", json!({"session_key": "k-validation"})).await;
    app
}

/// The fields that an answer complains of; none when it does not.
async fn wrong(app: &TestApp, path: &str, body: Value) -> Vec<String> {
    let said = body.to_string();
    let (status, answer) = app.post(path, body).await;
    assert!(status.is_success() || status.is_client_error(), "{path} {status} {said:.200}");
    let Some(details) = answer["error"]["details"].as_object() else { return Vec::new() };
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("VALIDATION_FAILED")));
    for sentences in details.values() {
        let sentences = sentences.as_array().expect("a list");
        assert!(!sentences.is_empty() && sentences.iter().all(Value::is_string), "{details:?}");
    }
    details.keys().cloned().collect()
}

#[tokio::test]
async fn a_field_of_another_type_is_refused_and_not_converted() {
    let app = server().await;
    for (path, fields) in ROUTES {
        for field in *fields {
            for value in [json!(1), json!(-1.5), json!(1e300), json!(true), json!([]), json!(["a"]), json!({"a": "b"})]
            {
                let wrong = wrong(&app, path, json!({field.name: value})).await;
                assert!(wrong.iter().any(|name| name == field.name), "{path} {} {value}: {wrong:?}", field.name);
            }
        }
    }
}

#[tokio::test]
async fn a_field_that_is_missing_null_or_blank_counts_as_missing() {
    let app = server().await;
    for (path, fields) in ROUTES {
        for field in *fields {
            let mut bodies = vec![json!({}), json!({field.name: null})];
            if field.name != "password" {
                bodies.extend([json!({field.name: ""}), json!({field.name: " \t\n\u{2003}"})]);
            }
            for body in bodies {
                let (_, answer) = app.post(path, body.clone()).await;
                let said = answer["error"]["details"][field.name][0].as_str().unwrap_or_default();
                assert_eq!(said.ends_with(" is required"), field.required, "{path} {} {body}: {said}", field.name);
            }
        }
    }
}

#[tokio::test]
async fn a_field_that_is_too_long_is_refused_by_its_characters() {
    let app = server().await;
    for (path, fields) in ROUTES {
        for field in *fields {
            for letter in ["a", "ế", "🦉"] {
                let body = json!({field.name: letter.repeat(field.max + 1)});
                let (_, answer) = app.post(path, body).await;
                let said = answer["error"]["details"][field.name][0].as_str().unwrap_or_default();
                let want = format!("may not be greater than {} characters", field.max);
                assert!(said.ends_with(&want), "{path} {} {letter}: {said}", field.name);
            }
        }
    }
    let longest = json!({"message": format!("  {}\n", "🦉".repeat(1000))});
    let (status, sent) = app.post("/api/v1/chat/guest/k-validation/message", longest).await;
    assert_eq!((status, &sent["data"]["message"]), (StatusCode::OK, &json!("🦉".repeat(1000))));
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let app = server().await;
    for (path, fields) in ROUTES {
        let body: serde_json::Map<_, _> = fields.iter().map(|field| (field.name.to_owned(), json!([1]))).collect();
        let mut names: Vec<_> = fields.iter().map(|field| field.name).collect();
        names.sort_unstable();
        assert_eq!(wrong(&app, path, Value::Object(body)).await, names, "{path}");
    }
}

#[tokio::test]
async fn rules_beyond_type_and_length_are_told_in_words() {
    let app = server().await;
    let register = |field: &str, value: Value| {
        let mut body = json!({"name": "Mai", "email": "mai@example.test", "password": "long enough",
            "password_confirmation": "long enough"});
        body[field] = value;
        body
    };
    for (path, body, field, want) in [
        (
            "/api/v1/chat/guest/session",
            json!({"guest_email": "not one"}),
            "guest_email",
            "must be a valid email address",
        ),
        (
            "/api/v1/chat/guest/session",
            json!({"guest_name": "a\u{0}b"}),
            "guest_name",
            "may not contain NUL characters",
        ),
        ("/api/v1/auth/register", register("email", json!("a@b@c")), "email", "must be a valid email address"),
        ("/api/v1/auth/register", register("password", json!("short")), "password", "must be at least 8 characters"),
        (
            "/api/v1/auth/register",
            register("password_confirmation", json!("other")),
            "password",
            "confirmation does not match",
        ),
        (
            "/api/v1/auth/register",
            register("password_confirmation", json!(null)),
            "password",
            "confirmation does not match",
        ),
        (
            "/api/v1/auth/register",
            register("password_confirmation", json!(["long enough"])),
            "password",
            "confirmation does not match",
        ),
        (
            "/api/v1/auth/register",
            register("language_preference", json!("xx")),
            "language_preference",
            "must be one of: en, vi, ja, zh",
        ),
        (
            "/api/v1/auth/login",
            json!({"email": "a@b", "password": "short"}),
            "password",
            "must be at least 8 characters",
        ),
    ] {
        let (status, answer) = app.post(path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        let said = answer["error"]["details"][field][0].as_str().unwrap_or_default();
        assert!(said.ends_with(want), "{path} {field}: {answer}");
    }
}

#[tokio::test]
async fn names_are_cleaned_like_messages() {
    let app = server().await;
    let body = json!({"guest_name": "\u{202e}La\u{7}n\u{2066} ", "guest_phone": "+84\u{85} 1"});
    let (_, opened) = app.post("/api/v1/chat/guest/session", body).await;
    let meta = &opened["data"]["session"]["meta"];
    assert_eq!((&meta["guest_name"], &meta["guest_phone"]), (&json!("Lan"), &json!("+84 1")), "{opened}");
}

#[tokio::test]
async fn staff_routes_judge_a_body_after_its_sender() {
    let app = server().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    for path in [
        format!("/api/v1/chat/sessions/{}/staff-message", guest.id),
        format!("/api/v1/chat/admin/{}/message", guest.key),
    ] {
        let (status, _) = app.post(&path, json!({"message": 1})).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        mai.post(&format!("/api/v1/chat/admin/{}/assign", guest.key), json!({})).await;
        for body in [
            json!({}),
            json!({"message": null}),
            json!({"message": 1}),
            json!({"message": " "}),
            json!({"message": "a".repeat(1001)}),
        ] {
            let (status, answer) = mai.post(&path, body.clone()).await;
            let keys: Vec<_> = answer["error"]["details"].as_object().expect("details").keys().collect();
            assert_eq!((status, keys), (StatusCode::BAD_REQUEST, vec![&"message".to_owned()]), "{path} {body}");
        }
    }
}
