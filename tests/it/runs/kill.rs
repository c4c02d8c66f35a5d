//! A hundred answers under way when the server is killed: what anybody had seen of them is there afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use roost::local::Scripted;
use roost::local::scripted::{Script, Seen, Step, events, text_bytes};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{question_of, shown};
use crate::chats::{Heard, text};
use crate::support::app::{until, until_async};
use crate::support::process::Process;
use crate::support::sse::Events;
use crate::support::temp::TempDir;

/// Answers at once.
const RUNS: usize = 100;
/// Pieces that each client has seen at least when the server is killed.
const PIECES: usize = 5;

/// A piece of the answer to that question: no two answers, and no two pieces, are the same.
fn piece(question: &str, number: usize) -> String {
    format!("{question} số {number}, ")
}

/// An answer without end, unless it has a beginning already.
fn endless(seen: &Seen) -> Script {
    if shown(seen).iter().any(|(role, _)| role == "assistant") {
        return Script::chat(&["the end."]);
    }
    let question = question_of(seen);
    let made = move |number: usize| text_bytes(&piece(&question, number));
    Script(vec![events(), Step::Pieces(usize::MAX, Duration::from_millis(100), Arc::new(made))])
}

/// What a client saw of an answer when the connection broke.
struct Saw {
    number: usize,
    question: String,
    id: String,
    text: String,
}

/// Asks, and notes what comes until nothing comes any more.
async fn asks(client: Client, url: String, number: usize, pieces: Arc<AtomicUsize>) -> Saw {
    let (session, question) = (format!("lp-{number}"), format!("câu {number}"));
    let made = client.post(format!("{url}/api/chats/sessions/")).json(&json!({"session_id": session}));
    made.send().await.unwrap();
    let asked = json!({"session_id": session, "message": question});
    let mut stream = Events::open(client.post(format!("{url}/api/chats/messages/chat/stream/")).json(&asked)).await;
    let mut saw = Saw { number, question, id: String::new(), text: String::new() };
    while let Some(frame) = stream.next().await {
        assert_eq!(frame.data["done"], json!(false), "the answer has no end");
        saw.text += text(&frame.data["chunk"]);
        text(&frame.data["message_id"]).clone_into(&mut saw.id);
        pieces.fetch_add(1, Ordering::Relaxed);
    }
    saw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_answers_are_there_after_the_server_was_killed() {
    let provider = Scripted::start(endless).await.unwrap();
    let (folder, client) = (TempDir::new(), Client::builder().no_proxy().build().unwrap());
    let url = provider.url();
    let environment = [
        ("ROOST_ASSISTANT_PROVIDER", "openai"),
        ("ROOST_ASSISTANT_OPENAI_BASE_URL", url.as_str()),
        ("ROOST_ASSISTANT_OPENAI_MODEL", "scripted"),
        // Where nodes share the store, another one takes the killed one for dead after this.
        ("ROOST_CLUSTER_LEASE_S", "2"),
        ("ROOST_CLUSTER_BEAT_S", "1"),
    ];
    let server = Process::start(folder.path(), &environment);
    let pieces: Vec<_> = (0..RUNS).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let clients: JoinSet<_> = pieces
        .iter()
        .enumerate()
        .map(|(number, pieces)| asks(client.clone(), server.url.clone(), number, Arc::clone(pieces)))
        .collect();
    until(|| pieces.iter().all(|pieces| pieces.load(Ordering::Relaxed) >= PIECES)).await;
    server.kill();
    let saw = clients.join_all().await;
    // What was on its way when the connection broke was sent, too.
    let sent = provider.until(|seen| seen.iter().all(Seen::is_left)).await.unwrap();
    assert_eq!((saw.len(), sent.len()), (RUNS, RUNS), "each question was put once");

    let server = Process::start(folder.path(), &environment);
    for saw in &saw {
        let seen = sent.iter().find(|seen| question_of(seen) == saw.question).expect("it was asked");
        let whole: String = (0..seen.sent()).map(|number| piece(&saw.question, number)).collect();
        let kept = kept(&client, &server.url, saw.number).await;
        assert!(whole.starts_with(&kept), "{kept:?} is no beginning of {whole:?}");
        assert!(kept.starts_with(&saw.text), "what was seen is not there: {kept:?} of {:?}", saw.text);
        for cursor in [0, saw.text.len()] {
            let path = format!("{}/api/chats/messages/chat/stream/{}/", server.url, saw.id);
            let resumed = Heard::all(Events::open(client.get(path).header("last-event-id", cursor)).await).await;
            assert_eq!(resumed.text(), &kept[cursor..], "who comes back gets the rest");
            assert!(text(&resumed.end["error"]).contains("restarted"), "{}", resumed.end);
        }
    }
    assert_eq!(provider.seen().len(), RUNS, "nothing is asked again by itself");
    for saw in &saw {
        goes_on(&client, &server.url, saw).await;
    }
    assert_eq!(provider.seen().len(), 2 * RUNS, "one request continues an answer");
    server.kill();
}

/// The text of that session's answer, which has to be marked as interrupted.
async fn kept(client: &Client, url: &str, number: usize) -> String {
    let mut kept = Value::Null;
    until_async(async || {
        let list = client.get(format!("{url}/api/chats/messages/?session_id=lp-{number}")).send().await.unwrap();
        kept = list.json().await.unwrap();
        // An embedded server has ended its runs before it serves; among nodes another one does.
        kept[1].is_object()
    })
    .await;
    assert_eq!(kept.as_array().map(Vec::len), Some(2), "{kept}");
    assert_eq!(kept[1]["metadata"], json!({"incomplete": true, "outcome": "interrupted"}));
    text(&kept[1]["message"]).to_owned()
}

/// One request, and the answer goes on behind what there was of it.
async fn goes_on(client: &Client, url: &str, saw: &Saw) {
    let before = kept(client, url, saw.number).await;
    let again = json!({"session_id": format!("lp-{}", saw.number), "message_id": saw.id, "continue": true});
    let again = client.post(format!("{url}/api/chats/messages/chat/again/")).json(&again);
    let heard = Heard::all(Events::open(again).await).await;
    assert_eq!(heard.text(), format!("{before}the end."));
    let list = client.get(format!("{url}/api/chats/messages/?session_id=lp-{}", saw.number)).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    assert_eq!((list.as_array().map(Vec::len), &list[1]["message"]), (Some(2), &json!(heard.text())), "{list}");
    assert!(list[1]["metadata"].get("incomplete").is_none(), "{list}");
}
