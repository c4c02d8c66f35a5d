//! Polling: loose cursors, long polls, entity tags, and no look at the store when nothing changed.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Guest, TestApp, until_async, whole_answer};

impl Guest<'_> {
    async fn waits(&self, after: i64, seconds: u64) -> Vec<Value> {
        let path = self.path(&format!("messages?last_message_id={after}&wait={seconds}"));
        let (status, body) = self.app.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"].as_array().expect("a list").clone()
    }

    async fn polls_unless(&self, after: i64, tag: Option<&str>) -> (StatusCode, HeaderMap, Value) {
        let path = self.path(&format!("messages?last_message_id={after}"));
        let request = self.app.request(Method::GET, &path);
        whole_answer(match tag {
            Some(tag) => request.header("if-none-match", tag),
            None => request,
        })
        .await
    }
}

#[tokio::test]
async fn a_cursor_is_read_loosely() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let first = guest.says("one").await["id"].as_i64().unwrap();
    guest.says("two").await;
    for (cursor, count) in [
        (String::new(), 2),
        ("abc".to_owned(), 2),
        ("-1".to_owned(), 2),
        ("1e3".to_owned(), 2),
        ("0".to_owned(), 2),
        (first.to_string(), 1),
        (format!("%20{first}%20"), 1),
        (format!("00{first}"), 1),
        (format!("0&last_message_id={first}"), 1),
        ("9007199254740991".to_owned(), 0),
        ("99999999999999999999999999".to_owned(), 0),
    ] {
        let (status, body) = app.get(&guest.path(&format!("messages?last_message_id={cursor}"))).await;
        assert_eq!((status, body["data"].as_array().map(Vec::len)), (StatusCode::OK, Some(count)), "{cursor:?}");
    }
}

#[tokio::test]
async fn a_long_poll_answers_at_once_when_there_is_something() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    guest.says("there already").await;
    let began = Instant::now();
    assert_eq!(guest.waits(0, 30).await.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_message_wakes_everybody_who_waits_for_it() {
    let app = TestApp::start().await;
    let (guest, other) = (app.guest().await, app.guest().await);
    let speak = async {
        app.await_figure("streams", 3.0).await;
        other.says("to somebody else").await;
        guest.says("at last").await
    };
    let began = Instant::now();
    let (first, second, third, said) = tokio::join!(guest.waits(0, 30), guest.waits(0, 30), guest.waits(0, 30), speak);
    assert_eq!((first.as_slice(), &first, &second), ([said].as_slice(), &second, &third));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_change_that_is_no_message_does_not_end_a_long_poll() {
    let app = TestApp::start().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    let assign = format!("/api/v1/chat/admin/{}/assign", guest.key);
    let act = async {
        app.await_figure("streams", 1.0).await;
        mai.post(&assign, json!({})).await;
        guest.says("a message").await;
    };
    let (waited, ()) = tokio::join!(guest.waits(0, 30), act);
    assert_eq!(waited.len(), 1, "an empty answer would send the guest into a loop");
}

#[tokio::test]
async fn a_long_poll_ends_empty_when_its_time_is_up_or_the_server_goes_down() {
    let mut app = TestApp::start().await;
    let key = {
        let guest = app.guest().await;
        let began = Instant::now();
        assert!(guest.waits(0, 1).await.is_empty());
        assert!(began.elapsed() >= Duration::from_secs(1));
        guest.key
    };
    let path = format!("{}/api/v1/chat/guest/{key}/messages?wait=30", app.url);
    let waiting = tokio::spawn(app.client.get(path).send());
    app.await_figure("streams", 1.0).await;
    app.stop().await;
    let answer = waiting.await.unwrap().expect("an answer, not a broken connection");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.json::<Value>().await.unwrap()["data"], json!([]));
}

#[tokio::test]
async fn an_unchanged_session_answers_304_to_its_own_tag() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let last = guest.says("one").await["id"].as_i64().unwrap();
    let (status, headers, body) = guest.polls_unless(last, None).await;
    assert_eq!((status, &body["data"]), (StatusCode::OK, &json!([])));
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let (status, headers, body) = guest.polls_unless(last, Some(&tag)).await;
    assert_eq!((status, body), (StatusCode::NOT_MODIFIED, Value::Null));
    assert_eq!(headers["etag"], tag);
    let several = format!("\"other\", {tag}");
    assert_eq!(guest.polls_unless(last, Some(&several)).await.0, StatusCode::NOT_MODIFIED);
    for other in ["\"other\"", "", "W/", "\u{e9}"] {
        assert_eq!(guest.polls_unless(last, Some(other)).await.0, StatusCode::OK, "{other:?}");
    }
    assert_eq!(guest.polls_unless(0, Some(&tag)).await.0, StatusCode::OK, "a tag is its cursor's");
    guest.says("two").await;
    let (status, _, body) = guest.polls_unless(last, Some(&tag)).await;
    assert_eq!((status, body["data"].as_array().unwrap().len()), (StatusCode::OK, 1));
}

#[tokio::test]
async fn polling_an_unchanged_session_does_not_touch_the_store() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let last = guest.says("one").await["id"].as_i64().unwrap();
    // What a send leaves to do behind its answer, such as a look at the horizon, is over when nothing reads any more.
    until_async(async || {
        let reads = app.figure("store_reads_total").await;
        for _ in 0..30 {
            guest.polls(last).await;
        }
        reads == app.figure("store_reads_total").await
    })
    .await;
    let before = (app.figure("store_reads_total").await, app.figure("store_batch_writes_sum").await);
    for _ in 0..100 {
        assert!(guest.polls(last).await.is_empty());
        assert_eq!(guest.polls(0).await.len(), 1, "the last messages are in memory too");
    }
    let after = (app.figure("store_reads_total").await, app.figure("store_batch_writes_sum").await);
    assert_eq!(before, after);
    app.get(&guest.path("history")).await;
    assert!(app.figure("store_reads_total").await > after.0, "the figure does count");
}
