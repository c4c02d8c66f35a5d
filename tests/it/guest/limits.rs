//! Rate limits: what counts against what, and what the headers say.

use std::time::Instant;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::{TestApp, whole_answer};
use crate::support::raw::Raw;

async fn limited() -> TestApp {
    TestApp::with(|config| {
        config.limits.enabled = true;
        // By the test's clock; Redis has its own, and tests of its own.
        config.redis.url.clear();
    })
    .await
}

fn number(headers: &HeaderMap, name: &str) -> u64 {
    headers[name].to_str().expect("text").parse().expect("a number")
}

/// Sends the same request until it is refused: how often it was not, and the refusal's headers.
/// Fails unless that is a minute's worth, give or take what time gave back meanwhile.
async fn exhaust(app: &TestApp, method: Method, path: &str) -> HeaderMap {
    let began = Instant::now();
    let mut passed = 0;
    loop {
        let body = json!({"message": "a"});
        let (status, headers, answer) = whole_answer(app.request(method.clone(), path).json(&body)).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            let given_back = began.elapsed().as_secs() + 1;
            // One may have gone to opening the session.
            assert!((59..=60 + given_back).contains(&passed), "{passed} passed");
            assert_eq!(answer["error"]["code"], "RATE_LIMIT_EXCEEDED");
            return headers;
        }
        assert_eq!(number(&headers, "x-ratelimit-limit"), 60, "{path} {answer}");
        assert!(number(&headers, "x-ratelimit-remaining") < 60);
        passed += 1;
    }
}

#[tokio::test]
async fn sends_and_polls_have_sixty_a_minute_each_and_by_session() {
    let app = limited().await;
    let (guest, other) = (app.guest().await, app.guest().await);
    let refused = exhaust(&app, Method::POST, &guest.path("message")).await;
    assert_eq!((number(&refused, "x-ratelimit-limit"), number(&refused, "x-ratelimit-remaining")), (60, 0));
    assert_eq!((number(&refused, "retry-after"), number(&refused, "x-ratelimit-reset")), (1, 1));
    exhaust(&app, Method::GET, &guest.path("messages")).await;
    for rest in ["history", "messages", "events"] {
        let (status, _) = app.get(&guest.path(rest)).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{rest} is a poll");
    }
    let (status, _) = app.post(&guest.path("transfer-human"), json!({})).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "a transfer is a send");
    other.says("another session goes on").await;
    other.polls(0).await;
}

#[tokio::test]
async fn what_no_session_vouches_for_counts_against_the_address() {
    let app = limited().await;
    let guest = app.guest().await;
    exhaust(&app, Method::GET, "/api/v1/chat/guest/nobody/messages").await;
    for (method, path) in [
        (Method::POST, "/api/v1/chat/guest/session"),
        (Method::GET, "/api/v1/chat/guest/nobody-else/history"),
        (Method::POST, "/api/v1/chatbot"),
        (Method::GET, "/api/v1/auth/me"),
    ] {
        let request = app.request(method, path).json(&json!({"message": "a"}));
        assert_eq!(whole_answer(request).await.0, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    guest.says("who has a session goes on").await;
    assert!(app.figure("limit_address_refusals_total").await >= 5.0);
}

#[tokio::test]
async fn staff_are_counted_by_account_and_sign_ins_by_address() {
    let app = limited().await;
    let (mai, tam) = (app.staff("Mai").await, app.staff("Tam").await);
    let began = Instant::now();
    let mut passed = 0;
    while mai.get("/api/v1/chat/staff/sessions").await.0 == StatusCode::OK {
        passed += 1;
    }
    assert!((60..=61 + began.elapsed().as_secs()).contains(&passed), "{passed}");
    assert_eq!(tam.get("/api/v1/chat/staff/sessions").await.0, StatusCode::OK);
    let guess = json!({"email": "mai@staff.test", "otp": "000000"});
    let mut statuses = Vec::new();
    while statuses.last() != Some(&StatusCode::TOO_MANY_REQUESTS) {
        statuses.push(app.post("/api/v1/auth/verify-otp", guess.clone()).await.0);
        assert!(statuses.len() < 100, "codes can be guessed without end");
    }
}

#[tokio::test]
async fn limits_can_be_switched_off() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    for _ in 0..70 {
        let (status, headers, _) = whole_answer(app.request(Method::GET, &guest.path("messages"))).await;
        assert_eq!(status, StatusCode::OK);
        assert!(!headers.contains_key("x-ratelimit-limit"));
    }
}

#[tokio::test]
async fn a_table_full_of_keys_stays_bounded_and_spares_who_is_in_it() {
    let app = TestApp::with(|config| {
        config.redis.url.clear();
        config.limits.enabled = true;
        config.limits.keys_max = 50;
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let from = |address: String| {
        let request = app.request(Method::GET, "/api/v1/chat/guest/nobody/messages");
        whole_answer(request.header("x-forwarded-for", address))
    };
    for n in 0..40 {
        assert_eq!(from(format!("192.0.2.{n}")).await.0, StatusCode::NOT_FOUND);
    }
    // One network of IPv6 is one client: it has more addresses than any table.
    let mut refused = 0;
    for n in 0..200 {
        refused += u32::from(from(format!("2001:db8:0:1::{n:x}")).await.0 == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused >= 100, "only {refused} of 200 were refused");
    // Strangers without end share one bucket once the table is full.
    let mut refused = 0;
    for n in 0..200 {
        refused += u32::from(from(format!("198.51.{n}.1")).await.0 == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused >= 100, "only {refused} of 200 were refused");
    let (status, headers, _) = from("192.0.2.7".to_owned()).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "who was there before keeps their own bucket");
    assert!(number(&headers, "x-ratelimit-remaining") >= 50);
}

/// Whoever is over a limit is told so before the body is read: it may be long, and slow to come.
#[tokio::test]
async fn a_limit_is_told_before_the_body_has_come() {
    let app = limited().await;
    let guest = app.guest().await;
    exhaust(&app, Method::POST, &guest.path("message")).await;
    let mut raw = Raw::connect(&app.url).await;
    let path = guest.path("message");
    raw.send(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{{")).await;
    let began = Instant::now();
    assert_eq!(raw.answer_head().await, 429);
    assert!(began.elapsed().as_secs() < app.config.http.body_timeout_s / 2, "it waited for the body");
}
