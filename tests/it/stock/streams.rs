//! A stock client of server-sent events follows while the server goes down and comes back, ended or
//! killed, and somebody goes on writing: it misses nothing and hears nothing twice.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::app::PATIENCE;
use crate::support::process::{Process, roost};
use crate::support::script::{Script, node};
use crate::support::temp::TempDir;

/// Messages before each end of the server.
const BETWEEN: usize = 20;
/// Between two messages. A client that was cut off comes back after two seconds.
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_stream_resumes_through_restarts() {
    let mut server = Server::start();
    let session = format!("{}/api/v1/chat/guest/a-guest-of-this-process", server.url());
    let opened = server.client.post(format!("{}/api/v1/chat/guest/session", server.url()));
    let opened = opened.json(&json!({"session_key": "a-guest-of-this-process"})).send().await.expect("an answer");
    assert_eq!(opened.status(), 201);
    let send = server.client.post(format!("{session}/message")).json(&json!({"message": "hello"}));
    let heard = server.restarts_under(&format!("{session}/events"), &json!({}), send, "message", "/data/id").await;
    let Some((heard, sent)) = heard else { return };
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().cloned().unwrap_or(json!(0));
        let page = server.client.get(format!("{session}/messages?last_message_id={after}")).send().await;
        let page: Value = page.expect("an answer").json().await.expect("JSON");
        let ids = page["data"].as_array().expect("a list").iter().map(|message| message["id"].clone());
        let before = all.len();
        all.extend(ids);
        if all.len() == before {
            break;
        }
    }
    assert_same(&heard, &sent, &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_stream_resumes_through_restarts() {
    let mut server = Server::start();
    let pair = Pair::of(&server);
    let opened = pair.request(&server.client, "POST", "conversations", &pair.ana);
    let opened = opened.json(&json!({"participant_uuid": pair.rui_uuid})).send().await.expect("an answer");
    let conversation: Value = opened.json().await.expect("JSON");
    let conversation = conversation["data"]["uuid"].as_str().expect("a uuid").to_owned();
    let message = json!({"conversation_uuid": conversation, "receiver_uuid": pair.rui_uuid, "context_text": "hello",
        "context_type": "text", "device": {"type": "web", "os": "Linux"}});
    let send = pair.request(&server.client, "POST", "messages", &pair.ana).json(&message);
    let stream = format!("{}/api/v1/pigeons/chat/events", server.url());
    let headers = json!({"authorization": format!("Bearer {}", pair.rui), "x-public-key": pair.key});
    let heard = server.restarts_under(&stream, &headers, send, "message.sent", "/data/message_id").await;
    let Some((heard, sent)) = heard else { return };
    let path = format!("conversations/{conversation}/messages");
    let all = pair.request(&server.client, "GET", &path, &pair.rui).send().await.expect("an answer");
    let all: Value = all.json().await.expect("JSON");
    let mut all: Vec<_> =
        all["data"].as_array().expect("a list").iter().map(|message| message["message_id"].clone()).collect();
    // The list may show the newest first.
    all.sort_by_key(|id| id.as_str().and_then(|id| id.trim_start_matches("msg_").parse::<i64>().ok()));
    assert_same(&heard, &sent, &all);
}

/// Each message of the log was heard once, in its order; each that was acknowledged is in the log.
fn assert_same(heard: &[Value], sent: &[Value], all: &[Value]) {
    assert_eq!(heard, all, "what was heard is what is there");
    let lost: Vec<_> = sent.iter().filter(|id| !all.contains(id)).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
}

/// The real binary over a folder of its own, on one port through all its lives.
struct Server {
    process: Option<Process>,
    address: String,
    client: Client,
    dir: TempDir,
}

impl Server {
    fn start() -> Self {
        let dir = TempDir::new();
        let process = Process::spawn(Self::command(dir.path(), "127.0.0.1:0"));
        let address = process.url.trim_start_matches("http://").to_owned();
        // No connection outlives its request: the next one may meet another life of the server.
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE).build();
        Self { process: Some(process), address, client: client.expect("a client"), dir }
    }

    fn command(data: &Path, listen: &str) -> Command {
        let mut command = roost();
        command.args(["serve", "--listen", listen, "--data"]).arg(data);
        command.env("ROOST_LIMITS_ENABLED", "false").env("ROOST_LOG_FILTER", "error").env("ROOST_HTTP_DRAIN_S", "3");
        command
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it, and starts it again.
    fn restart(&mut self, is_killed: bool) {
        let mut process = self.process.take().expect("a running server");
        if is_killed {
            process.kill();
        } else {
            process.terminate();
            assert!(process.wait(PATIENCE).success());
        }
        self.process = Some(Process::spawn(Self::command(self.dir.path(), &self.address)));
    }

    /// Follows with the stock client while somebody sends and the server is killed, ended, and killed: the
    /// messages that were heard and those that were acknowledged. `None` when the suite is left out.
    async fn restarts_under(
        &mut self,
        stream: &str,
        headers: &Value,
        send: RequestBuilder,
        event: &str,
        id: &str,
    ) -> Option<(Vec<Value>, Vec<Value>)> {
        let mut ear = Ear {
            script: node("follow.mjs", &json!({"stream": stream, "headers": headers}))?,
            event,
            id,
            heard: Vec::new(),
        };
        ear.hears_until(|line| line["event"] == "resumed").await;
        let mut sent = Vec::new();
        for is_killed in [true, false, true] {
            let writing = Writing::begin(&send);
            writing.come_to(BETWEEN).await;
            tokio::task::block_in_place(|| self.restart(is_killed));
            // They go on writing while it is away, while it comes back, and a little longer.
            ear.hears_until(|line| line["event"] == "resumed").await;
            sent.extend(writing.end().await);
        }
        let last = send.send().await.expect("an answer").json().await.expect("JSON");
        let last = acknowledged(&last);
        ear.hears_until(|line| line.pointer(id) == Some(&last)).await;
        sent.push(last);
        Some((ear.heard, sent))
    }
}

/// The stock client, and what it heard.
struct Ear<'a> {
    script: Script,
    event: &'a str,
    id: &'a str,
    heard: Vec<Value>,
}

impl Ear<'_> {
    async fn hears_until(&mut self, is_it: impl Fn(&Value) -> bool) {
        loop {
            let line = self.script.line().await;
            assert_ne!(line["event"], "reset", "the server knows its own cursors");
            if line["event"] == self.event {
                self.heard.push(line.pointer(self.id).expect("an id").clone());
            }
            if is_it(&line) {
                return;
            }
        }
    }
}

/// The message's id in an answer to sending.
fn acknowledged(answer: &Value) -> Value {
    let data = &answer["data"];
    let id = if data["message_id"].is_null() { &data["id"] } else { &data["message_id"] };
    assert!(!id.is_null(), "{answer}");
    id.clone()
}

/// Somebody who sends again and again; the server may be away.
struct Writing {
    count: Arc<AtomicUsize>,
    counted: Arc<Notify>,
    writer: JoinHandle<Vec<Value>>,
    stop: Arc<AtomicBool>,
}

impl Writing {
    fn begin(send: &RequestBuilder) -> Self {
        let (count, counted, stop) = (Arc::default(), Arc::default(), Arc::default());
        let send = send.try_clone().expect("a body in memory");
        let writer = tokio::spawn(write(send, Arc::clone(&count), Arc::clone(&counted), Arc::clone(&stop)));
        Self { count, counted, writer, stop }
    }

    async fn come_to(&self, count: usize) {
        while self.count.load(Ordering::Relaxed) < count {
            self.counted.notified().await;
        }
    }

    /// Stops after some more; what was acknowledged.
    async fn end(self) -> Vec<Value> {
        self.come_to(self.count.load(Ordering::Relaxed) + BETWEEN).await;
        self.stop.store(true, Ordering::Relaxed);
        self.writer.await.expect("the writer ends well")
    }
}

async fn write(
    send: RequestBuilder,
    count: Arc<AtomicUsize>,
    counted: Arc<Notify>,
    stop: Arc<AtomicBool>,
) -> Vec<Value> {
    let mut sent = Vec::new();
    let mut pace = tokio::time::interval(PAUSE);
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        // Refused, cut off or not there: what was not acknowledged may be lost.
        let Ok(answer) = send.try_clone().expect("a body in memory").send().await else { continue };
        if !answer.status().is_success() {
            continue;
        }
        let Ok(body) = answer.json().await else { continue };
        sent.push(acknowledged(&body));
        count.fetch_add(1, Ordering::Relaxed);
        counted.notify_one();
    }
    sent
}

/// Two users of a platform, made on the command line.
struct Pair {
    base: String,
    key: String,
    ana: String,
    rui: String,
    rui_uuid: String,
}

impl Pair {
    fn of(server: &Server) -> Self {
        let on = |arguments: &[&str]| -> Value {
            let output = roost().args(arguments).arg("--json").arg("--data").arg(server.dir.path()).output();
            let output = output.expect("the binary starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            serde_json::from_slice(&output.stdout).expect("JSON")
        };
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let key = text(&on(&["platform", "add", "--name", "Acme"])["public_key"]);
        let account = |name: &str| {
            let email = format!("{name}@example.test");
            let user = on(&["user", "add", "--platform", &key, "--email", &email, "--name", name]);
            let token = on(&["token", "add", "--platform", &key, "--user", &email, "--ability", "backoffice"]);
            (text(&user["uuid"]), text(&token["token"]))
        };
        let ((_, ana), (rui_uuid, rui)) = (account("ana"), account("rui"));
        Self { base: format!("{}/api/v1/pigeons/chat", server.url()), key, ana, rui, rui_uuid }
    }

    fn request(&self, client: &Client, method: &str, path: &str, token: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        client.request(method, format!("{}/{path}", self.base)).bearer_auth(token).header("x-public-key", &self.key)
    }
}
