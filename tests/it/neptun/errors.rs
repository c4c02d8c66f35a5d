//! Refusals that no field is to blame for: each in the door's own shape.

use reqwest::header::SET_COOKIE;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use super::refusal;
use crate::support::app::{TestApp, answer, whole_answer};
use crate::support::neptun::{Member, PASSWORD};
use crate::support::raw::Raw;

/// Every route that wants a session.
fn guarded(user: i64) -> Vec<(Method, String)> {
    let user = format!("/api/users/{user}");
    let chat = format!("{user}/chats/1");
    vec![
        (Method::PATCH, user.clone()),
        (Method::DELETE, user.clone()),
        (Method::GET, format!("{user}/files")),
        (Method::GET, format!("{user}/cli")),
        (Method::GET, format!("{user}/chats")),
        (Method::POST, format!("{user}/chats")),
        (Method::DELETE, format!("{user}/chats")),
        (Method::PATCH, chat.clone()),
        (Method::DELETE, chat.clone()),
        (Method::GET, format!("{chat}/messages")),
        (Method::POST, format!("{chat}/messages")),
        (Method::DELETE, format!("{chat}/messages/last")),
        (Method::GET, format!("{chat}/files")),
        (Method::POST, format!("{chat}/files/1")),
        (Method::GET, format!("{chat}/shares")),
        (Method::POST, format!("{chat}/shares")),
        (Method::POST, format!("{chat}/shares/1/whitelist-entries")),
        (Method::POST, "/api/ai/google/gemma-2-27b-it/chat".to_owned()),
        (Method::POST, "/api/ai/huggingface/google/gemma-2-27b-it/chat".to_owned()),
    ]
}

#[tokio::test]
async fn who_is_nobody_learns_nothing() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let tam = app.member("Tam").await;
    for (method, path) in guarded(lan.id) {
        let request = app.request(method.clone(), &path).body("{ not even JSON");
        let (status, headers, body) = whole_answer(request).await;
        assert_eq!((status, body), (StatusCode::UNAUTHORIZED, refusal(401, "Unauthorized")), "{method} {path}");
        assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Cookie "), "{headers:?}");
        if path.starts_with("/api/users/") {
            let (status, body) = tam.send(method.clone(), &path, json!({})).await;
            assert_eq!(
                (status, &body["data"]["message"]),
                (StatusCode::NOT_FOUND, &json!("User not found")),
                "{method} {path}"
            );
        }
    }
    assert_eq!(lan.checks().await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_is_no_route_is_refused_in_the_doors_shape() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    for path in [
        "/api/users",
        "/api/users/1/chats/1/nothing",
        "/api/auth",
        "/api/ai/x",
        "/api/shared/collections/1",
        "/api/auth/check/",
    ] {
        let (status, body) = lan.get(path).await;
        assert_eq!((status, &body["statusMessage"]), (StatusCode::NOT_FOUND, &json!("Not Found")), "{path}");
        assert_eq!(body["stack"], json!([]), "{path}");
    }
    for (method, path) in [
        (Method::PUT, "/api/auth/login"),
        (Method::GET, "/api/auth/sign-up"),
        (Method::POST, "/health"),
        (Method::DELETE, "/models"),
        (Method::GET, "/lan@example.test/reset-password"),
        (Method::PUT, "/api/users/1/chats/1/messages"),
    ] {
        let (status, body) = answer(lan.request(method.clone(), path)).await;
        assert_eq!(
            (status, body),
            (StatusCode::METHOD_NOT_ALLOWED, refusal(405, "Method Not Allowed")),
            "{method} {path}"
        );
    }
    let (status, _) = app.get("/nowhere").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_no_json_is_refused_by_every_route() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let paths = [
        lan.messages(chat),
        lan.path("/chats"),
        lan.path(&format!("/chats/{chat}/shares")),
        lan.path(&format!("/chats/{chat}/shares/1/whitelist-entries")),
        lan.path(&format!("/chats/{chat}/files/1")),
        "/api/ai/google/gemma-2-27b-it/chat".to_owned(),
    ];
    for path in &paths {
        for body in
            ["{", "{\"message\":\"a\"} x", "{\"a\":NaN}", "{\"a\":\"\\ud800\"}", "\u{feff}{}", "undefined", "{'a':1}"]
        {
            let request = lan.request(Method::POST, path).header("content-type", "application/json").body(body);
            assert_eq!(answer(request).await, (StatusCode::BAD_REQUEST, refusal(400, "Bad Request")), "{path} {body}");
        }
        let deep = lan.request(Method::POST, path).body("[".repeat(100_000));
        assert_eq!(answer(deep).await.0, StatusCode::BAD_REQUEST, "{path}");
        let request = lan.request(Method::POST, path).header("content-type", "text/xml").body("<a/>");
        assert_eq!(
            answer(request).await,
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal(415, "Unsupported Media Type")),
            "{path}"
        );
    }
    for path in ["/api/auth/login", "/api/auth/sign-up", "/auth/otp", "/a@example.test/reset-password"] {
        let request = app.request(Method::POST, path).body("{");
        assert_eq!(answer(request).await, (StatusCode::BAD_REQUEST, refusal(400, "Bad Request")), "{path}");
    }
}

#[tokio::test]
async fn only_who_is_signed_in_may_send_long_bodies() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let messages: Vec<_> = (0..100).map(|_| json!({"content": "x".repeat(30_000), "role": "user"})).collect();
    let (status, _) = lan.post(&lan.messages(chat), json!({"messages": messages})).await;
    assert_eq!(status, StatusCode::OK, "3 MB");
    assert_eq!(lan.reads(chat).await.len(), 100);
    let large = (StatusCode::PAYLOAD_TOO_LARGE, refusal(413, "Payload Too Large"));
    let too_long = lan.request(Method::POST, &lan.messages(chat)).body("x".repeat((4 << 20) + 1));
    assert_eq!(answer(too_long).await, large);
    for path in ["/api/auth/login", "/auth/otp", "/lan@example.test/reset-password"] {
        let request = app.request(Method::POST, path).body("x".repeat((256 << 10) + 1));
        assert_eq!(answer(request).await, large, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let app = TestApp::with(|config| config.http.body_timeout_s = 1).await;
    let mut raw = Raw::connect(&app.url).await;
    raw.send("POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{").await;
    let told = raw.answer().await.expect("an answer");
    assert_eq!((told.status, told.json()), (408, refusal(408, "Request Timeout")));
}

#[tokio::test]
async fn limits_count_accounts_and_addresses_apart() {
    let app = TestApp::with(|config| {
        config.limits.enabled = true;
        config.limits.neptun_per_minute = 5;
        config.limits.auth_per_minute = 3;
    })
    .await;
    let (lan, tam) = (app.member("Lan").await, app.member("Tam").await);
    for left in (0..5).rev() {
        let (status, headers, _) = whole_answer(lan.request(Method::GET, &lan.path("/chats"))).await;
        assert_eq!(
            (status, headers["x-ratelimit-remaining"].to_str().unwrap()),
            (StatusCode::OK, left.to_string().as_str())
        );
    }
    let (status, headers, body) = whole_answer(lan.request(Method::GET, &lan.path("/chats"))).await;
    assert_eq!((status, body), (StatusCode::TOO_MANY_REQUESTS, refusal(429, "Too Many Requests")));
    assert!(headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(tam.get(&tam.path("/chats")).await.0, StatusCode::OK, "each account has its own");
    for _ in 0..5 {
        assert_eq!(app.get("/api/users/1/chats").await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(app.get("/health").await.0, StatusCode::TOO_MANY_REQUESTS, "nobody counts by address");
    assert_eq!(app.get("/api/users/nothing/here").await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(app.get("/livez").await.0, StatusCode::OK);
    // Two of the three went into signing up.
    assert_eq!(app.logs_in(&lan.email, PASSWORD).await.0, StatusCode::OK);
    assert_eq!(app.logs_in(&lan.email, PASSWORD).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(app.post("/auth/otp", json!({})).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert!(app.figure("limit_neptun_refusals_total").await > 2.0);
}

#[tokio::test]
async fn a_full_store_refuses_writes_and_answers_reads() {
    if crate::support::engine::is_other("a full store") {
        return;
    }
    let app = TestApp::with(|config| config.store.size_mib_max = 8).await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let messages: Vec<_> = (0..100).map(|_| json!({"content": "x".repeat(20_000), "role": "user"})).collect();
    let mut stored = 0;
    let refused = loop {
        let (status, body) = lan.post(&lan.messages(chat), json!({"messages": messages})).await;
        if status != StatusCode::OK {
            break (status, body["statusMessage"].clone());
        }
        stored += 100;
        assert!(stored < 1000, "the store has no end");
    };
    assert_eq!(refused, (StatusCode::INSUFFICIENT_STORAGE, json!("Insufficient Storage")));
    assert_eq!(lan.reads(chat).await.len(), stored, "whole batches only");
}

/// A request that changes something, as a browser sends it for a page elsewhere.
fn from_page(member: &Member<'_>, site: &str, origin: &str) -> RequestBuilder {
    let body = json!({"name": "A chat", "model": "google/gemma-2-27b-it"});
    let request = member.request(Method::POST, &member.path("/chats")).json(&body);
    request.header("sec-fetch-site", site).header("origin", origin)
}

#[tokio::test]
async fn pages_elsewhere_do_nothing_in_a_users_name() {
    let listed = "https://chat.example";
    let app = TestApp::with(|config| config.http.cors_origins = vec![listed.to_owned()]).await;
    let lan = app.member("Lan").await;
    for (site, origin, want) in [
        ("cross-site", "https://evil.example", StatusCode::FORBIDDEN),
        ("same-site", "https://evil.example", StatusCode::FORBIDDEN),
        ("cross-site", "null", StatusCode::FORBIDDEN),
        ("cross-site", "https://chat.example.evil.example", StatusCode::FORBIDDEN),
        ("cross-site", listed, StatusCode::OK),
        ("same-site", listed, StatusCode::OK),
        ("same-origin", "https://anything.example", StatusCode::OK),
        ("none", "null", StatusCode::OK),
    ] {
        let (status, body) = answer(from_page(&lan, site, origin)).await;
        assert_eq!(status, want, "{site} {origin}: {body}");
        if want == StatusCode::FORBIDDEN {
            assert_eq!(body["statusMessage"], "Forbidden");
        }
    }
    let evil = |method: Method, path: &str| {
        lan.request(method, path).header("sec-fetch-site", "cross-site").header("origin", "https://evil.example")
    };
    assert_eq!(answer(evil(Method::GET, &lan.path("/chats"))).await.0, StatusCode::OK, "reading changes nothing");
    for (method, path) in guarded(lan.id).into_iter().filter(|(method, _)| *method != Method::GET) {
        assert_eq!(answer(evil(method.clone(), &path)).await.0, StatusCode::FORBIDDEN, "{method} {path}");
    }
    for path in ["/api/auth/logout", "/api/auth/login", "/auth/otp"] {
        assert_eq!(answer(evil(Method::POST, path)).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(lan.checks().await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn every_origin_is_no_listed_one() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (status, _) = answer(from_page(&lan, "cross-site", "https://shop.example")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

/// A form elsewhere comes without the cookie (`SameSite=Lax`), and the browser keeps what its answer sets.
#[tokio::test]
async fn pages_elsewhere_sign_nobody_in_or_out() {
    let listed = "https://chat.example";
    let app = TestApp::with(|config| config.http.cors_origins = vec![listed.to_owned()]).await;
    let lan = app.member("Lan").await;
    let form = |path: &str, email: &str, site: &str, origin: &str| {
        let request = app.request(Method::POST, path).header("sec-fetch-site", site).header("origin", origin);
        whole_answer(request.form(&[("email", email), ("password", PASSWORD)]))
    };
    for (site, origin, want) in [
        ("cross-site", "https://evil.example", StatusCode::FORBIDDEN),
        ("same-site", "https://evil.example", StatusCode::FORBIDDEN),
        ("cross-site", listed, StatusCode::OK),
        ("same-origin", "https://anything.example", StatusCode::OK),
    ] {
        let fresh = format!("{site}-{}@example.test", want.as_u16() + u16::from(origin == listed));
        for (path, email) in [("/api/auth/login", &lan.email), ("/api/auth/sign-up", &fresh)] {
            let (status, headers, body) = form(path, email, site, origin).await;
            assert_eq!(status, want, "{path} {site} {origin}: {body}");
            assert_eq!(headers.contains_key(SET_COOKIE), want == StatusCode::OK, "{path} {site} {origin}");
        }
    }
    let (status, headers, body) = form("/api/auth/logout", "", "cross-site", "https://evil.example").await;
    assert_eq!((status, body, headers.get(SET_COOKIE)), (StatusCode::OK, json!(false), None));
}
