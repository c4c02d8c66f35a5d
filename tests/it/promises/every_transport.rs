//! No silent hole, on any transport: writers write, followers come and go by socket, stream and long poll,
//! the server is killed in the middle, and what each follower made of what it was told is what is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, Method, RequestBuilder};
use roost::app;
use roost::clock::Clock;
use roost::config::Config;
use roost::domain::{Ability, Email};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::support::process::Process;
use crate::support::sse::Events;
use crate::support::temp::TempDir;

/// Events that are written; the long form is `scripts/soak`.
fn events() -> usize {
    std::env::var("SUITE_SEAM_EVENTS").ok().and_then(|events| events.parse().ok()).unwrap_or(1500)
}

const WRITERS: usize = 8;
const FOLLOWERS: usize = 50;
const USERS: usize = 4;
/// How often the server is killed.
const KILLS: usize = 3;
/// How long a follower waits for something before it comes anew.
const QUIET: Duration = Duration::from_secs(5);

/// A sequence of numbers that looks random and is the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        // Steele, Lea, Flood: "Fast splittable pseudorandom number generators".
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

struct User {
    uuid: String,
    token: String,
}

struct Pair {
    uuid: String,
    users: [usize; 2],
}

/// A message as a follower and a list have it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    text: String,
    reactions: BTreeSet<(String, String)>,
}

/// Conversations, by message.
type View = BTreeMap<String, BTreeMap<i64, Said>>;

struct World {
    client: Client,
    url: RwLock<String>,
    key: String,
    users: Vec<User>,
    pairs: Vec<Pair>,
    written: AtomicUsize,
    is_over: AtomicBool,
    /// The last message of each conversation, once the writing is over.
    last: Mutex<HashMap<String, i64>>,
}

impl World {
    async fn new(dir: &Path) -> Self {
        let config = Config { data: dir.to_owned(), ..Config::default() };
        let chat = app::open_chat(&config, Clock::system()).await.unwrap();
        let platform = chat.add_platform("Acme").await.unwrap();
        let mut users = Vec::new();
        for number in 0..USERS {
            let email = Email::parse(&format!("user{number}@acme.test")).unwrap();
            let abilities = vec![Ability::parse("backoffice").unwrap()];
            let user = chat.add_user(Some(&platform), email, format!("User {number}"), None, false, abilities.clone());
            let made = chat.make_token(user.await.unwrap(), "test".to_owned(), abilities, None).await.unwrap();
            users.push(User { uuid: made.user.uuid.to_string(), token: made.token });
        }
        Self {
            client: Client::builder().no_proxy().build().unwrap(),
            url: RwLock::default(),
            key: platform.key.to_string(),
            users,
            pairs: Vec::new(),
            written: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            last: Mutex::default(),
        }
    }

    fn url(&self) -> String {
        self.url.read().unwrap().clone()
    }

    fn request(&self, user: usize, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url()));
        request.bearer_auth(&self.users[user].token).header("X-PUBLIC-KEY", &self.key)
    }

    async fn open_pairs(&mut self) {
        for one in 0..USERS {
            for other in one + 1..USERS {
                let body = json!({"participant_uuid": self.users[other].uuid});
                let made = self.request(one, Method::POST, "/api/v1/pigeons/chat/conversations").json(&body).send();
                let told: Value = made.await.unwrap().json().await.unwrap();
                let uuid = told["data"]["uuid"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
                self.pairs.push(Pair { uuid, users: [one, other] });
            }
        }
    }

    /// Does something until it is acknowledged, however often the server goes away.
    async fn insists(&self, user: usize, method: Method, path: &str, key: &str, body: &Value) -> Value {
        loop {
            let request = self.request(user, method.clone(), path).header("Idempotency-Key", key).json(body);
            if let Ok(answer) = request.timeout(Duration::from_secs(20)).send().await {
                let status = answer.status();
                // What was done before the answer was lost is done: a deletion is 404 the second time.
                assert!(status.is_success() || status.as_u16() == 404 || status.is_server_error(), "{status} {path}");
                if !status.is_server_error()
                    && let Ok(told) = answer.json().await
                {
                    return told;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn sends(&self, pair: &Pair, side: usize, text: &str) -> i64 {
        let body = json!({
            "conversation_uuid": pair.uuid, "receiver_uuid": self.users[pair.users[1 - side]].uuid,
            "context_text": text, "context_type": "text", "device": {"type": "web", "os": "Linux"},
        });
        let told = self.insists(pair.users[side], Method::POST, "/api/v1/pigeons/chat/messages", text, &body).await;
        number(&told["data"]["message_id"])
    }

    async fn writes(self: Arc<Self>, writer: usize) {
        let mut dice = Dice(writer as u64);
        let mut own: Vec<(usize, usize, i64)> = Vec::new();
        let mut count = 0;
        while self.written.fetch_add(1, Ordering::Relaxed) < events() {
            count += 1;
            let text = format!("{writer}-{count}");
            let kind = dice.below(20);
            if own.is_empty() || kind < 14 {
                let (pair, side) = (dice.below(self.pairs.len()), dice.below(2));
                let message = self.sends(&self.pairs[pair], side, &text).await;
                own.push((pair, side, message));
                continue;
            }
            let at = dice.below(own.len());
            let (pair, side, message) = own[at];
            let user = self.pairs[pair].users[side];
            let path = format!("/api/v1/pigeons/chat/messages/msg_{message}");
            match kind {
                14..17 => self.insists(user, Method::PATCH, &path, &text, &json!({"context_text": text})).await,
                17..19 => {
                    let emoji = ["🚲", "👍", "🌱"][dice.below(3)];
                    self.insists(user, Method::POST, &format!("{path}/reactions"), &text, &json!({"emoji": emoji}))
                        .await
                }
                _ => {
                    own.swap_remove(at);
                    self.insists(user, Method::DELETE, &path, &text, &json!({})).await
                }
            };
        }
    }

    /// What the list shows of a conversation.
    async fn listed(&self, pair: &Pair) -> BTreeMap<i64, Said> {
        let path = format!("/api/v1/pigeons/chat/conversations/{}/messages", pair.uuid);
        let told: Value = self.request(pair.users[0], Method::GET, &path).send().await.unwrap().json().await.unwrap();
        told["data"].as_array().unwrap_or_else(|| panic!("{told}")).iter().map(said).collect()
    }
}

fn number(name: &Value) -> i64 {
    name.as_str().and_then(|name| name.strip_prefix("msg_")).and_then(|digits| digits.parse().ok()).expect("a message")
}

fn said(message: &Value) -> (i64, Said) {
    let reaction =
        |one: &Value| (one["user_uuid"].as_str().unwrap().to_owned(), one["emoji"].as_str().unwrap().to_owned());
    let reactions = message["reactions"].as_array().unwrap().iter().map(reaction).collect();
    (number(&message["message_id"]), Said { text: message["context"]["text"].as_str().unwrap().to_owned(), reactions })
}

/// Somebody who follows all conversations of a user.
struct Follower {
    world: Arc<World>,
    user: usize,
    dice: Dice,
    view: View,
    cursor: i64,
    /// For each conversation the last event of it that was told.
    told: HashMap<String, i64>,
    connections: [usize; 3],
    /// By what it came each time, from which cursor to which.
    visits: Vec<(usize, i64, i64)>,
}

impl Follower {
    async fn follow(mut self) -> Self {
        while !self.has_all() {
            let most = 1 + self.dice.below(80);
            let transport = self.dice.below(3);
            self.connections[transport] += 1;
            let from = self.cursor;
            // Whatever goes wrong with a connection that is cut off or of a server that is gone: it comes anew.
            let _ = match transport {
                0 => self.by_socket(most).await,
                1 => self.by_stream(most).await,
                _ => self.by_poll().await,
            };
            self.visits.push((transport, from, self.cursor));
        }
        self
    }

    fn has_all(&self) -> bool {
        if !self.world.is_over.load(Ordering::Relaxed) {
            return false;
        }
        let last = self.world.last.lock().unwrap();
        let pairs = self.world.pairs.iter().filter(|pair| pair.users.contains(&self.user));
        pairs.into_iter().all(|pair| self.view.get(&pair.uuid).is_some_and(|view| view.contains_key(&last[&pair.uuid])))
    }

    fn hear(&mut self, event: &str, data: &Value) {
        let Some(cursor) = data["cursor"].as_i64() else { return };
        self.cursor = self.cursor.max(cursor);
        let Some(conversation) = data["conversation_uuid"].as_str() else { return };
        let before = self.told.insert(conversation.to_owned(), cursor).unwrap_or(0);
        assert!(cursor > before, "{event} {cursor} after {before}: told twice, or out of order");
        let view = self.view.entry(conversation.to_owned()).or_default();
        match event {
            "message.sent" => {
                let (number, said) = said(data);
                assert!(view.insert(number, said).is_none(), "msg_{number} is sent once");
            }
            "message.updated" => {
                let (number, said) = said(data);
                if let Some(known) = view.get_mut(&number) {
                    known.text = said.text;
                }
            }
            "message.deleted" => {
                view.remove(&number(&data["message_id"]));
            }
            "message.reaction" => {
                if let Some(known) = view.get_mut(&number(&data["message_id"])) {
                    let (user, emoji) = (data["user_uuid"].as_str().unwrap(), data["emoji"].as_str().unwrap());
                    known.reactions.insert((user.to_owned(), emoji.to_owned()));
                }
            }
            _ => {}
        }
    }

    async fn by_stream(&mut self, most: usize) -> Option<()> {
        let request = self.world.request(self.user, Method::GET, "/api/v1/pigeons/chat/events");
        let answer = request.header("Last-Event-ID", self.cursor.to_string()).send().await.ok()?;
        let mut events = Events::of(answer);
        for _ in 0..most {
            let event = timeout(QUIET, events.next()).await.ok()??;
            assert_ne!(event.event, "reset");
            self.hear(&event.event, &event.data);
        }
        Some(())
    }

    async fn by_poll(&mut self) -> Option<()> {
        let path = format!("/api/v1/pigeons/chat/events?wait=1&last_event_id={}", self.cursor);
        let answer = self.world.request(self.user, Method::GET, &path).send().await.ok()?;
        let told: Value = answer.json().await.ok()?;
        assert_ne!(told["reset"], true, "{told}");
        for event in told["events"].as_array()? {
            self.hear(event["event"].as_str()?, &event["data"]);
        }
        self.cursor = self.cursor.max(told["cursor"].as_i64()?);
        Some(())
    }

    async fn by_socket(&mut self, most: usize) -> Option<()> {
        let (world, user) = (Arc::clone(&self.world), self.user);
        let url = world.url();
        let stream = TcpStream::connect(url.trim_start_matches("http://")).await.ok()?;
        let path = format!("{}/app/{}?protocol=7", url.replace("http://", "ws://"), world.key);
        let (mut socket, _) = timeout(QUIET, tokio_tungstenite::client_async(path, stream)).await.ok()?.ok()?;
        let hello = frame(socket.next().await?.ok()?)?;
        let id = hello["data"]["socket_id"].as_str()?.to_owned();
        // As stock clients do: all at once, each with the largest cursor of all, or each with its own.
        let since = if self.dice.below(2) == 0 { json!(self.cursor) } else { self.cursors() };
        let channels = world.pairs.iter().filter(|pair| pair.users.contains(&user));
        let channels: Vec<_> = channels.map(|pair| format!("private-conversation.{}", pair.uuid)).collect();
        let asks = channels.iter().map(|channel| {
            let form = json!({"socket_id": id, "channel_name": channel, "since": since});
            let request = world.request(user, Method::POST, "/broadcasting/auth").json(&form);
            async move { request.send().await.ok()?.json::<Value>().await.ok() }
        });
        for (channel, told) in channels.iter().zip(futures_util::future::join_all(asks).await) {
            let wish = json!({"event": "pusher:subscribe", "data": {"channel": channel, "auth": told?["auth"]}});
            socket.send(Message::text(wish.to_string())).await.ok()?;
        }
        for _ in 0..most {
            let frame = frame(timeout(QUIET, socket.next()).await.ok()??.ok()?)?;
            assert_ne!(frame["event"], "reset");
            self.hear(frame["event"].as_str()?, &frame["data"]);
        }
        Some(())
    }

    /// What a follower made of what it was told is what is there.
    fn is_as_listed(&self, conversation: &str, view: &BTreeMap<i64, Said>, listed: &BTreeMap<i64, Said>) {
        for number in view.keys().chain(listed.keys()) {
            let passed = self.visits.iter().find(|(_, from, to)| from < number && number <= to);
            let passed = passed.map(|(transport, from, to)| (["socket", "stream", "poll"][*transport], from, to));
            let (made, there) = (view.get(number), listed.get(number));
            assert_eq!(made, there, "msg_{number} of {conversation}, which it went past by {passed:?}");
        }
    }

    /// A cursor for each channel. What this follower knows of a channel it knows up to its one cursor.
    fn cursors(&self) -> Value {
        let pairs = self.world.pairs.iter().filter(|pair| pair.users.contains(&self.user));
        pairs
            .map(|pair| (format!("private-conversation.{}", pair.uuid), json!(self.cursor)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn frame(message: Message) -> Option<Value> {
    let mut frame: Value = serde_json::from_str(message.to_text().ok()?).ok()?;
    let data = frame["data"].as_str().and_then(|data| serde_json::from_str(data).ok());
    frame["data"] = data.unwrap_or(Value::Null);
    Some(frame)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_followers_fold_is_the_snapshot_whatever_carried_it() {
    if crate::support::engine::is_other("accounts that are made in the file; roost chaos does the same to a cluster") {
        return;
    }
    let dir = TempDir::new();
    let mut world = World::new(dir.path()).await;
    let mut server = Process::start(dir.path(), &[]);
    *world.url.write().unwrap() = server.url.clone();
    world.open_pairs().await;
    let world = Arc::new(world);
    let followers: Vec<_> = (0..FOLLOWERS)
        .map(|number| {
            let dice = Dice(1000 + number as u64);
            let (view, told) = (View::new(), HashMap::new());
            let world = Arc::clone(&world);
            let follower = Follower {
                world,
                user: number % USERS,
                dice,
                view,
                cursor: 0,
                told,
                connections: [0; 3],
                visits: Vec::new(),
            };
            tokio::spawn(follower.follow())
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS).map(|number| tokio::spawn(Arc::clone(&world).writes(number))).collect();
    for kill in 1..=KILLS {
        while world.written.load(Ordering::Relaxed) < events() * kill / (KILLS + 1) {
            assert!(!followers.iter().any(tokio::task::JoinHandle::is_finished), "a follower has given up");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.kill();
        server = Process::start(dir.path(), &[]);
        *world.url.write().unwrap() = server.url.clone();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for pair in &world.pairs {
        let last = world.sends(pair, 0, &format!("last-{}", pair.uuid)).await;
        world.last.lock().unwrap().insert(pair.uuid.clone(), last);
    }
    world.is_over.store(true, Ordering::Relaxed);
    let mut lists = View::new();
    for pair in &world.pairs {
        lists.insert(pair.uuid.clone(), world.listed(pair).await);
    }
    let mut connections = [0; 3];
    for follower in followers {
        let follower = follower.await.unwrap();
        for (conversation, view) in &follower.view {
            follower.is_as_listed(conversation, view, &lists[conversation]);
        }
        connections.iter_mut().zip(follower.connections).for_each(|(all, one)| *all += one);
    }
    assert!(connections.iter().all(|count| *count > FOLLOWERS), "sockets, streams and polls: {connections:?}");
    eprintln!("connections by socket, stream and poll: {connections:?}");
}
