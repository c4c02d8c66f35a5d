//! Following a session over server-sent events.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::sse::Events;

#[tokio::test]
async fn a_stream_resumes_after_its_cursor_wherever_it_is_said() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(guest.says(&format!("number {n}")).await["id"].as_i64().unwrap());
    }
    let url = |query: &str| app.request(Method::GET, &guest.path(&format!("events{query}")));
    for request in [
        url("").header("last-event-id", ids[1]),
        url(&format!("?last_event_id={}", ids[1])),
        url(&format!("?lastEventId={}", ids[1])),
        url(&format!("?last_message_id={}", ids[1])),
        url("?last_event_id=1").header("last-event-id", ids[1]),
    ] {
        let mut events = Events::open(request).await;
        let resumed = events.next_of("resumed").await.unwrap();
        assert_eq!(resumed.data, json!({"from": ids[1]}));
        for (n, id) in ids.iter().enumerate().skip(2) {
            let event = events.next().await.unwrap();
            assert_eq!((event.event.as_str(), event.id), ("message", Some(*id)));
            assert_eq!(event.data["message"], format!("number {n}"));
        }
    }
}

#[tokio::test]
async fn messages_that_arrive_during_the_replay_come_once_and_in_order() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    for n in 0..150 {
        guest.says(&format!("before {n}")).await;
    }
    // The replay is longer than what memory keeps, so it begins in the store and ends in memory.
    let writing = async {
        for n in 0..150 {
            guest.says(&format!("meanwhile {n}")).await;
        }
    };
    let reading = async {
        let mut events = guest.follows(0).await;
        let mut texts = Vec::new();
        while texts.len() < 300 {
            let event = events.next_of("message").await.expect("all of them");
            texts.push(event.data["message"].as_str().unwrap().to_owned());
        }
        texts
    };
    let (texts, ()) = tokio::join!(reading, writing);
    let want: Vec<_> =
        ["before", "meanwhile"].iter().flat_map(|word| (0..150).map(move |n| format!("{word} {n}"))).collect();
    assert_eq!(texts, want);
}

#[tokio::test]
async fn a_cursor_from_elsewhere_is_reset() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let last = guest.says("one").await["id"].as_i64().unwrap();
    let mut events = guest.follows(last + 1000).await;
    let reset = events.next_of("reset").await.unwrap();
    assert_eq!(reset.id, Some(last), "the client goes on from the end that there is");
    guest.says("two").await;
    assert_eq!(events.next_of("message").await.unwrap().data["message"], "two");
}

#[tokio::test]
async fn a_cursor_without_sense_is_the_beginning() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    guest.says("one").await;
    for cursor in ["", "abc", "-7", "1.5", "0x10"] {
        let request = app.request(Method::GET, &guest.path("events")).header("last-event-id", cursor);
        let mut events = Events::open(request).await;
        assert_eq!(events.next_of("message").await.unwrap().data["message"], "one", "{cursor:?}");
    }
}

#[tokio::test]
async fn a_stream_shows_who_has_the_session_and_whether_it_is_open() {
    let app = TestApp::start().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    let mut events = guest.follows(0).await;
    mai.post(&format!("/api/v1/chat/admin/{}/assign", guest.key), json!({})).await;
    mai.post(&format!("/api/v1/chat/sessions/{}/close", guest.id), json!({})).await;
    guest.says("again").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let event = events.next_of("session").await.unwrap();
        seen.push((
            event.data["change"].clone(),
            event.data["is_active"].clone(),
            event.data["assigned_user_id"].clone(),
        ));
    }
    let change = |what: &str, open: bool| (json!(what), json!(open), json!(mai.id));
    assert_eq!(seen, [change("assigned", true), change("closed", false), change("reopened", true)]);
    assert_eq!(events.next().await.unwrap().data["message"], "again");
}

#[tokio::test]
async fn streams_are_bounded_in_all_and_by_address() {
    let app = TestApp::with(|config| config.http.streams_per_address_max = 2).await;
    let guest = app.guest().await;
    let held = [guest.follows(0).await, guest.follows(0).await];
    let refused = app.request(Method::GET, &guest.path("events")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let waiting = app.request(Method::GET, &guest.path("messages?wait=30")).send().await.unwrap();
    assert_eq!(waiting.status(), StatusCode::SERVICE_UNAVAILABLE, "long polls share the bound");
    assert_eq!(app.get(&guest.path("messages")).await.0, StatusCode::OK, "who does not wait is served");
    drop(held);
    app.await_figure("streams", 0.0).await;
    guest.follows(0).await;
}

#[tokio::test]
async fn an_unknown_session_has_no_stream() {
    let app = TestApp::start().await;
    let (status, body) = app.get("/api/v1/chat/guest/nobody/events").await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::NOT_FOUND, &json!("NOT_FOUND")));
}
