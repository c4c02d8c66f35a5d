//! Answers of models: the AI SDK's data stream, stored or not, whatever becomes of the connection.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{issue, issues};
use crate::knowledge::Librarian;
use crate::support::app::{PATIENCE, TestApp, answer};
use crate::support::neptun::Member;

const BARE: &str = "google/gemma-2-27b-it";
const WHOLE: &str = "openrouter/deepseek-chat";

/// The parts of a stream, read as strictly as the stock client does: a code, a colon, JSON, a line's end,
/// and nothing else.
fn parts(text: &str) -> Vec<(char, Value)> {
    let lines = text.strip_suffix('\n').unwrap_or_else(|| panic!("the last line has no end: {text:?}"));
    let part = |line: &str| {
        let (code, value) = line.split_once(':').unwrap_or_else(|| panic!("no part: {line:?}"));
        let known = ["0", "3", "f", "h", "e", "d"];
        assert!(known.contains(&code), "an unknown code: {line:?}");
        let value: Value = serde_json::from_str(value).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        (code.chars().next().unwrap(), value)
    };
    lines.split('\n').map(part).collect()
}

pub async fn heard(response: Response) -> Vec<(char, Value)> {
    assert_eq!(response.status(), StatusCode::OK);
    parts(&response.text().await.expect("a whole stream"))
}

/// The text parts joined.
pub fn text(parts: &[(char, Value)]) -> String {
    parts.iter().filter(|(code, _)| *code == '0').map(|(_, value)| value.as_str().expect("text")).collect()
}

pub fn codes(parts: &[(char, Value)]) -> String {
    let mut codes: Vec<char> = parts.iter().map(|(code, _)| *code).collect();
    codes.dedup();
    codes.into_iter().collect()
}

fn question(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

/// Waits until a chat has so many messages.
async fn until(member: &Member<'_>, chat: i64, count: usize) -> Vec<Value> {
    let began = std::time::Instant::now();
    loop {
        let messages = member.reads(chat).await;
        if messages.len() >= count {
            return messages;
        }
        assert!(began.elapsed() < PATIENCE, "there are {} messages", messages.len());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_answer_is_streamed_in_the_form_of_its_family() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    for (path, form) in [
        (BARE, "0"),
        ("huggingface/google/gemma-2-27b-it", "0"),
        ("cloudflare/llama-3.3-70b-instruct-fp8-fast", "0"),
        (WHOLE, "f0ed"),
        ("ollama/rwkv-6-world", "f0ed"),
    ] {
        let response = lan.asks(path, None, question("Say \"hi\"\nand go")).await;
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8", "{path}");
        assert_eq!(headers["x-accel-buffering"], "no");
        assert!(headers["cache-control"].to_str().unwrap().contains("no-transform"));
        let version = headers.get("x-vercel-ai-data-stream").map(|value| value.to_str().unwrap());
        assert_eq!(version, (form != "0").then_some("v1"), "{path}");
        let parts = heard(response).await;
        assert_eq!((codes(&parts).as_str(), text(&parts).as_str()), (form, "Echo: Say \"hi\"\nand go"), "{path}");
    }
}

#[tokio::test]
async fn a_framed_answer_tells_what_it_cost() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let context = json!([{"role": "system", "content": "Be brief"}, {"role": "assistant", "content": ""},
        {"role": "user", "content": "one two", "parts": [{"type": "text"}], "id": "x"}]);
    let parts = heard(lan.asks(WHOLE, Some(-1), context).await).await;
    let [(_, begin), .., (_, step), (_, end)] = &parts[..] else { panic!("{parts:?}") };
    assert!(begin["messageId"].as_str().unwrap().starts_with("msg-"));
    let usage = json!({"promptTokens": 4, "completionTokens": 3});
    assert_eq!(step, &json!({"finishReason": "stop", "usage": usage, "isContinued": false}));
    assert_eq!(end, &json!({"finishReason": "stop", "usage": usage}));
}

#[tokio::test]
async fn an_answer_in_a_chat_is_stored_with_its_files() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    lan.says(chat, "user", "before").await;
    let asked = "Write\n```rust:main.rs\nfn main() {}\n```\n```\nno language\n```";
    // The client's own memory of the chat is what the model is shown; only its last message is stored.
    let context = json!([{"role": "assistant", "content": "made up"}, {"role": "user", "content": asked}]);
    let parts = heard(lan.asks(WHOLE, Some(chat), context).await).await;
    let whole = format!("Echo: {asked}");
    assert_eq!((codes(&parts).as_str(), text(&parts)), ("f0ed", whole.clone()));
    let user = |text: &str| ("user".to_owned(), text.to_owned());
    assert_eq!(lan.transcript(chat).await, [user("before"), user(asked), ("assistant".to_owned(), whole)]);
    let messages = lan.reads(chat).await;
    assert_eq!(messages[2]["neptun_user_id"], json!(lan.id), "also the assistant's are the owner's");
    let (_, files) = lan.get(&lan.path(&format!("/chats/{chat}/files"))).await;
    let files = files["chatFiles"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0]["chat_conversation_message_id"], messages[2]["id"]);
    assert_eq!((&files[0]["title"], &files[0]["text"]), (&json!("main.rs"), &json!("fn main() {}\n")));
}

#[tokio::test]
async fn an_answer_without_a_chat_is_stored_nowhere() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    for nowhere in [None, Some(-1)] {
        assert_eq!(text(&heard(lan.asks(BARE, nowhere, question("hi")).await).await), "Echo: hi");
    }
    assert!(lan.reads(chat).await.is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_finds_its_answer_stored() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 20).await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let words = vec!["word"; 20].join(" ");
    let mut response = lan.asks(BARE, Some(chat), question(&words)).await;
    let first = response.chunk().await.unwrap().expect("a first part");
    assert!(first.starts_with(b"0:\"Echo: \"\n"), "{first:?}");
    drop(response);
    let messages = until(&lan, chat, 2).await;
    assert_eq!(messages[1]["message"], format!("Echo: {words}"));
    app.await_figure("runs", 0.0).await;
    let response = lan.asks(BARE, None, question(&words)).await;
    drop(response);
    app.await_figure("streams", 0.0).await;
}

#[tokio::test]
async fn an_answer_that_is_stopped_says_so() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 20).await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let mut response = lan.asks(WHOLE, Some(chat), question(&vec!["word"; 500].join(" "))).await;
    let mut seen = response.chunk().await.unwrap().expect("a first part").to_vec();
    assert_eq!(lan.delete(&lan.path(&format!("/chats/{chat}"))).await.0, StatusCode::OK);
    while let Some(chunk) = response.chunk().await.unwrap() {
        seen.extend_from_slice(&chunk);
    }
    let parts = parts(std::str::from_utf8(&seen).unwrap());
    let (code, why) = parts.last().unwrap();
    assert_eq!((*code, why.is_string()), ('3', true), "{parts:?}");
    app.await_figure("runs", 0.0).await;
}

#[tokio::test]
async fn an_answer_that_takes_too_long_ends_with_an_error() {
    let app = TestApp::with(|config| {
        config.assistant.echo_pause_ms = 400;
        config.assistant.timeout_s = 1;
    })
    .await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    for stored in [Some(chat), None] {
        let parts = heard(lan.asks(WHOLE, stored, question("a b c d e f")).await).await;
        let (code, why) = parts.last().unwrap();
        assert_eq!((*code, why), ('3', &json!("The assistant could not finish its answer: ask again.")));
        assert!(!parts.iter().any(|(code, _)| matches!(code, 'e' | 'd')), "no end is said: {parts:?}");
    }
    let kept = until(&lan, chat, 2).await;
    assert!(kept[1]["message"].as_str().unwrap().starts_with("Echo: "), "what had arrived is kept");
}

#[tokio::test]
async fn a_retry_hears_the_first_answer() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let ask = |text: &str| {
        let path = format!("/api/ai/{BARE}/chat?chat_id={chat}");
        let request = lan.request(Method::POST, &path).header("idempotency-key", "one");
        request.json(&json!({"messages": question(text)}))
    };
    assert_eq!(text(&heard(ask("hi").send().await.unwrap()).await), "Echo: hi");
    let again = ask("hi").send().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(text(&heard(again).await), "Echo: hi");
    assert_eq!(lan.reads(chat).await.len(), 2);
    let (status, body) = answer(ask("something else")).await;
    assert_eq!((status, &body["statusMessage"]), (StatusCode::CONFLICT, &json!("Conflict")));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let app = TestApp::start().await;
    let (lan, tam) = (app.member("Lan").await, app.member("Tam").await);
    let (chat, foreign) = (lan.chat("A chat").await, tam.chat("Tam's").await);
    let ask = |path: &str, body: Value| answer(lan.request(Method::POST, path).json(&body));
    let messages = json!({"messages": question("hi")});
    for (path, message) in [
        ("/api/ai/google/gemma-9/chat".to_owned(), "Bad Request. Invalid model."),
        ("/api/ai/huggingface/openrouter/deepseek-chat/chat".to_owned(), "Bad Request. Invalid model."),
        (format!("/api/ai/{BARE}/chat?chat_id=abc"), "Bad Request. Invalid query(chat_id, is_playground)."),
        (format!("/api/ai/{BARE}/chat?chat_id=0"), "Bad Request. Invalid query(chat_id, is_playground)."),
        (format!("/api/ai/{BARE}/chat?is_playground=maybe"), "Bad Request. Invalid query(chat_id, is_playground)."),
    ] {
        let (status, body) = ask(&path, messages.clone()).await;
        assert_eq!((status, &body["statusMessage"]), (StatusCode::BAD_REQUEST, &json!(message)), "{path}");
        assert_eq!(issues(&body).len(), 1, "{path}");
    }
    for chat in [foreign, 999_999] {
        let (status, body) = ask(&format!("/api/ai/{BARE}/chat?chat_id={chat}"), messages.clone()).await;
        assert_eq!((status, &body["data"]["message"]), (StatusCode::NOT_FOUND, &json!("Chat not found")));
    }
    let path = format!("/api/ai/{BARE}/chat?chat_id={chat}");
    let required = |path: Value| issue("invalid_type", path, "Required");
    let small = |path: Value| issue("too_small", path, "String must contain at least 1 character(s)");
    for (body, want) in [
        (json!({}), vec![required(json!(["messages"]))]),
        (
            json!({"messages": []}),
            vec![issue("too_small", json!(["messages"]), "Array must contain at least 1 element(s)")],
        ),
        (
            json!({"messages": [{}]}),
            vec![required(json!(["messages", 0, "content"])), required(json!(["messages", 0, "role"]))],
        ),
        (json!({"messages": question("  ")}), vec![small(json!(["messages", 0, "content"]))]),
        (
            json!({"messages": ["hi"]}),
            vec![issue("invalid_type", json!(["messages", 0]), "Expected object, received string")],
        ),
    ] {
        let (status, refused) = ask(&path, body.clone()).await;
        assert_eq!((status, issues(&refused)), (StatusCode::BAD_REQUEST, want), "{body}");
        assert_eq!(refused["statusMessage"], "Bad Request. Invalid body(messages).");
    }
    let (status, _) = app.post(&path, messages).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(lan.reads(chat).await.is_empty());
}

#[tokio::test]
async fn without_an_assistant_nothing_is_stored() {
    let app = TestApp::with(|config| config.assistant.provider = roost::config::ProviderName::None).await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    for stored in [Some(chat), None] {
        assert_eq!(lan.asks(BARE, stored, question("hi")).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(lan.reads(chat).await.is_empty());
}

#[tokio::test]
async fn places_for_streams_are_bounded() {
    let app = TestApp::with(|config| {
        config.http.streams_per_address_max = 1;
        config.assistant.echo_pause_ms = 50;
    })
    .await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let first = lan.asks(BARE, None, question(&vec!["word"; 200].join(" "))).await;
    let second = lan.asks(BARE, Some(chat), question("hi")).await;
    assert_eq!(
        (second.status(), &second.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    assert!(lan.reads(chat).await.is_empty(), "who gets no place has not asked");
    drop(first);
    app.await_figure("streams", 0.0).await;
    assert_eq!(lan.asks(BARE, Some(chat), question("hi")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_an_answer_rests_on_is_told_before_its_end() {
    let app = TestApp::start().await;
    let librarian = Librarian::new(&app, None, "librarian", true).await;
    librarian.publishes("hours.txt", b"The bakery opens at seven in the morning.").await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let about = question("When does the bakery open?");
    let told = heard(lan.asks(WHOLE, Some(chat), about.clone()).await).await;
    assert_eq!(codes(&told), "f0hed");
    let (_, source) = told.iter().find(|(code, _)| *code == 'h').expect("a source");
    assert_eq!((&source["sourceType"], &source["title"].is_string()), (&json!("url"), &true), "{source}");
    assert!(source["url"].as_str().is_some_and(|url| url.starts_with('/')), "{source}");
    assert!(source["providerMetadata"]["roost"]["text"].as_str().is_some_and(|text| text.contains("seven")));
    assert_eq!(codes(&heard(lan.asks(BARE, Some(chat), about).await).await), "0", "text only");
    assert_eq!(codes(&heard(lan.asks(WHOLE, Some(chat), question("xyzzy")).await).await), "f0ed");
}
