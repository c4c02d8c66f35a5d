//! What is refused, and in which words.

use reqwest::{Method, StatusCode};
use roost::domain::Ability;
use serde_json::json;

use crate::support::app::{TestApp, answer};
use crate::support::openai::user;

#[tokio::test]
async fn a_field_that_is_wrong_is_named() {
    let app = TestApp::with(|config| {
        config.openai.message_chars_max = 10;
        config.openai.messages_max = 2;
    })
    .await;
    let lan = app.key_holder("Lan").await;
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]);
    for (path, body, param, code) in [
        ("chat/completions", json!({}), "messages", "missing_required_parameter"),
        ("chat/completions", json!({"messages": []}), "messages", "empty_array"),
        ("chat/completions", json!({"messages": [1]}), "messages[0]", "invalid_type"),
        ("chat/completions", json!({"messages": [{"content": "x"}]}), "messages[0].role", "missing_required_parameter"),
        (
            "chat/completions",
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            "messages[0].role",
            "invalid_value",
        ),
        (
            "chat/completions",
            json!({"messages": [{"role": "user", "content": 1}]}),
            "messages[0].content",
            "invalid_type",
        ),
        ("chat/completions", json!({"messages": image}), "messages[0].content[0].type", "invalid_value"),
        (
            "chat/completions",
            json!({"messages": user("12345678901")}),
            "messages[0].content",
            "string_above_max_length",
        ),
        ("chat/completions", json!({"messages": [{}, {}, {}]}), "messages", "array_above_max_length"),
        ("chat/completions", json!({"messages": user("x"), "n": 2}), "n", "invalid_value"),
        ("chat/completions", json!({"messages": user("x"), "max_tokens": 0}), "max_tokens", "invalid_value"),
        ("chat/completions", json!({"messages": user("x"), "stream": "yes"}), "stream", "invalid_type"),
        ("chat/completions", json!({"messages": user("x"), "conversation": 1}), "conversation", "invalid_type"),
        ("chat/completions", json!({"messages": user("x"), "conversation": ""}), "conversation", "invalid_value"),
        ("chat/completions", json!({"messages": user(" "), "conversation": "c"}), "messages", "invalid_value"),
        (
            "chat/completions",
            json!({"messages": [{"role": "assistant", "content": "x"}], "conversation": "c"}),
            "messages[0].role",
            "invalid_value",
        ),
        ("responses", json!({}), "input", "missing_required_parameter"),
        ("responses", json!({"input": 1}), "input", "invalid_type"),
        ("responses", json!({"input": [{"type": "item_reference", "id": "x"}]}), "input[0].type", "invalid_value"),
        (
            "responses",
            json!({"input": "x", "conversation": "c", "previous_response_id": "resp_1"}),
            "conversation",
            "mutually_exclusive_parameters",
        ),
    ] {
        let (status, wrong) = lan.post(&format!("/v1/{path}"), body.clone()).await;
        let error = &wrong["error"];
        let told = (status, error["param"].as_str(), error["code"].as_str(), error["type"].as_str());
        let want = (StatusCode::BAD_REQUEST, Some(param), Some(code), Some("invalid_request_error"));
        assert_eq!(told, want, "{body}: {wrong}");
    }
    assert_eq!(lan.chats().await, 0, "who is refused has made nothing");
}

#[tokio::test]
async fn who_has_no_key_is_told_so() {
    let app = TestApp::start().await;
    let lan = app.key_holder("Lan").await;
    let weak = lan.access().await.user;
    let abilities = vec![Ability::parse("events").unwrap()];
    let weak = app.app.chat.make_token(weak, "weak".to_owned(), abilities, None).await.unwrap().token;
    for (key, want, code) in [
        (None, 401, json!(null)),
        (Some("sk-nobody"), 401, json!("invalid_api_key")),
        (Some(&weak[..]), 403, json!("insufficient_permissions")),
        (Some(&lan.key[..]), 200, json!(null)),
    ] {
        let request = app.request(Method::GET, "/v1/models");
        let request = key.into_iter().fold(request, |request, key| request.bearer_auth(key));
        let (status, body) = answer(request).await;
        assert_eq!((status.as_u16(), &body["error"]["code"]), (want, &code), "{key:?}: {body}");
    }
    let (status, body) = lan.get("/v1/embeddings").await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::NOT_FOUND, &json!("unknown_url")));
    for none in ["resp_", "resp_00000000000000000000000000000000", "x", "%FF"] {
        let (status, body) = lan.get(&format!("/v1/responses/{none}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{none}: {body}");
    }
}

#[tokio::test]
async fn without_an_assistant_nothing_is_asked() {
    let app = TestApp::with(|config| config.assistant.provider = roost::config::ProviderName::None).await;
    let lan = app.key_holder("Lan").await;
    for body in [json!({"messages": user("x")}), json!({"messages": user("x"), "conversation": "c", "stream": true})] {
        let (status, wrong) = lan.post("/v1/chat/completions", body).await;
        assert_eq!((status, &wrong["error"]["type"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("server_error")));
    }
    assert!(lan.transcript("c").await.is_empty());
}
