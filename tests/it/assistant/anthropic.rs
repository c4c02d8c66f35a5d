//! Anthropic's messages: what is asked, what is told, and how it fails.

use roost::assistant::{Ask, By, FailureKind, Finish, Line, Part, Provider};
use roost::config::{Anthropic, Assistant, Key, Price, ProviderName};
use roost::domain::{Money, Role, Usage};
use roost::local::Scripted;
use roost::local::scripted::{Script, Step, events};
use serde_json::{Value, json};
use std::sync::Arc;

use super::{question, said, told};
use crate::chats::Heard;
use crate::support::app::TestApp;
use crate::support::provider::asked;

fn options(provider: &Scripted) -> Assistant {
    let base_url = provider.url().trim_end_matches("/v1").to_owned();
    let anthropic = Anthropic { base_url, api_key: Key("sk-ant".to_owned()), model: "claude-x".to_owned() };
    let name = ProviderName::Named("anthropic".to_owned());
    Assistant { provider: name, anthropic, retry_first_ms: 1, retries: 1, idle_timeout_s: 1, ..Assistant::default() }
}

fn assistant(options: &Assistant) -> Arc<dyn Provider> {
    roost::app::assistant::provider(options).expect("a provider").expect("somebody answers")
}

/// An event as Anthropic sends it: its kind stands twice.
fn told_event(data: Value) -> Step {
    let kind = data["type"].as_str().expect("a type").to_owned();
    Step::Body(format!("event: {kind}\ndata: {data}\n\n").into_bytes())
}

fn start() -> Step {
    let usage = json!({"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": null, "output_tokens": 1});
    told_event(json!({"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "usage": usage}}))
}

fn delta(text: &str) -> Step {
    told_event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}))
}

fn stop(reason: &str) -> Vec<Step> {
    let delta = json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 4}});
    vec![told_event(delta), told_event(json!({"type": "message_stop"}))]
}

/// An answer as its documentation shows one, with what is of no interest in it.
fn whole(texts: &[&str], reason: &str) -> Script {
    let mut steps = vec![events(), start()];
    steps.push(told_event(
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    ));
    steps.push(told_event(json!({"type": "ping"})));
    let thought = json!({"type": "thinking_delta", "thinking": "hm"});
    steps.push(told_event(json!({"type": "content_block_delta", "index": 0, "delta": thought})));
    steps.push(told_event(json!({"type": "an_event_of_tomorrow", "x": [1]})));
    steps.extend(texts.iter().map(|text| delta(text)));
    steps.push(told_event(json!({"type": "content_block_stop", "index": 0})));
    steps.extend(stop(reason));
    Script(steps)
}

#[tokio::test]
async fn an_answer_is_asked_for_and_told() {
    let provider = Scripted::start(|_| whole(&["Hello, ", "bạn."], "end_turn")).await.unwrap();
    let mut options = options(&provider);
    options.prices.insert("claude-x".to_owned(), Price { prompt: 3.0, completion: 15.0 });
    let line = |role, text: &str| Line { role, text: text.to_owned() };
    let lines = vec![
        line(Role::System, "be kind"),
        line(Role::Assistant, "How can I help?"),
        line(Role::User, "hello"),
        line(Role::System, "be brief"),
        line(Role::User, "you"),
    ];
    let (parts, failure) = told(&*assistant(&options), Ask { lines, tokens_max: Some(50), ..Ask::default() }).await;
    assert!(failure.is_none(), "{failure:?}");
    let usage = Usage { prompt_tokens: 15, completion_tokens: 4, cost: Money(105), is_estimated: false };
    let want = [
        Part::By(By { provider: "anthropic".into(), model: "claude-x".into() }),
        Part::Text("Hello, ".to_owned()),
        Part::Text("bạn.".to_owned()),
        Part::Finish(Finish::Stop),
        Part::Usage(usage),
    ];
    assert_eq!(parts, want);
    let seen = &provider.seen()[0];
    assert!(seen.head.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{}", seen.head);
    let headers = ["x-api-key", "anthropic-version", "authorization"].map(|name| seen.header(name));
    assert_eq!(headers, [Some("sk-ant"), Some("2023-06-01"), None]);
    let messages = json!([
        {"role": "user", "content": "(The conversation begins.)"},
        {"role": "assistant", "content": "How can I help?"},
        {"role": "user", "content": "hello\n\nyou"},
    ]);
    let want = json!({
        "model": "claude-x", "max_tokens": 50, "system": "be kind\n\nbe brief", "messages": messages, "stream": true,
    });
    assert_eq!(asked(seen), want);
}

#[tokio::test]
async fn reasons_to_say_no_more_are_told() {
    for (reason, want) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("refusal", Finish::ContentFilter),
        ("tool_use", Finish::ToolCalls),
    ] {
        let provider = Scripted::start(move |_| whole(&[], reason)).await.unwrap();
        let (parts, failure) = told(&*assistant(&options(&provider)), question("hello")).await;
        assert!(failure.is_none() && parts.contains(&Part::Finish(want)), "{reason}: {parts:?}");
    }
}

/// Pings are no answer: a provider that only pings has fallen silent.
#[tokio::test]
async fn it_fails_as_it_may() {
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    let pings = move |_: usize| ping.as_bytes().to_vec();
    let pings = Step::Pieces(1_000_000, std::time::Duration::from_millis(20), Arc::new(pings));
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    for (bad, kind) in [
        (vec![told_event(error)], FailureKind::Unavailable),
        (vec![Step::Body(b"data: {\"type\":7}\n\n".to_vec())], FailureKind::Broken),
        (vec![Step::Cut], FailureKind::Broken),
        (vec![], FailureKind::Broken),
        (vec![Step::Hang], FailureKind::Silent),
        (vec![pings], FailureKind::Silent),
    ] {
        let steps = [vec![events(), start(), delta("So far")], bad].concat();
        let provider = Scripted::start(move |_| Script(steps.clone())).await.unwrap();
        let (parts, failure) = told(&*assistant(&options(&provider)), question("hello")).await;
        assert_eq!((said(&parts).as_str(), failure.unwrap().kind), ("So far", kind));
        assert!(matches!(parts.last(), Some(Part::Usage(_))), "what it took until then is told: {parts:?}");
        assert_eq!(provider.seen().len(), 1);
    }
}

#[tokio::test]
async fn it_is_asked_again_when_it_is_overloaded() {
    let plan = |seen: &roost::local::scripted::Seen| match seen.number {
        0 => Script::refusal(529, &[]),
        _ => whole(&["Now."], "end_turn"),
    };
    let provider = Scripted::start(plan).await.unwrap();
    let assistant = options(&provider);
    let app = TestApp::with(|config| config.assistant = assistant).await;
    let visitor = app.visitor().await;
    assert_eq!(Heard::all(visitor.hears("hello").await).await.text(), "Now.");
    assert_eq!(provider.seen().len(), 2);
}
