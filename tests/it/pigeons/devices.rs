//! Devices: registered for push, and counted.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::TestApp;

#[tokio::test]
async fn a_device_is_registered_once_and_removed() {
    let app = TestApp::start().await;
    let (ana, rui, _) = app.pair().await;
    let token = "dEv:ice/to ken+1%";
    let body = json!({
        "token": token, "platform": "android", "device": {"type": "mobile", "os": "Android", "unknown": "left out"},
    });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (status, told) = ana.post("devices", body.clone()).await;
        assert_eq!(status, StatusCode::CREATED, "{told}");
        ids.push(told["data"]["id"].as_str().unwrap().to_owned());
        let data = json!({"id": ids.last(), "token": token, "platform": "android"});
        assert_eq!(told, json!({"message": "Device token registrado", "data": data}));
    }
    assert_ne!(ids[0], ids[1], "it was made anew");
    let held = app.app.store.push_devices(ana.user.id).await.unwrap();
    assert_eq!((held.len(), held[0].device.as_ref().unwrap().0.as_str()), (1, r#"{"type":"mobile","os":"Android"}"#));
    let path = "devices/dEv%3Aice%2Fto%20ken%2B1%25";
    let removed = (StatusCode::OK, json!({"message": "Device token removido"}));
    assert_eq!(rui.delete(path).await, removed, "somebody else's is none of one's own");
    assert_eq!(app.app.store.push_devices(ana.user.id).await.unwrap().len(), 1);
    assert_eq!(ana.delete(path).await, removed);
    assert!(app.app.store.push_devices(ana.user.id).await.unwrap().is_empty());
    assert_eq!(ana.delete(path).await, removed);
    // The text is the same in every language.
    let (status, told) = ana.post("devices", json!({"token": "x", "platform": "web"})).await;
    assert_eq!((status, &told["message"]), (StatusCode::CREATED, &json!("Device token registrado")));
    assert!(app.app.store.push_devices(ana.user.id).await.unwrap()[0].device.is_none());
}

#[tokio::test]
async fn messages_are_counted_by_what_they_were_written_on() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    assert_eq!(ana.get("stats/devices").await, (StatusCode::OK, json!({"data": []})));
    for (kind, count) in [("mobile", 3), ("web", 2), ("desktop", 1)] {
        for _ in 0..count {
            let mut body = ana.message(&conversation, &rui, "hello");
            body["device"]["type"] = json!(kind);
            assert_eq!(ana.post("messages", body).await.0, StatusCode::CREATED);
        }
    }
    let gone = rui.says(&conversation, &ana, "gone").await;
    rui.send(Method::DELETE, &format!("messages/{gone}"), json!({})).await;
    let want =
        json!({"data": [{"_id": "mobile", "count": 3}, {"_id": "web", "count": 2}, {"_id": "desktop", "count": 1}]});
    for user in [&ana, &rui] {
        assert_eq!(user.get("stats/devices").await, (StatusCode::OK, want.clone()));
    }
}
