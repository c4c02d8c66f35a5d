//! Everything that a provider can do wrong: the client gets its door's own answer, what had arrived is kept and marked,
//! and somebody who asks beside it is answered as ever.

use std::time::Duration;

use reqwest::StatusCode;
use roost::local::scripted::{Script, Seen, Step, done, event, events, finish, text};
use serde_json::json;

use crate::chats::{Heard, text as string};
use crate::support::app::TestApp;
use crate::support::provider::{asks, provided, provided_with};

/// What the client of a failed answer is told.
const WHY: &str = "The assistant could not finish its answer: ask again.";

/// A provider that does that, but to whoever says "good day", whom it wishes the same.
fn plan(bad: Vec<Step>) -> impl Fn(&Seen) -> Script + Send + Sync + 'static {
    move |seen| if is_good(seen) { Script::chat(&["Good ", "day!"]) } else { Script(bad.clone()) }
}

fn is_good(seen: &Seen) -> bool {
    String::from_utf8_lossy(&seen.body).contains("good day")
}

/// Asks somebody beside the one whose day is bad.
async fn good_day(app: &TestApp) {
    let visitor = app.visitor().await;
    let heard = Heard::all(visitor.hears("good day").await).await;
    assert_eq!(heard.text(), "Good day!");
    assert_eq!(heard.end["error"], json!(null), "another's answer fails: {}", heard.end);
}

/// The answer fails after `kept` has arrived: heard as a stream and as a whole, and what is stored of it.
async fn fails(bad: Vec<Step>, kept: &str) {
    let (_provider, app) = provided_with(plan(bad), |config| {
        config.assistant.first_token_timeout_s = 1;
        config.assistant.idle_timeout_s = 1;
        config.assistant.retries = 1;
    })
    .await;
    fails_at(&app, kept).await;
}

async fn fails_at(app: &TestApp, kept: &str) {
    let (visitor, other) = (app.visitor().await, app.visitor().await);
    let streamed = async { Heard::all(visitor.hears("bad day").await).await };
    let whole = app.post("/api/chats/messages/chat/", other.question("bad day"));
    let (heard, whole, ()) = tokio::join!(streamed, whole, good_day(app));
    let list = visitor.lists().await;
    assert_eq!(heard.text(), kept);
    assert_eq!(heard.end, json!({"chunk": "", "done": true, "message_id": list[0]["id"], "error": WHY}));
    assert_eq!(whole, (StatusCode::SERVICE_UNAVAILABLE, json!({"error": WHY})));
    for list in [list, other.lists().await] {
        if kept.is_empty() {
            assert_eq!(list.len(), 1, "nothing had arrived: {list:?}");
            continue;
        }
        assert_eq!(string(&list[1]["message"]), kept);
        assert_eq!(
            (&list[1]["metadata"]["incomplete"], &list[1]["metadata"]["outcome"]),
            (&json!(true), &json!("failed"))
        );
    }
}

/// The answer comes whole, whatever is odd about it.
async fn answers(odd: Vec<Step>, want: &str) {
    let (_provider, app) = provided(plan(odd)).await;
    let visitor = app.visitor().await;
    let (heard, ()) = tokio::join!(async { Heard::all(visitor.hears("odd day").await).await }, good_day(&app));
    assert_eq!((heard.text().as_str(), &heard.end["error"]), (want, &json!(null)), "{}", heard.end);
    assert_eq!(string(&visitor.lists().await[1]["message"]), want);
}

#[tokio::test]
async fn it_refuses_the_connection() {
    let nobody = roost::local::free_port().unwrap();
    let app = TestApp::with(|config| {
        asks(config, &format!("http://127.0.0.1:{nobody}/v1"));
        config.assistant.retries = 1;
    });
    let app = app.await;
    let visitor = app.visitor().await;
    let (status, body) = app.post("/api/chats/messages/chat/", visitor.question("hello")).await;
    assert_eq!((status, body), (StatusCode::SERVICE_UNAVAILABLE, json!({"error": WHY})));
}

#[tokio::test]
async fn it_closes_the_connection_at_once() {
    fails(vec![Step::Cut], "").await;
}

#[tokio::test]
async fn it_has_had_too_many_requests() {
    let (provider, app) = provided(|seen| match seen.number {
        0 => Script::refusal(429, &[("retry-after", "0")]),
        1 => Script::refusal(429, &[]),
        _ => Script::chat(&["At ", "last."]),
    })
    .await;
    let visitor = app.visitor().await;
    assert_eq!(visitor.asks("hello").await["response"], "At last.");
    assert_eq!(provider.seen().len(), 3);
}

/// Nobody waits for an hour: the answer fails at once, and nothing is asked again.
#[tokio::test]
async fn it_wants_to_be_left_alone_for_long() {
    let (provider, app) = provided(|_| Script::refusal(429, &[("retry-after", "3600")])).await;
    let visitor = app.visitor().await;
    let (status, body) = app.post("/api/chats/messages/chat/", visitor.question("hello")).await;
    assert_eq!((status, body), (StatusCode::SERVICE_UNAVAILABLE, json!({"error": WHY})));
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test]
async fn it_answers_500() {
    let (provider, app) = provided(|_| Script::refusal(500, &[])).await;
    let visitor = app.visitor().await;
    let (status, body) = app.post("/api/chats/messages/chat/", visitor.question("hello")).await;
    assert_eq!((status, body), (StatusCode::SERVICE_UNAVAILABLE, json!({"error": WHY})));
    assert_eq!(provider.seen().len(), 3, "asked again twice");
}

/// Asking again is of no use when the key is wrong, or the request.
#[tokio::test]
async fn it_does_not_know_us() {
    for status in [401, 403, 404, 400, 302] {
        let (provider, app) = provided(move |_| Script::refusal(status, &[])).await;
        let visitor = app.visitor().await;
        let (code, body) = app.post("/api/chats/messages/chat/", visitor.question("hello")).await;
        assert_eq!((code, body), (StatusCode::SERVICE_UNAVAILABLE, json!({"error": WHY})), "{status}");
        assert_eq!(provider.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn it_hangs_before_it_answers() {
    fails(vec![Step::Hang], "").await;
}

#[tokio::test]
async fn it_hangs_before_the_first_token() {
    fails(
        vec![
            events(),
            Step::Body(b": \n\n".to_vec()),
            event(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#),
            Step::Hang,
        ],
        "",
    )
    .await;
}

/// Comments are no answer, however many come.
#[tokio::test]
async fn it_only_says_that_it_is_there() {
    let comment = || b": still thinking\n\n".to_vec();
    let pieces = Step::Pieces(1_000_000, Duration::from_millis(10), std::sync::Arc::new(move |_| comment()));
    fails(vec![events(), text("Well, "), pieces], "Well, ").await;
}

#[tokio::test]
async fn it_hangs_in_the_middle() {
    fails(vec![events(), text("Half an "), Step::Hang], "Half an ").await;
}

#[tokio::test]
async fn it_closes_early() {
    fails(vec![events(), text("Half an "), Step::Cut], "Half an ").await;
}

/// A body that ends as it should, without the answer having done so.
#[tokio::test]
async fn it_ends_early() {
    fails(vec![events(), text("Half an ")], "Half an ").await;
}

#[tokio::test]
async fn it_sends_half_a_character() {
    let half = b"data: {\"choices\":[{\"delta\":{\"content\":\"\xC3\"}}]}\n\n".to_vec();
    fails(vec![events(), text("Xin ch"), Step::Body(half), text("o"), done()], "Xin ch").await;
    let half = event(r#"{"choices":[{"delta":{"content":"\ud83d"}}]}"#);
    fails(vec![events(), text("Xin ch"), half, text("o"), done()], "Xin ch").await;
}

/// A character that the network cut in two is whole.
#[tokio::test]
async fn it_sends_a_character_in_two_pieces() {
    let bytes = roost::local::scripted::text_bytes("chào 👩‍👩‍👧");
    let single: Vec<_> = bytes.iter().map(|byte| Step::Body(vec![*byte])).collect();
    answers([vec![events(), text("Xin ")], single, vec![finish("stop"), done()]].concat(), "Xin chào 👩‍👩‍👧").await;
}

#[tokio::test]
async fn it_sends_broken_events() {
    let broken = Step::Body(b"\0\xFF\xFE dat: {}\r\revent\ndata:\n\n<html>\n\n".to_vec());
    fails(vec![events(), text("So "), broken, text("far")], "So ").await;
}

#[tokio::test]
async fn it_sends_ten_megabytes_without_a_newline() {
    let endless = vec![Step::Body(vec![b'a'; 1 << 20]); 10];
    fails([vec![events(), text("So ")], endless].concat(), "So ").await;
}

#[tokio::test]
async fn it_sends_wrong_json() {
    for wrong in
        ["{\"choices\":[", "[]", "7", "{\"choices\":{}}", "{\"choices\":[{\"delta\":{\"content\":7}}]}", "null"]
    {
        fails(vec![events(), text("So "), event(wrong), text("far"), done()], "So ").await;
    }
}

#[tokio::test]
async fn it_sends_a_page_instead() {
    let page = Step::Head(200, vec![("content-type", "text/html".to_owned())]);
    fails(vec![page, Step::Body(b"<html>busy</html>".to_vec())], "").await;
}

#[tokio::test]
async fn it_sends_an_error_in_the_stream() {
    let error = event(r#"{"error":{"message":"overloaded","type":"server_error","code":503}}"#);
    fails(vec![events(), text("So "), error], "So ").await;
}

/// What it withholds and the tools that it wants called end an answer; nothing hangs, and what was said is there.
#[tokio::test]
async fn it_withholds_the_rest_or_wants_a_tool() {
    let call = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"rm","arguments":"{}"}}]}}]}"#;
    for (steps, reason) in [(vec![], "content_filter"), (vec![event(call)], "tool_calls"), (vec![], "length")] {
        let odd = [vec![events(), text("So far")], steps, vec![finish(reason), done()]].concat();
        let (_provider, app) = provided(plan(odd)).await;
        let visitor = app.visitor().await;
        let (heard, ()) = tokio::join!(async { Heard::all(visitor.hears("odd day").await).await }, good_day(&app));
        assert_eq!(heard.text(), "So far", "{reason}");
        assert_eq!(string(&visitor.lists().await[1]["message"]), "So far", "{reason}");
    }
}

/// Many that are "compatible" leave out the end, the usage, or both, and send what nobody knows.
#[tokio::test]
async fn it_is_only_nearly_compatible() {
    let head = r#"{"object":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#;
    let odd = r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm","content":null},"p":"abc"}],"obfuscation":"x","usage":{}}"#;
    let second = r#"{"choices":[{"index":1,"delta":{"content":"not asked for"}}]}"#;
    let steps = |end: Vec<Step>| {
        let begin = vec![events(), Step::Body(b": PROCESSING\n\n".to_vec()), event(head), event(odd), event(second)];
        [begin, vec![text("All "), text("of it"), finish("eos")], end].concat()
    };
    answers(steps(vec![]), "All of it").await;
    answers(steps(vec![done()]), "All of it").await;
    answers(steps(vec![Step::Cut]), "All of it").await;
    answers(steps(vec![event(r#"{"choices":null,"usage":null}"#), done(), Step::Hang]), "All of it").await;
}
