//! Staff follow all live chats as one stream, or one of them.

use reqwest::{Method, StatusCode};
use roost::domain::{ConversationId, EventId};
use serde_json::{Value, json};

use crate::support::app::{Guest, Staff, TestApp, until_async, whole_answer};
use crate::support::sse::{Event, Events};

impl Staff<'_> {
    /// What a list says, and where to follow from.
    async fn lists_with_cursor(&self, path: &str) -> (Value, String) {
        let (status, headers, body) = whole_answer(self.app.request(Method::GET, path).bearer_auth(&self.token)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        (body["data"].clone(), headers["event-cursor"].to_str().unwrap().to_owned())
    }
}

fn of(event: &Event, guest: &Guest<'_>) -> bool {
    let session = (&event.data["chat_session_id"], &event.data["session_key"]);
    session == (&json!(guest.id), &json!(guest.key))
}

#[tokio::test]
async fn an_inbox_tells_of_every_session_with_its_key_and_cursor() {
    let app = TestApp::start().await;
    let (lan, mai) = (app.guest().await, app.staff("Mai").await);
    lan.says("before").await;
    let mut events = mai.follows("").await;
    assert_eq!(events.next().await.unwrap().event, "resumed");
    let minh = app.guest().await;
    let opened = events.next().await.unwrap();
    assert_eq!((opened.event.as_str(), &opened.data["change"], opened.id), ("session", &json!("opened"), None));
    assert!(of(&opened, &minh));
    for guest in [&lan, &minh] {
        let said = guest.says("hello").await;
        let event = events.next().await.unwrap();
        assert!(event.event == "message" && of(&event, guest), "{event:?}");
        assert_eq!((&event.data["message"], &event.data["id"]), (&json!("hello"), &said["id"]));
        assert_eq!((event.id, &event.data["cursor"]), (said["id"].as_i64(), &said["id"]));
    }
    mai.takes(&minh).await;
    let taken = events.next().await.unwrap();
    assert!(taken.event == "session" && of(&taken, &minh) && taken.data["change"] == "assigned", "{taken:?}");
    assert_eq!(taken.data["cursor"], json!(taken.id));
    let first = EventId(lan.polls(0).await[0]["id"].as_i64().unwrap());
    assert!(app.app.store.delete_message(ConversationId(lan.id), first, app.clock.now()).await.unwrap());
    let deleted = events.next().await.unwrap();
    assert!(deleted.event == "deleted" && of(&deleted, &lan), "{deleted:?}");
}

/// From a list on nothing is missed, also what happened between the two, and not what happened while nobody
/// was there.
#[tokio::test]
async fn an_inbox_goes_on_from_a_list_and_through_a_restart() {
    let mut app = TestApp::start().await;
    let (lan, minh, mai) = (app.guest().await, app.guest().await, app.staff("Mai").await);
    let listed = lan.says("listed").await["id"].as_i64().unwrap();
    // A list's cursor may be behind what the list shows, where other nodes write: what is there comes once more then.
    let (mut list, mut cursor) = (Value::Null, String::new());
    until_async(async || {
        (list, cursor) = mai.lists_with_cursor("/api/v1/chat/admin/sessions").await;
        cursor.parse::<i64>().unwrap() >= listed
    })
    .await;
    assert_eq!(list[0]["last_message"]["message"], "listed");
    minh.says("between").await;
    let mut events = mai.follows(&format!("?since={cursor}")).await;
    assert_eq!(events.next_of("message").await.unwrap().data["message"], "between");
    let seen = events.last_id.unwrap();
    drop(events);
    let (lan, minh) = (lan.key.clone(), minh.key.clone());
    let token = mai.token.clone();
    let say = async |app: &TestApp, key: &str, text: &str| {
        app.post(&format!("/api/v1/chat/guest/{key}/message"), json!({"message": text})).await
    };
    say(&app, &lan, "away").await;
    app.restart().await;
    say(&app, &minh, "again").await;
    let url = format!("{}/api/v1/chat/staff/events", app.url);
    let request = app.client.get(url).bearer_auth(token).header("last-event-id", seen);
    let mut events = Events::open(request).await;
    let mut texts = Vec::new();
    for _ in 0..2 {
        texts.push(events.next_of("message").await.unwrap().data["message"].clone());
    }
    assert_eq!(texts, ["away", "again"]);
}

#[tokio::test]
async fn without_a_cursor_an_inbox_begins_at_its_end_and_what_is_none_is_a_reset() {
    let app = TestApp::start().await;
    let (lan, mai) = (app.guest().await, app.staff("Mai").await);
    let last = lan.says("before").await["id"].as_i64().unwrap();
    for query in ["", "?since=", "?last_event_id=%20"] {
        let mut events = mai.follows(query).await;
        let resumed = events.next().await.unwrap();
        assert_eq!(
            (resumed.event.as_str(), resumed.id, resumed.data["from"].as_i64()),
            ("resumed", Some(last), Some(last))
        );
        lan.typing().await;
        assert_eq!(events.next().await.unwrap().event, "typing", "nothing before it, {query:?}");
    }
    for query in
        ["?since=undefined", "?since=-1", "?since=1.5", "?since=1000000", "?since=99999999999999999999999999999"]
    {
        let mut events = mai.follows(query).await;
        assert_eq!(events.next().await.unwrap().event, "resumed");
        let reset = events.next().await.unwrap();
        assert_eq!((reset.event.as_str(), reset.id), ("reset", Some(last)), "{query:?}");
        lan.typing().await;
        assert_eq!(events.next().await.unwrap().event, "typing", "nothing before it, {query:?}");
    }
    let url = format!("{}/api/v1/chat/staff/events", app.url);
    let unreadable = reqwest::header::HeaderValue::from_bytes(b"\xff7").unwrap();
    let mut events =
        Events::open(app.client.get(url).bearer_auth(&mai.token).header("last-event-id", unreadable)).await;
    assert_eq!(events.next_of("reset").await.unwrap().id, Some(last), "what is no text is no cursor");
    let mut events = mai.follows("?since=0").await;
    assert_eq!(events.next_of("message").await.unwrap().data["message"], "before", "0 is the beginning");
}

#[tokio::test]
async fn one_session_is_for_who_has_it() {
    let app = TestApp::start().await;
    let (lan, minh, mai, tuan) =
        (app.guest().await, app.guest().await, app.staff("Mai").await, app.staff("Tuan").await);
    mai.takes(&lan).await;
    let path = format!("/api/v1/chat/sessions/{}/events", lan.id);
    assert_eq!(tuan.get(&path).await.0, StatusCode::FORBIDDEN);
    assert_eq!(mai.get("/api/v1/chat/sessions/999/events").await.0, StatusCode::NOT_FOUND);
    let (_, cursor) = mai.lists_with_cursor(&format!("/api/v1/chat/sessions/{}/messages", lan.id)).await;
    let mut events =
        Events::open(app.client.get(format!("{}{path}?since={cursor}", app.url)).bearer_auth(&mai.token)).await;
    minh.says("elsewhere").await;
    lan.says("here").await;
    let event = events.next_of("message").await.unwrap();
    assert!(event.data["message"] == "here" && of(&event, &lan), "{event:?}");
}

/// What happens elsewhere moves a follower's cursor with the signs of life, so that it is not read again.
#[tokio::test]
async fn a_sign_of_life_moves_the_cursor_past_what_concerns_others() {
    let app = TestApp::with(|config| config.http.heartbeat_s = 1).await;
    let (lan, mai) = (app.guest().await, app.staff("Mai").await);
    let mut events = mai.follows("").await;
    events.next_of("resumed").await.unwrap();
    let begun = events.last_id.unwrap();
    events.beat().await.unwrap();
    assert_eq!(events.last_id, Some(begun), "nothing happened");
    let visitor = app.visitor().await;
    let mut last = 0;
    for _ in 0..3 {
        visitor.says("to the assistant").await;
        last += 1;
    }
    while events.last_id == Some(begun) {
        events.beat().await.unwrap();
    }
    assert!(events.last_id.unwrap() >= begun + last, "{:?} {begun}", events.last_id);
    let said = lan.says("to staff").await;
    let event = events.next().await.unwrap();
    assert_eq!((event.event.as_str(), &event.data["id"]), ("message", &said["id"]));
}

#[tokio::test]
async fn a_ticket_opens_the_streams_of_staff_and_nothing_else() {
    let app = TestApp::with(|config| config.http.streams_recheck_s = 1).await;
    let (lan, mai) = (app.guest().await, app.staff("Mai").await);
    let (status, body) = mai.post("/api/v1/chat/staff/events/ticket", json!({})).await;
    assert_eq!((status, &body["data"]["expires_in"]), (StatusCode::CREATED, &json!(3600)), "{body}");
    let ticket = body["data"]["ticket"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/chat/staff/events?ticket={ticket}");
    // A browser comes back with the same address.
    for _ in 0..2 {
        Events::open(app.client.get(format!("{}{path}", app.url))).await.next_of("resumed").await.unwrap();
    }
    let mut events = Events::open(app.client.get(format!("{}{path}", app.url))).await;
    lan.says("hello").await;
    assert_eq!(events.next_of("message").await.unwrap().data["message"], "hello");
    for (method, path) in [
        (Method::GET, format!("/api/v1/chat/admin/sessions?ticket={ticket}")),
        (Method::POST, format!("/api/v1/chat/staff/events/ticket?ticket={ticket}")),
        (Method::GET, format!("/api/v1/pigeons/chat/events?ticket={ticket}")),
        (Method::GET, format!("{path}x")),
        (Method::GET, "/api/v1/chat/staff/events?ticket=".to_owned()),
    ] {
        let status = app.request(method, &path).send().await.unwrap().status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let as_bearer = app.request(Method::GET, "/api/v1/chat/admin/sessions").bearer_auth(&ticket).send().await.unwrap();
    assert_eq!(as_bearer.status(), StatusCode::UNAUTHORIZED, "a ticket is no token");
    // Revoked: the stream ends, and the ticket opens no other.
    mai.post("/api/v1/auth/logout", json!({})).await;
    while events.beat().await.is_some() {}
    assert_eq!(app.get(&path).await.0, StatusCode::UNAUTHORIZED);
    let mai = app.staff("Binh").await;
    let (_, body) = mai.post("/api/v1/chat/staff/events/ticket", json!({})).await;
    let path = format!("/api/v1/chat/staff/events?wait=0&ticket={}", body["data"]["ticket"].as_str().unwrap());
    assert_eq!(app.get(&path).await.0, StatusCode::OK);
    app.clock.advance(std::time::Duration::from_secs(3601));
    assert_eq!(app.get(&path).await.0, StatusCode::UNAUTHORIZED, "it is over");
}

#[tokio::test]
async fn streams_of_one_account_have_a_bound_of_their_own() {
    let app = TestApp::with(|config| config.http.streams_per_user_max = 2).await;
    let (mai, tuan) = (app.staff("Mai").await, app.staff("Tuan").await);
    let held = [mai.follows("").await, mai.follows("").await];
    let refused = app.request(Method::GET, "/api/v1/chat/staff/events").bearer_auth(&mai.token).send().await.unwrap();
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    tuan.follows("").await;
    drop(held);
    app.await_figure("streams", 0.0).await;
    mai.follows("").await;
}
