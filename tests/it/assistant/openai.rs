//! What an OpenAI-compatible provider is asked, and what is told of its answer.

use roost::assistant::{Ask, By, FailureKind, Finish, Line, Part};
use roost::config::{Assistant, Config, OpenAi, Price, TokensParameter};
use roost::domain::{Money, Role, Usage};
use roost::local::Scripted;
use roost::local::scripted::{Script, done, events, finish, text, usage};
use serde_json::json;

use super::{question, said, told};
use crate::support::provider::{KEY, asked, asks, provided};

/// The options of a server that asks that provider.
fn options(provider: &Scripted) -> Assistant {
    let mut config = Config::default();
    asks(&mut config, &provider.url());
    config.assistant
}

#[tokio::test]
async fn the_conversation_is_sent_as_the_format_has_it() {
    let (provider, app) = provided(|_| Script::chat(&["Fine."])).await;
    let visitor = app.visitor().await;
    visitor.asks("hello \"you\"").await;
    visitor.asks("and now?").await;
    let seen = provider.seen();
    assert!(seen[0].head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{}", seen[0].head);
    assert_eq!(seen[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    let want = json!({
        "model": "scripted",
        "messages": [
            {"role": "user", "content": "hello \"you\""},
            {"role": "assistant", "content": "Fine."},
            {"role": "user", "content": "and now?"},
        ],
        "stream": true,
        "stream_options": {"include_usage": true},
        "max_tokens": app.config.assistant.tokens_max,
    });
    assert_eq!(asked(&seen[1]), want);
}

#[tokio::test]
async fn what_an_answer_took_is_told_and_priced() {
    let provider = Scripted::start(|_| Script::chat(&["Hello, ", "you."])).await.unwrap();
    let mut options = options(&provider);
    options.prices.insert("scripted".to_owned(), Price { prompt: 1.5, completion: 2.0 });
    let assistant = roost::app::assistant::provider(&options).unwrap().unwrap();
    let (parts, failure) = told(&*assistant, question("hello")).await;
    assert!(failure.is_none(), "{failure:?}");
    let usage = Usage { prompt_tokens: 7, completion_tokens: 2, cost: Money(15), is_estimated: false };
    let want = [
        Part::By(By { provider: "openai".into(), model: "scripted".into() }),
        Part::Text("Hello, ".to_owned()),
        Part::Text("you.".to_owned()),
        Part::Finish(Finish::Stop),
        Part::Usage(usage),
    ];
    assert_eq!(parts, want);
}

/// Counted here when the provider does not say, also of an answer that breaks off.
#[tokio::test]
async fn what_an_answer_took_is_estimated_where_nobody_says() {
    let whole = || vec![events(), text("Hello, "), text("you."), finish("stop"), done()];
    let cut = || vec![events(), text("Hello, "), text("you.")];
    for (steps, fails) in [(whole(), false), (cut(), true)] {
        let provider = Scripted::start(move |_| Script(steps.clone())).await.unwrap();
        let mut options = options(&provider);
        options.prices.insert("scripted".to_owned(), Price { prompt: 1.0, completion: 1.0 });
        let assistant = roost::app::assistant::provider(&options).unwrap().unwrap();
        let (parts, failure) = told(&*assistant, question("hello")).await;
        assert_eq!(failure.is_some(), fails, "{failure:?}");
        let Some(Part::Usage(usage)) = parts.last() else { panic!("{parts:?}") };
        assert!(usage.is_estimated && usage.prompt_tokens > 0 && usage.completion_tokens > 0, "{usage:?}");
        assert_eq!(usage.cost, Money(i64::try_from(usage.tokens()).unwrap()));
        let by = By { provider: "openai".into(), model: "scripted".into() };
        let lines = question("hello").lines;
        assert_eq!(
            assistant.spent(Some(&by), &lines, &said(&parts)),
            *usage,
            "an answer that is stopped took the same"
        );
        let most = assistant.estimate(&question("hello"));
        assert!(most.cost > usage.cost && most.tokens() >= 4096, "{most:?}");
    }
}

/// The last usage counts: some tell it with every chunk.
#[tokio::test]
async fn usage_may_be_told_often() {
    let steps = vec![events(), text("a"), usage(5, 1), text("b"), usage(5, 2), finish("length"), usage(5, 3), done()];
    let provider = Scripted::start(move |_| Script(steps.clone())).await.unwrap();
    let assistant = roost::app::assistant::provider(&options(&provider)).unwrap().unwrap();
    let (parts, _) = told(&*assistant, question("hello")).await;
    assert_eq!(parts[3], Part::Finish(Finish::Length));
    assert!(matches!(parts[4], Part::Usage(Usage { completion_tokens: 3, .. })), "{parts:?}");
}

#[tokio::test]
async fn reasons_to_say_no_more_are_told() {
    for (reason, want) in [
        ("stop", Finish::Stop),
        ("length", Finish::Length),
        ("content_filter", Finish::ContentFilter),
        ("tool_calls", Finish::ToolCalls),
        ("something_new", Finish::Stop),
    ] {
        let provider = Scripted::start(move |_| Script(vec![events(), finish(reason), done()])).await.unwrap();
        let assistant = roost::app::assistant::provider(&options(&provider)).unwrap().unwrap();
        let (parts, failure) = told(&*assistant, question("hello")).await;
        assert!(failure.is_none() && parts.contains(&Part::Finish(want)), "{reason}: {parts:?}");
    }
}

#[tokio::test]
async fn options_change_what_is_asked() {
    let provider = Scripted::start(|_| Script::chat(&["Fine."])).await.unwrap();
    let mut options = options(&provider);
    options.openai = OpenAi {
        base_url: format!("{}/deployments/x?api-version=2024-10-21", provider.url()),
        key_header: "api-key".to_owned(),
        tokens_parameter: TokensParameter::MaxCompletionTokens,
        ask_usage: false,
        ..options.openai
    };
    let assistant = roost::app::assistant::provider(&options).unwrap().unwrap();
    let line = |role, text: &str| Line { role, text: text.to_owned() };
    let lines = vec![line(Role::System, "be kind"), line(Role::Staff, "I help"), line(Role::User, "hello")];
    told(&*assistant, Ask { lines, tokens_max: Some(9), ..Ask::default() }).await;
    let seen = &provider.seen()[0];
    assert!(seen.head.starts_with("POST /v1/deployments/x/chat/completions?api-version=2024-10-21 "), "{}", seen.head);
    assert_eq!((seen.header("api-key"), seen.header("authorization")), (Some(KEY), None));
    let messages = json!([
        {"role": "system", "content": "be kind"},
        {"role": "assistant", "content": "I help"},
        {"role": "user", "content": "hello"},
    ]);
    let want = json!({"model": "scripted", "messages": messages, "stream": true, "max_completion_tokens": 9});
    assert_eq!(asked(seen), want);
}

/// What the operator reads of a failure holds nothing of what was asked or answered, nor of the key.
#[tokio::test]
async fn a_failure_tells_no_secret() {
    let provider = Scripted::start(|_| Script::refusal(401, &[])).await.unwrap();
    let assistant = roost::app::assistant::provider(&options(&provider)).unwrap().unwrap();
    let (_, failure) = told(&*assistant, question("something secret")).await;
    let failure = failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert_eq!(failure.to_string(), "the provider answered 401 (scripted_error)");
    let shown = format!("{:?}", options(&provider));
    assert!(!shown.contains(KEY), "{shown}");
}
