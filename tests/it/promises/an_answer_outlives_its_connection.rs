//! An answer outlives its connection, and a person can take over in its middle.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::support::app::{PATIENCE, TestApp};
use crate::support::process::Process;
use crate::support::temp::TempDir;

fn long_question(words: usize) -> String {
    (0..words).map(|word| format!("word{word}")).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn when_staff_takes_over_in_the_middle_the_answer_stops_and_the_guest_sees_who_speaks() {
    let app = TestApp::with(|config| {
        config.guest.assistant = true;
        config.assistant.echo_pause_ms = 40;
    })
    .await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    guest.says(&long_question(100)).await;
    let mut events = guest.follows(0).await;
    let some_words = || async { app.app.chat.runs_under_way() == 1 };
    while !some_words().await {
        tokio::task::yield_now().await;
    }
    let (status, _) = mai.post(&format!("/api/v1/chat/admin/{}/assign", guest.key), json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let session = events.next_of("session").await.unwrap();
    assert_eq!(session.data["assigned_user_id"], mai.id);
    while app.app.chat.runs_under_way() > 0 {
        tokio::task::yield_now().await;
    }
    let messages = guest.polls(0).await;
    let partial: Vec<_> = messages.iter().filter(|message| message["is_bot"] == true).collect();
    assert!(partial.len() <= 1);
    for answer in partial {
        assert_eq!(answer["meta"], json!({"incomplete": true, "outcome": "stopped"}));
        assert!(answer["message"].as_str().unwrap().len() < long_question(100).len());
    }
    guest.says("And you are?").await;
    assert_eq!(app.app.chat.runs_under_way(), 0, "the assistant is silent from here on");
}

#[tokio::test]
async fn a_killed_server_keeps_what_had_arrived_of_an_answer() {
    if crate::support::engine::is_other("an audit of the file") {
        return;
    }
    let dir = TempDir::new();
    let slow = [("ROOST_ASSISTANT_ECHO_PAUSE_MS", "10"), ("ROOST_ASSISTANT_DELTA_MS", "20")];
    let server = Process::start(dir.path(), &slow);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |url: String, body| client.post(url).json(&body).timeout(PATIENCE).send();
    let made = post(format!("{}/api/chats/sessions/", server.url), json!({"session_id": "lp-1"})).await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let ask = json!({"session_id": "lp-1", "message": long_question(2000)});
    let mut answer = post(format!("{}/api/chats/messages/chat/stream/", server.url), ask).await.unwrap();
    let stored = || {
        let store = rusqlite::Connection::open(dir.path().join("roost.db")).unwrap();
        let told = "select coalesce(sum(length(text)), 0) from events where kind = 'run_text'";
        store.query_row(told, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    while stored() < 200 {
        answer.chunk().await.unwrap().expect("an answer that goes on");
    }
    server.kill();

    let server = Process::start(dir.path(), &[]);
    let list = client.get(format!("{}/api/chats/messages/?session_id=lp-1", server.url)).send().await.unwrap();
    let messages: serde_json::Value = list.json().await.unwrap();
    let kept = &messages[1];
    assert_eq!((&kept["role"], &kept["metadata"]["outcome"]), (&json!("assistant"), &json!("interrupted")));
    let (kept, whole) = (kept["message"].as_str().unwrap(), format!("Echo: {}", long_question(2000)));
    assert!(kept.len() >= 200 && kept.len() < whole.len() && whole.starts_with(kept), "{kept}");
}

#[tokio::test]
async fn a_stop_takes_effect_at_once() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 60_000).await;
    let (status, _) = app.post("/api/chats/sessions/", json!({"session_id": "lp-1"})).await;
    assert_eq!(status, StatusCode::CREATED);
    let asked = app.request(reqwest::Method::POST, "/api/chats/messages/chat/stream/");
    let _answer = asked.json(&json!({"session_id": "lp-1", "message": "hello"})).send().await.unwrap();
    let (_, listed) = app.get("/api/chats/messages/?session_id=lp-1").await;
    let stop = json!({"session_id": "lp-1", "message_id": listed[0]["id"]});
    // The provider thinks for a minute: only a stop that cancels its request can come back before.
    let stopped = app.post("/api/chats/messages/chat/stop/", stop);
    let (status, body) = tokio::time::timeout(Duration::from_secs(10), stopped).await.expect("no waiting");
    assert_eq!((status, &body["stopped"]), (StatusCode::OK, &json!(true)));
    assert_eq!(app.app.chat.runs_under_way(), 0);
}

#[tokio::test]
async fn who_is_refused_for_want_of_a_place_has_asked_nothing() {
    let app = TestApp::with(|config| {
        config.assistant.echo_pause_ms = 60_000;
        config.assistant.runs_max = 1;
    })
    .await;
    app.post("/api/chats/sessions/", json!({"session_id": "lp-1"})).await;
    let ask = || app.request(reqwest::Method::POST, "/api/chats/messages/chat/stream/");
    let question = json!({"session_id": "lp-1", "message": "hello"});
    let _first = ask().json(&question).send().await.unwrap();
    let second = ask().json(&question).send().await.unwrap();
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (_, listed) = app.get("/api/chats/messages/?session_id=lp-1").await;
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let stop = json!({"session_id": "lp-1", "message_id": listed[0]["id"]});
    app.post("/api/chats/messages/chat/stop/", stop).await;
}
