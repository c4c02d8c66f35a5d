//! Chat completions and models.

use reqwest::{Method, StatusCode};
use roost::config::ModelRoute;
use roost::local::scripted::Script;
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer, until_async, whole_answer};
use crate::support::openai::{rest, user};
use crate::support::provider::{asked, provided_with};

const PATH: &str = "/v1/chat/completions";

fn said(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
}

#[tokio::test]
async fn a_completion_is_answered_and_kept_nowhere() {
    let app = TestApp::start().await;
    let lan = app.key_holder("Lan").await;
    let body = json!({"model": "default", "messages": [
        {"role": "developer", "content": "Be brief"},
        {"role": "assistant", "content": null, "tool_calls": []},
        {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "AI?"}]},
    ], "temperature": 0.2, "max_tokens": 16, "nobody_knows": {"this": 1}});
    let completion = lan.asks(PATH, body).await;
    assert!(completion["id"].as_str().unwrap().starts_with("chatcmpl-"), "{completion}");
    assert_eq!((&completion["object"], &completion["model"]), (&json!("chat.completion"), &json!("default")));
    assert!(completion["created"].as_i64().unwrap() > 1_700_000_000);
    let choice = &completion["choices"][0];
    assert_eq!(choice["message"], json!({"role": "assistant", "content": "Echo: What is AI?", "refusal": null}));
    assert_eq!((&choice["index"], &choice["finish_reason"]), (&json!(0), &json!("stop")));
    let usage = &completion["usage"];
    let tokens = |name: &str| usage[name].as_u64().unwrap();
    assert!(tokens("prompt_tokens") > 5 && tokens("completion_tokens") > 1, "counted: {usage}");
    assert_eq!(tokens("total_tokens"), tokens("prompt_tokens") + tokens("completion_tokens"));
    assert_eq!(lan.chats().await, 0);
}

#[tokio::test]
async fn a_stream_is_chunks_that_make_up_the_answer() {
    let app = TestApp::start().await;
    let lan = app.key_holder("Lan").await;
    for include_usage in [false, true] {
        let body = json!({"model": "default", "messages": user("one two"), "stream": true,
            "stream_options": {"include_usage": include_usage}});
        let chunks = rest(lan.hears(PATH, body).await).await;
        let (done, chunks) = chunks.split_last().unwrap();
        assert_eq!(done, &json!("[DONE]"));
        let (usage, chunks) = if include_usage { chunks.split_last().unwrap() } else { (&Value::Null, chunks) };
        let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, "Echo: one two");
        assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
        let last = &chunks.last().unwrap()["choices"][0];
        assert_eq!((&last["delta"], &last["finish_reason"]), (&json!({}), &json!("stop")));
        assert!(
            chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"] && chunk["object"] == "chat.completion.chunk")
        );
        assert!(chunks.iter().all(|chunk| chunk.get("usage").is_some() == include_usage && chunk["usage"].is_null()));
        if include_usage {
            assert_eq!(usage["choices"], json!([]));
            let tokens = |name: &str| usage["usage"][name].as_u64().unwrap();
            assert!(tokens("prompt_tokens") > 1 && tokens("completion_tokens") > 1, "counted: {usage}");
            assert_eq!(tokens("total_tokens"), tokens("prompt_tokens") + tokens("completion_tokens"));
        }
    }
}

#[tokio::test]
async fn where_a_conversation_is_named_it_keeps_what_is_said() {
    let app = TestApp::start().await;
    let lan = app.key_holder("Lan").await;
    let first = lan.asks(PATH, json!({"messages": user("one"), "conversation": "holidays"})).await;
    assert_eq!(first["conversation"], json!({"id": "holidays"}));
    lan.asks(PATH, json!({"messages": user("two"), "conversation": {"id": "holidays"}})).await;
    let in_metadata = json!({"messages": [{"role": "assistant", "content": "made up"}, {"role": "user", "content": "three"}],
        "metadata": {"conversation": "holidays"}});
    lan.asks(PATH, in_metadata).await;
    let want = [
        said("user", "one"),
        said("assistant", "Echo: one"),
        said("user", "two"),
        said("assistant", "Echo: two"),
        said("user", "three"),
        said("assistant", "Echo: three"),
    ];
    assert_eq!(lan.transcript("holidays").await, want);
    assert_eq!(lan.chats().await, 1);
    // Somebody else's of the same name is another one.
    let eve = app.key_holder("Eve").await;
    eve.asks(PATH, json!({"messages": user("mine"), "conversation": "holidays"})).await;
    assert_eq!(eve.transcript("holidays").await, [said("user", "mine"), said("assistant", "Echo: mine")]);
    assert_eq!(lan.transcript("holidays").await.len(), 6);
}

#[tokio::test]
async fn a_kept_answer_outlives_its_connection_and_is_heard_again_as_a_response() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 5).await;
    let lan = app.key_holder("Lan").await;
    let body = json!({"messages": user("one two three four five"), "conversation": "c", "stream": true});
    let mut events = lan.hears(PATH, body).await;
    let id = events.next().await.unwrap().data["id"].as_str().unwrap().to_owned();
    drop(events);
    until_async(async || lan.transcript("c").await.len() == 2).await;
    assert_eq!(lan.transcript("c").await[1], said("assistant", "Echo: one two three four five"));
    let (_, response) = lan.get(&format!("/v1/responses/{id}")).await;
    assert_eq!(response["output"][0]["content"][0]["text"], "Echo: one two three four five", "{response}");
}

#[tokio::test]
async fn a_retry_with_the_same_key_is_the_same_question() {
    let app = TestApp::start().await;
    let lan = app.key_holder("Lan").await;
    let ask = |text: &str| {
        let body = json!({"messages": user(text), "conversation": "c"});
        lan.request(Method::POST, PATH).header("idempotency-key", "k-1").json(&body)
    };
    let (status, headers, first) = whole_answer(ask("one")).await;
    assert!(status.is_success() && !headers.contains_key("idempotent-replayed"), "{first}");
    let (_, headers, second) = whole_answer(ask("one")).await;
    assert_eq!(headers["idempotent-replayed"], "true");
    assert_eq!((&first["id"], &first["choices"]), (&second["id"], &second["choices"]));
    let (status, headers, other) = whole_answer(ask("two")).await;
    assert_eq!((status, &other["error"]["code"]), (StatusCode::CONFLICT, &json!("idempotency_key_reused")));
    assert_eq!(headers["x-should-retry"], "false", "the libraries would try again");
    assert_eq!(lan.transcript("c").await.len(), 2);
}

#[tokio::test]
async fn what_is_listed_can_be_asked_and_nothing_else() {
    let (provider, app) = provided_with(
        |_| Script::chat(&["Here."]),
        |config| {
            let large = ModelRoute { provider: "openai".to_owned(), model: "large-one".to_owned() };
            config.assistant.models.insert("acme/large".to_owned(), large);
            let little = ModelRoute { provider: "openai".to_owned(), model: String::new() };
            config.assistant.models.insert("little".to_owned(), little);
            config.neptun.models = vec!["google/gemma".to_owned(), "acme/large".to_owned()];
        },
    )
    .await;
    let lan = app.key_holder("Lan").await;
    let (_, list) = lan.get("/v1/models").await;
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["default", "acme/large", "little", "google/gemma"], "each once");
    for id in &ids {
        let completion = lan.asks(PATH, json!({"model": id, "messages": user("hello")})).await;
        assert_eq!(completion["model"], **id);
        assert_eq!(lan.get(&format!("/v1/models/{id}")).await.0, StatusCode::OK, "{id}");
    }
    let models: Vec<_> = provider.seen().iter().map(|seen| asked(seen)["model"].clone()).collect();
    assert_eq!(models, ["scripted", "large-one", "scripted", "scripted"]);
    for path in [PATH, "/v1/responses"] {
        let body = json!({"model": "large-one", "messages": user("hello"), "input": "hello"});
        let (status, none) = lan.post(path, body).await;
        assert_eq!((status, &none["error"]["code"]), (StatusCode::NOT_FOUND, &json!("model_not_found")), "{none}");
    }
}

#[tokio::test]
async fn models_are_listed_and_looked_up_by_names_with_slashes() {
    let app = TestApp::with(|config| config.neptun.models = vec!["google/gemma".to_owned()]).await;
    let lan = app.key_holder("Lan").await;
    let (_, list) = lan.get("/v1/models").await;
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!((&list["object"], ids), (&json!("list"), vec!["default", "echo", "google/gemma"]));
    for path in ["/v1/models/google%2Fgemma", "/v1/models/google/gemma"] {
        let (status, model) = lan.get(path).await;
        assert_eq!((status, &model["owned_by"]), (StatusCode::OK, &json!("google")), "{path}");
    }
    let (status, none) = lan.get("/v1/models/gpt-4o").await;
    assert_eq!((status, &none["error"]["code"]), (StatusCode::NOT_FOUND, &json!("model_not_found")));
    let none = lan.request(Method::POST, PATH).json(&json!({"model": "gpt-4o", "messages": user("hi")}));
    assert_eq!(answer(none).await.0, StatusCode::NOT_FOUND);
    let completion = lan.asks(PATH, json!({"model": "google/gemma", "messages": user("hi")})).await;
    assert_eq!(completion["model"], "google/gemma");
}
