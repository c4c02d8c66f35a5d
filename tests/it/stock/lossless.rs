//! Stock clients whose connection is cut again and again while others write: with `since` in the
//! authorisation they hear every message once, in order.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Room;
use crate::support::app::{TestApp, answer};
use crate::support::cut::Wire;
use crate::support::pigeon::Pigeon;
use crate::support::script::Script;

/// How often the connection is cut.
const CUTS: usize = 4;
/// Messages between a subscription and the next cut.
const BETWEEN: usize = 100;
/// Bytes after which a client that enters all of its channels again is being told what it missed.
const ENOUGH_TO_ENTER: usize = 4096;
/// Who writes at the same time, and how long each pauses: 200 messages a second together.
const WRITERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(40);

#[tokio::test(flavor = "multi_thread")]
async fn pusher_js_hears_every_message_once_and_in_order() {
    nothing_is_lost("pusher-js", 1, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn laravel_echo_hears_every_message_once_and_in_order() {
    nothing_is_lost("echo", 1, false).await;
}

/// One cursor speaks for all of a client's channels: also for those of which it was not told yet.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_cut_off_again_while_catching_up_on_many_channels_misses_nothing_on_any() {
    nothing_is_lost("pusher-js", WRITERS, true).await;
    nothing_is_lost("echo", WRITERS, true).await;
}

/// A cursor for each channel says it exactly, however late the channels come: what docs/pusher.md recommends.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_for_each_channel_misses_nothing_either() {
    nothing_is_lost("pusher-js, each", WRITERS, true).await;
    nothing_is_lost("echo, each", WRITERS, true).await;
}

/// `is_hasty` cuts twice each time: the second time in the middle of what the client is told when it is back.
async fn nothing_is_lost(client: &str, conversations: usize, is_hasty: bool) {
    let app = TestApp::start().await;
    let room = Room::open(&app).await;
    let mut writers = Vec::new();
    for number in 0..conversations {
        let writer = app.pigeon(&room.ana.platform, &format!("Writer{number}")).await;
        let conversation = writer.opens(&room.ana).await;
        writers.push((writer, conversation));
    }
    let uuids: Vec<_> = writers.iter().map(|(_, conversation)| conversation).collect();
    let wire = Wire::to(&app.url).await;
    let world = json!({"client": client, "ws": wire.url, "conversations": uuids});
    let Some(mut script) = room.script("lossless.mjs", &world) else { return };
    let mut connection = 1;
    entered(&mut script, connection).await;

    let mut writing = Writing::begin(&room.ana, &writers);
    let mut missed = 0;
    for round in 0..CUTS {
        writing.come_to(writing.count() + BETWEEN).await;
        assert!(wire.cut() > 0, "there is a connection to cut");
        let before = writing.count();
        connection += 1;
        if is_hasty {
            wire.cut_after(ENOUGH_TO_ENTER << round);
            connection += 1;
        }
        entered(&mut script, connection).await;
        missed += writing.count() - before;
    }
    writing.come_to(writing.count() + BETWEEN).await;
    let (mut sent, rate) = writing.end().await;
    let (writer, conversation) = &writers[0];
    sent.push(writer.says(conversation, &room.ana, "the end").await);
    script.nudge();
    let result = script.result().await;

    eprintln!("{client}: {} messages at {rate:.0}/s, {missed} of them while it was cut off", sent.len());
    assert!(missed > CUTS * 20, "only {missed} messages were sent while the connection was down");
    assert_eq!(result["connections"], connection);
    assert_whole(&result["heard"], &sent);
}

/// Waits until the client is in all of its channels with that connection, counted from 1.
async fn entered(script: &mut Script, connection: usize) {
    while script.tells("entered").await != json!({"connection": connection, "left": 0}) {}
}

/// Every message that was acknowledged was heard once, in the order of the cursors, and nothing else.
fn assert_whole(heard: &Value, sent: &[String]) {
    let heard: Vec<(i64, String, String)> = serde_json::from_value(heard.clone()).expect("what was heard");
    let mut ids: Vec<_> = heard.iter().map(|(_, _, id)| id.clone()).collect();
    let mut want = sent.to_vec();
    ids.sort();
    want.sort();
    let lost: Vec<_> = want.iter().filter(|id| ids.binary_search(id).is_err()).collect();
    assert!(lost.is_empty(), "{} of {} messages were lost: {lost:?}", lost.len(), want.len());
    assert_eq!(ids, want, "each once, and nothing else");
    let mut last = HashMap::new();
    for (cursor, conversation, id) in &heard {
        let before = last.insert(conversation, cursor);
        assert!(before.is_none_or(|before| before < cursor), "{id} of {conversation} came too late");
    }
}

/// Those who write meanwhile.
struct Writing {
    writers: JoinSet<Vec<String>>,
    sent: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    began: Instant,
}

impl Writing {
    /// Those write to `to`, in turns when they are fewer than [`WRITERS`].
    fn begin(to: &Pigeon<'_>, who: &[(Pigeon<'_>, String)]) -> Self {
        let (tell, sent) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let mut writers = JoinSet::new();
        for (writer, conversation) in who.iter().cycle().take(WRITERS) {
            let request = writer.request(Method::POST, "messages");
            let message = writer.message(conversation, to, "hello");
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
