//! Following a session: the events after a list, folded over it, are the list now.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::{Method, StatusCode};
use roost::api::events::{self, Asked, Client, Cursor, Feed, Show, Shown};
use roost::chat::Locator;
use roost::domain::EventId;
use serde_json::{Value, json};

use super::{Visitor, text};
use crate::support::app::TestApp;
use crate::support::sse::Event;

/// What a client holds: the list, and where to follow from.
struct Held {
    list: Vec<Value>,
    cursor: i64,
    /// What has been told of the answer under way.
    telling: Option<String>,
}

impl Held {
    async fn of(visitor: &Visitor<'_>) -> Self {
        let response = visitor.list_response("").await;
        let cursor = response.headers()["event-cursor"].to_str().unwrap().parse().unwrap();
        Self { list: response.json().await.unwrap(), cursor, telling: None }
    }

    /// Applies an event, as any client would.
    fn apply(&mut self, event: &Event) {
        match event.event.as_str() {
            "message" => match self.list.iter_mut().find(|held| held["id"] == event.data["id"]) {
                Some(held) => *held = event.data.clone(),
                None => self.list.push(event.data.clone()),
            },
            "deleted" => self.list.retain(|held| held["id"] != event.data["id"]),
            "session" => self.list.iter_mut().for_each(|held| held["session"] = event.data.clone()),
            "run" if event.data["state"] == "running" => self.telling = Some(String::new()),
            "run" => self.telling = None,
            // The answer was deleted since.
            "run_text" if event.data["text"] == "" => {}
            "run_text" => {
                let telling = self.telling.as_mut().expect("an answer that has begun");
                assert_eq!(event.data["start"], telling.len());
                telling.push_str(text(&event.data["text"]));
            }
            "resumed" => {
                assert_eq!((&event.data, event.id), (&json!({"from": self.cursor}), Some(self.cursor)));
                return;
            }
            other => panic!("an event of an unknown kind: {other}"),
        }
        if let Some(id) = event.id {
            assert!(id > self.cursor, "a cursor goes back");
            self.cursor = id;
        }
    }

    /// Follows until that message has come.
    async fn catch_up(&mut self, visitor: &Visitor<'_>, last: &Value) {
        let mut events = visitor.follows(self.cursor).await;
        while !self.list.iter().any(|held| held["id"] == last["id"]) {
            self.apply(&events.next().await.expect("an open stream"));
        }
    }
}

/// Something that somebody does to a session.
#[derive(Clone, Debug)]
enum Deed {
    Say,
    Ask,
    DeleteNth(usize),
    Rename(u32),
    SwitchExpiry(u32),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        4 => Just(Deed::Say),
        2 => Just(Deed::Ask),
        3 => (0..20_usize).prop_map(Deed::DeleteNth),
        1 => any::<u32>().prop_map(Deed::Rename),
        1 => (2030..2040_u32).prop_map(Deed::SwitchExpiry),
    ];
    prop::collection::vec(deed, 0..25)
}

async fn act(visitor: &mut Visitor<'_>, deed: &Deed) {
    match deed {
        Deed::Say => drop(visitor.says("something").await),
        Deed::Ask => drop(visitor.asks("what?").await),
        Deed::DeleteNth(nth) => {
            if let Some(message) = visitor.lists().await.get(*nth) {
                visitor.app.delete(&format!("/api/chats/messages/{}/", text(&message["id"]))).await;
            }
        }
        Deed::Rename(to) => {
            edit(visitor, json!({"session_id": format!("{}-{to}", text(&visitor.session["id"]))})).await;
        }
        Deed::SwitchExpiry(year) => edit(visitor, json!({"expires_at": format!("{year}-01-01T00:00:00Z")})).await,
    }
}

async fn edit(visitor: &mut Visitor<'_>, edit: Value) {
    let (status, session) = visitor.app.send(Method::PATCH, &visitor.path(), edit).await;
    assert_eq!(status, StatusCode::OK, "{session}");
    visitor.session = session;
}

#[test]
fn events_after_a_list_folded_over_it_are_the_list_now() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // A short memory, so that events come from the store as well.
    let app = runtime.block_on(TestApp::with(|config| config.heads.events_max = 4));
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(deeds(), deeds()), |(before, after)| {
        runtime.block_on(assert_folds(&app, &before, &after));
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(async { drop(app) });
}

async fn assert_folds(app: &TestApp, before: &[Deed], after: &[Deed]) {
    let mut visitor = app.visitor().await;
    for deed in before {
        act(&mut visitor, deed).await;
    }
    let mut held = Held::of(&visitor).await;
    for deed in after {
        act(&mut visitor, deed).await;
    }
    let last = visitor.says("the last").await;
    held.catch_up(&visitor, &last).await;
    let mut anew = Held { list: Vec::new(), cursor: 0, telling: None };
    anew.catch_up(&visitor, &last).await;
    let now = visitor.lists().await;
    assert_eq!(held.list, now, "over the list");
    assert_eq!(anew.list, now, "over nothing");
}

#[tokio::test]
async fn a_follower_sees_what_happens_as_it_happens() {
    let app = TestApp::start().await;
    let mut visitor = app.visitor().await;
    let mut events = visitor.follows(0).await;
    assert_eq!(events.next().await.unwrap().event, "resumed");
    let said = visitor.says("hello").await;
    let event = events.next().await.unwrap();
    assert_eq!((event.event.as_str(), &event.data), ("message", &said));
    edit(&mut visitor, json!({"session_id": "a new name"})).await;
    let event = events.next().await.unwrap();
    assert_eq!((event.event.as_str(), &event.data), ("session", &visitor.session));
    app.delete(&format!("/api/chats/messages/{}/", text(&said["id"]))).await;
    let event = events.next().await.unwrap();
    assert_eq!((event.event.as_str(), event.data), ("deleted", json!({"id": said["id"]})));
    visitor.asks("?").await;
    let asked = events.next_of("message").await.unwrap().data;
    let begun = events.next().await.unwrap();
    assert_eq!((begun.event.as_str(), &begun.data["state"]), ("run", &json!("running")));
    assert_eq!(begun.data["message_id"], asked["id"]);
    let mut told = String::new();
    let answered = loop {
        let event = events.next().await.unwrap();
        match event.event.as_str() {
            "run_text" => {
                assert_eq!((&event.data["run_id"], &event.data["start"]), (&begun.data["run_id"], &json!(told.len())));
                told.push_str(text(&event.data["text"]));
            }
            other => break (other.to_owned(), event.data),
        }
    };
    assert_eq!((answered.0.as_str(), &answered.1["message"], told.as_str()), ("message", &json!("Echo: ?"), "Echo: ?"));
    let ended = events.next().await.unwrap();
    assert_eq!((ended.event.as_str(), &ended.data["state"]), ("run", &json!("completed")));
    assert_eq!((&ended.data["response_id"], &ended.data["reason"]), (&answered.1["id"], &Value::Null));
    app.delete(&visitor.path()).await;
    assert_eq!(events.next().await.unwrap().event, "gone");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_follower_goes_on_after_a_restart_and_one_from_elsewhere_begins_anew() {
    let mut app = TestApp::start().await;
    let visitor = app.visitor().await;
    let mut held = Held::of(&visitor).await;
    visitor.says("one").await;
    let session = visitor.session.clone();
    app.restart().await;
    let visitor = Visitor { app: &app, session };
    let last = visitor.says("two").await;
    held.catch_up(&visitor, &last).await;
    assert_eq!(held.list, visitor.lists().await);

    let mut events = visitor.follows(1_000_000).await;
    assert_eq!(events.next().await.unwrap().event, "resumed");
    let reset = events.next().await.unwrap();
    assert_eq!((reset.event.as_str(), reset.id), ("reset", Some(held.cursor)));
}

/// Counts what it is asked to show.
struct Counting(Arc<AtomicUsize>);

impl Show for Counting {
    async fn show(&mut self, events: &[roost::domain::Logged]) -> roost::error::Result<Vec<Shown>> {
        self.0.fetch_add(events.len(), Ordering::Relaxed);
        Ok(events.iter().map(|logged| Shown::new(logged.event.id, "message", b"{}".to_vec())).collect())
    }
}

/// A frame holds a message with its whole session: those that a slow reader has not come to are not
/// made yet.
#[tokio::test]
async fn events_are_rendered_as_they_are_read() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    for number in 0..20 {
        visitor.says(&number.to_string()).await;
    }
    let session = app.app.chat.session(Locator::Name(visitor.name())).await.unwrap();
    let follower = app.app.chat.follow_session(&session, EventId::START);
    let shown = Arc::new(AtomicUsize::new(0));
    let client = Client { address: [127, 0, 0, 1].into(), user: None };
    let start = Cursor::None.in_conversation(EventId::START);
    let feed = Feed { follower, start, show: Counting(Arc::clone(&shown)) };
    let asked = Asked { cursor: Cursor::None, wait: None };
    let mut body = events::answer(&app.app.web, client, asked, feed).await.unwrap().into_body();
    // Before the events come the time to wait and where it begins.
    for frame in 1..=22 {
        body.frame().await.unwrap().unwrap();
        assert_eq!(shown.load(Ordering::Relaxed), (frame - 2_usize.min(frame)).min(20));
    }
}

/// What was deleted is told by nobody, also not by a channel that remembers when it was said.
#[tokio::test]
async fn a_deleted_text_is_not_told_again() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    // Whoever follows makes the channel hold what comes.
    let mut follows = visitor.follows(0).await;
    let secret = visitor.says("a secret").await;
    follows.next_of("message").await.expect("an open stream");
    let path = format!("/api/chats/messages/{}/", text(&secret["id"]));
    assert_eq!(app.delete(&path).await, StatusCode::NO_CONTENT);
    follows.next_of("deleted").await.expect("an open stream");
    let last = visitor.says("no secret").await;
    let mut again = visitor.follows(0).await;
    let mut told = Vec::new();
    while told.last() != Some(&last) {
        let event = again.next().await.expect("an open stream");
        assert!(!event.data.to_string().contains("a secret"), "{event:?}");
        told.push(event.data);
    }
}
