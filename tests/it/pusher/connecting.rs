//! Who is let in, and what who is not is told.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::pusher::{Backend, Client, Said, path};

#[tokio::test]
async fn a_client_is_greeted_as_stock_clients_need_it() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let mut client = Client::open(&app, &acme, &path(&acme)).await;
    let hello = client.next().await;
    assert_eq!(hello["event"], "pusher:connection_established");
    assert_eq!(hello["data"]["activity_timeout"], 120);
    let id = hello["data"]["socket_id"].as_str().unwrap();
    let (one, other) = id.split_once('.').unwrap();
    assert!(one.parse::<u32>().is_ok() && other.parse::<u32>().is_ok(), "{id}");
    client.say(json!({"event": "pusher:ping", "data": {}})).await;
    assert_eq!(client.next().await["event"], "pusher:pong");
}

#[tokio::test]
async fn who_cannot_be_let_in_hears_the_code_and_is_closed_with_it() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let known = format!("/app/{}", acme.key);
    for (path, code) in [
        ("/app/00000000-0000-4000-8000-000000000000?protocol=7".to_owned(), 4001),
        ("/app/nobody?protocol=7".to_owned(), 4001),
        ("/app?protocol=7".to_owned(), 4005),
        ("/app/?protocol=7".to_owned(), 4005),
        (format!("{known}/more?protocol=7"), 4005),
        (format!("{known}?protocol=seven"), 4006),
        (format!("{known}?protocol="), 4006),
        (format!("{known}?protocol=8"), 4007),
        (format!("{known}?protocol=0"), 4007),
        (known.clone(), 4008),
        (format!("{known}?client=js"), 4008),
    ] {
        let mut client = Client::open(&app, &acme, &path).await;
        assert_eq!(client.error().await, json!(code), "{path}");
        assert_eq!(client.hear().await, Said::Closed(code), "{path}");
    }
}

#[tokio::test]
async fn a_request_that_is_no_handshake_is_answered_as_http() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    assert_eq!(app.get(&path(&acme)).await.0, StatusCode::UPGRADE_REQUIRED);
    assert_eq!(app.get("/app").await.0, StatusCode::UPGRADE_REQUIRED);
    assert_eq!(app.post(&path(&acme), Value::Null).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn an_event_of_the_backend_reaches_who_subscribed() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let (backend, channel) = (Backend::new(&app, &ana.platform), format!("private-conversation.{conversation}"));
    let mut client = Client::connect(&app, &ana.platform).await;
    assert_eq!(ana.enters(&mut client, &channel, &[]).await, StatusCode::OK);
    assert_eq!(client.next().await["event"], "pusher_internal:subscription_succeeded");
    backend.tells(&channel, "greeting", json!({"hello": "Ana"})).await;
    let want = json!({"event": "greeting", "channel": channel, "data": {"hello": "Ana"}});
    assert_eq!(client.next().await, want);
    assert!(app.app.chat.is_online(&ana.platform, &ana.user).await, "who was authorised is there");
    assert!(!app.app.chat.is_online(&ana.platform, &rui.user).await);
}
