//! The assistant in live chats: seen in the middle of an answer, stopped, taken over by a person, handed back.

use reqwest::{Method, StatusCode};
use roost::local::Scripted;
use roost::local::scripted::{Script, Step, events, text as says};
use serde_json::{Value, json};

use crate::support::app::{Guest, TestApp};
use crate::support::provider::provided_with;
use crate::support::sse::{Event, Events};

/// An assistant that answers guests: the first time it stops in the middle, later it is done at once.
async fn assisted() -> (Scripted, TestApp) {
    let plan = |seen: &roost::local::scripted::Seen| match seen.number {
        0 => Script(vec![events(), says("Half an "), Step::Hang]),
        number => Script::chat(&["Answer ", &number.to_string()]),
    };
    provided_with(plan, |config| config.guest.assistant = true).await
}

async fn next(events: &mut Events, is: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.next().await.expect("an open stream");
        if is(&event) {
            return event;
        }
    }
}

/// A guest who is being answered, and what they follow it by.
async fn answered(app: &TestApp) -> (Guest<'_>, Events) {
    let guest = app.guest().await;
    let mut events = guest.follows(0).await;
    guest.says("Hello?").await;
    assert_eq!(events.next_of("run_text").await.unwrap().data["text"], "Half an ");
    (guest, events)
}

#[tokio::test]
async fn a_guest_sees_the_answer_under_way_and_stops_it() {
    let (provider, app) = assisted().await;
    let (guest, mut events) = answered(&app).await;
    let response = app.request(Method::GET, &guest.path("runs")).send().await.unwrap();
    let cursor: i64 = response.headers()["event-cursor"].to_str().unwrap().parse().unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!((&body["success"], &body["data"][0]["text"]), (&json!(true), &json!("Half an ")), "{body}");
    assert_eq!(body["data"][0]["state"], "running");
    let (status, body) = app.post(&guest.path("stop"), json!({})).await;
    assert_eq!((status, &body["data"]["stopped"]), (StatusCode::OK, &json!(true)), "{body}");
    let kept = &body["data"]["message"];
    assert_eq!((&kept["message"], &kept["is_bot"]), (&json!("Half an "), &json!(true)));
    assert_eq!(kept["meta"], json!({"incomplete": true, "outcome": "stopped", "reason": "asked"}));
    provider.until(|seen| seen[0].is_left()).await.unwrap();
    let ended = next(&mut events, |event| event.event == "run").await.data;
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("stopped"), &json!("asked")));
    let mut after = guest.follows(cursor).await;
    assert_eq!(after.next_of("run").await.unwrap().data, ended, "the list's cursor is before its end");
    assert_eq!(app.get(&guest.path("runs")).await.1["data"], json!([]));
    let (status, body) = app.post(&guest.path("stop"), json!({})).await;
    assert_eq!((status, &body["data"]), (StatusCode::OK, &json!({"stopped": false, "message": null})));
    guest.says("Go on").await;
    assert_eq!(events.next_of("run_text").await.unwrap().data["start"], 0);
}

#[tokio::test]
async fn a_person_takes_over_and_hands_back() {
    let (provider, app) = assisted().await;
    let (mai, tam) = (app.staff("Mai").await, app.staff("Tam").await);
    let (guest, mut events) = answered(&app).await;
    mai.takes(&guest).await;
    let joined = events.next_of("staff_joined").await.unwrap().data;
    assert_eq!(joined["staff"]["name"], "Mai", "the guest is told who speaks");
    assert_eq!(events.next_of("session").await.unwrap().data["assigned_user_id"], mai.id);
    let ended = next(&mut events, |event| event.event == "run").await.data;
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("stopped"), &json!("taken_over")));
    provider.until(|seen| seen[0].is_left()).await.unwrap();
    guest.says("Are you a person?").await;
    let path = format!("/api/v1/chat/sessions/{}/hand-back", guest.id);
    let (status, refused) = tam.post(&path, json!({})).await;
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN")), "{refused}");
    let (status, body) = mai.post(&path, json!({})).await;
    assert_eq!((status, &body["message"]), (StatusCode::OK, &json!("Session handed back")), "{body}");
    let data = &body["data"];
    assert_eq!((&data["assigned_user_id"], &data["is_active"]), (&Value::Null, &json!(true)));
    let told = events.next_of("session").await.unwrap().data;
    assert_eq!(
        (&told["change"], &told["assigned_user_id"], &told["assigned_at"]),
        (&json!("released"), &Value::Null, &Value::Null)
    );
    assert_eq!(mai.post(&path, json!({})).await.0, StatusCode::FORBIDDEN, "it is nobody's now");
    assert_eq!(provider.seen().len(), 1, "while she had it, the assistant was silent");
    guest.says("And now?").await;
    let answer = next(&mut events, |event| event.event == "message" && event.data["is_bot"] == json!(true)).await;
    assert_eq!(answer.data["message"], "Answer 1");
}
