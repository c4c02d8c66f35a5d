//! A user follows all conversations as one stream.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{PATIENCE, TestApp, whole_answer};
use crate::support::pigeon::{BASE, Pigeon};
use crate::support::sse::{Event, Events};

impl Pigeon<'_> {
    async fn cursor_of(&self, path: &str) -> String {
        let (status, headers, body) = whole_answer(self.request(Method::GET, path)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        headers["event-cursor"].to_str().unwrap().to_owned()
    }

    async fn ticket(&self) -> String {
        let (status, body) = self.post("events/ticket", json!({})).await;
        assert_eq!((status, &body["data"]["expires_in"]), (StatusCode::CREATED, &json!(3600)), "{body}");
        body["data"]["ticket"].as_str().unwrap().to_owned()
    }
}

/// The next event of that name, with its cursor as both the frame and the data have it.
async fn next_of(events: &mut Events, name: &str) -> Event {
    let event = events.next_of(name).await.expect("an open stream");
    assert_eq!(event.data["cursor"], json!(event.id), "{event:?}");
    event
}

#[tokio::test]
async fn both_users_are_told_of_all_that_happens() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let (mut hers, mut his) = (ana.follows("").await, rui.follows("").await);
    for events in [&mut hers, &mut his] {
        assert_eq!(events.next().await.unwrap().event, "resumed");
    }
    let id = ana.says(&conversation, &rui, "hello").await;
    for events in [&mut hers, &mut his] {
        let updated = next_of(events, "conversation.updated").await;
        assert_eq!(updated.data["uuid"], conversation);
        let sent = next_of(events, "message.sent").await;
        assert_eq!(sent.data["message_id"], id);
        assert!(updated.id < sent.id);
    }
    // One after the other: who is told late of a message is told what it says by then.
    for name in ["message.read", "message.reaction", "message.updated", "message.deleted"] {
        match name {
            "message.read" => drop(rui.send(Method::PATCH, &format!("messages/{id}/read"), Value::Null).await),
            "message.reaction" => drop(rui.post(&format!("messages/{id}/reactions"), json!({"emoji": "🚲"})).await),
            "message.updated" => {
                drop(ana.send(Method::PATCH, &format!("messages/{id}"), json!({"context_text": "hello!"})).await);
            }
            _ => drop(ana.delete(&format!("messages/{id}")).await),
        }
        for events in [&mut hers, &mut his] {
            assert_eq!(next_of(events, name).await.data["message_id"], id, "{name}");
        }
    }
}

#[tokio::test]
async fn what_a_receivers_stream_carries_becomes_delivered() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let mut hers = ana.follows("").await;
    hers.next_of("resumed").await.unwrap();
    let before = ana.says(&conversation, &rui, "to nobody there").await;
    let _his = rui.follows("").await;
    let after = ana.says(&conversation, &rui, "to who is there").await;
    let delivered = next_of(&mut hers, "message.delivered").await;
    assert_eq!((&delivered.data["message_id"], &delivered.data["receiver_uuid"]), (&json!(after), &json!(rui.uuid())));
    assert_eq!(delivered.data["up_to"], false);
    // Her own stream carried both, which says nothing of him.
    let list = ana.lists(&conversation).await;
    let status: Vec<_> = list.iter().map(|message| message["status"]["delivered"].clone()).collect();
    assert_eq!((list[0]["message_id"].clone(), status), (json!(before), vec![json!(false), json!(true)]));
}

#[tokio::test]
async fn many_letters_that_were_missed_become_delivered() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let cursor = rui.cursor_of("conversations").await;
    for number in 0..60 {
        ana.says(&conversation, &rui, &format!("number {number}")).await;
    }
    let mut his = rui.follows(&format!("?since={cursor}")).await;
    for number in 0..60 {
        assert_eq!(next_of(&mut his, "message.sent").await.data["context"]["text"], format!("number {number}"));
    }
    let began = std::time::Instant::now();
    while !ana.lists(&conversation).await.iter().all(|message| message["status"]["delivered"] == true) {
        assert!(began.elapsed() < PATIENCE, "they do not become delivered");
    }
}

#[tokio::test]
async fn a_stream_goes_on_from_a_list_and_from_where_it_was() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    ana.says(&conversation, &rui, "listed").await;
    for list in ["conversations".to_owned(), format!("conversations/{conversation}/messages")] {
        for query in ["", "?limit=5", "?page=1"] {
            let cursor = rui.cursor_of(&format!("{list}{query}")).await;
            ana.says(&conversation, &rui, &format!("after {list}{query}")).await;
            let mut his = rui.follows(&format!("?last_event_id={cursor}")).await;
            assert_eq!(next_of(&mut his, "message.sent").await.data["context"]["text"], format!("after {list}{query}"));
        }
    }
}

#[tokio::test]
async fn nobody_is_told_of_what_is_not_theirs() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let (ana, rui, eve) =
        (app.pigeon(&acme, "Ana").await, app.pigeon(&acme, "Rui").await, app.pigeon(&acme, "Eve").await);
    let (theirs, hers) = (ana.opens(&rui).await, ana.opens(&eve).await);
    let mut events = eve.follows("?since=0").await;
    ana.says(&theirs, &rui, "a secret").await;
    ana.says(&hers, &eve, "hello Eve").await;
    let event = next_of(&mut events, "message.sent").await;
    assert_eq!(event.data["context"]["text"], "hello Eve");
}

#[tokio::test]
async fn a_ticket_opens_the_stream_and_nothing_else() {
    let app = TestApp::with(|config| config.http.streams_recheck_s = 1).await;
    let (ana, rui, conversation) = app.pair().await;
    let other = app.platform("Other").await;
    let (ticket, key) = (rui.ticket().await, rui.platform.key);
    let path = format!("{BASE}/events?ticket={ticket}");
    let mut events = Events::open(app.client.get(format!("{}{path}", app.url))).await;
    Events::open(app.client.get(format!("{}{path}&pbk={key}", app.url))).await;
    ana.says(&conversation, &rui, "hello").await;
    assert_eq!(next_of(&mut events, "message.sent").await.data["context"]["text"], "hello");
    for (refused, why) in [
        (format!("{BASE}/conversations?ticket={ticket}&pbk={key}"), StatusCode::UNAUTHORIZED),
        (format!("/api/v1/chat/staff/events?ticket={ticket}"), StatusCode::UNAUTHORIZED),
        (format!("{path}x"), StatusCode::UNAUTHORIZED),
        (format!("{BASE}/events?ticket={}", "A".repeat(2000)), StatusCode::UNAUTHORIZED),
        (format!("{path}&pbk={}", other.key), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(app.get(&refused).await.0, why, "{refused}");
    }
    let token = app.app.chat.authenticate(&rui.token).await.unwrap().token_id;
    app.app.chat.revoke_token(token).await.unwrap();
    while events.beat().await.is_some() {}
    assert_eq!(app.get(&path).await.0, StatusCode::UNAUTHORIZED, "a ticket ends with its token");
}

#[tokio::test]
async fn a_long_poll_brings_the_same() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let (_, begun) = rui.get("events?wait=30").await;
    let query = format!("events?wait=30&since={}", begun["cursor"]);
    let (polled, id) = tokio::join!(rui.get(&query), ana.says(&conversation, &rui, "hello"));
    let events = polled.1["events"].as_array().unwrap().clone();
    let sent = events.iter().find(|event| event["event"] == "message.sent").expect("the message");
    assert_eq!((&sent["data"]["message_id"], &sent["data"]["cursor"]), (&json!(id), &sent["id"]));
    let (_, next) = rui.get(&format!("events?wait=30&since={}", polled.1["cursor"])).await;
    assert_eq!(next["events"][0]["event"], "message.delivered", "what a poll carries is delivered, too");
}
