//! An answer that one node makes, for those who follow it on another.

use serde_json::json;

use crate::chats::{Heard, Visitor, text};
use crate::cluster::node::Nodes;

/// What happens of an answer is told on every node to who follows the conversation.
#[tokio::test]
async fn who_follows_on_another_node_is_told_an_answer_piece_by_piece() {
    let nodes = Nodes::with(|config| config.assistant.echo_pause_ms = 20).await;
    let Some(Nodes { nodes: [one, two], acme: _, redis: _redis }) = nodes else { return };
    if one.config.store.url.is_empty() {
        eprintln!("left out: events of answers over nodes: the store is embedded");
        return;
    }
    let visitor = one.visitor().await;
    let elsewhere = Visitor { app: &two, session: visitor.session.clone() };
    let mut events = elsewhere.follows(0).await;
    let asked = visitor.hears(&"word ".repeat(20)).await;
    let mut told = String::new();
    let ended = loop {
        let event = events.next().await.expect("an open stream");
        match event.event.as_str() {
            "run_text" => {
                assert_eq!(event.data["start"], told.len());
                told.push_str(text(&event.data["text"]));
            }
            "run" if event.data["state"] != "running" => break event.data,
            _ => {}
        }
    };
    assert_eq!((&ended["state"], told), (&json!("completed"), Heard::all(asked).await.text()));
}
