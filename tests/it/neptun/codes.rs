//! One-time codes: a new password without the old one.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{TestApp, whole_answer};
use crate::support::neptun::PASSWORD;
use crate::support::smtp::Smtp;

const NEW: &str = "Another-Horse-9";
const WRONG: &str = "Invalid or expired OTP.";

async fn mailing() -> (TestApp, Smtp) {
    let smtp = Smtp::start().await;
    let url = smtp.url.clone();
    let app = TestApp::with(|config| {
        config.mail.smtp_url = url;
        config.mail.from = "roost@example.test".to_owned();
    })
    .await;
    (app, smtp)
}

fn outcome(success: bool, message: &str) -> (StatusCode, Value) {
    (StatusCode::OK, json!({"success": success, "message": message}))
}

impl TestApp {
    async fn sends_code(&self, email: &str) -> (StatusCode, Value) {
        self.post("/auth/otp", json!({"action": "create", "email": email})).await
    }

    async fn resets(&self, email: &str, otp: &str, password: &str) -> (StatusCode, Value) {
        self.post(&format!("/{email}/reset-password"), json!({"otp": otp, "new_password": password})).await
    }
}

#[tokio::test]
async fn a_code_sets_a_new_password_and_ends_all_sessions() {
    let (app, smtp) = mailing().await;
    let lan = app.member("Lan").await;
    assert_eq!(app.sends_code(&lan.email).await, outcome(true, "Successfully sent OTP."));
    let code = smtp.code(&lan.email, 1).await;
    assert!(code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    let body = json!({"action": "validate", "email": lan.email, "otp": code, "new_password": NEW});
    let done = outcome(true, "Successfully validated OTP and reset password.");
    assert_eq!(app.post("/auth/otp", body.clone()).await, done);
    assert_eq!(lan.checks().await, StatusCode::UNAUTHORIZED, "all sessions end");
    assert_eq!(app.logs_in(&lan.email, PASSWORD).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(app.logs_in(&lan.email, NEW).await.0, StatusCode::OK);
    assert_eq!(app.post("/api/auth/otp", body).await, outcome(false, WRONG), "a code is good once");
}

#[tokio::test]
async fn the_other_route_does_the_same() {
    let (app, smtp) = mailing().await;
    let lan = app.member("Lan").await;
    app.post("/api/auth/otp", json!({"action": "create", "email": lan.email.to_uppercase()})).await;
    let code = smtp.code(&lan.email, 1).await;
    let wrong = if code == "00000" { "11111" } else { "00000" };
    assert_eq!(app.resets(&lan.email, wrong, NEW).await, outcome(false, WRONG));
    let (status, weak) = app.resets(&lan.email, &code, "weak").await;
    assert_eq!((status, &weak["success"]), (StatusCode::OK, &json!(false)));
    assert!(weak["message"].as_str().unwrap().starts_with("Invalid password"), "{weak}");
    let path = format!("/api/users/{}/reset-password", lan.email);
    let done = outcome(true, "Successfully validated OTP and reset password.");
    assert_eq!(app.post(&path, json!({"otp": code, "new_password": NEW})).await, done, "a weak one cost no try");
}

#[tokio::test]
async fn who_has_an_account_is_not_told() {
    let (app, smtp) = mailing().await;
    let lan = app.member("Lan").await;
    let nobody = "nobody@example.test";
    assert_eq!(app.sends_code(nobody).await, app.sends_code(&lan.email).await);
    smtp.code(&lan.email, 1).await;
    for email in [nobody, &lan.email] {
        assert_eq!(app.resets(email, "1", NEW).await, outcome(false, WRONG), "{email}");
    }
    assert_eq!(app.resets(nobody, "12345", NEW).await, outcome(false, WRONG));
    assert!(smtp.to(nobody).is_empty());
}

#[tokio::test]
async fn a_code_is_good_for_ten_minutes() {
    let (app, smtp) = mailing().await;
    let lan = app.member("Lan").await;
    app.sends_code(&lan.email).await;
    let code = smtp.code(&lan.email, 1).await;
    app.clock.advance(Duration::from_secs(601));
    assert_eq!(app.resets(&lan.email, &code, NEW).await, outcome(false, WRONG));
}

#[tokio::test]
async fn who_guesses_codes_has_to_wait() {
    let (app, smtp) = mailing().await;
    let lan = app.member("Lan").await;
    app.sends_code(&lan.email).await;
    let code = smtp.code(&lan.email, 1).await;
    let wrong = if code == "00000" { "11111" } else { "00000" };
    for _ in 0..5 {
        assert_eq!(app.resets(&lan.email, wrong, NEW).await, outcome(false, WRONG));
    }
    let body = json!({"otp": code, "new_password": NEW});
    let path = format!("/{}/reset-password", lan.email);
    let (status, headers, body) = whole_answer(app.request(Method::POST, &path).json(&body)).await;
    assert_eq!((status, body), outcome(false, "Too many attempts. Try again in 1 second(s)."));
    assert_eq!(headers["retry-after"], "1");
}

#[tokio::test]
async fn what_is_sent_wrongly_is_an_outcome_too() {
    let (app, _smtp) = mailing().await;
    for body in [json!({}), json!({"action": "delete", "email": "lan@example.test"}), json!({"action": 1}), json!([])] {
        assert_eq!(app.post("/auth/otp", body.clone()).await, outcome(false, "Invalid action."), "{body}");
    }
    for action in ["create", "validate"] {
        let body = json!({"action": action, "email": "nobody"});
        assert_eq!(app.post("/auth/otp", body).await, outcome(false, "Invalid email."));
    }
    assert_eq!(app.resets("nobody", "12345", NEW).await, outcome(false, "Invalid email."));
    assert_eq!(app.sends_code("lan@example.test").await.0, StatusCode::OK);
}

#[tokio::test]
async fn without_mail_no_code_is_promised() {
    let app = TestApp::with(|config| config.http.trusted_proxies = vec!["10.0.0.1".parse().unwrap()]).await;
    let lan = app.member("Lan").await;
    let (status, body) = app.sends_code(&lan.email).await;
    assert_eq!((status, &body["success"]), (StatusCode::OK, &json!(false)), "{body}");
}
