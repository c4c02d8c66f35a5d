//! Acknowledged means on disk: the server is killed in the middle of sends, over and over, and
//! every acknowledged message is there once, in order, on every transport.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::{Client, StatusCode};
use roost::store::sqlite::audit;
use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::sse::Events;
use crate::support::temp::TempDir;

/// How often the server is killed. The long form is `scripts/soak`.
fn rounds() -> usize {
    std::env::var("SUITE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

const GUESTS: usize = 3;
const VISITORS: usize = 2;
const WRITERS_EACH: usize = 3;
/// Acknowledgements after which a round's server is killed, in the middle of whatever comes next.
const ACKNOWLEDGED: usize = 60;

/// A conversation, and what is known of what was sent into it.
struct Sent {
    door: Door,
    name: String,
    /// By text: the id that the acknowledgement told.
    acknowledged: Mutex<BTreeMap<String, Value>>,
    /// Sent, and no answer came: may be there, or not.
    unanswered: Mutex<HashSet<String>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Door {
    Guest,
    Chats,
}

impl Sent {
    fn new(door: Door, name: String) -> Arc<Self> {
        Arc::new(Self { door, name, acknowledged: Mutex::default(), unanswered: Mutex::default() })
    }

    /// Sends a text; `true` when it was acknowledged.
    async fn send(&self, client: &Client, url: &str, text: &str) -> bool {
        let request = match self.door {
            Door::Guest => {
                client.post(format!("{url}/api/v1/chat/guest/{}/message", self.name)).json(&json!({"message": text}))
            }
            Door::Chats => client
                .post(format!("{url}/api/chats/messages/"))
                .json(&json!({"session_id": self.name, "message": text, "role": "user"})),
        };
        self.unanswered.lock().unwrap().insert(text.to_owned());
        let Ok(response) = request.header("Idempotency-Key", text).send().await else { return false };
        let status = response.status();
        let Ok(body) = response.json::<Value>().await else { return false };
        assert!(status.is_success(), "{status} {body}");
        let id = if self.door == Door::Guest { body["data"]["id"].clone() } else { body["id"].clone() };
        self.acknowledged.lock().unwrap().insert(text.to_owned(), id);
        self.unanswered.lock().unwrap().remove(text);
        true
    }

    /// Every message that the conversation's list shows: id and text.
    async fn listed(&self, client: &Client, url: &str) -> Vec<(Value, String)> {
        let (path, text) = match self.door {
            Door::Guest => (format!("/api/v1/chat/guest/{}/messages?last_message_id=0", self.name), "message"),
            Door::Chats => (format!("/api/chats/messages/?session_id={}", self.name), "message"),
        };
        let body: Value = client.get(format!("{url}{path}")).send().await.unwrap().json().await.unwrap();
        let list = if self.door == Door::Guest { &body["data"] } else { &body };
        let pair = |message: &Value| (message["id"].clone(), message[text].as_str().unwrap().to_owned());
        list.as_array().unwrap_or_else(|| panic!("{body}")).iter().map(pair).collect()
    }

    /// Every message that the conversation's event stream replays, up to `count` of them.
    async fn streamed(&self, client: &Client, url: &str, count: usize) -> Vec<(Value, String)> {
        let path = match self.door {
            Door::Guest => format!("/api/v1/chat/guest/{}/events", self.name),
            Door::Chats => format!("/api/chats/sessions/{}/events/", self.name),
        };
        let mut events = Events::open(client.get(format!("{url}{path}"))).await;
        let mut seen = Vec::new();
        while seen.len() < count {
            let event = events.next_of("message").await.expect("the stream goes on");
            seen.push((event.data["id"].clone(), event.data["message"].as_str().unwrap().to_owned()));
        }
        seen
    }

    /// Each acknowledged message once, under the id that was told; nothing that nobody sent; the
    /// stream the same as the list.
    async fn check(&self, client: &Client, url: &str) {
        let listed = self.listed(client, url).await;
        let texts: HashSet<_> = listed.iter().map(|(_, text)| text).collect();
        assert_eq!(texts.len(), listed.len(), "no message is there twice");
        let by_text: BTreeMap<_, _> = listed.iter().map(|(id, text)| (text.clone(), id.clone())).collect();
        for (text, id) in self.acknowledged.lock().unwrap().iter() {
            assert_eq!(by_text.get(text), Some(id), "{text} was acknowledged");
        }
        for text in by_text.keys() {
            let known = self.acknowledged.lock().unwrap().contains_key(text);
            assert!(known || self.unanswered.lock().unwrap().contains(text), "nobody sent {text}");
        }
        if self.door == Door::Guest {
            assert!(listed.is_sorted_by_key(|(id, _)| id.as_i64()), "ids grow");
        }
        assert_eq!(self.streamed(client, url, listed.len()).await, listed);
    }

    /// Whoever got no answer tries again with the same key, and gets one message, not two.
    async fn retry(&self, client: &Client, url: &str) {
        let unanswered: Vec<_> = self.unanswered.lock().unwrap().iter().cloned().collect();
        for text in unanswered {
            assert!(self.send(client, url, &text).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_has_every_acknowledged_message_once() {
    if crate::support::engine::is_other("an audit of the file") {
        return;
    }
    let dir = TempDir::new();
    let client = Client::builder().no_proxy().build().unwrap();
    let mut sent: Vec<Arc<Sent>> = Vec::new();
    for round in 0..rounds() {
        let server = Process::start(dir.path(), &[]);
        let url = server.url.clone();
        if round == 0 {
            sent = open(&client, &url).await;
        }
        for conversation in &sent {
            conversation.check(&client, &url).await;
            conversation.retry(&client, &url).await;
        }
        kill_in_the_middle(server, &client, &sent, round).await;
        let store = rusqlite::Connection::open(dir.path().join("roost.db")).unwrap();
        let found = audit(&store).unwrap();
        assert!(found.is_sound(), "round {round}: {found}");
    }
    let server = Process::start(dir.path(), &[]);
    let mut all = 0;
    for conversation in &sent {
        conversation.check(&client, &server.url).await;
        all += conversation.acknowledged.lock().unwrap().len();
    }
    assert!(all >= rounds() * ACKNOWLEDGED, "{all} were acknowledged");
}

async fn open(client: &Client, url: &str) -> Vec<Arc<Sent>> {
    let mut sent = Vec::new();
    for _ in 0..GUESTS {
        let made = client.post(format!("{url}/api/v1/chat/guest/session")).json(&json!({})).send().await.unwrap();
        assert_eq!(made.status(), StatusCode::CREATED);
        let body: Value = made.json().await.unwrap();
        sent.push(Sent::new(Door::Guest, body["data"]["session"]["session_key"].as_str().unwrap().to_owned()));
    }
    for _ in 0..VISITORS {
        let made = client.post(format!("{url}/api/chats/sessions/")).json(&json!({})).send().await.unwrap();
        assert_eq!(made.status(), StatusCode::CREATED);
        let body: Value = made.json().await.unwrap();
        sent.push(Sent::new(Door::Chats, body["id"].as_str().unwrap().to_owned()));
    }
    sent
}

async fn kill_in_the_middle(server: Process, client: &Client, sent: &[Arc<Sent>], round: usize) {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for (number, conversation) in sent.iter().enumerate() {
        for writer in 0..WRITERS_EACH {
            let (client, url) = (client.clone(), server.url.clone());
            let (conversation, acknowledged) = (Arc::clone(conversation), Arc::clone(&acknowledged));
            writers.push(tokio::spawn(async move {
                let mut count = 0;
                while conversation.send(&client, &url, &format!("{round}-{number}-{writer}-{count}")).await {
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    count += 1;
                }
            }));
        }
    }
    while acknowledged.load(Ordering::Relaxed) < ACKNOWLEDGED {
        tokio::task::yield_now().await;
    }
    server.kill();
    for writer in writers {
        writer.await.expect("a writer ends when its server is gone");
    }
}
