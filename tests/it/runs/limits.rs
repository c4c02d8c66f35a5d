//! How many answers there may be at once, and how much of one.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use roost::config::WhileAnswering;
use roost::local::scripted::{Script, Seen, Step, done, events, finish, text as piece, text_bytes};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::chats::{Heard, text};
use crate::support::app::{TestApp, answer, until_async};
use crate::support::openai::user;
use crate::support::provider::provided_with;

const COMPLETIONS: &str = "/v1/chat/completions";

/// Answers that are held back until the token is cancelled.
fn held(until: &CancellationToken) -> impl Fn(&Seen) -> Script + Send + Sync + 'static {
    let until = until.clone();
    move |_| Script(vec![events(), piece("Here "), Step::Until(until.clone()), piece("I am."), finish("stop"), done()])
}

/// An answer that never ends, and is never silent for long.
fn endless(_: &Seen) -> Script {
    let made = |_: usize| text_bytes("word ");
    Script(vec![events(), Step::Pieces(usize::MAX, Duration::from_millis(20), Arc::new(made))])
}

async fn runs(app: &TestApp, want: f64) {
    app.await_figure("runs", want).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_has_so_many_answers_at_once() {
    let all_asked = CancellationToken::new();
    let (provider, app) = provided_with(held(&all_asked), |config| {
        config.assistant.runs_per_conversation_max = 3;
    })
    .await;
    let visitor = app.visitor().await;
    let ask = || app.request(Method::POST, "/api/chats/messages/chat/stream/").json(&visitor.question("hello")).send();
    let responses = futures_util::future::join_all((0..20).map(|_| ask())).await;
    let (mut streams, mut refused) = (Vec::new(), 0);
    for response in responses {
        let response = response.unwrap();
        if response.status() == StatusCode::OK {
            streams.push(crate::support::sse::Events::of(response));
            continue;
        }
        assert_eq!(
            (response.status(), &response.headers()["retry-after"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
        );
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body, json!({"error": "The server is busy: try again in a second."}));
        refused += 1;
    }
    assert_eq!((streams.len(), refused), (3, 17), "also of those who ask at the same instant");
    assert_eq!(visitor.lists().await.len(), 3, "who is refused has asked nothing");
    let other = app.visitor().await;
    let elsewhere = other.hears("hello").await;
    all_asked.cancel();
    for stream in streams.into_iter().chain([elsewhere]) {
        assert_eq!(Heard::all(stream).await.text(), "Here I am.");
    }
    assert_eq!(visitor.asks("again").await["response"], "Here I am.", "there is room again");
    assert_eq!(provider.seen().len(), 5);
}

/// Who is to interrupt an answer needs no place beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_interrupts_takes_the_place_of_the_one_before() {
    let never = CancellationToken::new();
    let (provider, app) = provided_with(held(&never), |config| {
        config.assistant.while_answering = WhileAnswering::Interrupt;
        config.assistant.runs_per_conversation_max = 1;
    })
    .await;
    let visitor = app.visitor().await;
    let mut streams = Vec::new();
    for question in ["one", "two", "three"] {
        let mut stream = visitor.hears(question).await;
        assert_eq!(stream.next().await.expect("a piece").data["chunk"], "Here ");
        streams.push(stream);
    }
    never.cancel();
    let mut ends = Vec::new();
    for stream in streams {
        let heard = Heard::all(stream).await;
        ends.push((heard.text(), heard.end["error"].as_str().map(str::to_owned)));
    }
    let stopped = (String::new(), Some("The answer was stopped.".to_owned()));
    assert_eq!(ends, [stopped.clone(), stopped, ("I am.".to_owned(), None)]);
    assert_eq!(provider.seen().len(), 3);
}

/// Of one user, in whatever conversations, and in none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_so_many_answers_at_once() {
    let all_asked = CancellationToken::new();
    let (provider, app) = provided_with(held(&all_asked), |config| config.assistant.runs_per_user_max = 2).await;
    let (lan, mai) = (app.key_holder("Lan").await, app.key_holder("Mai").await);
    let unkept = json!({"model": "default", "messages": user("hello")});
    let kept = |name: &str| json!({"model": "default", "messages": user("hello"), "conversation": name});
    let told = |holder: &crate::support::openai::KeyHolder<'_>, body| {
        answer(holder.request(Method::POST, COMPLETIONS).json(&body))
    };
    let first = tokio::spawn(told(&lan, kept("a")));
    let second = tokio::spawn(told(&lan, unkept.clone()));
    provider.until(|seen| seen.len() == 2).await.unwrap();
    for body in [kept("b"), unkept.clone()] {
        let (status, refused) = told(&lan, body).await;
        assert_eq!((status, &refused["error"]["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("overloaded")));
    }
    let third = tokio::spawn(told(&mai, kept("a")));
    provider.until(|seen| seen.len() == 3).await.unwrap();
    all_asked.cancel();
    for asked in [first, second, third] {
        let (status, body) = asked.await.unwrap();
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(body["choices"][0]["message"]["content"], "Here I am.");
    }
    assert_eq!(lan.transcript("b").await, [], "who is refused has asked nothing");
    // The place of an answer that is kept nowhere is given back when it is dropped.
    until_async(async || told(&lan, unkept.clone()).await.0 == StatusCode::OK).await;
}

#[tokio::test]
async fn an_answer_takes_no_longer_than_it_may() {
    let (provider, app) = provided_with(endless, |config| config.assistant.timeout_s = 1).await;
    let visitor = app.visitor().await;
    let heard = Heard::all(visitor.hears("hello").await).await;
    let list = visitor.lists().await;
    assert_eq!(list[1]["metadata"], json!({"incomplete": true, "outcome": "failed", "reason": "timed_out"}));
    assert_eq!((heard.text().as_str(), heard.text().is_empty()), (text(&list[1]["message"]), false));
    assert_eq!(heard.end["error"], "The assistant could not finish its answer: ask again.");
    provider.until(|seen| seen[0].is_left()).await.unwrap();
    runs(&app, 0.0).await;
}

#[tokio::test]
async fn an_answer_is_no_larger_than_it_may() {
    let (provider, app) = provided_with(endless, |config| config.assistant.answer_bytes_max = 42).await;
    let visitor = app.visitor().await;
    let heard = Heard::all(visitor.hears("hello").await).await;
    let list = visitor.lists().await;
    assert_eq!(list[1]["metadata"], json!({"incomplete": true, "outcome": "failed", "reason": "length"}));
    let whole = &"word ".repeat(9)[..42];
    assert_eq!((heard.text().as_str(), text(&list[1]["message"])), (whole, whole));
    let seen = provider.until(|seen| seen[0].is_left()).await.unwrap();
    assert_eq!(seen.len(), 1);
    runs(&app, 0.0).await;
}
