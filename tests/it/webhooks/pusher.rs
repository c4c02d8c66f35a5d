//! Pusher's form: what happens on a platform's channels, as Pusher's own webhooks tell it.

use reqwest::Method;
use roost::domain::{Happened, Witness};
use serde_json::{Value, json};

use super::{Backend, HOOKS, server};
use crate::support::app::PATIENCE;
use crate::support::pusher::Client;
use crate::support::receiver::{Answer, Receiver};

#[tokio::test]
async fn a_pusher_app_is_told_in_pushers_form_signed_with_its_secret() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let backend = Backend::of(&ana).await;
    let (outbox, platform) = (&app.app.outbox, &ana.platform);
    assert!(!outbox.wants(platform.id));
    let (status, added) = backend.send(Method::POST, HOOKS, &json!({"url": receiver.url, "form": "pusher"})).await;
    assert_eq!((status.as_u16(), &added["data"]["secret"]), (201, &Value::Null), "the platform's secret signs");
    assert!(outbox.wants(platform.id));
    let (channel, user_id) = ("presence-a".to_owned(), "7".to_owned());
    let said = Happened::ClientEvent {
        channel: channel.clone(),
        event: "client-typing".to_owned(),
        data: Some("{\"a\":1}".to_owned()),
        socket_id: "1.2".to_owned(),
        user_id: Some(user_id.clone()),
    };
    for what in [
        Happened::ChannelOccupied { channel: channel.clone() },
        Happened::MemberAdded { channel: channel.clone(), user_id: user_id.clone() },
        said,
        Happened::SubscriptionCount { channel: channel.clone(), count: 2 },
        Happened::MemberRemoved { channel: channel.clone(), user_id },
        Happened::ChannelVacated { channel },
    ] {
        app.app.outbox.saw(platform.id, what);
    }
    // Events of the log are the other form's.
    ana.says(&conversation, &rui, "hello").await;
    app.crank().await;
    let heard = receiver.heard();
    let events: Vec<_> = heard.iter().map(|heard| heard.json()["events"][0].clone()).collect();
    let want = [
        json!({"name": "channel_occupied", "channel": "presence-a"}),
        json!({"name": "member_added", "channel": "presence-a", "user_id": "7"}),
        json!({"name": "client_event", "channel": "presence-a", "event": "client-typing", "data": "{\"a\":1}",
            "socket_id": "1.2", "user_id": "7"}),
        json!({"name": "subscription_count", "channel": "presence-a", "subscription_count": 2}),
        json!({"name": "member_removed", "channel": "presence-a", "user_id": "7"}),
        json!({"name": "channel_vacated", "channel": "presence-a"}),
    ];
    assert_eq!(events, want);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, platform.secret.as_bytes());
    for heard in &heard {
        let tag = ring::hmac::sign(&key, &heard.body);
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(heard.header("x-pusher-signature"), Some(hex.as_str()));
        assert_eq!(heard.header("x-pusher-key"), Some(platform.key.to_string().as_str()));
        assert!(heard.json()["time_ms"].as_i64().unwrap() > 1_600_000_000_000);
        assert!(heard.header("webhook-signature").is_none());
    }
    let id = added["data"]["id"].as_i64().unwrap();
    assert_eq!(backend.send(Method::POST, &format!("{HOOKS}/{id}/rotate"), &json!({})).await.0.as_u16(), 422);
}

#[tokio::test]
async fn pushers_form_is_repeated_for_five_minutes() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, _, _) = app.pair().await;
    let backend = Backend::of(&ana).await;
    let body = json!({"url": receiver.url, "form": "pusher", "types": ["cache_miss"]});
    assert_eq!(backend.send(Method::POST, HOOKS, &body).await.0.as_u16(), 201);
    receiver.answers(|_| Answer::Status(500));
    app.app.outbox.saw(ana.platform.id, Happened::ChannelOccupied { channel: "cache-a".to_owned() });
    app.app.outbox.saw(ana.platform.id, Happened::CacheMiss { channel: "cache-a".to_owned() });
    for _ in 0..60 {
        app.crank().await;
        app.waits(10).await;
    }
    let tries = receiver.heard();
    assert!((4..=7).contains(&tries.len()), "{} tries", tries.len());
    assert!(tries.iter().all(|heard| heard.body == tries[0].body), "each says the same");
    assert_eq!(app.figure("webhook_given_up_total").await as u64, 1);
}

#[tokio::test]
async fn what_clients_do_on_their_sockets_is_told() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, _, _) = app.pair().await;
    let body = json!({"url": receiver.url, "form": "pusher", "types": ["channel_occupied"]});
    assert_eq!(Backend::of(&ana).await.send(Method::POST, HOOKS, &body).await.0.as_u16(), 201);
    let mut client = Client::connect(&app, &ana.platform).await;
    client.subscribes("lobby").await;
    let began = std::time::Instant::now();
    while receiver.heard().is_empty() {
        assert!(began.elapsed() < PATIENCE, "nobody was told");
        app.crank().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(receiver.heard()[0].json()["events"], json!([{"name": "channel_occupied", "channel": "lobby"}]));
}
