//! Responses: asked for, heard again from any event, in the background, stopped.

use reqwest::{Method, StatusCode};
use roost::config::{Config, WhileAnswering};
use roost::local::scripted::{Script, Seen, Step, done, events, finish, text as says};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::app::{TestApp, until_async, whole_answer};
use crate::support::openai::{KeyHolder, rest};
use crate::support::provider::provided_with;

const PATH: &str = "/v1/responses";

fn text(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"].as_str().unwrap_or_default()
}

fn number(event: &Value) -> u64 {
    event["sequence_number"].as_u64().unwrap_or_else(|| panic!("{event}"))
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    kinds.dedup();
    kinds
}

fn deltas(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["delta"].as_str()).collect()
}

const WHOLE: [&str; 9] = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
];

#[tokio::test]
async fn a_response_is_stored_in_a_conversation_of_its_own() {
    let app = TestApp::start().await;
    let lan = app.key_holder("Lan").await;
    let body = json!({"input": "What is AI?", "instructions": "Be brief", "metadata": {"page": "1"}, "tools": []});
    let response = lan.asks(PATH, body).await;
    assert_eq!((&response["object"], &response["status"]), (&json!("response"), &json!("completed")), "{response}");
    assert_eq!((text(&response), &response["metadata"]), ("Echo: What is AI?", &json!({"page": "1"})));
    assert!(response["usage"]["total_tokens"].as_u64() > Some(0));
    let (status, again) = lan.get(&format!("{PATH}/{}", response["id"].as_str().unwrap())).await;
    assert_eq!(status, StatusCode::OK, "{again}");
    for same in ["id", "created_at", "output", "metadata", "conversation", "model", "status"] {
        assert_eq!(again[same], response[same], "{same}");
    }
    let conversation = response["conversation"]["id"].as_str().unwrap();
    assert_eq!(lan.transcript(conversation).await.len(), 2);
    // The next one goes on there, by either name.
    let next = lan.asks(PATH, json!({"input": "And ML?", "previous_response_id": response["id"]})).await;
    assert_eq!(next["conversation"], response["conversation"]);
    lan.asks(PATH, json!({"input": "And DL?", "conversation": conversation})).await;
    assert_eq!((lan.transcript(conversation).await.len(), lan.chats().await), (6, 1));
}

#[tokio::test]
async fn a_stream_is_numbered_and_goes_on_behind_any_number() {
    let app = TestApp::start().await;
    let lan = app.key_holder("Lan").await;
    let input = json!([{"role": "user", "content": [{"type": "input_text", "text": "één 二 🚲 four"}]}]);
    let events = rest(lan.hears(PATH, json!({"input": input, "stream": true})).await).await;
    assert_eq!(kinds(&events), WHOLE);
    assert!(events.is_sorted_by(|a, b| number(a) < number(b)), "{events:?}");
    let whole = "Echo: één 二 🚲 four";
    assert_eq!(deltas(&events), whole);
    let last = events.last().unwrap();
    assert_eq!((text(&last["response"]), &last["response"]["status"]), (whole, &json!("completed")));
    let id = events[0]["response"]["id"].as_str().unwrap();
    for (at, event) in events.iter().enumerate() {
        let heard = rest(lan.resumes(id, &format!("&starting_after={}", number(event))).await).await;
        let want = deltas(&events[at + 1..]);
        assert_eq!(deltas(&heard), want, "after {event}");
        assert!(heard.iter().all(|later| number(later) > number(event)), "after {event}: {heard:?}");
        if at + 1 < events.len() {
            assert_eq!(heard.last().unwrap()["type"], "response.completed");
            let names = kinds(&events[at + 1..]);
            assert_eq!(kinds(&heard), names);
        }
    }
    assert_eq!(kinds(&rest(lan.resumes(id, "").await).await), WHOLE, "from the beginning");
}

async fn slow() -> TestApp {
    TestApp::with(|config| config.assistant.echo_pause_ms = 20).await
}

async fn in_background(lan: &KeyHolder<'_>, words: usize) -> String {
    let input = vec!["word"; words].join(" ");
    let response = lan.asks(PATH, json!({"input": input, "background": true})).await;
    assert_eq!((&response["status"], &response["background"]), (&json!("in_progress"), &json!(true)), "{response}");
    response["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_made_in_the_background_is_followed_and_finished() {
    let app = slow().await;
    let lan = app.key_holder("Lan").await;
    let id = in_background(&lan, 12).await;
    let mut early = lan.resumes(&id, "").await;
    let mut heard = Vec::new();
    while deltas(&heard).len() < 12 {
        heard.push(early.next().await.expect("more").data);
    }
    drop(early);
    let (_, half) = lan.get(&format!("{PATH}/{id}")).await;
    assert_eq!(half["status"], "in_progress", "{half}");
    assert!(text(&half).len() >= 12, "{half}");
    let after = number(heard.last().unwrap());
    heard.extend(rest(lan.resumes(&id, &format!("&starting_after={after}")).await).await);
    assert_eq!((deltas(&heard), kinds(&heard)), (format!("Echo: {}", ["word"; 12].join(" ")), WHOLE.to_vec()));
}

#[tokio::test]
async fn a_response_is_stopped_and_keeps_what_had_arrived() {
    let app = slow().await;
    let lan = app.key_holder("Lan").await;
    let id = in_background(&lan, 500).await;
    let mut follower = lan.resumes(&id, "").await;
    while follower.next().await.expect("more").data["delta"].is_null() {}
    let stopped = lan.asks(&format!("{PATH}/{id}/cancel"), json!({})).await;
    assert_eq!(stopped["status"], "cancelled", "{stopped}");
    assert!(text(&stopped).starts_with("Echo: ") && text(&stopped).len() < 2000, "{stopped}");
    let last = rest(follower).await.pop().unwrap();
    assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.incomplete"), &json!("cancelled")));
    assert_eq!(text(&last["response"]), text(&stopped));
    let (_, again) = lan.get(&format!("{PATH}/{id}")).await;
    assert_eq!(again, stopped);
    assert_eq!(lan.asks(&format!("{PATH}/{id}/cancel"), json!({})).await, stopped, "once more changes nothing");
}

#[tokio::test]
async fn what_is_not_to_be_stored_is_not() {
    let app = TestApp::start().await;
    let lan = app.key_holder("Lan").await;
    let response = lan.asks(PATH, json!({"input": "hi", "store": false})).await;
    assert_eq!((text(&response), &response["store"]), ("Echo: hi", &json!(false)));
    let (status, _) = lan.get(&format!("{PATH}/{}", response["id"].as_str().unwrap())).await;
    assert_eq!((status, lan.chats().await), (StatusCode::NOT_FOUND, 0));
    let events = rest(lan.hears(PATH, json!({"input": "hi you", "store": false, "stream": true})).await).await;
    assert_eq!((deltas(&events).as_str(), kinds(&events)), ("Echo: hi you", WHOLE.to_vec()));
    for other in [json!({"background": true}), json!({"conversation": "c"}), json!({"previous_response_id": "resp_1"})]
    {
        let mut body = json!({"input": "hi", "store": false});
        body.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        let (status, wrong) = lan.post(PATH, body).await;
        assert_eq!((status, &wrong["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("store")), "{other}: {wrong}");
    }
}

#[tokio::test]
async fn a_retry_makes_no_second_conversation() {
    let app = TestApp::start().await;
    let lan = app.key_holder("Lan").await;
    let ask = || lan.request(Method::POST, PATH).header("idempotency-key", "k-1").json(&json!({"input": "hi"}));
    let (_, _, first) = whole_answer(ask()).await;
    let (_, headers, second) = whole_answer(ask()).await;
    assert_eq!(headers["idempotent-replayed"], "true");
    assert_eq!((&first["id"], &first["output"]), (&second["id"], &second["output"]));
    assert_eq!(lan.chats().await, 1);
}

#[tokio::test]
async fn nobody_hears_or_stops_what_is_anothers() {
    let app = slow().await;
    let (lan, eve) = (app.key_holder("Lan").await, app.key_holder("Eve").await);
    let id = in_background(&lan, 6).await;
    let (read, _) = eve.get(&format!("{PATH}/{id}")).await;
    let (stopped, _) = eve.post(&format!("{PATH}/{id}/cancel"), json!({})).await;
    let (continued, _) = eve.post(PATH, json!({"input": "and?", "previous_response_id": id})).await;
    assert_eq!([read, stopped, continued], [StatusCode::NOT_FOUND; 3]);
    until_async(async || lan.get(&format!("{PATH}/{id}")).await.1["status"] == "completed").await;
    assert_eq!(eve.chats().await, 0);
}

/// The first answer waits for the gate; the next one in the conversation waits for it.
#[tokio::test]
async fn what_waits_for_its_turn_is_queued() {
    let gate = CancellationToken::new();
    let held = gate.clone();
    let plan = move |seen: &Seen| match seen.number {
        0 => Script(vec![events(), says("one "), Step::Until(held.clone()), says("done"), finish("stop"), done()]),
        _ => Script::chat(&["two"]),
    };
    let queue = |config: &mut Config| config.assistant.while_answering = WhileAnswering::Queue;
    let (_provider, app) = provided_with(plan, queue).await;
    let lan = app.key_holder("Lan").await;
    let ask = |more: Value| {
        let mut body = json!({"input": "hello", "conversation": "c"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let first = lan.asks(PATH, ask(json!({"background": true}))).await;
    let (background, stopped) = (ask(json!({"background": true})), ask(json!({"background": true})));
    let (background, stopped) = (lan.asks(PATH, background).await, lan.asks(PATH, stopped).await);
    let statuses = [&first["status"], &background["status"], &stopped["status"]];
    assert_eq!(statuses, ["in_progress", "queued", "queued"]);
    let path = |response: &Value| format!("{PATH}/{}", response["id"].as_str().unwrap());
    let (_, read) = lan.get(&path(&background)).await;
    assert_eq!((&read["status"], &read["output"]), (&json!("queued"), &json!([])), "{read}");

    let mut stream = lan.hears(PATH, ask(json!({"stream": true}))).await;
    let begun = [stream.next().await.unwrap().data, stream.next().await.unwrap().data];
    assert_eq!(kinds(&begun), ["response.created", "response.queued"]);
    assert_eq!([&begun[0]["response"]["status"], &begun[1]["response"]["status"]], ["queued", "queued"]);
    let (_, cancelled) = lan.post(&format!("{}/cancel", path(&stopped)), json!({})).await;
    assert_eq!(cancelled["status"], "cancelled");
    let id = begun[0]["response"]["id"].as_str().unwrap();
    let resumed = lan.resumes(id, &format!("&starting_after={}", number(&begun[1]))).await;
    gate.cancel();
    let told = rest(stream).await;
    assert_eq!((kinds(&told), deltas(&told)), (WHOLE[1..].to_vec(), "two".to_owned()), "{told:?}");
    assert_eq!(told[0]["response"]["status"], "in_progress");
    assert!(begun.iter().chain(&told).is_sorted_by(|a, b| number(a) < number(b)), "{told:?}");
    let resumed = rest(resumed).await;
    assert_eq!((kinds(&resumed), deltas(&resumed)), (kinds(&told), deltas(&told)));
    until_async(async || lan.get(&path(&background)).await.1["status"] == "completed").await;
}
