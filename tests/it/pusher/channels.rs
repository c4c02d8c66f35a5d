//! Subscribing, leaving, and what the kinds of channels are for.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::pusher::{Backend, Client};

#[tokio::test]
async fn a_private_channel_wants_a_signature_for_this_socket_and_this_channel() {
    let app = TestApp::start().await;
    let (acme, other) = (app.platform("Acme").await, app.platform("Other").await);
    let mut client = Client::connect(&app, &acme).await;
    let mut neighbour = Client::connect(&app, &acme).await;
    let sign = |secret: &str, key: &str, socket: &str, channel: &str| {
        format!("{key}:{}", roost::http::signature::subscription(secret, socket, channel, None))
    };
    let (key, id) = (acme.key.to_string(), client.id.clone());
    let good = sign(&acme.secret, &key, &id, "private-a");
    for auth in [
        json!(null),
        json!(""),
        json!(":"),
        json!(key),
        json!(good.replace(&key, &other.key.to_string())),
        json!(sign(&other.secret, &key, &id, "private-a")),
        json!(sign(&acme.secret, &key, &neighbour.id, "private-a")),
        json!(sign(&acme.secret, &key, &id, "private-b")),
        json!(format!("{good}0")),
    ] {
        client.say(json!({"event": "pusher:subscribe", "data": {"channel": "private-a", "auth": auth}})).await;
        assert_eq!(client.is_refused("private-a").await, 401, "{auth}");
    }
    client.say(json!({"event": "pusher:subscribe", "data": {"channel": "private-a", "auth": good}})).await;
    assert_eq!(client.next().await["event"], "pusher_internal:subscription_succeeded");
    // Nobody loses the connection, or another channel, over a refused one.
    assert_eq!(client.subscribes("private-b").await, json!({}));
    assert_eq!(neighbour.subscribes("news").await, json!({}));
}

#[tokio::test]
async fn data_may_be_an_object_or_its_text() {
    let app = TestApp::start().await;
    let mut client = Client::connect(&app, &app.platform("Acme").await).await;
    let text = json!({"channel": "news", "auth": "", "more": 1}).to_string();
    client.say(json!({"event": "pusher:subscribe", "data": text})).await;
    assert_eq!(client.next().await["channel"], "news");
    // Again is told, and changes nothing.
    client.say(json!({"event": "pusher:subscribe", "data": {"channel": "news"}})).await;
    assert_eq!(client.error().await, Value::Null);
    client.say(json!({"event": "pusher:unsubscribe", "data": r#"{"channel":"news"}"#})).await;
    client.leaves("news").await;
    client.leaves("never-there").await;
    assert_eq!(client.subscribes("news").await, json!({}));
}

#[tokio::test]
async fn who_left_hears_nothing_more() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let backend = Backend::new(&app, &acme);
    let mut client = Client::connect(&app, &acme).await;
    client.subscribes("news").await;
    client.subscribes("other").await;
    backend.tells("news", "first", json!(1)).await;
    assert_eq!(client.next().await["event"], "first");
    client.leaves("news").await;
    assert!(client.so_far().await.is_empty());
    backend.tells("news", "second", json!(2)).await;
    backend.tells("other", "third", json!(3)).await;
    assert_eq!(client.next().await["event"], "third");
    assert_eq!(backend.get("channels/news", &[]).await.1, json!({"occupied": false}));
}

#[tokio::test]
async fn one_app_hears_nothing_of_another() {
    let app = TestApp::start().await;
    let (acme, other) = (app.platform("Acme").await, app.platform("Other").await);
    let (mut ours, mut theirs) = (Client::connect(&app, &acme).await, Client::connect(&app, &other).await);
    ours.subscribes("news").await;
    theirs.subscribes("news").await;
    Backend::new(&app, &acme).tells("news", "ours", json!(1)).await;
    Backend::new(&app, &other).tells("news", "theirs", json!(1)).await;
    assert_eq!(ours.next().await["event"], "ours");
    assert_eq!(theirs.next().await["event"], "theirs");
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let app = TestApp::with(|config| config.sockets.messages_burst = 20_000).await;
    let mut client = Client::connect(&app, &app.platform("Acme").await).await;
    for name in ["", "a b", "private-a/b", "é", "#news", "#server-to-user-", &"a".repeat(165)] {
        client.say(json!({"event": "pusher:subscribe", "data": {"channel": name}})).await;
        assert_eq!(client.is_refused(name).await, 400, "{name}");
    }
    // A name of 10 KB is not repeated whole.
    client.say(json!({"event": "pusher:subscribe", "data": {"channel": "a".repeat(10_240)}})).await;
    let refused = client.next().await;
    assert_eq!(refused["event"], "pusher:subscription_error");
    assert!(refused["channel"].as_str().unwrap().len() < 1000);
    client.subscribes(&"a".repeat(164)).await;
}

#[tokio::test]
async fn ten_thousand_channels_are_more_than_one_may_have() {
    let app = TestApp::with(|config| config.sockets.messages_burst = 20_000).await;
    let acme = app.platform("Acme").await;
    let max = app.config.sockets.channels_per_socket_max;
    let mut client = Client::connect(&app, &acme).await;
    let mut counts = (0, 0);
    for batch in 0..20 {
        for number in 0..500 {
            let channel = format!("channel-{batch}-{number}");
            client.say(json!({"event": "pusher:subscribe", "data": {"channel": channel}})).await;
        }
        for _ in 0..500 {
            match client.next().await["event"].as_str().unwrap() {
                "pusher_internal:subscription_succeeded" => counts.0 += 1,
                "pusher:subscription_error" => counts.1 += 1,
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!(counts, (max, 10_000 - max));
    client.leaves("channel-0-0").await;
    client.subscribes("one-more").await;
    assert_eq!(Backend::new(&app, &acme).get("channels", &[]).await.1["channels"].as_object().unwrap().len(), max);
}

#[tokio::test]
async fn a_cache_channel_tells_its_last_event_to_who_comes() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let backend = Backend::new(&app, &acme);
    for channel in ["cache-price", "private-cache-price", "private-encrypted-cache-price"] {
        let mut first = Client::connect(&app, &acme).await;
        first.subscribes(channel).await;
        let miss = first.next().await;
        assert_eq!((&miss["event"], &miss["channel"]), (&json!("pusher:cache_miss"), &json!(channel)));
        backend.tells(channel, "price", json!(1)).await;
        backend.tells(channel, "price", json!(2)).await;
        assert_eq!(first.next().await["data"], 1);
        assert_eq!(first.next().await["data"], 2);
        let mut second = Client::connect(&app, &acme).await;
        second.subscribes(channel).await;
        assert_eq!(second.next().await, json!({"event": "price", "channel": channel, "data": 2}));
        let (status, told) = backend.get(&format!("channels/{channel}"), &[("info", "cache,subscription_count")]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(told, json!({"occupied": true, "subscription_count": 2, "cache": {"data": "2"}}));
    }
    // It is kept also when nobody was there to hear it.
    backend.tells("cache-alone", "price", json!(3)).await;
    let mut late = Client::connect(&app, &acme).await;
    late.subscribes("cache-alone").await;
    assert_eq!(late.next().await["data"], 3);
    assert_eq!(late.joins("presence-cache-room", "ana").await["count"], 1);
    assert_eq!(late.next().await["event"], "pusher:cache_miss");
}

#[tokio::test]
async fn what_is_encrypted_passes_through_as_it_is() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let mut client = Client::connect(&app, &acme).await;
    client.asks("private-encrypted-safe", None).await;
    client.next_of("pusher_internal:subscription_succeeded").await;
    let sealed = json!({"nonce": "AAAA", "ciphertext": "BBBB"});
    Backend::new(&app, &acme).tells("private-encrypted-safe", "secret", sealed.clone()).await;
    assert_eq!(client.next().await["data"], sealed);
    client.say(json!({"event": "pusher:subscribe", "data": {"channel": "private-encrypted-other"}})).await;
    assert_eq!(client.is_refused("private-encrypted-other").await, 401);
}

#[tokio::test]
async fn subscribers_are_counted_where_the_operator_wants_it() {
    let app = TestApp::with(|config| config.pusher.subscription_count = true).await;
    let acme = app.platform("Acme").await;
    let (mut one, mut other) = (Client::connect(&app, &acme).await, Client::connect(&app, &acme).await);
    one.subscribes("news").await;
    let count = json!({"event": "pusher_internal:subscription_count", "channel": "news",
        "data": {"subscription_count": 1}});
    assert_eq!(one.next().await, count);
    other.subscribes("news").await;
    assert_eq!(one.next().await["data"]["subscription_count"], 2);
    assert_eq!(other.next().await["data"]["subscription_count"], 2);
    other.leaves("news").await;
    assert_eq!(one.next().await, count);
}
