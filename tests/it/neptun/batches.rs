//! Several messages at once: all or none, in the order of the list, once however often they are sent.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::{issue, issues};
use crate::support::app::{TestApp, answer, whole_answer};
use crate::support::neptun::{PASSWORD, cookie_of};
use crate::support::process::Process;
use crate::support::temp::TempDir;

fn numbered(count: usize) -> Vec<Value> {
    (0..count).map(|number| json!({"content": format!("m{number}"), "role": "user"})).collect()
}

#[tokio::test]
async fn a_thousand_messages_are_stored_in_their_order() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let (status, body) = lan.post(&lan.messages(chat), json!({"messages": numbered(1000)})).await;
    assert_eq!(status, StatusCode::OK);
    let told = body["chatMessages"].as_array().unwrap();
    assert_eq!(told.len(), 1000);
    let first = told[0]["id"].as_i64().unwrap();
    for (number, message) in told.iter().enumerate() {
        assert_eq!(message["message"], format!("m{number}"));
        assert_eq!(message["id"], first + i64::try_from(number).unwrap());
    }
    assert_eq!(&lan.reads(chat).await, told);
    let (status, refused) = lan.post(&lan.messages(chat), json!({"messages": numbered(1001)})).await;
    let many = issue("too_big", json!(["messages"]), "Array must contain at most 1000 element(s)");
    assert_eq!((status, issues(&refused)), (StatusCode::BAD_REQUEST, vec![many]));
}

#[tokio::test]
async fn one_bad_element_stores_nothing() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    for bad in [
        json!({"content": " ", "role": "user"}),
        json!({"content": "x", "role": "staff"}),
        json!({"role": "user"}),
        json!({"content": "x"}),
        json!(null),
        json!([]),
        json!("x"),
        json!({"content": "x".repeat(32_001), "role": "user"}),
    ] {
        for at in [0, 5, 9] {
            let mut messages = numbered(10);
            messages[at] = bad.clone();
            let (status, refused) = lan.post(&lan.messages(chat), json!({"messages": messages})).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
            for (_, path, _) in issues(&refused) {
                assert_eq!((&path[0], &path[1]), (&json!("messages"), &json!(at)), "{bad}");
            }
        }
    }
    assert!(lan.reads(chat).await.is_empty());
}

#[tokio::test]
async fn a_retry_returns_the_first_messages() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let send = |key: &str, body: Value| {
        whole_answer(lan.request(Method::POST, &lan.messages(chat)).header("idempotency-key", key).json(&body))
    };
    let batch = json!({"messages": numbered(3)});
    let (status, headers, first) = send("one", batch.clone()).await;
    assert_eq!((status, headers.get("idempotent-replayed")), (StatusCode::OK, None));
    let (status, headers, again) = send("one", batch).await;
    assert_eq!((status, &headers["idempotent-replayed"], &again), (StatusCode::OK, &"true".parse().unwrap(), &first));
    for other in
        [json!({"messages": numbered(2)}), json!({"messages": numbered(4)}), json!({"message": "m0", "actor": "user"})]
    {
        let (status, _, body) = send("one", other.clone()).await;
        assert_eq!((status, &body["statusMessage"]), (StatusCode::CONFLICT, &json!("Conflict")), "{other}");
    }
    let single = json!({"message": "alone", "actor": "user"});
    let (_, _, first) = send("two", single.clone()).await;
    let (_, headers, again) = send("two", single).await;
    assert_eq!((&headers["idempotent-replayed"], again), (&"true".parse().unwrap(), first));
    assert_eq!(lan.reads(chat).await.len(), 4);
    let wrong = lan.request(Method::POST, &lan.messages(chat)).header("idempotency-key", "with space");
    let (status, _) = answer(wrong.json(&json!({"message": "x", "actor": "user"}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let other = lan.chat("Another").await;
    let request = lan.request(Method::POST, &lan.messages(other)).header("idempotency-key", "two");
    let (status, headers, _) = whole_answer(request.json(&json!({"message": "else", "actor": "user"}))).await;
    assert_eq!((status, headers.get("idempotent-replayed")), (StatusCode::OK, None), "a key is one chat's");
}

#[tokio::test]
async fn batches_that_are_sent_at_once_do_not_mix() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let send = |batch: usize| {
        let messages: Vec<_> = (0..20).map(|n| json!({"content": format!("{batch}-{n}"), "role": "user"})).collect();
        answer(lan.request(Method::POST, &lan.messages(chat)).json(&json!({"messages": messages})))
    };
    let sent = futures_util::future::join_all((0..20).map(send)).await;
    assert!(sent.iter().all(|(status, _)| *status == StatusCode::OK));
    let texts: Vec<_> = lan.transcript(chat).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(whole_batches(&texts, 20).len(), 20);
}

/// The batches in a list of `batch-number` texts, each of which has to be whole, in order and unbroken.
fn whole_batches(texts: &[String], size: usize) -> HashSet<String> {
    let mut seen = HashSet::new();
    assert!(texts.len().is_multiple_of(size), "{} messages", texts.len());
    for batch in texts.chunks(size) {
        let name = batch[0].rsplit_once('-').expect("a number").0.to_owned();
        let want: Vec<_> = (0..size).map(|number| format!("{name}-{number}")).collect();
        assert_eq!(batch, want, "a batch is whole and in order");
        assert!(seen.insert(name), "a batch is there once");
    }
    seen
}

const ROUNDS: usize = 5;
const WRITERS: usize = 4;
const SIZE: usize = 25;
/// Acknowledgements after which a round's server is killed, in the middle of whatever comes next.
const ACKNOWLEDGED: usize = 20;

/// What is known of the batches that were sent.
#[derive(Default)]
struct Sent {
    acknowledged: Mutex<HashSet<String>>,
    unanswered: Mutex<HashSet<String>>,
}

impl Sent {
    /// Sends a batch; `true` when it was acknowledged.
    async fn send(&self, client: &Client, path: &str, cookie: &str, name: &str) -> bool {
        let messages: Vec<_> = (0..SIZE).map(|n| json!({"content": format!("{name}-{n}"), "role": "user"})).collect();
        self.unanswered.lock().unwrap().insert(name.to_owned());
        let request = client.post(path).header("cookie", cookie).header("idempotency-key", name);
        let Ok(response) = request.json(&json!({"messages": messages})).send().await else { return false };
        let status = response.status();
        let Ok(body) = response.json::<Value>().await else { return false };
        assert_eq!(status, StatusCode::OK, "{body}");
        self.acknowledged.lock().unwrap().insert(name.to_owned());
        self.unanswered.lock().unwrap().remove(name);
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_has_each_batch_whole_or_not_at_all() {
    let dir = TempDir::new();
    let client = Client::builder().no_proxy().build().unwrap();
    let (mut cookie, mut chat) = (String::new(), String::new());
    let sent = Arc::new(Sent::default());
    for round in 0..=ROUNDS {
        let server = Process::start(dir.path(), &[]);
        if round == 0 {
            (cookie, chat) = settle(&client, &server.url).await;
        }
        let path = format!("{}{chat}", server.url);
        check(&client, &path, &cookie, &sent).await;
        let unanswered: Vec<_> = sent.unanswered.lock().unwrap().iter().cloned().collect();
        for name in unanswered {
            assert!(sent.send(&client, &path, &cookie, &name).await, "a retry with the same key");
        }
        check(&client, &path, &cookie, &sent).await;
        if round < ROUNDS {
            kill_in_the_middle(server, &client, &path, &cookie, &sent, round).await;
        }
    }
    assert!(sent.acknowledged.lock().unwrap().len() >= ROUNDS * ACKNOWLEDGED);
}

/// A cookie, and the path of a chat's messages.
async fn settle(client: &Client, url: &str) -> (String, String) {
    let body = json!({"email": "lan@example.test", "password": PASSWORD});
    let signed = client.post(format!("{url}/api/auth/sign-up")).json(&body).send().await.unwrap();
    let cookie = cookie_of(signed.headers());
    let user: Value = signed.json().await.unwrap();
    let chats = format!("/api/users/{}/chats", user["user"]["id"]);
    let body = json!({"name": "A chat", "model": "google/gemma-2-27b-it"});
    let request = client.post(format!("{url}{chats}")).header("cookie", &cookie).json(&body);
    let made: Value = request.send().await.unwrap().json().await.unwrap();
    (cookie, format!("{chats}/{}/messages", made["chat"]["id"]))
}

async fn check(client: &Client, path: &str, cookie: &str, sent: &Sent) {
    let body: Value = client.get(path).header("cookie", cookie).send().await.unwrap().json().await.unwrap();
    let messages = body["chatMessages"].as_array().unwrap_or_else(|| panic!("{body}"));
    let texts: Vec<_> = messages.iter().map(|message| message["message"].as_str().unwrap().to_owned()).collect();
    let there = whole_batches(&texts, SIZE);
    let acknowledged = sent.acknowledged.lock().unwrap().clone();
    assert!(acknowledged.is_subset(&there), "what was acknowledged is there");
    let unanswered = sent.unanswered.lock().unwrap().clone();
    assert!(there.iter().all(|name| acknowledged.contains(name) || unanswered.contains(name)), "nobody sent more");
}

async fn kill_in_the_middle(
    server: Process,
    client: &Client,
    path: &str,
    cookie: &str,
    sent: &Arc<Sent>,
    round: usize,
) {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (client, path, cookie) = (client.clone(), path.to_owned(), cookie.to_owned());
        let (sent, acknowledged) = (Arc::clone(sent), Arc::clone(&acknowledged));
        writers.push(tokio::spawn(async move {
            let mut count = 0;
            while sent.send(&client, &path, &cookie, &format!("{round}:{writer}:{count}")).await {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                count += 1;
            }
        }));
    }
    while acknowledged.load(Ordering::Relaxed) < ACKNOWLEDGED {
        tokio::task::yield_now().await;
    }
    server.kill();
    for writer in writers {
        writer.await.expect("a writer ends when its server is gone");
    }
}
