//! The AI SDK door, from the outside.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::knowledge::Librarian;
use crate::support::app::{TestApp, answer, until_async, whole_answer};
use crate::support::openai::rest;
use crate::support::sse::Events;

/// What `useChat` sends.
fn sent(id: &str, text: &str) -> Value {
    let first = json!({"id": "m0", "role": "user", "parts": [{"type": "text", "text": "long ago"}]});
    let last = json!({"id": "m1", "role": "user", "metadata": {"a": 1},
        "parts": [{"type": "data-own", "data": 1}, {"type": "text", "text": text}]});
    json!({"id": id, "messages": [first, last], "trigger": "submit-message", "messageId": null})
}

async fn hears(app: &TestApp, body: Value) -> Events {
    Events::open(app.client.post(format!("{}/api/chat", app.url)).json(&body)).await
}

/// The deltas joined.
fn text(parts: &[Value]) -> String {
    parts.iter().filter_map(|part| part["delta"].as_str()).collect()
}

fn kinds(parts: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = parts.iter().map(|part| part["type"].as_str().or(part.as_str()).expect("a type")).collect();
    kinds.dedup();
    kinds
}

async fn messages(app: &TestApp, id: &str) -> Vec<Value> {
    let (status, list) = app.get(&format!("/api/chat/{id}/messages")).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    list.as_array().expect("a list").clone()
}

async fn resumes(app: &TestApp, id: &str) -> Option<Events> {
    let answered = app.request(Method::GET, &format!("/api/chat/{id}/stream")).send().await.expect("an answer");
    if answered.status() == StatusCode::NO_CONTENT {
        return None;
    }
    assert_eq!(answered.headers()["x-vercel-ai-ui-message-stream"], "v1");
    Some(Events::of(answered))
}

const WHOLE: [&str; 8] =
    ["start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish", "[DONE]"];

#[tokio::test]
async fn a_message_is_answered_as_a_ui_message_stream_and_stored() {
    let app = TestApp::start().await;
    let response = app.request(Method::POST, "/api/chat").json(&sent("c-1", "What is \"AI\"?")).send().await.unwrap();
    assert_eq!(response.headers()["x-vercel-ai-ui-message-stream"], "v1");
    let parts = rest(Events::of(response)).await;
    assert_eq!((kinds(&parts), text(&parts).as_str()), (WHOLE.to_vec(), "Echo: What is \"AI\"?"));
    let list = messages(&app, "c-1").await;
    assert_eq!(list.len(), 2, "what the client remembers is not stored: {list:?}");
    assert_eq!(list[0]["parts"], json!([{"type": "text", "text": "What is \"AI\"?"}]));
    assert_eq!((&list[1]["role"], &list[1]["id"]), (&json!("assistant"), &parts[0]["messageId"]));
    assert_eq!(list[1]["parts"][0]["text"], "Echo: What is \"AI\"?");
    // It is a session like another.
    let (_, session) = app.get("/api/chats/sessions/c-1/").await;
    assert!(session["expires_at"].is_string(), "{session}");
}

#[tokio::test]
async fn the_last_message_alone_will_do_and_its_answer_is_made_again() {
    let app = TestApp::start().await;
    let only = json!({"role": "user", "parts": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]});
    let parts = rest(hears(&app, json!({"id": "c", "message": only})).await).await;
    assert_eq!(text(&parts), "Echo: a b");
    let again = json!({"id": "c", "messages": [only], "trigger": "regenerate-message", "messageId": "x"});
    assert_eq!(text(&rest(hears(&app, again).await).await), "Echo: a b");
    assert_eq!(messages(&app, "c").await.len(), 2, "the answer was replaced");
    let old = json!({"id": "c", "messages": [{"role": "user", "content": "as before"}]});
    assert_eq!(text(&rest(hears(&app, old).await).await), "Echo: as before");
}

#[tokio::test]
async fn a_page_that_is_reloaded_goes_on_where_it_was() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 20).await;
    assert!(resumes(&app, "c").await.is_none() && messages(&app, "c").await.is_empty(), "an empty chat");
    let words = ["word"; 20].join(" ");
    let mut first = hears(&app, sent("c", &words)).await;
    let start = first.next().await.unwrap().data;
    while first.next().await.unwrap().data["delta"].is_null() {}
    drop(first);
    assert_eq!(messages(&app, "c").await.len(), 1, "the question");
    let parts = rest(resumes(&app, "c").await.expect("an answer under way")).await;
    assert_eq!((kinds(&parts), text(&parts)), (WHOLE.to_vec(), format!("Echo: {words}")));
    assert_eq!(parts[0], start, "the same message");
    assert!(resumes(&app, "c").await.is_none(), "it is over");
    assert_eq!(messages(&app, "c").await[1]["id"], start["messageId"]);
}

#[tokio::test]
async fn an_answer_is_stopped_for_everybody_who_follows() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 20).await;
    let mut follower = hears(&app, sent("c", &["word"; 500].join(" "))).await;
    while follower.next().await.unwrap().data["delta"].is_null() {}
    let (status, stopped) = app.post("/api/chat/c/stop", json!({})).await;
    assert_eq!((status, stopped), (StatusCode::OK, json!({"stopped": true})));
    let parts = rest(follower).await;
    assert_eq!(kinds(&parts)[kinds(&parts).len() - 3..], ["text-end", "abort", "[DONE]"]);
    let list = messages(&app, "c").await;
    assert_eq!(list[1]["metadata"]["incomplete"], true, "{list:?}");
    for id in ["c", "nobody-has-used-it"] {
        assert_eq!(app.post(&format!("/api/chat/{id}/stop"), json!({})).await.1, json!({"stopped": false}), "{id}");
    }
}

/// Two pages of one chat ask at once; who stops it stops what both see.
#[tokio::test]
async fn all_answers_under_way_in_a_chat_are_stopped() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 20).await;
    let words = ["word"; 500].join(" ");
    let (mut first, mut second) = (hears(&app, sent("c", &words)).await, hears(&app, sent("c", &words)).await);
    for page in [&mut first, &mut second] {
        while page.next().await.unwrap().data["delta"].is_null() {}
    }
    let (_, stopped) = app.post("/api/chat/c/stop", json!({})).await;
    assert_eq!(stopped, json!({"stopped": true}));
    for page in [first, second] {
        let parts = rest(page).await;
        assert_eq!(kinds(&parts)[kinds(&parts).len() - 3..], ["text-end", "abort", "[DONE]"]);
    }
}

#[tokio::test]
async fn what_an_answer_rests_on_comes_with_it_and_is_there_afterwards() {
    let app = TestApp::start().await;
    let librarian = Librarian::new(&app, None, "Lan", true).await;
    librarian.publishes("hours.txt", b"The bakery opens at seven in the morning.").await;
    librarian.publishes("rent.txt", b"Bicycles are rented at the harbour.").await;
    let parts = rest(hears(&app, sent("c", "When does the bakery open?")).await).await;
    let mut want = WHOLE.to_vec();
    want.insert(5, "source-document");
    assert_eq!(kinds(&parts), want);
    let sources: Vec<_> = parts.iter().filter(|part| part["type"] == "source-document").collect();
    let list = messages(&app, "c").await;
    let stored = list[1]["metadata"]["sources"].as_array().expect("sources");
    assert_eq!(sources.len(), stored.len());
    assert_eq!(
        *sources[0],
        json!({
            "type": "source-document",
            "sourceId": stored[0]["chunk_id"],
            "mediaType": "text/plain",
            "title": stored[0]["document_title"],
            "providerMetadata": {"roost": {"text": stored[0]["text"], "url": stored[0]["url"]}},
        })
    );
    assert!(stored[0]["text"].as_str().unwrap().contains("seven"), "{stored:?}");
    assert_eq!(json!(list[1]["parts"].as_array().unwrap()[1..]), json!(sources), "a page that is reloaded shows them");
    assert_eq!(list[0]["parts"].as_array().unwrap().len(), 1, "the question rests on nothing");
}

#[tokio::test]
async fn a_retry_hears_the_first_answer() {
    let app = TestApp::start().await;
    let send =
        |text: &str| app.request(Method::POST, "/api/chat").header("idempotency-key", "k").json(&sent("c", text));
    let first = send("one").send().await.unwrap();
    assert!(!first.headers().contains_key("idempotent-replayed"));
    let first = rest(Events::of(first)).await;
    let second = send("one").send().await.unwrap();
    assert_eq!(second.headers()["idempotent-replayed"], "true");
    let second = rest(Events::of(second)).await;
    assert_eq!((&first[0], text(&first)), (&second[0], text(&second)));
    let (status, _, conflict) = whole_answer(send("two")).await;
    assert_eq!((status, &conflict["code"]), (StatusCode::CONFLICT, &json!("conflict")));
    assert_eq!(messages(&app, "c").await.len(), 2);
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_makes_no_chat() {
    let app = TestApp::with(|config| config.aisdk.message_chars_max = 10).await;
    let message = |message: Value| json!({"id": "c", "messages": [message]});
    let part = |part: Value| message(json!({"role": "user", "parts": [part]}));
    for (body, says) in [
        (json!({}), "id has to be there"),
        (json!({"id": "c"}), "messages has to be there"),
        (json!({"id": "", "messages": []}), "id may not be empty"),
        (json!({"id": "x".repeat(256), "message": {}}), "id may have at most 255 characters"),
        (json!({"id": "c", "messages": "x"}), "messages has to be a list"),
        (message(json!({"role": "assistant", "parts": []})), "messages.0.role is \"assistant\""),
        (message(json!({"role": "user"})), "messages.0.parts has to be there"),
        (part(json!({"type": "text"})), "messages.0.parts.0.text has to be there"),
        (part(json!({"type": "text", "text": " \n"})), "messages.0.parts may not be empty"),
        (part(json!({"type": "text", "text": "12345678901"})), "messages.0.parts may have at most 10 characters"),
        (part(json!({"type": "file", "url": "data:,x"})), "messages.0.parts.0.type is \"file\""),
        (json!({"id": "c", "trigger": "x", "message": {"role": "user", "parts": []}}), "trigger is \"x\""),
    ] {
        let (status, wrong) = app.post("/api/chat", body.clone()).await;
        assert_eq!((status, &wrong["code"]), (StatusCode::BAD_REQUEST, &json!("bad_request")), "{body}");
        assert!(wrong["message"].as_str().unwrap().contains(says), "{body}: {wrong}");
    }
    assert_eq!(app.get("/api/chats/sessions/c/").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_chat_that_is_over_takes_no_message() {
    let app = TestApp::start().await;
    rest(hears(&app, sent("c", "one")).await).await;
    app.clock.advance(std::time::Duration::from_secs(25 * 3600));
    let (status, over) = app.post("/api/chat", sent("c", "two")).await;
    assert_eq!((status, &over["code"]), (StatusCode::FORBIDDEN, &json!("expired")), "{over}");
    assert_eq!(messages(&app, "c").await.len(), 2, "it can be read");
}

#[tokio::test]
async fn a_client_that_hangs_up_at_once_has_asked() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 5).await;
    drop(hears(&app, sent("c", "one two three four")).await);
    until_async(async || messages(&app, "c").await.len() == 2).await;
    assert_eq!(messages(&app, "c").await[1]["parts"][0]["text"], "Echo: one two three four");
    let nowhere = app.request(Method::GET, "/api/chat");
    assert_eq!(answer(nowhere).await.0, StatusCode::METHOD_NOT_ALLOWED);
}
