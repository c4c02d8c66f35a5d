//! Stock clients whose connection is cut again and again while others write: with `since` in the
//! authorisation they hear every message once, in order.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Room;
use crate::support::app::{TestApp, answer};
use crate::support::cut::Wire;

/// How often the connection is cut.
const CUTS: usize = 4;
/// Messages between a subscription and the next cut.
const BETWEEN: usize = 100;
/// Who writes at the same time, and how long each pauses: 200 messages a second together.
const WRITERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(40);

#[tokio::test(flavor = "multi_thread")]
async fn pusher_js_hears_every_message_once_and_in_order() {
    nothing_is_lost("pusher-js").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn laravel_echo_hears_every_message_once_and_in_order() {
    nothing_is_lost("echo").await;
}

async fn nothing_is_lost(client: &str) {
    let app = TestApp::start().await;
    let room = Room::open(&app).await;
    let wire = Wire::to(&app.url).await;
    let Some(mut script) = room.script("lossless.mjs", &json!({"client": client, "ws": wire.url})) else { return };
    assert_eq!(script.tells("subscribed").await, 1);

    let mut writing = Writing::begin(&room);
    let mut missed = 0;
    for cut in 0..CUTS {
        writing.come_to(writing.count() + BETWEEN).await;
        assert!(wire.cut() > 0, "there is a connection to cut");
        let before = writing.count();
        assert_eq!(script.tells("subscribed").await, cut + 2, "a stock client comes back by itself");
        missed += writing.count() - before;
    }
    writing.come_to(writing.count() + BETWEEN).await;
    let (mut sent, rate) = writing.end().await;
    sent.push(room.rui.says(&room.conversation, &room.ana, "the end").await);
    script.nudge();
    let result = script.result().await;

    eprintln!("{client}: {} messages at {rate:.0}/s, {missed} of them while it was cut off", sent.len());
    assert!(missed > CUTS * 20, "only {missed} messages were sent while the connection was down");
    assert_eq!(result["subscriptions"], CUTS + 1);
    assert_whole(&result["heard"], &sent);
}

/// Every message that was acknowledged was heard once, in the order of the cursors, and nothing else.
fn assert_whole(heard: &Value, sent: &[String]) {
    let heard: Vec<(i64, String, String)> = serde_json::from_value(heard.clone()).expect("what was heard");
    let doubled_or_late = heard.windows(2).find(|pair| pair[0].0 >= pair[1].0);
    assert_eq!(doubled_or_late, None, "cursors only grow");
    let mut ids: Vec<_> = heard.iter().map(|(_, id, _)| id.clone()).collect();
    let mut want = sent.to_vec();
    ids.sort();
    want.sort();
    let lost: Vec<_> = want.iter().filter(|id| ids.binary_search(id).is_err()).collect();
    assert!(lost.is_empty(), "{} of {} messages were lost: {lost:?}", lost.len(), want.len());
    assert_eq!(ids, want, "each once, and nothing else");
}

/// Those who write meanwhile.
struct Writing {
    writers: JoinSet<Vec<String>>,
    sent: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    began: Instant,
}

impl Writing {
    fn begin(room: &Room<'_>) -> Self {
        let (tell, sent) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let request = room.rui.request(Method::POST, "messages");
            let message = room.rui.message(&room.conversation, &room.ana, &format!("writer {writer}"));
            writers.spawn(write(request, message, tell.clone(), stopped.clone()));
        }
        Self { writers, sent, stop, began: Instant::now() }
    }

    /// How many were sent.
    fn count(&self) -> usize {
        *self.sent.borrow()
    }

    /// Waits until so many were sent.
    async fn come_to(&mut self, count: usize) {
        self.sent.wait_for(|sent| *sent >= count).await.expect("the writers go on");
    }

    /// Stops: every message that was acknowledged, and how many they were a second.
    async fn end(mut self) -> (Vec<String>, f64) {
        let rate = self.count() as f64 / self.began.elapsed().as_secs_f64();
        self.stop.send(true).expect("the writers listen");
        let mut sent = Vec::new();
        while let Some(ids) = self.writers.join_next().await {
            sent.extend(ids.expect("a writer that ends well"));
        }
        (sent, rate)
    }
}

/// Sends again and again until told to stop; the messages that were acknowledged.
async fn write(
    request: RequestBuilder,
    message: Value,
    tell: watch::Sender<usize>,
    stopped: watch::Receiver<bool>,
) -> Vec<String> {
    let mut ids = Vec::new();
    let mut pace = tokio::time::interval(PAUSE);
    while !*stopped.borrow() {
        pace.tick().await;
        let request = request.try_clone().expect("a request without a body yet");
        let (status, body) = answer(request.json(&message)).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        ids.push(body["data"]["message_id"].as_str().expect("an id").to_owned());
        tell.send_modify(|sent| *sent += 1);
    }
    ids
}
