//! Clients keep sending and following while the store moves under them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use roost::store::Store;
use serde_json::{Value, json};

use super::{Ground, close};
use crate::support::app::until_async;
use crate::support::process::{Process, roost};
use crate::support::sse::Events;
use crate::support::store::{from_guest, live_chat};

const WRITERS: usize = 3;
/// Conversations that are there before anybody comes.
const OLD: usize = 50;

/// Messages that are there before. The long form is `SUITE_MOVE=1000000`.
fn messages() -> usize {
    std::env::var("SUITE_MOVE").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

async fn fill(ground: &Ground) {
    let store = ground.open();
    let mut chats = Vec::new();
    for n in 0..OLD {
        chats.push(store.create_conversation(live_chat(&format!("old {n}"))).await.unwrap().id);
    }
    for batch in (0..messages()).collect::<Vec<_>>().chunks(1000) {
        // Many conversations are under way at once, so that their rows stand between each other's.
        let said = batch.iter().map(|n| from_guest(chats[n % OLD], &format!("message {n} of those that were there")));
        store.append_all(said.collect()).await.unwrap();
    }
    close(store);
}

fn serve(data: &Path, listen: &str, store_url: &str) -> Command {
    let mut command = roost();
    command.args(["serve", "--listen", listen, "--data"]).arg(data);
    command.env("ROOST_LIMITS_ENABLED", "false").env("ROOST_LOG_FILTER", "warn").env("ROOST_STORE_URL", store_url);
    command
}

/// What goes on while the store moves.
struct Scene {
    client: Client,
    url: String,
    stop: AtomicBool,
    acknowledged: AtomicUsize,
}

/// A guest's own session and who writes and follows there.
struct Session {
    key: String,
    /// In the order of the acknowledgements: text and id.
    sent: Vec<(String, i64)>,
}

impl Scene {
    async fn session(&self) -> String {
        let made = self.client.post(format!("{}/api/v1/chat/guest/session", self.url)).json(&json!({}));
        let body: Value = made.send().await.unwrap().json().await.unwrap();
        body["data"]["session"]["session_key"].as_str().unwrap().to_owned()
    }

    /// Sends one message after the other until told to stop, each as often as it takes, with its own key.
    async fn write(&self, number: usize) -> Session {
        let key = self.session().await;
        let mut sent = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let text = format!("{number}-{}", sent.len());
            let mut id = None;
            until_async(async || {
                id = self.send(&key, &text).await;
                id.is_some()
            })
            .await;
            sent.push((text, id.expect("until it was there")));
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        Session { key, sent }
    }

    async fn send(&self, key: &str, text: &str) -> Option<i64> {
        let request = self.client.post(format!("{}/api/v1/chat/guest/{key}/message", self.url));
        let request = request.json(&json!({"message": text})).header("Idempotency-Key", text);
        let response = request.timeout(Duration::from_secs(5)).send().await.ok()?;
        let status = response.status();
        assert!(status.is_success() || status.is_server_error(), "{status}");
        let body: Value = response.json().await.ok()?;
        status.is_success().then(|| body["data"]["id"].as_i64().expect("a number"))
    }

    /// Follows a conversation by polls from its last number, until it has seen a text.
    async fn poll(&self, key: &str, last: &str) -> Vec<(String, i64)> {
        let mut seen: Vec<(String, i64)> = Vec::new();
        let began = Instant::now();
        while seen.last().is_none_or(|(text, _)| text != last) {
            assert!(began.elapsed() < Duration::from_secs(60), "{last} does not come");
            let after = seen.last().map_or(0, |(_, id)| *id);
            let url = format!("{}/api/v1/chat/guest/{key}/messages?last_message_id={after}&wait=1", self.url);
            let Ok(response) = self.client.get(url).send().await else { continue };
            if response.status() == StatusCode::OK
                && let Ok(body) = response.json::<Value>().await
            {
                seen.extend(body["data"].as_array().into_iter().flatten().map(pair));
            }
        }
        seen
    }

    /// Follows it as an event stream with its cursor, over every reconnect, until told to stop and for what is left.
    async fn stream(&self, key: String, until: Arc<AtomicUsize>) -> (Vec<(String, i64)>, usize) {
        let (mut seen, mut cursor, mut connections) = (Vec::new(), None::<i64>, 0);
        while seen.len() < until.load(Ordering::Relaxed) {
            let mut request = self.client.get(format!("{}/api/v1/chat/guest/{key}/events", self.url));
            if let Some(cursor) = cursor {
                request = request.header("Last-Event-ID", cursor.to_string());
            }
            let mut answered = None;
            until_async(async || {
                let Some(again) = request.try_clone() else { return false };
                answered = again.send().await.ok().filter(|response| response.status() == StatusCode::OK);
                answered.is_some()
            })
            .await;
            let mut events = Events::of(answered.expect("until it was there"));
            events.last_id = cursor;
            connections += 1;
            while seen.len() < until.load(Ordering::Relaxed) {
                let Some(event) = events.next().await else { break };
                if event.event == "message" {
                    seen.push(pair(&event.data));
                }
                cursor = events.last_id;
            }
        }
        (seen, connections)
    }
}

fn pair(message: &Value) -> (String, i64) {
    (message["message"].as_str().expect("a text").to_owned(), message["id"].as_i64().expect("a number"))
}

fn migrate(ground: &Ground) -> Child {
    let mut command = roost();
    command.args(["migrate", "--wait", "--to", &ground.target.url]);
    command.arg("--from").arg(format!("sqlite:{}", ground.path().display()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads what it tells until a line that holds `word`. Blocks.
fn told(running: &mut Child, word: &str) {
    let mut lines = BufReader::new(running.stderr.take().expect("standard error")).lines();
    loop {
        let line = lines.next().unwrap_or_else(|| panic!("it ended without {word}")).unwrap();
        if std::env::var_os("SUITE_MOVE").is_some() {
            eprintln!("{line}");
        }
        if line.contains(word) {
            break;
        }
    }
    // The rest is read so that nobody waits for room.
    std::thread::spawn(move || lines.for_each(drop));
}

/// Off the thread that the clients run on.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_keep_sending_while_the_store_moves() {
    tokio::task::LocalSet::new().run_until(move_under_clients()).await;
}

async fn move_under_clients() {
    let Some(ground) = Ground::new().await else { return };
    fill(&ground).await;
    let old = Process::spawn(serve(ground.path(), "127.0.0.1:0", ""));
    let listen = old.url.trim_start_matches("http://").to_owned();
    let scene = Arc::new(Scene {
        client: Client::builder().no_proxy().build().unwrap(),
        url: old.url.clone(),
        stop: AtomicBool::new(false),
        acknowledged: AtomicUsize::new(0),
    });
    let start = |number| {
        let scene = Arc::clone(&scene);
        tokio::task::spawn_local(async move { scene.write(number).await })
    };
    let writers: Vec<_> = (0..WRITERS).map(start).collect();
    let mut followed = Followed::new(&scene).await;
    followed.say(5).await;
    let mut moving = migrate(&ground);
    let moving = aside(move || {
        told(&mut moving, "waiting for the server to stop");
        moving
    })
    .await;
    followed.say(5).await;
    assert!(scene.acknowledged.load(Ordering::Relaxed) > 0, "they were sending");
    let new = change_over(old, moving, serve(ground.path(), &listen, &ground.target.url)).await;
    let after = scene.acknowledged.load(Ordering::Relaxed);
    until_async(async || scene.acknowledged.load(Ordering::Relaxed) > after + 3 * WRITERS).await;
    followed.say(5).await;

    let mut all = followed.check().await;
    scene.stop.store(true, Ordering::Relaxed);
    for writer in writers {
        let session = writer.await.unwrap();
        let (last, _) = session.sent.last().expect("it sent something");
        assert_eq!(scene.poll(&session.key, last).await, session.sent, "every one once, in order, as it was told");
        all += session.sent.len();
    }
    let stored = ground.number("select count(*) from messages").await;
    assert_eq!(usize::try_from(stored).unwrap(), messages() + all, "and nothing else");
    audit(&ground).await;
    new.kill();
}

/// What an operator does when the move waits: ends the server, lets the move end, starts the new one.
async fn change_over(mut old: Process, mut moving: Child, command: Command) -> Process {
    let began = Instant::now();
    old.terminate();
    assert!(aside(move || old.wait(Duration::from_secs(60))).await.success());
    assert!(aside(move || moving.wait().unwrap()).await.success());
    let new = aside(move || Process::spawn(command)).await;
    if std::env::var_os("SUITE_MOVE").is_some() {
        eprintln!("from SIGTERM to the new server: {:?}", began.elapsed());
    }
    new
}

/// A conversation that is followed as a stream over the move, and written to throughout.
struct Followed {
    scene: Arc<Scene>,
    key: String,
    said: Vec<(String, i64)>,
    /// How many the stream is to bring.
    until: Arc<AtomicUsize>,
    streaming: tokio::task::JoinHandle<(Vec<(String, i64)>, usize)>,
}

impl Followed {
    async fn new(scene: &Arc<Scene>) -> Self {
        let key = scene.session().await;
        let until = Arc::new(AtomicUsize::new(usize::MAX));
        let streaming = {
            let (scene, key, until) = (Arc::clone(scene), key.clone(), Arc::clone(&until));
            tokio::task::spawn_local(async move { scene.stream(key, until).await })
        };
        Self { scene: Arc::clone(scene), key, said: Vec::new(), until, streaming }
    }

    async fn say(&mut self, count: usize) {
        for _ in 0..count {
            let text = format!("followed-{}", self.said.len());
            let mut id = None;
            until_async(async || {
                id = self.scene.send(&self.key, &text).await;
                id.is_some()
            })
            .await;
            self.said.push((text, id.expect("until it was there")));
        }
    }

    /// The stream and the list are what was acknowledged; how many that are.
    async fn check(mut self) -> usize {
        // One more, which ends the stream: it looks how many there are before it waits for the next.
        self.until.store(self.said.len() + 1, Ordering::Relaxed);
        self.say(1).await;
        let (streamed, connections) = self.streaming.await.unwrap();
        assert_eq!(streamed, self.said, "the stream has no hole and nothing twice");
        assert!(connections > 1, "it was cut off by the move");
        let (last, _) = self.said.last().expect("it was written to");
        assert_eq!(self.scene.poll(&self.key, last).await, self.said);
        self.said.len()
    }
}

/// Numbers dense, heads at the ends of their logs, no number given twice.
async fn audit(ground: &Ground) {
    let holes = "with log as (select conversation_id, seq, id from messages union all \
                              select conversation_id, seq, id from events), \
                 ends as (select conversation_id, count(*) n, count(distinct seq) d, max(seq) high, max(id) last \
                          from log group by conversation_id) \
                 select count(*) from heads h left join ends e using (conversation_id) \
                 where h.seq <> coalesce(e.n, 0) or coalesce(e.d, 0) <> h.seq or coalesce(e.high, 0) <> h.seq \
                    or h.event_id <> coalesce(e.last, 0)";
    assert_eq!(ground.number(holes).await, 0);
    let twice = "select count(*) from (select id from messages union all select id from events) l \
                 group by id having count(*) > 1";
    assert_eq!(ground.number(&format!("select count(*) from ({twice}) t")).await, 0);
}
