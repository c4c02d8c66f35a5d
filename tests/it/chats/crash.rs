//! What is left of an answer when the server is killed in its middle.

use reqwest::Client;
use serde_json::{Value, json};

use super::{Heard, text};
use crate::support::process::Process;
use crate::support::sse::Events;
use crate::support::temp::TempDir;

/// One word every 20 ms, and what has arrived is stored with every word. Where nodes share the store another takes the
/// killed one for dead after two seconds.
const SLOWLY: [(&str, &str); 4] = [
    ("ROOST_ASSISTANT_ECHO_PAUSE_MS", "20"),
    ("ROOST_ASSISTANT_DELTA_MS", "0"),
    ("ROOST_CLUSTER_LEASE_S", "2"),
    ("ROOST_CLUSTER_BEAT_S", "1"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_servers_answer_is_kept_as_far_as_it_came() {
    let (folder, client) = (TempDir::new(), Client::builder().no_proxy().build().unwrap());
    let server = Process::start(folder.path(), &SLOWLY);
    let session = json!({"session_id": "lp-1"});
    client.post(format!("{}/api/chats/sessions/", server.url)).json(&session).send().await.unwrap();
    let said = (0..500).map(|number| format!("w{number} ")).collect::<String>();
    let question = json!({"session_id": "lp-1", "message": said});
    let ask = client.post(format!("{}/api/chats/messages/chat/stream/", server.url));
    let mut stream = Events::open(ask.json(&question)).await;
    let (mut heard, mut id) = (String::new(), String::new());
    for _ in 0..10 {
        let frame = stream.next().await.unwrap().data;
        heard += text(&frame["chunk"]);
        text(&frame["message_id"]).clone_into(&mut id);
    }
    server.kill();
    assert_eq!(stream.next().await, None, "no closing frame: the client knows that it has to come back");

    let server = Process::start(folder.path(), &SLOWLY);
    let list = loop {
        let list = client.get(format!("{}/api/chats/messages/?session_id=lp-1", server.url)).send().await.unwrap();
        let list: Vec<Value> = list.json().await.unwrap();
        // An embedded server has ended it before it serves.
        if list.len() > 1 || !crate::support::postgres::is_chosen() {
            break list;
        }
        tokio::task::yield_now().await;
    };
    let kept = text(&list[1]["message"]);
    assert!(format!("Echo: {said}").starts_with(kept));
    assert!(kept.len() + "w9 ".len() >= heard.len(), "at most the last word is lost: {kept:?} of {heard:?}");
    assert_eq!(list[1]["metadata"], json!({"incomplete": true, "outcome": "interrupted"}));
    let why = "The server was restarted before the answer was finished: ask again.";
    for cursor in [0, 6, kept.len(), 10_000] {
        let url = format!("{}/api/chats/messages/chat/stream/{id}/", server.url);
        let resumed = Heard::all(Events::open(client.get(url).header("last-event-id", cursor)).await).await;
        assert_eq!(resumed.text(), &kept[cursor.min(kept.len())..]);
        assert_eq!(resumed.end, json!({"chunk": "", "done": true, "message_id": id, "error": why}));
    }
    server.kill();
}
