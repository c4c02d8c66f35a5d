//! Connections that never speak, never listen, or come by the thousand.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use super::server;
use crate::support::app::PATIENCE;
use crate::support::process::Process;
use crate::support::raw::{Raw, request};
use crate::support::temp::TempDir;

#[tokio::test]
async fn two_thousand_connections_that_never_speak_leave_room_for_others() {
    let dir = TempDir::new();
    let server =
        Process::start(dir.path(), &[("ROOST_HTTP_CONNECTIONS_MAX", "200"), ("ROOST_HTTP_HEAD_TIMEOUT_S", "1")]);
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let before = server.resident_bytes();
    let mut silent = Vec::new();
    for _ in 0..2000 {
        // Past the kernel's queue a connection is not even made: that is as good.
        let address = server.url.trim_start_matches("http://").to_owned();
        let connecting = tokio::net::TcpStream::connect(address);
        if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(5), connecting).await {
            silent.push(stream);
        }
    }
    assert!(silent.len() > 200, "only {} came through", silent.len());
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for connections that never spoke");
    drop(silent);
    let answer = client.get(format!("{}/livez", server.url)).send().await.expect("others are served");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn who_never_speaks_loses_the_place_to_who_does() {
    let app = server(|config| {
        config.http.connections_max = 4;
        config.http.head_timeout_s = 1;
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(Raw::connect(&app.url).await);
    }
    // All places are taken; this one waits in the kernel's queue until the silent ones are given up.
    let mut speaking = Raw::connect(&app.url).await;
    speaking.send(request("GET", "/livez", &[], b"")).await;
    assert_eq!(speaking.answer().await.map(|answer| answer.status), Some(200));
}

/// Characters of a message that is larger than a guest's usually may be.
const LARGE: usize = 50_000;

/// Sends ten megabytes of owls, over connections that are closed afterwards.
async fn fill(url: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = json!({"message": "🦉".repeat(LARGE)});
    for _ in 0..5 {
        let sends = (0..10).map(|_| client.post(format!("{url}{}", super::SEND)).json(&text).send());
        let sent = futures_util::future::join_all(sends).await;
        assert!(sent.iter().all(|sent| sent.as_ref().is_ok_and(|answer| answer.status() == StatusCode::OK)));
    }
}

#[tokio::test]
async fn who_never_reads_is_given_up() {
    let app = server(|config| {
        config.http.write_timeout_s = 1;
        config.guest.message_chars_max = LARGE;
    })
    .await;
    fill(&app.url).await;
    let mut readers = Vec::new();
    for path in ["events?last_event_id=0", "history", "messages"] {
        let mut raw = Raw::narrow(&app.url).await;
        raw.send(request("GET", &format!("/api/v1/chat/guest/k-hostile/{path}"), &[], b"")).await;
        readers.push(raw);
    }
    // The scrape is a connection of its own.
    app.await_figure("streams", 0.0).await;
    app.await_figure("connections", 1.0).await;
    for mut reader in readers {
        let said = reader.rest().await;
        assert!(!said.ends_with(b"0\r\n\r\n"), "it was all read after all: {} bytes", said.len());
    }
}

#[tokio::test]
async fn who_never_reads_costs_no_memory() {
    let dir = TempDir::new();
    let server = Process::start(dir.path(), &[("ROOST_GUEST_MESSAGE_CHARS_MAX", "50000")]);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({"session_key": "k-hostile"});
    client.post(format!("{}/api/v1/chat/guest/session", server.url)).json(&body).send().await.unwrap();
    fill(&server.url).await;
    let before = server.resident_bytes();
    let mut readers = Vec::new();
    for n in 0..40 {
        let mut raw = Raw::narrow(&server.url).await;
        let path = if n % 2 == 0 { "events?last_event_id=0" } else { "history" };
        raw.send(request("GET", &format!("/api/v1/chat/guest/k-hostile/{path}"), &[], b"")).await;
        readers.push(raw);
    }
    for reader in &mut readers {
        assert_eq!(reader.answer_head().await, 200);
    }
    let grown = server.resident_bytes().saturating_sub(before);
    // Each of them was offered ten megabytes.
    assert!(grown < 160 << 20, "{grown} bytes for 40 readers who do not read");
    let answer = client.get(format!("{}/livez", server.url)).send().await.expect("others are served");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn who_hangs_up_is_forgotten() {
    let app = server(|_| {}).await;
    for path in ["messages?wait=30", "events"] {
        let path = format!("/api/v1/chat/guest/k-hostile/{path}");
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let mut raw = Raw::connect(&app.url).await;
            raw.send(request("GET", &path, &[], b"")).await;
            waiting.push(raw);
        }
        app.await_figure("streams", 20.0).await;
        drop(waiting);
        app.await_figure("streams", 0.0).await;
    }
    assert!(app.app.web.streams.is_empty());
}
