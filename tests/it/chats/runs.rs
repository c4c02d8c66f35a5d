//! Answers under way: seen in their middle, made again, and what becomes of a message that is sent beside them.

use std::collections::HashMap;

use reqwest::{Method, StatusCode};
use roost::local::Scripted;
use roost::local::scripted::{Script, Step, done, events, finish, text as says};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Heard, Visitor, all, text};
use crate::support::app::{TestApp, until_async};
use crate::support::provider::{asked, provided};
use crate::support::sse::{Event, Events};

const AGAIN: &str = "/api/chats/messages/chat/again/";

/// What a client holds of the answers that are being made: their texts, and where to follow from.
struct Held {
    texts: HashMap<String, String>,
    cursor: i64,
}

impl Held {
    async fn of(visitor: &Visitor<'_>) -> Self {
        let response = visitor.app.request(Method::GET, &runs(visitor)).send().await.unwrap();
        let cursor = response.headers()["event-cursor"].to_str().unwrap().parse().unwrap();
        let runs: Vec<Value> = response.json().await.unwrap();
        let texts = runs.iter().map(|run| (text(&run["run_id"]).to_owned(), text(&run["text"]).to_owned()));
        Self { texts: texts.collect(), cursor }
    }

    /// Applies an event, as any client would; the text of an answer that has ended with it.
    fn apply(&mut self, event: &Event) -> Option<String> {
        let id = text(&event.data["run_id"]).to_owned();
        if event.event == "run_text" {
            // Of an answer that had ended before the list was read, this is told again.
            let known = self.texts.get_mut(&id)?;
            let (start, more) = (event.data["start"].as_u64().unwrap() as usize, text(&event.data["text"]));
            assert!(start <= known.len(), "a hole: {} and then {start}", known.len());
            let again = (known.len() - start).min(more.len());
            known.push_str(&more[again..]);
            return None;
        }
        match text(&event.data["state"]) {
            "queued" | "running" => {
                self.texts.entry(id).or_default();
                None
            }
            _ => self.texts.remove(&id),
        }
    }

    /// Follows until nothing is being made any more; the texts of the answers that ended, in order.
    async fn catch_up(mut self, visitor: &Visitor<'_>) -> Vec<String> {
        let mut events = visitor.follows(self.cursor).await;
        let mut ended = Vec::new();
        while !self.texts.is_empty() {
            let event = events.next().await.expect("an open stream");
            if event.event.starts_with("run") && event.event != "resumed" {
                ended.extend(self.apply(&event));
            }
        }
        ended
    }
}

fn runs(visitor: &Visitor<'_>) -> String {
    format!("{}runs/", visitor.path())
}

impl Visitor<'_> {
    /// The answers under way.
    async fn runs(&self) -> Vec<Value> {
        let (status, runs) = self.app.get(&runs(self)).await;
        assert_eq!(status, StatusCode::OK, "{runs}");
        runs.as_array().expect("a bare array").clone()
    }

    /// Has a message answered again, and hears that.
    async fn again(&self, question: &Value, goes_on: bool) -> Heard {
        let body = json!({"session_id": self.name(), "message_id": question, "continue": goes_on});
        Heard::all(Events::open(self.app.request(Method::POST, AGAIN).json(&body)).await).await
    }
}

/// Wherever in an answer the list is read: the events after its cursor make it whole.
#[tokio::test]
async fn events_after_the_answers_under_way_folded_over_them_are_whole_answers() {
    const WORDS: [&str; 5] = ["Xin ", "chào ", "👩‍👩‍👧 ", "bạn", "!"];
    let gates: Vec<_> = (0..=WORDS.len()).map(|_| CancellationToken::new()).collect();
    let held = gates.clone();
    let (provider, app) = provided(move |seen| {
        let mut steps: Vec<_> = WORDS.iter().map(|word| says(word)).collect();
        steps.insert(seen.number, Step::Until(held[seen.number].clone()));
        Script([vec![events()], steps, vec![finish("stop"), done()]].concat())
    })
    .await;
    for (cut, gate) in gates.iter().enumerate() {
        let visitor = app.visitor().await;
        assert!(visitor.runs().await.is_empty());
        let mut stream = visitor.hears("hello").await;
        provider.until(|seen| seen.len() == cut + 1).await.unwrap();
        let mut heard = String::new();
        while heard.len() < WORDS[..cut].concat().len() {
            heard += text(&stream.next().await.unwrap().data["chunk"]);
        }
        let run = visitor.runs().await.pop().expect("an answer under way");
        let question = visitor.lists().await[0]["id"].clone();
        let want = json!({"run_id": run["run_id"], "message_id": question, "state": "running",
            "text": WORDS[..cut].concat()});
        assert_eq!(run, want);
        let held = Held::of(&visitor).await;
        // What the list holds already changes nothing when it is told again.
        let before = Held { cursor: 0, texts: held.texts.clone() };
        gate.cancel();
        for held in [held, before] {
            assert_eq!(held.catch_up(&visitor).await, [WORDS.concat()], "{cut}");
        }
        assert_eq!(Heard::all(stream).await.end["error"], Value::Null);
        assert!(visitor.runs().await.is_empty(), "it is in the list of messages now");
        assert_eq!(visitor.lists().await[1]["message"], WORDS.concat());
    }
}

/// The list is read while the answer grows, as often as that goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_falls_between_the_answers_under_way_and_their_events() {
    let app = TestApp::with(|config| {
        config.assistant.echo_pause_ms = 5;
        config.assistant.delta_ms = 1;
    })
    .await;
    let visitor = app.visitor().await;
    let said = "một hai ba bốn năm sáu bảy tám chín mười ".repeat(4);
    let stream = visitor.hears(&said).await;
    let mut held = Vec::new();
    until_async(async || {
        let now = Held::of(&visitor).await;
        let is_over = now.texts.is_empty() && !held.is_empty();
        held.extend((!now.texts.is_empty()).then_some(now));
        is_over
    })
    .await;
    let whole = Heard::all(stream).await.text();
    assert!(held.len() > 1, "it was seen under way");
    for one in held {
        assert_eq!(one.catch_up(&visitor).await, std::slice::from_ref(&whole));
    }
}

#[tokio::test]
async fn another_answer_takes_the_place_of_the_first() {
    let (provider, app) = provided(|seen| Script::chat(&["Answer ", &seen.number.to_string()])).await;
    let visitor = app.visitor().await;
    let first = visitor.asks("one").await;
    visitor.asks("two").await;
    let heard = visitor.again(&first["message_id"], false).await;
    assert_eq!((heard.text().as_str(), &heard.end["message_id"]), ("Answer 2", &first["message_id"]));
    let list = visitor.lists().await;
    assert_eq!(all(&list, "message"), ["one", "two", "Answer 1", "Answer 2"]);
    assert_eq!(list[3]["id"], heard.end["response_id"]);
    let old = format!("/api/chats/messages/{}/", text(&first["response_id"]));
    assert_eq!(app.get(&old).await.0, StatusCode::NOT_FOUND);
    let shown = asked(&provider.seen()[2])["messages"].clone();
    assert_eq!(shown, json!([{"role": "user", "content": "one"}]), "neither its first answer nor what came later");
    // What was only stored is asked now.
    let stored = visitor.says("three").await;
    assert_eq!(visitor.again(&stored["id"], true).await.text(), "Answer 3");
}

/// Whoever stops an answer in its middle gets the whole of it by one request.
#[tokio::test]
async fn a_stopped_answer_goes_on_where_it_ends() {
    let (provider, app) = provided(|seen| match seen.number {
        0 => Script(vec![events(), says("Half an "), Step::Hang]),
        _ => Script::chat(&["answer", "."]),
    })
    .await;
    let visitor = app.visitor().await;
    let mut stream = visitor.hears("hello").await;
    let question = stream.next().await.unwrap().data["message_id"].clone();
    let stopped = visitor.stops(text(&question)).await;
    assert_eq!(visitor.lists().await[1]["message"], "Half an ");
    for asked_before in [1, 2] {
        assert_eq!(provider.seen().len(), asked_before);
        // The second time it lacks nothing: it is heard, and nobody is asked.
        let heard = visitor.again(&question, true).await;
        assert_eq!((heard.text().as_str(), &heard.end["error"]), ("Half an answer.", &Value::Null));
        let list = visitor.lists().await;
        assert_eq!(all(&list, "message"), ["hello", "Half an answer."]);
        assert_eq!((&list[1]["metadata"], &list[1]["id"]), (&json!({}), &heard.end["response_id"]));
    }
    let old = format!("/api/chats/messages/{}/", text(&stopped["response_id"]));
    assert_eq!(app.get(&old).await.0, StatusCode::NOT_FOUND, "the half is gone");
    assert_eq!(provider.seen().len(), 2);
    assert!(asked(&provider.seen()[1])["messages"].to_string().contains("Half an "), "it is shown where it ended");
}

#[tokio::test]
async fn the_echo_goes_on_where_it_ends() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 10).await;
    let visitor = app.visitor().await;
    let said = "một hai ba bốn năm sáu bảy tám";
    let mut stream = visitor.hears(said).await;
    let question = stream.next().await.unwrap().data["message_id"].clone();
    visitor.stops(text(&question)).await;
    assert_eq!(visitor.lists().await[1]["metadata"]["outcome"], "stopped");
    assert_eq!(visitor.again(&question, true).await.text(), format!("Echo: {said}"));
    assert_eq!(all(&visitor.lists().await, "message"), [said, &format!("Echo: {said}")]);
}

#[tokio::test]
async fn what_cannot_be_answered_again_is_refused() {
    let app = TestApp::start().await;
    let (visitor, other) = (app.visitor().await, app.visitor().await);
    let (mine, theirs) = (visitor.asks("hi").await, other.asks("hi").await);
    let unknown = json!({"error": "Message not found"});
    let not_asked = json!({"detail": "The assistant was not asked to answer this message."});
    for (body, status, want) in [
        (json!({"message_id": "x"}), 404, unknown.clone()),
        (json!({"message_id": theirs["message_id"]}), 404, unknown),
        (json!({"message_id": mine["response_id"]}), 404, not_asked),
        (json!({}), 400, json!({"error": "message_id is required"})),
        (json!({"message_id": mine["message_id"], "continue": "x"}), 400, Value::Null),
        (json!({"message_id": mine["message_id"], "continue": null}), 400, Value::Null),
    ] {
        let mut body = body;
        body["session_id"] = json!(visitor.name());
        let (got, refused) = app.post(AGAIN, body.clone()).await;
        assert_eq!(got.as_u16(), status, "{body}: {refused}");
        assert!(want.is_null() || refused == want, "{body}: {refused}");
    }
    visitor.app.send(Method::PATCH, &visitor.path(), json!({"is_active": false})).await;
    let body = json!({"session_id": visitor.name(), "message_id": mine["message_id"]});
    assert_eq!(app.post(AGAIN, body).await.0, StatusCode::FORBIDDEN);
    assert_eq!(visitor.lists().await.len(), 2);
    assert_eq!(app.get("/api/chats/sessions/nobody/runs/").await.0, StatusCode::NOT_FOUND);
}

/// A provider whose first answer stops in its middle until the gate opens, and whose others are whole at once.
async fn gated() -> (Scripted, TestApp, CancellationToken) {
    let gate = CancellationToken::new();
    let held = gate.clone();
    let (provider, app) = provided(move |seen| match seen.number {
        0 => Script(vec![events(), says("one "), Step::Until(held.clone()), says("done"), finish("stop"), done()]),
        _ => Script::chat(&["two"]),
    })
    .await;
    (provider, app, gate)
}

/// Asks twice in a session with that setting; the first answer has begun by then.
async fn asks_twice<'a>(app: &'a TestApp, way: &str) -> (Visitor<'a>, Events, Events) {
    let visitor = app.visitor_with(json!({"while_answering": way})).await;
    assert_eq!(visitor.session["while_answering"], way);
    let mut first = visitor.hears("first").await;
    assert_eq!(first.next().await.unwrap().data["chunk"], "one ");
    let second = visitor.hears("second").await;
    (visitor, first, second)
}

#[tokio::test]
async fn a_message_waits_for_the_answer_before_it() {
    let (provider, app, gate) = gated().await;
    let (visitor, first, second) = asks_twice(&app, "queue").await;
    until_async(async || visitor.runs().await.len() == 2).await;
    let runs = visitor.runs().await;
    assert_eq!((all(&runs, "state"), all(&runs, "text")), (vec!["running", "queued"], vec!["one ", ""]));
    assert_eq!(provider.seen().len(), 1, "it has not been asked");
    gate.cancel();
    assert_eq!((Heard::all(first).await.text(), Heard::all(second).await.text()), ("done".into(), "two".into()));
    assert_eq!(all(&visitor.lists().await, "message"), ["first", "second", "one done", "two"]);
}

#[tokio::test]
async fn a_message_stops_the_answer_before_it() {
    let (provider, app, _gate) = gated().await;
    let (visitor, first, second) = asks_twice(&app, "interrupt").await;
    assert_eq!(Heard::all(first).await.end["error"], "The answer was stopped.");
    assert_eq!(Heard::all(second).await.text(), "two");
    assert!(provider.seen()[0].is_left());
    let list = visitor.lists().await;
    assert_eq!(all(&list, "message"), ["first", "second", "one ", "two"]);
    assert_eq!(list[2]["metadata"], json!({"incomplete": true, "outcome": "stopped", "reason": "superseded"}));
}

#[tokio::test]
async fn a_message_is_answered_beside_another() {
    let (_provider, app, gate) = gated().await;
    let (visitor, first, second) = asks_twice(&app, "parallel").await;
    assert_eq!(Heard::all(second).await.text(), "two");
    assert_eq!(all(&visitor.runs().await, "text"), ["one "]);
    gate.cancel();
    assert_eq!(Heard::all(first).await.text(), "done");
    assert_eq!(all(&visitor.lists().await, "message"), ["first", "second", "two", "one done"]);
}

#[tokio::test]
async fn what_messages_do_beside_an_answer_is_a_setting_of_the_session() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    assert!(!visitor.session.as_object().unwrap().contains_key("while_answering"), "{}", visitor.session);
    for (method, way) in [(Method::PATCH, "queue"), (Method::PUT, "interrupt"), (Method::PATCH, "parallel")] {
        let (status, session) = app.send(method, &visitor.path(), json!({"while_answering": way})).await;
        assert_eq!((status, &session["while_answering"]), (StatusCode::OK, &json!(way)));
    }
    let (_, session) = app.send(Method::PATCH, &visitor.path(), json!({"metadata": {}})).await;
    assert_eq!(session["while_answering"], "parallel", "it stays");
    for method in [Method::PATCH, Method::PUT] {
        let (_, session) = app.send(method.clone(), &visitor.path(), json!({"while_answering": "queue"})).await;
        assert_eq!(session["while_answering"], "queue");
        let (status, session) = app.send(method, &visitor.path(), json!({"while_answering": null})).await;
        let is_there = session.as_object().unwrap().contains_key("while_answering");
        assert_eq!((status, is_there), (StatusCode::OK, false), "as the configuration says: {session}");
    }
    let made = app.visitor_with(json!({"while_answering": null})).await;
    assert!(!made.session.as_object().unwrap().contains_key("while_answering"), "{}", made.session);
    for wrong in [json!("later"), json!(7)] {
        let (status, refused) = app.send(Method::PATCH, &visitor.path(), json!({"while_answering": wrong})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
        assert!(refused["while_answering"][0].is_string(), "{refused}");
    }
}
