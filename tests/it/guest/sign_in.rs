//! Guessing passwords at the guest door, where whoever guesses is told to wait longer and longer.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::{TestApp, whole_answer};

const WRONG: &str = "not the password";

/// Rate limits are off, as for a load test: the waits hold all the same.
async fn behind_a_proxy() -> TestApp {
    TestApp::with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        // By the test's clock; Redis has its own, and tests of its own.
        config.redis.url.clear();
    })
    .await
}

impl TestApp {
    /// Tries to sign in from an address: the status, and how long to wait.
    async fn guesses(&self, from: &str, email: &str, password: &str) -> (StatusCode, Option<u64>) {
        let body = json!({"email": email, "password": password});
        let request = self.request(Method::POST, "/api/v1/auth/login").header("x-forwarded-for", from).json(&body);
        let (status, headers, answer) = whole_answer(request).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer["error"]["code"], "RATE_LIMIT_EXCEEDED", "{answer}");
        }
        (status, headers.get("retry-after").map(|wait| wait.to_str().unwrap().parse().unwrap()))
    }
}

#[tokio::test]
async fn waits_grow_with_every_wrong_password() {
    let app = behind_a_proxy().await;
    let mai = app.staff("Mai").await;
    for (from, email) in [("192.0.2.1", mai.email.as_str()), ("192.0.2.2", "nobody@staff.test")] {
        for _ in 0..5 {
            assert_eq!(app.guesses(from, email, WRONG).await, (StatusCode::UNAUTHORIZED, None), "{email}");
        }
        for want in [1, 2, 4, 8, 16] {
            let (status, wait) = app.guesses(from, email, WRONG).await;
            assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{email}");
            // Some of it may have passed already.
            let wait = wait.expect("a wait");
            assert!(wait <= want && wait > want / 2, "{email}: {wait} of {want}");
            app.clock.advance(Duration::from_secs(want));
            assert_eq!(app.guesses(from, email, WRONG).await.0, StatusCode::UNAUTHORIZED, "{email}");
        }
    }
}

#[tokio::test]
async fn an_address_that_guesses_waits_with_every_account() {
    let app = behind_a_proxy().await;
    let (mai, tam) = (app.staff("Mai").await, app.staff("Tam").await);
    for number in 0..5 {
        let email = format!("somebody-{number}@staff.test");
        assert_eq!(app.guesses("192.0.2.1", &email, WRONG).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(app.guesses("192.0.2.1", &mai.email, &mai.password).await, (StatusCode::TOO_MANY_REQUESTS, Some(1)));
    app.await_figure("sign_in_refusals_total", 1.0).await;
    assert_eq!(app.guesses("192.0.2.2", &mai.email, &mai.password).await.0, StatusCode::OK, "others do not");
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(app.guesses("192.0.2.1", &tam.email, &tam.password).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_right_password_forgets_the_accounts_wrong_ones() {
    let app = behind_a_proxy().await;
    let mai = app.staff("Mai").await;
    for round in 0..3 {
        for number in 0..4 {
            let from = format!("192.0.{round}.{number}");
            assert_eq!(app.guesses(&from, &mai.email, WRONG).await.0, StatusCode::UNAUTHORIZED, "{round} {number}");
        }
        assert_eq!(app.guesses("198.51.100.1", &mai.email, &mai.password).await.0, StatusCode::OK, "{round}");
    }
}

#[tokio::test]
async fn how_many_tries_are_free_can_be_chosen() {
    let app = TestApp::with(|config| {
        config.redis.url.clear();
        config.accounts.sign_in_free_tries = 1;
        config.accounts.sign_in_wait_max_s = 2;
    });
    let app = app.await;
    for (want, wait) in [(401, 0), (429, 1), (401, 2), (429, 2), (401, 2), (429, 2)] {
        let (status, told) = app.guesses("192.0.2.1", "nobody@staff.test", WRONG).await;
        assert_eq!(status.as_u16(), want);
        assert!(told.is_none_or(|told| told <= wait), "{told:?}");
        if want == 429 {
            app.clock.advance(Duration::from_secs(wait));
        }
    }
}
