//! The way down: what is under way ends well, and nothing new begins.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Guest, path};
use crate::support::app::{PATIENCE, TestApp};
use crate::support::process::Process;
use crate::support::raw::{Raw, request};
use crate::support::sse::Events;
use crate::support::temp::TempDir;

/// Waits until the figure has that value.
async fn await_figure(guest: &Guest<'_>, line: &str) {
    let began = Instant::now();
    loop {
        let text = guest.client.get(guest.url("/metrics")).send().await.unwrap().text().await.unwrap();
        if text.lines().any(|seen| seen == line) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "never {line}:\n{text}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_under_way_finish_and_long_connections_end_one_after_another() {
    let dir = TempDir::new();
    let settings = [("ROOST_ASSISTANT_ECHO_PAUSE_MS", "150"), ("ROOST_HTTP_DRAIN_S", "6")];
    let mut server = Process::start(dir.path(), &settings);
    let guest = Guest::of(&server).await;
    let kept = guest.says("kept").await.unwrap();
    let mut idle = Raw::connect(&server.url).await;
    idle.send(request("GET", "/livez", &[], b"")).await;
    assert_eq!(idle.answer().await.map(|answer| answer.status), Some(200));
    let poll = guest.client.get(guest.url(&path(&format!("messages?wait=30&last_message_id={kept}")))).send();
    let poll = tokio::spawn(poll);
    let mut following = Vec::new();
    for _ in 0..8 {
        let mut events =
            Events::open(guest.client.get(guest.url(&path(&format!("events?last_event_id={kept}"))))).await;
        following.push(tokio::spawn(async move {
            while events.next().await.is_some() {}
            Instant::now()
        }));
    }
    let question = json!({"message": "one two three four five six"});
    let question = tokio::spawn(guest.client.post(guest.url("/api/v1/chatbot")).json(&question).send());
    await_figure(&guest, "roost_runs 1").await;
    await_figure(&guest, "roost_streams 9").await;
    server.terminate();
    idle.rest().await;
    let address = server.url.trim_start_matches("http://").to_owned();
    while let Ok(stream) = tokio::net::TcpStream::connect(&address).await {
        drop(stream);
    }
    let answer: Value = question.await.unwrap().expect("an answer under way finishes").json().await.unwrap();
    assert_eq!(answer["data"]["message"], "Echo: one two three four five six");
    let poll: Value = poll.await.unwrap().expect("a long poll ends with an answer").json().await.unwrap();
    assert_eq!(poll["data"], json!([]));
    let mut ends = Vec::new();
    for follower in following {
        ends.push(follower.await.unwrap());
    }
    let spread = *ends.iter().max().unwrap() - *ends.iter().min().unwrap();
    assert!(spread >= Duration::from_millis(500), "all streams ended within {spread:?}");
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!files.iter().any(|name| name == "roost.db-wal"), "the store is one file again: {files:?}");
}

#[tokio::test]
async fn what_does_not_end_in_time_is_ended_and_its_text_kept() {
    let dir = TempDir::new();
    let mut server =
        Process::start(dir.path(), &[("ROOST_ASSISTANT_ECHO_PAUSE_MS", "300"), ("ROOST_HTTP_DRAIN_S", "1")]);
    let guest = Guest::of(&server).await;
    let question = json!({"message": "a ".repeat(200), "session_key": "a-guest-of-this-process"});
    let question = tokio::spawn(guest.client.post(guest.url("/api/v1/chatbot")).json(&question).send());
    await_figure(&guest, "roost_runs 1").await;
    server.terminate();
    let ended = tokio::task::spawn_blocking(move || server.wait(PATIENCE).code()).await.unwrap();
    assert_eq!(ended, Some(0));
    drop(question);
    let again = Process::start(dir.path(), &[]);
    let (_, history) = Guest::of(&again).await.get(&path("history")).await;
    let answer = &history["data"]["messages"][1];
    assert_eq!((&answer["role"], &answer["meta"]["incomplete"]), (&json!("assistant"), &json!(true)), "{history}");
}

#[tokio::test]
async fn it_is_not_ready_from_the_first_moment_on() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/readyz").await, (reqwest::StatusCode::OK, json!({"ready": true})));
    app.app.start_draining();
    let (status, body) = app.get("/readyz").await;
    assert_eq!((status.as_u16(), &body["reason"]), (503, &json!("draining")));
    let guest = app.guest().await;
    let stream = app.request(reqwest::Method::GET, &guest.path("events")).send().await.unwrap();
    assert_eq!(stream.status().as_u16(), 503, "no new streams, which would have to be closed again");
}

#[test]
fn a_second_signal_ends_the_waiting() {
    let dir = TempDir::new();
    let slow = [("ROOST_ASSISTANT_ECHO_PAUSE_MS", "60000"), ("ROOST_HTTP_DRAIN_S", "600")];
    let mut server = Process::start(dir.path(), &slow);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _answer = runtime.block_on(async {
        let session = client.post(format!("{}/api/chats/sessions/", server.url));
        session.json(&json!({"session_id": "lp-1"})).send().await.unwrap();
        let ask = client.post(format!("{}/api/chats/messages/chat/stream/", server.url));
        ask.json(&json!({"session_id": "lp-1", "message": "hello"})).send().await.unwrap()
    });
    server.terminate();
    // The first has to have been taken before the second: two at once are one to a process.
    while runtime.block_on(client.get(format!("{}/livez", server.url)).send()).is_ok() {}
    server.terminate();
    assert!(server.wait(PATIENCE).success());
}
