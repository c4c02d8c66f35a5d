//! Answers of the assistant that another node makes.

use serde_json::json;

use super::node::Nodes;
use crate::chats::{Heard, Visitor, text};

#[tokio::test]
async fn an_answer_is_heard_and_stopped_on_any_node() {
    let nodes = Nodes::with(|config| config.assistant.echo_pause_ms = 20).await;
    let Some(Nodes { nodes: [one, two], acme: _, redis: _redis }) = nodes else { return };
    let visitor = one.visitor().await;
    let elsewhere = Visitor { app: &two, session: visitor.session.clone() };
    let mut stream = visitor.hears(&"word ".repeat(1000)).await;
    let first = stream.next().await.unwrap().data;
    let question = text(&first["message_id"]);
    let mut resumed = elsewhere.resumes(question, 0).await;
    let begun = resumed.next().await.unwrap();
    assert_eq!(begun.data["chunk"], "Echo: ", "piece by piece, as it was told");
    let stopped = elsewhere.stops(question).await;
    let list = visitor.lists().await;
    assert_eq!(stopped, json!({"stopped": true, "message_id": question, "response_id": list[1]["id"]}));
    let heard = text(&begun.data["chunk"]).to_owned() + &Heard::all(resumed).await.text();
    assert_eq!(heard, text(&list[1]["message"]), "heard and stored are the same");
    let rest = Heard::all(stream).await;
    assert_eq!(rest.end["error"], "The answer was stopped.");
}

#[tokio::test]
async fn an_answer_is_heard_to_its_end_on_another_node() {
    let nodes = Nodes::with(|config| config.assistant.echo_pause_ms = 20).await;
    let Some(Nodes { nodes: [one, two], acme: _, redis: _redis }) = nodes else { return };
    let visitor = one.visitor().await;
    let elsewhere = Visitor { app: &two, session: visitor.session.clone() };
    let mut stream = visitor.hears(&"word ".repeat(40)).await;
    let question = stream.next().await.unwrap().data["message_id"].clone();
    let heard = Heard::all(elsewhere.resumes(text(&question), 0).await).await;
    assert_eq!(heard.text().trim_end(), format!("Echo: {}", "word ".repeat(40)).trim_end());
    assert!(heard.end["response_id"].is_i64() || heard.end["response_id"].is_string(), "{}", heard.end);
}
