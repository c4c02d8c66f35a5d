//! Whoever stops an answer closes the provider's connection, wherever the answer is.

use reqwest::StatusCode;
use roost::local::Scripted;
use roost::local::scripted::{Script, Step, events, text};
use serde_json::json;

use crate::chats::{Heard, Visitor, text as string};
use crate::support::provider::{provided, provided_with};

/// Stops what the visitor asked; the provider sees the client go.
async fn stops(provider: &Scripted, visitor: &Visitor<'_>, said: &str) {
    let question = visitor.lists().await[0]["id"].clone();
    let stopped = visitor.stops(string(&question)).await;
    assert_eq!(stopped["stopped"], json!(true));
    let seen = provider.until(|seen| seen.iter().all(|seen| seen.is_left())).await.unwrap();
    assert_eq!(seen.len(), 1, "it is not asked again");
    let list = visitor.lists().await;
    if said.is_empty() {
        assert_eq!(list.len(), 1);
    } else {
        assert_eq!(string(&list[1]["message"]), said);
        assert_eq!(list[1]["metadata"]["outcome"], json!("stopped"));
    }
}

#[tokio::test]
async fn who_stops_before_the_first_byte_leaves_the_provider() {
    let (provider, app) = provided(|_| Script(vec![Step::Hang])).await;
    let visitor = app.visitor().await;
    let stream = visitor.hears("hello").await;
    provider.until(|seen| seen.len() == 1).await.unwrap();
    stops(&provider, &visitor, "").await;
    assert!(Heard::all(stream).await.chunks.is_empty());
}

#[tokio::test]
async fn who_stops_before_the_first_token_leaves_the_provider() {
    let (provider, app) = provided(|_| Script(vec![events(), Step::Hang])).await;
    let visitor = app.visitor().await;
    let _stream = visitor.hears("hello").await;
    provider.until(|seen| seen.len() == 1).await.unwrap();
    stops(&provider, &visitor, "").await;
}

#[tokio::test]
async fn who_stops_in_the_middle_leaves_the_provider() {
    let (provider, app) = provided(|_| Script(vec![events(), text("Half an "), Step::Hang])).await;
    let visitor = app.visitor().await;
    let mut stream = visitor.hears("hello").await;
    assert_eq!(stream.next().await.unwrap().data["chunk"], "Half an ");
    stops(&provider, &visitor, "Half an ").await;
}

/// The provider sends without end; whoever stops is not drowned out by it.
#[tokio::test]
async fn who_stops_a_flood_leaves_the_provider() {
    let flood = |_: usize| roost::local::scripted::text_bytes("word ");
    let pieces = Step::Pieces(1_000_000, std::time::Duration::from_millis(2), std::sync::Arc::new(flood));
    let (provider, app) = provided(move |_| Script(vec![events(), pieces.clone()])).await;
    let visitor = app.visitor().await;
    let mut stream = visitor.hears("hello").await;
    stream.next().await.unwrap();
    let question = visitor.lists().await[0]["id"].clone();
    visitor.stops(string(&question)).await;
    let seen = provider.until(|seen| seen[0].is_left()).await.unwrap();
    let kept = visitor.lists().await[1]["message"].clone();
    assert!("word ".repeat(seen[0].sent()).starts_with(string(&kept)), "what is kept was sent");
}

/// The wait before a retry ends with the answer; nobody is asked after it.
#[tokio::test]
async fn who_stops_in_a_pause_is_not_asked_for_again() {
    let plan = |seen: &roost::local::scripted::Seen| match seen.number {
        0 => Script::refusal(429, &[("retry-after", "19")]),
        _ => Script::chat(&["too late"]),
    };
    let (provider, app) = provided(plan).await;
    let visitor = app.visitor().await;
    let stream = visitor.hears("hello").await;
    provider.until(|seen| seen.len() == 1 && seen[0].fate == roost::local::scripted::Fate::Answered).await.unwrap();
    let question = visitor.lists().await[0]["id"].clone();
    assert_eq!(visitor.stops(string(&question)).await["stopped"], json!(true));
    assert!(Heard::all(stream).await.chunks.is_empty());
    assert_eq!((provider.seen().len(), visitor.lists().await.len()), (1, 1));
}

/// The connection of a whole answer is used again; that of a stopped one is not, and nobody notices.
#[tokio::test]
async fn the_next_answer_is_as_good_as_ever() {
    let (provider, app) = provided_with(
        |seen| match seen.number {
            1 => Script(vec![events(), text("Half an "), Step::Hang]),
            _ => Script::chat(&["Hello."]),
        },
        |config| config.assistant.retries = 0,
    )
    .await;
    let visitor = app.visitor().await;
    visitor.asks("one").await;
    let mut stream = visitor.hears("two").await;
    stream.next().await.unwrap();
    let question = visitor.lists().await[2]["id"].clone();
    visitor.stops(string(&question)).await;
    provider.until(|seen| seen[1].is_left()).await.unwrap();
    for text in ["three", "four"] {
        let (status, body) = app.post("/api/chats/messages/chat/", visitor.question(text)).await;
        assert_eq!((status, &body["response"]), (StatusCode::OK, &json!("Hello.")));
    }
}
