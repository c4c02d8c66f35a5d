//! There is nothing left to spend, and the operator wants that refused: every door says so in its own words, and when to
//! come back; where the answer is under way by then, its stream does.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use roost::config::{Config, OverBudget, WhileAnswering};
use roost::local::Scripted;
use roost::local::scripted::{Script, Seen, Step, done, events, finish, text, usage};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{TOKENS, a_cent_each, costly};
use crate::support::app::{TestApp, until, whole_answer};
use crate::support::openai::{rest, user};
use crate::support::provider::provided_with;
use crate::support::sse::Events;

const MODEL: &str = "openrouter/deepseek-chat";
const COMPLETIONS: &str = "/v1/chat/completions";
const USED_UP: &str = "There is not enough left of the budget for an answer: it is full again at 00:00 UTC.";

fn refusing(money: f64) -> impl FnOnce(&mut Config) {
    move |config| {
        a_cent_each(config);
        (config.budgets.tenant_money, config.budgets.over) = (money, OverBudget::Refuse);
    }
}

/// What `useChat` sends.
fn sent(id: &str) -> Value {
    json!({"id": id, "message": {"role": "user", "parts": [{"type": "text", "text": "hello"}]}})
}

/// A refusal for want of money, with what it says; when there is more.
async fn refused(request: RequestBuilder, left: &str) -> (Option<Duration>, HeaderMap, Value) {
    let (status, headers, body) = whole_answer(request).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{body}");
    assert_eq!(headers["x-budget-remaining"], left, "{body}");
    let after = headers.get("retry-after").map(|after| after.to_str().expect("text").parse().expect("seconds"));
    (after.map(Duration::from_secs), headers, body)
}

#[tokio::test]
async fn every_door_says_that_the_budget_is_used_up_and_when_it_is_full_again() {
    let (provider, app) = provided_with(|_| costly("Paid."), refusing(0.015)).await;
    let visitor = app.visitor().await;
    assert_eq!(visitor.asks("one").await["response"], "Paid.");
    let (lan, mai) = (app.key_holder("Lan").await, app.member("Mai").await);
    let chat = mai.chat("A chat").await;
    let post = |path: &str, body: Value| app.request(Method::POST, path).json(&body);
    let told = async |request: RequestBuilder| {
        let (after, headers, body) = refused(request, "money=0.005").await;
        assert!(after.is_some_and(|after| after <= Duration::from_secs(24 * 3600)), "{after:?}");
        (headers, body)
    };

    for path in ["/api/chats/messages/chat/", "/api/chats/messages/chat/stream/"] {
        let (_, body) = told(post(path, visitor.question("two"))).await;
        assert_eq!(body, json!({"error": USED_UP}), "{path}");
    }
    let (_, body) = told(post("/api/chat", sent("c"))).await;
    assert_eq!(body, json!({"code": "over_budget", "message": USED_UP}));
    let (_, body) = told(post("/api/v1/chatbot", json!({"message": "hello"}))).await;
    assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&json!("BudgetExceeded"), &json!("BUDGET_EXCEEDED")));
    assert!(body["message"].as_str().unwrap().contains("00:00 UTC"), "{body}");
    for query in [String::new(), format!("?chat_id={chat}")] {
        let request = mai.request(Method::POST, &format!("/api/ai/{MODEL}/chat{query}"));
        let (_, body) = told(request.json(&json!({"messages": [{"role": "user", "content": "hello"}]}))).await;
        assert_eq!(
            (&body["statusMessage"], &body["data"]["message"]),
            (&json!("Too Many Requests"), &json!(USED_UP)),
            "{query}"
        );
    }
    let completion = |more: Value| {
        let mut body = json!({"messages": user("hello")});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (COMPLETIONS, body)
    };
    for (path, body) in [
        completion(json!({})),
        completion(json!({"conversation": "c"})),
        completion(json!({"stream": true})),
        completion(json!({"stream": true, "conversation": "c"})),
        ("/v1/responses", json!({"input": "hello"})),
        ("/v1/responses", json!({"input": "hello", "store": false, "stream": true})),
    ] {
        let (headers, body) = told(lan.request(Method::POST, path).json(&body)).await;
        let quota = "insufficient_quota";
        let want = json!({"error": {"message": USED_UP, "type": quota, "param": null, "code": quota}});
        assert_eq!((&body, &headers["x-should-retry"]), (&want, &"false".parse().unwrap()), "{path}");
    }
    assert_eq!((provider.seen().len(), visitor.lists().await.len()), (1, 4), "what was asked is there, unanswered");
}

#[tokio::test]
async fn who_comes_back_when_the_budget_is_full_again_is_answered() {
    let (_provider, app) = provided_with(|_| costly("Paid."), refusing(0.015)).await;
    let visitor = app.visitor().await;
    assert_eq!(visitor.asks("one").await["response"], "Paid.");
    let request = |key: &str| {
        let request = app.request(Method::POST, "/api/chats/messages/chat/").header("idempotency-key", key.to_owned());
        request.json(&visitor.question("two"))
    };
    let (first, ..) = refused(request("k"), "money=0.005").await;
    let (after, ..) = refused(request("k"), "money=0.005").await;
    let after = after.expect("a time");
    assert!(after <= first.expect("a time"), "the same again");
    assert_eq!(visitor.lists().await.len(), 3, "asked once");
    app.clock.advance(after);
    let (status, _, body) = whole_answer(request("k")).await;
    assert_eq!((status, &body["response"]), (StatusCode::OK, &json!("Paid.")), "{body}");
    assert_eq!(visitor.lists().await.len(), 4, "asked once, and answered");
}

#[tokio::test]
async fn what_no_day_has_room_for_is_not_put_off() {
    let (_provider, app) = provided_with(|_| costly("Paid."), refusing(0.005)).await;
    let visitor = app.visitor().await;
    let request = || app.request(Method::POST, "/api/chats/messages/chat/").json(&visitor.question("one"));
    let (after, ..) = refused(request(), "money=0.005").await;
    assert_eq!(after, None);
}

/// The first answer of a conversation waits for the gate; there is money for it, and for no other.
async fn gated() -> (Scripted, TestApp, CancellationToken) {
    let gate = CancellationToken::new();
    let held = gate.clone();
    let plan = move |_: &Seen| {
        let take = usage(7, TOKENS as usize);
        Script(vec![events(), text("one "), Step::Until(held.clone()), text("done"), finish("stop"), take, done()])
    };
    let (provider, app) = provided_with(plan, |config| {
        refusing(0.015)(config);
        config.assistant.while_answering = WhileAnswering::Queue;
    })
    .await;
    (provider, app, gate)
}

async fn opens(request: RequestBuilder) -> Events {
    Events::of(request.send().await.expect("an answer"))
}

#[tokio::test]
async fn a_stream_that_waited_says_that_the_budget_is_used_up() {
    let (provider, app, gate) = gated().await;
    let post = |path: &str, body: Value| app.request(Method::POST, path).json(&body);
    let mut first = opens(post("/api/chat", sent("c"))).await;
    while first.next().await.expect("more").data["delta"] != "one " {}
    let sdk = opens(post("/api/chat", sent("c"))).await;
    let session = json!({"session_id": "c", "message": "hello"});
    let chats = opens(post("/api/chats/messages/chat/stream/", session)).await;
    gate.cancel();
    assert_eq!(rest(first).await.last(), Some(&json!("[DONE]")));
    let parts = rest(sdk).await;
    assert!(parts.contains(&json!({"type": "error", "errorText": USED_UP})), "{parts:?}");
    assert_eq!(rest(chats).await.last().expect("an end")["error"], USED_UP);
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_waited_is_refused_in_the_envelope_of_its_door() {
    let (provider, app, gate) = gated().await;
    let (lan, mai) = (app.key_holder("Lan").await, app.member("Mai").await);
    let completion = json!({"messages": user("hello"), "conversation": "c", "stream": true});
    let mut first = lan.hears(COMPLETIONS, completion.clone()).await;
    while first.next().await.expect("more").data["choices"][0]["delta"]["content"] != "one " {}
    let streamed = lan.hears(COMPLETIONS, completion).await;
    let whole = lan.post(COMPLETIONS, json!({"messages": user("hello"), "conversation": "c"}));
    let response = lan.post("/v1/responses", json!({"input": "hello", "conversation": "c"}));
    let open = async {
        until(|| app.app.chat.runs_under_way() == 4).await;
        gate.cancel();
    };
    let (whole, response, ()) = tokio::join!(whole, response, open);
    assert_eq!((whole.0, &whole.1["error"]["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("insufficient_quota")));
    let streamed = rest(streamed).await;
    assert_eq!(streamed.last().expect("an end")["error"]["code"], "insufficient_quota", "{streamed:?}");
    assert_eq!((response.0, &response.1["status"]), (StatusCode::OK, &json!("failed")), "{response:?}");
    assert_eq!(response.1["error"], json!({"code": "rate_limit_exceeded", "message": USED_UP}), "{response:?}");
    let asked = mai.asks(MODEL, None, json!([{"role": "user", "content": "hello"}])).await;
    assert_eq!(asked.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(provider.seen().len(), 1);
}
