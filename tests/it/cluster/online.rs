//! Who is there, wherever they are: those who are watched, and the users of a platform.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::node::Nodes;
use crate::support::app::TestApp;
use crate::support::pigeon::Pigeon;
use crate::support::pusher::Client;

fn watched(name: &str, user: &str) -> Value {
    json!({"event": "pusher_internal:watchlist_events", "data": {"events": [{"name": name, "user_ids": [user]}]}})
}

async fn signs_in(client: &mut Client, user: &str, watchlist: &[&str]) {
    client.signs_in(&json!({"id": user, "watchlist": watchlist})).await;
    client.next_of("pusher:signin_success").await;
}

#[tokio::test]
async fn watchers_hear_who_comes_and_leaves_on_any_node() {
    let Some(Nodes { nodes: [one, mut two, three], acme, redis: _redis }) = Nodes::start().await else { return };
    let (mut ana, mut rui) = (Client::connect(&one, &acme).await, Client::connect(&two, &acme).await);
    signs_in(&mut rui, "rui", &[]).await;
    // What a node has is written down in its own time.
    let mut seen = Client::connect(&three, &acme).await;
    signs_in(&mut seen, "seen", &["rui"]).await;
    assert_eq!(seen.next().await, watched("online", "rui"));
    signs_in(&mut ana, "ana", &["rui", "eve"]).await;
    assert_eq!(ana.next().await, watched("online", "rui"));
    let (mut eve, mut again) = (Client::connect(&two, &acme).await, Client::connect(&three, &acme).await);
    signs_in(&mut eve, "eve", &[]).await;
    assert_eq!(ana.next().await, watched("online", "eve"));
    signs_in(&mut again, "eve", &[]).await;
    drop(rui);
    assert_eq!(ana.next().await, watched("offline", "rui"));
    // Eve is on another node, too.
    two.kill();
    drop(again);
    assert_eq!(ana.next().await, watched("offline", "eve"));
    assert_eq!(seen.next().await, watched("offline", "rui"));
}

async fn is_online(app: &TestApp, asks: &Pigeon<'_>, user: &Pigeon<'_>) -> bool {
    let path = format!("/api/v1/pigeons/presence?users={}", user.user.uuid);
    let request = app.request(Method::GET, &path).bearer_auth(&asks.token);
    let request = request.header("x-public-key", asks.platform.key.to_string());
    let (status, told) = crate::support::app::answer(request).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    told["data"][0]["online"].as_bool().expect("a truth")
}

#[tokio::test]
async fn a_user_is_online_wherever_they_are_and_it_is_told_once() {
    let Some(Nodes { nodes: [one, two], acme, redis: _redis }) = Nodes::start().await else { return };
    let (ana, rui) = (one.pigeon(&acme, "Ana").await, one.pigeon(&acme, "Rui").await);
    let platform = format!("private-platform.{}", acme.key);
    let mut watcher = Client::connect(&one, &acme).await;
    watcher.subscribes(&platform).await;
    let on_two = Pigeon { app: &two, platform: acme.clone(), user: rui.user.clone(), token: rui.token.clone() };
    let mut there = Client::connect(&two, &acme).await;
    let own = format!("private-users.{}", rui.user.uuid);
    assert_eq!(on_two.enters(&mut there, &own, &[]).await, StatusCode::OK);
    there.next_of("pusher_internal:subscription_succeeded").await;
    let told = watcher.next_of("user.presence").await;
    assert_eq!((&told["data"]["uuid"], &told["data"]["online"]), (&json!(rui.user.uuid), &json!(true)));
    assert!(is_online(&one, &ana, &rui).await && is_online(&two, &ana, &rui).await);
    assert!(!is_online(&two, &ana, &ana).await);
    // A second connection on the other node, and the end of the first, are no news.
    let mut here = Client::connect(&one, &acme).await;
    assert_eq!(rui.enters(&mut here, &own, &[]).await, StatusCode::OK);
    here.next_of("pusher_internal:subscription_succeeded").await;
    drop(there);
    drop(here);
    let told = watcher.next_of("user.presence").await;
    assert_eq!((&told["data"]["uuid"], &told["data"]["online"]), (&json!(rui.user.uuid), &json!(false)));
    assert!(!is_online(&two, &ana, &rui).await);
}
