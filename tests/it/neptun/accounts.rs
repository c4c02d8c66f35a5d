//! Accounts and their sessions, from the first to the last.

use std::time::Duration;

use reqwest::header::SET_COOKIE;
use reqwest::{Method, StatusCode};
use roost::domain::{Ability, Email};
use serde_json::{Value, json};

use super::{issue, issues, refusal};
use crate::support::app::{TestApp, answer, whole_answer};
use crate::support::neptun::{Member, PASSWORD, cookie_of};
use crate::support::smtp::Smtp;

#[tokio::test]
async fn a_session_begins_with_the_account_and_ends_with_the_logout() {
    let app = TestApp::start().await;
    let sent = json!({"email": "Lan@Example.test", "password": PASSWORD, "confirmPassword": PASSWORD});
    let (status, headers, body) = whole_answer(app.request(Method::POST, "/api/auth/sign-up").json(&sent)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let id = body["user"]["id"].as_i64().unwrap();
    assert_eq!(body["user"], json!({"id": id, "primary_email": "lan@example.test"}));
    assert!(body["loggedInAt"].as_str().unwrap().ends_with('Z'));
    let set = headers[SET_COOKIE].to_str().unwrap();
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Max-Age=604800", "plain HTTP: not Secure");
    assert!(pair.starts_with("neptun-session=") && pair.len() > 60);
    let lan = Member { app: &app, id, email: "lan@example.test".to_owned(), cookie: cookie_of(&headers) };
    assert_eq!(lan.checks().await, StatusCode::NO_CONTENT);
    assert_eq!(lan.get("/api/auth/check").await, (StatusCode::OK, json!({})));
    let (status, headers, body) = whole_answer(lan.request(Method::POST, "/api/auth/logout")).await;
    assert_eq!((status, body), (StatusCode::OK, json!(true)));
    assert_eq!(headers[SET_COOKIE], "neptun-session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    assert_eq!(lan.checks().await, StatusCode::UNAUTHORIZED, "the cookie is revoked, not only forgotten");
    assert_eq!(lan.get("/api/auth/check").await, (StatusCode::UNAUTHORIZED, refusal(401, "Unauthorized")));
    assert_eq!(lan.post("/api/auth/logout", json!({})).await, (StatusCode::OK, json!(false)));
    assert_eq!(app.post("/api/auth/logout", json!({})).await, (StatusCode::OK, json!(false)));
    let again = lan.elsewhere().await;
    assert_eq!((again.id, again.checks().await), (id, StatusCode::NO_CONTENT));
}

#[tokio::test]
async fn who_is_signed_in_does_not_sign_in_again() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    for path in ["/api/auth/login", "/api/auth/sign-up"] {
        let (status, body) = lan.post(path, json!({"email": lan.email, "password": PASSWORD})).await;
        assert_eq!((status, &body["statusMessage"]), (StatusCode::FORBIDDEN, &json!("Forbidden")), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_read_the_same() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (status, _, wrong) = app.logs_in(&lan.email, "Wrong-Horse-9").await;
    let (unknown_status, _, unknown) = app.logs_in("nobody@example.test", "Wrong-Horse-9").await;
    assert_eq!((status, &wrong), (StatusCode::UNAUTHORIZED, &refusal(401, "Unauthorized")));
    assert_eq!((unknown_status, unknown), (status, wrong));
}

#[tokio::test]
async fn an_address_has_one_account() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (status, body) =
        app.post("/api/auth/sign-up", json!({"email": lan.email.to_uppercase(), "password": PASSWORD})).await;
    assert_eq!((status, &body["statusMessage"]), (StatusCode::CONFLICT, &json!("Conflict")));
    assert_eq!(issues(&body), [issue("custom", json!(["email"]), "Already taken")]);
}

#[tokio::test]
async fn a_session_ends_after_a_week() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    app.clock.advance(Duration::from_secs(7 * 24 * 3600 - 60));
    assert_eq!(lan.checks().await, StatusCode::NO_CONTENT);
    app.clock.advance(Duration::from_secs(61));
    assert_eq!(lan.checks().await, StatusCode::UNAUTHORIZED);
    assert_eq!(lan.get(&lan.path("/chats")).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_tampered_cookie_opens_nothing() {
    let app = TestApp::start().await;
    let mut lan = app.member("Lan").await;
    let whole = lan.cookie.clone();
    let (name, sealed) = whole.split_once('=').unwrap();
    for at in [0, sealed.len() / 2, sealed.len() - 2] {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        lan.cookie = format!("{name}={}", String::from_utf8(bytes).unwrap());
        assert_eq!(lan.checks().await, StatusCode::UNAUTHORIZED, "{at}");
    }
    for wrong in ["", "null", "1|abc", &sealed[..sealed.len() / 2], &"x".repeat(8000)] {
        lan.cookie = format!("{name}={wrong}");
        assert_eq!(lan.checks().await, StatusCode::UNAUTHORIZED, "{wrong:.20}");
        assert_eq!(lan.get(&lan.path("/chats")).await.0, StatusCode::UNAUTHORIZED);
    }
    lan.cookie = format!("theme=dark; {whole}; other=1");
    assert_eq!(lan.checks().await, StatusCode::NO_CONTENT, "among others");
}

#[tokio::test]
async fn a_bearer_token_is_no_session_and_a_session_no_bearer_token() {
    let app = TestApp::start().await;
    let mai = app.staff("Mai").await;
    let as_cookie =
        app.request(Method::HEAD, "/api/auth/check").header("cookie", format!("neptun-session={}", mai.token));
    assert_eq!(answer(as_cookie).await.0, StatusCode::UNAUTHORIZED);
    let lan = app.member("Lan").await;
    let sealed = lan.cookie.split_once('=').unwrap().1;
    assert_eq!(
        answer(app.request(Method::GET, "/api/v1/auth/me").bearer_auth(sealed)).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let other = lan.elsewhere().await;
    let change = json!({"email": "lan.new@example.test", "password": "Another-Horse-9"});
    let (status, body) = lan.send(Method::PATCH, &lan.path(""), change).await;
    assert_eq!(
        (status, &body),
        (StatusCode::OK, &json!({"user": {"id": lan.id, "primary_email": "lan.new@example.test"}}))
    );
    assert_eq!((lan.checks().await, other.checks().await), (StatusCode::NO_CONTENT, StatusCode::UNAUTHORIZED));
    assert_eq!(app.logs_in("lan.new@example.test", PASSWORD).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(app.logs_in("lan.new@example.test", "Another-Horse-9").await.0, StatusCode::OK);
    let tam = app.member("Tam").await;
    let (status, body) = tam.send(Method::PATCH, &tam.path(""), json!({"email": "lan.new@example.test"})).await;
    assert_eq!((status, &body["statusMessage"]), (StatusCode::CONFLICT, &json!("Conflict")));
    let (status, body) = tam.send(Method::PATCH, &tam.path(""), json!({})).await;
    assert_eq!(
        (status, &body["statusMessage"]),
        (StatusCode::BAD_REQUEST, &json!("Bad Request. Invalid body(?email, ?password)."))
    );
    assert_eq!(
        tam.send(Method::PATCH, &lan.path(""), json!({"email": "x@example.test"})).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn an_account_goes_with_everything_in_it() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    lan.says(chat, "user", "Hello").await;
    let (_, share) = lan.post(&lan.path(&format!("/chats/{chat}/shares")), json!({})).await;
    let link = format!("/api/shared/chats/{}", share["share"]["share_uuid"].as_str().unwrap());
    assert_eq!(app.get(&link).await.0, StatusCode::OK);
    let tam = app.member("Tam").await;
    assert_eq!(tam.delete(&lan.path("")).await.0, StatusCode::NOT_FOUND, "only one's own");
    let (status, headers, body) = whole_answer(lan.request(Method::DELETE, &lan.path(""))).await;
    assert_eq!((status, body), (StatusCode::OK, json!(true)));
    assert!(headers[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(lan.checks().await, StatusCode::UNAUTHORIZED);
    assert_eq!(app.logs_in(&lan.email, PASSWORD).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(app.get(&link).await.0, StatusCode::NOT_FOUND);
    let next = app.member("Lan").await;
    assert_ne!(next.id, lan.id);
    assert_eq!(next.get(&next.path("/chats")).await.1, json!({"chats": []}));
}

#[tokio::test]
async fn a_command_line_is_told_what_it_needs() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (status, headers, body) = whole_answer(lan.request(Method::GET, &lan.path("/cli"))).await;
    assert_eq!((status, &headers["cache-control"]), (StatusCode::OK, &"no-store".parse().unwrap()));
    assert_eq!(body["utils"]["neptun_api_server_host"], format!("{}/api", app.url));
    assert_eq!(format!("neptun-session={}", body["auth"]["neptun_session_cookie"].as_str().unwrap()), lan.cookie);
    assert_eq!(body["auth"]["user"], json!({"id": lan.id, "email": lan.email, "oauth": null}));
    let active = &body["active_chat"];
    assert_eq!((&active["chat_id"], &active["model"]), (&json!(-1), &json!("google/gemma-2-27b-it")));
    assert!(active["chat_name"].as_str().unwrap().starts_with("chat-"));
}

#[tokio::test]
async fn behind_tls_the_cookie_is_secure() {
    let app = TestApp::with(|config| config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let body = json!({"email": "lan@example.test", "password": PASSWORD});
    let request = app.request(Method::POST, "/api/auth/sign-up").header("x-forwarded-proto", "https").json(&body);
    let (_, headers, _) = whole_answer(request).await;
    assert!(headers[SET_COOKIE].to_str().unwrap().ends_with("; Secure"), "{headers:?}");
}

#[tokio::test]
async fn an_account_that_may_not_chat_is_refused() {
    let app = TestApp::start().await;
    let email = Email::parse("tam@example.test").unwrap();
    let abilities = vec![Ability::parse("backoffice").unwrap()];
    let added = app.app.chat.add_user(None, email, "Tam".to_owned(), Some(PASSWORD.to_owned()), false, abilities).await;
    let id = added.unwrap().id.0;
    let (status, headers, _) = app.logs_in("tam@example.test", PASSWORD).await;
    assert_eq!(status, StatusCode::OK);
    let tam = Member { app: &app, id, email: String::new(), cookie: cookie_of(&headers) };
    for path in [tam.path("/chats"), "/api/users/999/chats".to_owned()] {
        assert_eq!(tam.get(&path).await, (StatusCode::FORBIDDEN, refusal(403, "Forbidden")), "{path}");
    }
    assert_eq!(tam.post("/api/auth/logout", json!({})).await, (StatusCode::OK, json!(true)));
}

/// With the right password only: else nobody learns that there is such an account.
#[tokio::test]
async fn who_may_not_sign_in_is_told_why() {
    let smtp = Smtp::start().await;
    let url = smtp.url.clone();
    let app = TestApp::with(|config| {
        config.mail.smtp_url = url;
        config.mail.from = "roost@example.test".to_owned();
    })
    .await;
    let email = "tam@example.test";
    let body = json!({"name": "Tam", "email": email, "password": PASSWORD, "password_confirmation": PASSWORD});
    assert_eq!(app.post("/api/v1/auth/register", body).await.0, StatusCode::CREATED);
    let said = |body: &Value| (body["statusMessage"].clone(), body["data"]["message"].clone());
    let (status, _, body) = app.logs_in(email, PASSWORD).await;
    let why = json!("The e-mail address is not proved yet: reset the password with a code");
    assert_eq!((status, said(&body)), (StatusCode::FORBIDDEN, (json!("Forbidden"), why)));
    assert_eq!(app.logs_in(email, "Wrong-Horse-9").await.2, refusal(401, "Unauthorized"));
    let reset = json!({"otp": smtp.code(email, 1).await, "new_password": PASSWORD});
    let (_, done) = app.post(&format!("/{email}/reset-password"), reset).await;
    assert_eq!(done["success"], json!(true), "the code that proves an address does so here, too");
    assert_eq!(app.logs_in(email, PASSWORD).await.0, StatusCode::OK);
    let address = Email::parse(email).unwrap();
    let tam = app.app.chat.user_by_email(None, &address).await.unwrap().unwrap();
    app.app.chat.set_active(tam.id, false).await.unwrap();
    let (status, _, body) = app.logs_in(email, PASSWORD).await;
    let why = json!("The account is switched off");
    assert_eq!((status, said(&body)), (StatusCode::FORBIDDEN, (json!("Forbidden"), why)));
    assert_eq!(app.logs_in(email, "Wrong-Horse-9").await.2, refusal(401, "Unauthorized"));
}

#[tokio::test]
async fn who_guesses_passwords_has_to_wait() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    for _ in 0..5 {
        assert_eq!(app.logs_in(&lan.email, "Wrong-Horse-9").await.0, StatusCode::UNAUTHORIZED);
    }
    let (status, headers, body) = app.logs_in(&lan.email, PASSWORD).await;
    assert_eq!((status, &body), (StatusCode::TOO_MANY_REQUESTS, &refusal(429, "Too Many Requests")));
    assert_eq!(headers["retry-after"], "1");
    let value: Value = lan.get("/api/auth/check").await.1;
    assert_eq!(value, json!({}), "who is in stays in");
}
