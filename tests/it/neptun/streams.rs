//! A user follows their chats over all tabs.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::{TestApp, whole_answer};

#[tokio::test]
async fn every_tab_sees_what_another_does() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let other = lan.elsewhere().await;
    let old = lan.chat("Old").await;
    let mut events = other.follows("").await;
    assert_eq!(events.next().await.unwrap().event, "resumed");
    let chats = events.next().await.unwrap();
    assert_eq!((chats.event.as_str(), chats.id, chats.data), ("chats", None, json!({"chatIds": [old]})));
    let new = lan.chat("New").await;
    let created = events.next().await.unwrap();
    assert_eq!(
        (created.event.as_str(), &created.data["chat"]["id"], &created.data["chat"]["name"]),
        ("chatCreated", &json!(new), &json!("New"))
    );
    let said = lan.says(new, "user", "hello").await;
    let added = events.next().await.unwrap();
    assert_eq!(
        (added.event.as_str(), &added.data, added.id),
        ("messageAdded", &json!({"chatMessage": said}), said["id"].as_i64())
    );
    lan.send(Method::PATCH, &lan.path(&format!("/chats/{new}")), json!({"name": "Renamed"})).await;
    let changed = events.next().await.unwrap();
    assert_eq!((changed.event.as_str(), &changed.data["chat"]["name"]), ("chatChanged", &json!("Renamed")));
    lan.delete(&format!("{}/last", lan.messages(new))).await;
    let deleted = events.next().await.unwrap();
    assert_eq!(
        (deleted.event.as_str(), deleted.data),
        ("messageDeleted", json!({"id": said["id"], "chat_conversation_id": new}))
    );
    lan.asks("google/gemma-2-27b-it", Some(old), json!([{"role": "user", "content": "hi"}]))
        .await
        .text()
        .await
        .unwrap();
    let (asked, begun) = (events.next().await.unwrap(), events.next().await.unwrap());
    assert_eq!((begun.event.as_str(), &begun.data["state"]), ("runChanged", &json!("running")));
    assert_eq!(begun.data["chat_conversation_id"], json!(old));
    let told = events.next().await.unwrap();
    assert_eq!((told.event.as_str(), &told.data["start"]), ("runText", &json!(0)));
    let answered = events.next_of("messageAdded").await.unwrap();
    let ended = events.next().await.unwrap();
    assert_eq!((ended.event.as_str(), &ended.data["state"]), ("runChanged", &json!("completed")));
    assert_eq!(
        (&asked.data["chatMessage"]["message"], &answered.data["chatMessage"]["actor"]),
        (&json!("hi"), &json!("assistant"))
    );
    lan.delete(&lan.path(&format!("/chats/{new}"))).await;
    let gone = events.next().await.unwrap();
    assert_eq!((gone.event.as_str(), gone.data), ("chatDeleted", json!({"id": new})));
}

/// Also of chats that were made and removed meanwhile, which the log does not keep.
#[tokio::test]
async fn who_comes_back_knows_all_that_happened() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (kept, removed) = (lan.chat("Kept").await, lan.chat("Removed").await);
    let (_, headers, _) = whole_answer(lan.request(Method::GET, &lan.path("/chats"))).await;
    let cursor = headers["event-cursor"].to_str().unwrap().to_owned();
    lan.says(kept, "user", "one").await;
    lan.says(removed, "user", "two").await;
    lan.delete(&lan.path(&format!("/chats/{removed}"))).await;
    let made = lan.chat("Made").await;
    lan.says(made, "user", "three").await;
    let mut events = lan.follows(&format!("?lastEventId={cursor}")).await;
    let chats = events.next_of("chats").await.unwrap();
    assert_eq!(chats.data, json!({"chatIds": [kept, made]}));
    for (chat, text) in [(kept, "one"), (made, "three")] {
        let added = events.next().await.unwrap();
        let message = &added.data["chatMessage"];
        assert_eq!((&message["chat_conversation_id"], &message["message"]), (&json!(chat), &json!(text)));
    }
    let (_, headers, _) = whole_answer(lan.request(Method::GET, &lan.messages(kept))).await;
    let (_, polled) =
        lan.get(&lan.path(&format!("/chats/events?wait=0&since={}", headers["event-cursor"].to_str().unwrap()))).await;
    assert_eq!(polled["events"], json!([{"id": null, "event": "chats", "data": {"chatIds": [kept, made]}}]));
}

#[tokio::test]
async fn only_ones_own_and_only_while_signed_in() {
    let app = TestApp::with(|config| config.http.streams_recheck_s = 1).await;
    let (lan, eve) = (app.member("Lan").await, app.member("Eve").await);
    assert_eq!(eve.get(&lan.path("/chats/events")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(app.get(&lan.path("/chats/events")).await.0, StatusCode::UNAUTHORIZED);
    let (hers, his) = (lan.chat("Hers").await, eve.chat("His").await);
    let mut events = eve.follows("?since=0").await;
    lan.says(hers, "user", "a secret").await;
    eve.says(his, "user", "no secret").await;
    assert_eq!(events.next_of("messageAdded").await.unwrap().data["chatMessage"]["message"], "no secret");
    eve.post("/api/auth/logout", json!({})).await;
    while events.beat().await.is_some() {}
}
