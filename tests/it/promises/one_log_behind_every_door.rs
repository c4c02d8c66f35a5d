//! One log behind every door: the fold of the events after a cursor over the snapshot at that
//! cursor equals the snapshot now, for every verb of the guest door. The chats door's twin stands
//! in `chats/`.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::app::{Guest, Staff, TestApp};

#[derive(Clone, Copy, Debug)]
enum Verb {
    GuestSays,
    GuestNamesThemselves(u8),
    Assign,
    AdminSays,
    StaffSays,
    Transfer,
    Close,
    AskTheBot,
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        4 => Just(Verb::GuestSays),
        1 => (0..3u8).prop_map(Verb::GuestNamesThemselves),
        1 => Just(Verb::Assign),
        1 => Just(Verb::AdminSays),
        2 => Just(Verb::StaffSays),
        1 => Just(Verb::Transfer),
        2 => Just(Verb::Close),
        1 => Just(Verb::AskTheBot),
    ]
}

/// What a client that reads the history knows; clocks are not part of the log.
#[derive(Clone, Debug, PartialEq)]
struct Snapshot {
    messages: Vec<Value>,
    state: Value,
}

async fn snapshot(guest: &Guest<'_>) -> Snapshot {
    let (_, body) = guest.app.get(&guest.path("history")).await;
    let session = &body["data"]["session"];
    let state = json!({
        "is_active": session["is_active"], "assigned_user_id": session["assigned_user_id"],
        "assigned_at": session["assigned_at"], "meta": session["meta"],
    });
    Snapshot { messages: body["data"]["messages"].as_array().unwrap().clone(), state }
}

async fn perform(verb: Verb, guest: &Guest<'_>, staff: &Staff<'_>) {
    let app = guest.app;
    let says = json!({"message": "something"});
    let (status, body) = match verb {
        Verb::GuestSays => app.post(&guest.path("message"), says).await,
        Verb::GuestNamesThemselves(number) => {
            let named = json!({"session_key": guest.key, "guest_name": format!("Lan {number}")});
            app.post("/api/v1/chat/guest/session", named).await
        }
        Verb::Assign => staff.post(&format!("/api/v1/chat/admin/{}/assign", guest.key), json!({})).await,
        Verb::AdminSays => staff.post(&format!("/api/v1/chat/admin/{}/message", guest.key), says).await,
        Verb::StaffSays => staff.post(&format!("/api/v1/chat/sessions/{}/staff-message", guest.id), says).await,
        Verb::Transfer => app.post(&guest.path("transfer-human"), json!({})).await,
        Verb::Close => staff.post(&format!("/api/v1/chat/sessions/{}/close", guest.id), json!({})).await,
        Verb::AskTheBot => app.post("/api/v1/chatbot", json!({"message": "something", "session_key": guest.key})).await,
    };
    let fine = status.is_success() || status == StatusCode::FORBIDDEN;
    assert!(fine, "{verb:?}: {status} {body}");
}

/// Applies the events after a cursor, up to the log's end, as a client would.
async fn fold(mut over: Snapshot, guest: &Guest<'_>, cursor: i64, end: i64) -> Snapshot {
    if cursor == end {
        return over;
    }
    let mut events = guest.follows(cursor).await;
    loop {
        let event = events.next().await.expect("the stream goes on");
        match event.event.as_str() {
            "message" => over.messages.push(event.data),
            "session" => {
                let mut state = event.data;
                state.as_object_mut().unwrap().remove("change");
                over.state = state;
            }
            // Told beside the state that it follows from.
            "resumed" | "staff_joined" => continue,
            // An answer on its way: the snapshot is taken when there is none.
            "run" | "run_text" => {}
            other => panic!("an unexpected {other}"),
        }
        if event.id == Some(end) {
            return over;
        }
    }
}

async fn story(app: &TestApp, staff: &Staff<'_>, verbs: &[Verb]) {
    let guest = app.guest().await;
    let channel = app.app.chat.live_chat(&guest.key).await.unwrap();
    let end = || channel.head().unwrap().event_id.0;
    let mut taken = vec![(end(), snapshot(&guest).await)];
    for verb in verbs {
        perform(*verb, &guest, staff).await;
        taken.push((end(), snapshot(&guest).await));
    }
    let now = taken.last().unwrap().clone();
    for (cursor, then) in taken {
        let folded = fold(then, &guest, cursor, now.0).await;
        assert_eq!(folded, now.1, "after {cursor}");
    }
    // Frees the member of staff for the next story.
    perform(Verb::Close, &guest, staff).await;
}

#[test]
fn events_after_a_cursor_over_the_snapshot_at_it_give_the_snapshot_now() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let app = runtime.block_on(TestApp::start());
    let staff = runtime.block_on(app.staff("Mai"));
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let stories = proptest::collection::vec(verb(), 1..12);
    let told = runner.run(&stories, |verbs| {
        runtime.block_on(story(&app, &staff, &verbs));
        Ok(())
    });
    told.unwrap();
}
