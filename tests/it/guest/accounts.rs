//! Accounts: registration, codes by real letters, signing in and out.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use roost::chat::AccountEdit;
use roost::domain::{Ability, Email, Language};
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer};
use crate::support::smtp::Smtp;

async fn mailing() -> (TestApp, Smtp) {
    let smtp = Smtp::start().await;
    let app = TestApp::with(|config| {
        config.mail.smtp_url.clone_from(&smtp.url);
        config.mail.from = "Roost <roost@example.test>".to_owned();
    })
    .await;
    (app, smtp)
}

const PASSWORD: &str = "a long pässword ";

impl TestApp {
    async fn registers(&self, name: &str, email: &str) -> (StatusCode, Value) {
        let body = json!({"name": name, "email": email, "password": PASSWORD, "password_confirmation": PASSWORD});
        self.post("/api/v1/auth/register", body).await
    }

    async fn signs_in(&self, email: &str, password: &str) -> (StatusCode, Value) {
        self.post("/api/v1/auth/login", json!({"email": email, "password": password, "device_name": "test"})).await
    }

    async fn tries(&self, email: &str, code: &str) -> StatusCode {
        self.post("/api/v1/auth/verify-otp", json!({"email": email, "otp": code})).await.0
    }

    async fn me(&self, token: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, "/api/v1/auth/me").bearer_auth(token)).await
    }
}

#[tokio::test]
async fn a_letter_says_how_long_its_code_is_good_for() {
    for (minutes, want) in [(10, "good for 10 minutes."), (1, "good for 1 minute.")] {
        let smtp = Smtp::start().await;
        let app = TestApp::with(|config| {
            config.mail.smtp_url.clone_from(&smtp.url);
            config.mail.from = "Roost <roost@example.test>".to_owned();
            config.accounts.code_minutes = minutes;
        });
        let app = app.await;
        app.registers("Mai", "mai@example.test").await;
        smtp.code("mai@example.test", 1).await;
        let letter = smtp.to("mai@example.test").pop().expect("a letter");
        assert!(letter.contains(want), "{letter}");
    }
}

#[tokio::test]
async fn who_registers_proves_the_address_and_signs_in() {
    let (app, smtp) = mailing().await;
    let (status, made) = app.registers("Mai", "Mai@Example.test").await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["user"], "no token yet");
    assert_eq!(
        (&made["data"]["user"]["email"], &made["data"]["user"]["is_admin"]),
        (&json!("mai@example.test"), &json!(false))
    );
    let (status, early) = app.signs_in("mai@example.test", PASSWORD).await;
    assert_eq!((status, &early["error"]["code"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN")));
    // A minute has to pass between two letters.
    app.clock.advance(std::time::Duration::from_secs(60));
    app.signs_in("mai@example.test", PASSWORD).await;
    let (first, second) = (smtp.code("mai@example.test", 1).await, smtp.code("mai@example.test", 2).await);
    assert!(second.len() == 6, "signing in too early sent another: {second}");
    if first != second {
        assert_eq!(app.tries("mai@example.test", &first).await, StatusCode::BAD_REQUEST, "the older one is void");
    }
    assert_eq!(app.tries("MAI@example.test", &second).await, StatusCode::OK);
    assert_eq!(app.tries("mai@example.test", &second).await, StatusCode::BAD_REQUEST, "a code is good once");
    let (status, signed) = app.signs_in("mai@example.test", PASSWORD).await;
    assert_eq!((status, &signed["data"]["token_type"]), (StatusCode::OK, &json!("Bearer")));
    let (status, me) = app.me(signed["data"]["token"].as_str().unwrap()).await;
    assert_eq!((status, &me["data"]), (StatusCode::OK, &signed["data"]["user"]));
    let keys: Vec<_> = me["data"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["avatar", "email", "id", "is_admin", "language_preference", "name", "phone"]);
}

#[tokio::test]
async fn an_address_has_one_account() {
    let (app, _smtp) = mailing().await;
    assert_eq!(app.registers("Mai", "mai@example.test").await.0, StatusCode::CREATED);
    let (status, taken) = app.registers("Another", "MAI@example.test").await;
    assert_eq!(
        (status, &taken["error"]["details"]["email"][0]),
        (StatusCode::BAD_REQUEST, &json!("Email has already been taken"))
    );
}

#[tokio::test]
async fn a_name_cannot_write_headers_into_a_letter() {
    let (app, smtp) = mailing().await;
    let name = "Mai\r\nBcc: everybody@example.test\r\n\r\n\u{202e}Spam";
    let (status, made) = app.registers(name, "mai@example.test").await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    smtp.code("mai@example.test", 1).await;
    let letter = smtp.to("mai@example.test").pop().unwrap();
    assert!(!letter.lines().any(|line| line.starts_with("Bcc:")), "{letter}");
    assert!(!letter.contains("RCPT TO:<everybody"), "{letter}");
    assert!(!made["data"]["user"]["name"].as_str().unwrap().contains(['\r', '\n', '\u{202e}']), "{made}");
}

#[tokio::test]
async fn a_code_is_good_for_ten_minutes_and_five_tries() {
    let (app, smtp) = mailing().await;
    app.registers("Mai", "mai@example.test").await;
    let code = smtp.code("mai@example.test", 1).await;
    let wrong = if code == "000000" { "111111" } else { "000000" };
    for _ in 0..5 {
        assert_eq!(app.tries("mai@example.test", wrong).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(app.tries("mai@example.test", &code).await, StatusCode::BAD_REQUEST, "tried too often");
    app.registers("Tam", "tam@example.test").await;
    let code = smtp.code("tam@example.test", 1).await;
    app.clock.advance(Duration::from_secs(601));
    assert_eq!(app.tries("tam@example.test", &code).await, StatusCode::BAD_REQUEST, "expired");
    let unknown = app.post("/api/v1/auth/verify-otp", json!({"email": "nobody@example.test", "otp": "000000"})).await;
    let known = app.post("/api/v1/auth/verify-otp", json!({"email": "tam@example.test", "otp": wrong})).await;
    assert_eq!((unknown.0, &unknown.1["error"]), (known.0, &known.1["error"]), "who has an account is not told");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_read_the_same() {
    let app = TestApp::start().await;
    let mai = app.staff("Mai").await;
    let (status, mut wrong) = app.signs_in(&mai.email, "not the password").await;
    let (unknown_status, mut unknown) = app.signs_in("nobody@example.test", "not the password").await;
    for body in [&mut wrong, &mut unknown] {
        for moving in ["trace_id", "timestamp"] {
            body[moving] = Value::Null;
        }
    }
    assert_eq!((status, &wrong), (unknown_status, &unknown));
    assert_eq!((status, &wrong["message"]), (StatusCode::UNAUTHORIZED, &json!("Invalid credentials")));
    let spaced = format!(" {} ", mai.password);
    assert_eq!(app.signs_in(&mai.email, &spaced).await.0, StatusCode::UNAUTHORIZED, "a password is taken as typed");
    assert_eq!(app.signs_in(&mai.email.to_uppercase(), &mai.password).await.0, StatusCode::OK);
}

#[tokio::test]
async fn signing_out_ends_one_token_or_all() {
    let app = TestApp::start().await;
    let mai = app.staff("Mai").await;
    let mut tokens = vec![mai.token.clone()];
    for _ in 0..2 {
        let (_, signed) = app.signs_in(&mai.email, &mai.password).await;
        tokens.push(signed["data"]["token"].as_str().unwrap().to_owned());
    }
    let out = |path: &str, token: &str| answer(app.request(Method::POST, path).bearer_auth(token));
    assert_eq!(out("/api/v1/auth/logout", &tokens[0]).await, (StatusCode::NO_CONTENT, Value::Null));
    assert_eq!(app.me(&tokens[0]).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(app.me(&tokens[1]).await.0, StatusCode::OK);
    assert_eq!(out("/api/v1/auth/logout-all", &tokens[1]).await.0, StatusCode::NO_CONTENT);
    for token in &tokens {
        assert_eq!(app.me(token).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(out("/api/v1/auth/logout", &tokens[1]).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_users_own_language_comes_before_the_browsers() {
    let (app, smtp) = mailing().await;
    let body = json!({"name": "Mai", "email": "mai@example.test", "password": PASSWORD,
        "password_confirmation": PASSWORD, "language_preference": "vi", "phone": "+84 1"});
    let (_, made) = app.post("/api/v1/auth/register", body).await;
    let user = &made["data"]["user"];
    assert_eq!((&user["language_preference"], &user["phone"]), (&json!("vi"), &json!("+84 1")));
    app.tries("mai@example.test", &smtp.code("mai@example.test", 1).await).await;
    let (_, signed) = app.signs_in("mai@example.test", PASSWORD).await;
    let token = signed["data"]["token"].as_str().unwrap();
    let me = app.request(Method::GET, "/api/v1/auth/me").bearer_auth(token).header("accept-language", "en");
    assert_eq!(answer(me).await.1["message"], "Đã lấy thông tin tài khoản");
}

/// Other doors speak languages that this one does not: nobody gets them here.
#[tokio::test]
async fn a_language_of_another_door_changes_nothing() {
    let app = TestApp::start().await;
    for language in ["es", "pt-BR", "pt"] {
        let body = json!({"name": "Mai", "email": "mai@example.test", "password": PASSWORD,
            "password_confirmation": PASSWORD, "language_preference": language});
        let (status, refused) = app.post("/api/v1/auth/register", body).await;
        assert_eq!(
            (status, refused["error"]["details"]["language_preference"].is_array()),
            (StatusCode::BAD_REQUEST, true)
        );
    }
    let mai = app.staff("Mai").await;
    let me = async |accepts: &str| {
        let me = app.request(Method::GET, "/api/v1/auth/me").bearer_auth(&mai.token).header("accept-language", accepts);
        answer(me).await.1["message"].as_str().unwrap().to_owned()
    };
    let (english, vietnamese) = (me("en").await, me("vi").await);
    assert_ne!(english, vietnamese);
    assert_eq!((me("es").await, me("es, vi;q=0.1").await), (english, vietnamese.clone()));
    let access = app.app.chat.authenticate(&mai.token).await.unwrap();
    let edit = AccountEdit { language: Some(Some(Language::Es)), ..AccountEdit::default() };
    app.app.chat.edit_account(&access, edit).await.unwrap();
    assert_eq!(me("vi").await, vietnamese, "nor does one's own choice elsewhere");
}

#[tokio::test]
async fn without_mail_nobody_can_register_in_public() {
    let smtp_that_is_gone = "smtp://127.0.0.1:1".to_owned();
    let app = TestApp::with(|config| {
        config.mail.smtp_url = smtp_that_is_gone;
        config.mail.from = "roost@example.test".to_owned();
    })
    .await;
    let (status, body) = app.registers("Mai", "mai@example.test").await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("UPSTREAM_UNAVAILABLE")));
}

#[tokio::test]
async fn an_account_without_a_password_cannot_be_signed_in_to() {
    let app = TestApp::start().await;
    let email = Email::parse("tokens@example.test").unwrap();
    app.app.chat.add_user(None, email, "Tokens".to_owned(), None, true, vec![Ability::any()]).await.unwrap();
    for password in ["        ", "null-null", PASSWORD] {
        assert_eq!(app.signs_in("tokens@example.test", password).await.0, StatusCode::UNAUTHORIZED);
    }
}
