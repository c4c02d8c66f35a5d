//! Events that clients send to each other.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::pusher::{Backend, Client};

#[tokio::test]
async fn the_others_hear_a_whisper_and_its_sender_does_not() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let (mut ana, mut rui) = (Client::connect(&app, &acme).await, Client::connect(&app, &acme).await);
    ana.subscribes("private-a").await;
    rui.subscribes("private-a").await;
    for (data, want) in [(json!({"typing": true}), json!({"typing": true})), (json!("text"), json!("text"))] {
        ana.whispers("private-a", "client-typing", data).await;
        assert_eq!(rui.next().await, json!({"event": "client-typing", "channel": "private-a", "data": want}));
    }
    ana.say(json!({"event": "client-bare", "channel": "private-a"})).await;
    assert_eq!(rui.next().await, json!({"event": "client-bare", "channel": "private-a"}));
    Backend::new(&app, &acme).tells("private-a", "sentinel", json!(1)).await;
    assert_eq!(ana.next().await["event"], "sentinel", "the first that the sender hears");
}

#[tokio::test]
async fn on_a_presence_channel_the_server_says_who_whispers() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let (mut ana, mut rui) = (Client::connect(&app, &acme).await, Client::connect(&app, &acme).await);
    rui.joins("presence-a", "rui").await;
    ana.joins("presence-a", "ana").await;
    ana.say(json!({"event": "client-typing", "channel": "presence-a", "data": {}, "user_id": "rui"})).await;
    let heard = rui.next_of("client-typing").await;
    assert_eq!(heard["user_id"], "ana", "who was authorised, not who they say they are");
}

#[tokio::test]
async fn whispers_have_limits_and_the_connection_stays() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let mut ana = Client::connect(&app, &acme).await;
    // To a whole platform only the server speaks.
    let everybody = format!("private-platform.{}", acme.key);
    for channel in ["private-a", "private-encrypted-a", "public", &everybody] {
        ana.subscribes(channel).await;
    }
    for (channel, event, data) in [
        ("public", "client-x", json!(1)),
        ("private-encrypted-a", "client-x", json!(1)),
        ("private-b", "client-x", json!(1)),
        (&everybody, "client-x", json!(1)),
        ("", "client-x", json!(1)),
        ("private-a", "x", json!(1)),
        ("private-a", "server-event", json!(1)),
        ("private-a", "client-x", json!("a".repeat(10_241))),
        ("private-a", &format!("client-{}", "a".repeat(200)), json!(1)),
    ] {
        ana.whispers(channel, event, data).await;
        assert_eq!(ana.error().await, 4301, "{channel} {event}");
    }
    ana.say(json!({"event": "client-x", "data": 1})).await;
    assert_eq!(ana.error().await, 4301);
    ana.whispers("private-a", "client-x", json!("a".repeat(10_240))).await;
    assert!(ana.so_far().await.is_empty());
}

#[tokio::test]
async fn ten_a_second_are_enough() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let (mut ana, mut rui) = (Client::connect(&app, &acme).await, Client::connect(&app, &acme).await);
    ana.subscribes("private-a").await;
    rui.subscribes("private-a").await;
    for number in 0..100 {
        ana.whispers("private-a", "client-x", json!(number)).await;
    }
    let refused = ana.so_far().await;
    assert!(refused.iter().all(|frame| frame["data"]["code"] == 4301), "{refused:?}");
    // As many as a second may have at once, and some for the time that sending takes.
    assert!((50..=90).contains(&refused.len()), "{} of 100 were refused", refused.len());
    Backend::new(&app, &acme).tells("private-a", "sentinel", json!(1)).await;
    let mut heard = 0;
    while rui.next().await["event"] == "client-x" {
        heard += 1;
    }
    assert_eq!(heard, 100 - refused.len());
}

#[tokio::test]
async fn an_operator_can_switch_them_off() {
    let app = TestApp::with(|config| config.pusher.client_events = false).await;
    let mut ana = Client::connect(&app, &app.platform("Acme").await).await;
    ana.subscribes("private-a").await;
    ana.whispers("private-a", "client-x", Value::Null).await;
    assert_eq!(ana.error().await, 4301);
}
