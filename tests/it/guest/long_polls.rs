//! Following by long poll: the same events, at once when there are some, else when the wait is over.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Guest, TestApp, answer};

impl Guest<'_> {
    async fn follows_by_poll(&self, query: &str) -> Value {
        let (status, body) = self.app.get(&self.path(&format!("events?{query}"))).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }
}

fn names(polled: &Value) -> Vec<&str> {
    polled["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_there_is_comes_at_once_and_the_rest_when_it_happens() {
    let app = TestApp::start().await;
    let (lan, mai) = (app.guest().await, app.staff("Mai").await);
    let said = lan.says("one").await;
    let first = lan.follows_by_poll("wait=30").await;
    assert_eq!(
        first,
        json!({"events": [{"id": said["id"], "event": "message", "data": said}], "cursor": said["id"], "reset": false})
    );
    let query = format!("wait=30&last_event_id={}", first["cursor"]);
    let waiting = lan.follows_by_poll(&query);
    let taking = async {
        app.await_figure("streams", 1.0).await;
        mai.takes(&lan).await
    };
    let (second, _) = tokio::join!(waiting, taking);
    assert_eq!(names(&second), ["staff_joined", "session"]);
    assert_eq!(second["cursor"], second["events"][1]["id"]);
    let query = format!("wait=30&since={}", second["cursor"]);
    let waiting = lan.follows_by_poll(&query);
    let typing = async {
        app.await_figure("streams", 1.0).await;
        mai.post(&format!("/api/v1/chat/sessions/{}/typing", lan.id), json!({})).await
    };
    let (third, _) = tokio::join!(waiting, typing);
    assert_eq!(
        (names(&third), &third["events"][0]["id"], &third["cursor"]),
        (vec!["typing"], &Value::Null, &second["cursor"])
    );
}

#[tokio::test]
async fn an_empty_answer_comes_when_the_wait_is_over() {
    let app = TestApp::start().await;
    let (lan, mai) = (app.guest().await, app.staff("Mai").await);
    let began = Instant::now();
    assert_eq!(lan.follows_by_poll("wait=1").await, json!({"events": [], "cursor": 0, "reset": false}));
    assert!(began.elapsed() >= Duration::from_secs(1));
    let began = Instant::now();
    for wait in ["0", "-1", "soon"] {
        lan.follows_by_poll(&format!("wait={wait}")).await;
    }
    // Who takes JSON only polls, too.
    let request = app.request(Method::GET, &lan.path("events")).header("accept", "application/json");
    assert_eq!(answer(request).await.1["events"], json!([]));
    // Who comes to an inbox without a cursor has to learn where it begins.
    lan.says("hello").await;
    let (_, begun) = mai.get("/api/v1/chat/staff/events?wait=30").await;
    assert_eq!((&begun["events"], begun["cursor"].as_i64().unwrap() > 0), (&json!([]), true), "{begun}");
    assert!(began.elapsed() < Duration::from_secs(15), "nobody waited");
}

#[tokio::test]
async fn cursors_from_elsewhere_are_a_reset() {
    let app = TestApp::start().await;
    let (lan, mai) = (app.guest().await, app.staff("Mai").await);
    let last = lan.says("hello").await["id"].clone();
    let reset = json!({"events": [], "cursor": last, "reset": true});
    assert_eq!(lan.follows_by_poll("wait=30&since=1000000").await, reset);
    for cursor in ["1000000", "abc", "-1", "99999999999999999999"] {
        let (_, polled) = mai.get(&format!("/api/v1/chat/staff/events?wait=30&since={cursor}")).await;
        assert_eq!(polled, reset, "{cursor}");
    }
    let (_, polled) = mai.get(&format!("/api/v1/chat/staff/events?wait=0&since={last}")).await;
    assert_eq!(polled["reset"], false);
    assert_eq!(names(&lan.follows_by_poll("wait=0&since=abc").await), ["message"], "of one session all is told");
}

/// However much was missed, an answer stays of a size; the polls after it bring the rest.
#[tokio::test]
async fn a_long_absence_comes_in_pieces_without_a_hole() {
    let app = TestApp::start().await;
    let (lan, mai) = (app.guest().await, app.staff("Mai").await);
    let text = "a".repeat(1000);
    for number in 0..700 {
        lan.says(&format!("{number} {}", &text[..990])).await;
    }
    for path in [lan.path("events?wait=0"), "/api/v1/chat/staff/events?wait=0".to_owned()] {
        let (mut cursor, mut seen, mut answers) = (json!(0), Vec::new(), 0);
        while seen.len() < 700 {
            let request = app.request(Method::GET, &format!("{path}&since={cursor}")).bearer_auth(&mai.token);
            let text = request.send().await.unwrap().text().await.unwrap();
            assert!(text.len() < 600 << 10, "{} bytes", text.len());
            let polled: Value = serde_json::from_str(&text).unwrap();
            let events = polled["events"].as_array().unwrap();
            assert!(!events.is_empty(), "a hole after {}", seen.len());
            let text = |event: &Value| event["data"]["message"].as_str().unwrap().to_owned();
            seen.extend(events.iter().map(|event| text(event).split(' ').next().unwrap().to_owned()));
            (cursor, answers) = (polled["cursor"].clone(), answers + 1);
        }
        assert!(answers > 1, "it was short");
        assert_eq!(seen, (0..700).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}
