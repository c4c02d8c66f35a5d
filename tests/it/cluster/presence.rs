//! Presence channels over nodes: one list, whoever comes and leaves is told once.

use roost::domain::Platform;
use serde_json::{Value, json};

use super::node::Nodes;
use crate::support::app::{TestApp, until_async};
use crate::support::pusher::{Backend, Client};

const ROOM: &str = "presence-room";

fn added(user: &str) -> Value {
    json!({"event": "pusher_internal:member_added", "channel": ROOM,
        "data": {"user_id": user, "user_info": {"name": user}}})
}

fn removed(user: &str) -> Value {
    json!({"event": "pusher_internal:member_removed", "channel": ROOM, "data": {"user_id": user}})
}

/// Waits until so many subscriptions are written down: from then on whoever comes is told of them with the list, and
/// not a moment later.
async fn written(node: &TestApp, acme: &Platform, count: u64) {
    let (backend, path) = (Backend::new(node, acme), format!("channels/{ROOM}"));
    let info = [("info", "subscription_count")];
    until_async(async || backend.get(&path, &info).await.1["subscription_count"] == count).await;
}

#[tokio::test]
async fn members_are_those_of_all_nodes() {
    let Some(Nodes { nodes: [one, two, three], acme, redis: _redis }) = Nodes::start().await else { return };
    let mut ana = Client::connect(&one, &acme).await;
    assert_eq!(ana.joins(ROOM, "ana").await["count"], 1);
    written(&two, &acme, 1).await;
    let mut rui = Client::connect(&two, &acme).await;
    let there = rui.joins(ROOM, "rui").await;
    assert_eq!(there["hash"], json!({"ana": {"name": "ana"}, "rui": {"name": "rui"}}));
    assert_eq!(ana.next().await, added("rui"));
    // Rui's second and third connection are no news, and neither is the end of two of the three.
    let (mut desk, mut phone) = (Client::connect(&one, &acme).await, Client::connect(&three, &acme).await);
    assert_eq!(desk.joins(ROOM, "rui").await["count"], 2);
    assert_eq!(phone.joins(ROOM, "rui").await["ids"], json!(["ana", "rui"]));
    // That nobody leaves is known where it is known who else is there: all have heard what the third node wrote.
    let backend = Backend::new(&three, &acme);
    written(&three, &acme, 4).await;
    backend.tells(ROOM, "written", json!(1)).await;
    for client in [&mut ana, &mut rui, &mut desk, &mut phone] {
        assert_eq!(client.next().await["event"], "written");
    }
    rui.leaves(ROOM).await;
    drop(desk);
    let mut eve = Client::connect(&two, &acme).await;
    assert_eq!(eve.joins(ROOM, "eve").await["count"], 3);
    assert_eq!(ana.next().await, added("eve"));
    drop(phone);
    for other in [&mut ana, &mut eve] {
        assert_eq!(other.next().await, removed("rui"));
    }
    Backend::new(&three, &acme).tells(ROOM, "sentinel", json!(1)).await;
    for other in [&mut ana, &mut eve] {
        assert_eq!(other.next().await["event"], "sentinel", "each was told once");
    }
}

#[tokio::test]
async fn the_count_of_subscriptions_is_that_of_all_nodes() {
    let nodes = Nodes::with(|config| config.pusher.subscription_count = true).await;
    let Some(Nodes { nodes: [one, two], acme, redis: _redis }) = nodes else { return };
    let mut ana = Client::connect(&one, &acme).await;
    ana.subscribes("news").await;
    let count = |count: u64| json!({"event": "pusher_internal:subscription_count", "channel": "news", "data": {"subscription_count": count}});
    assert_eq!(ana.next().await, count(1));
    let mut rui = Client::connect(&two, &acme).await;
    rui.subscribes("news").await;
    assert_eq!(rui.next().await, count(2));
    assert_eq!(ana.next().await, count(2));
    drop(rui);
    assert_eq!(ana.next().await, count(1));
}

#[tokio::test]
async fn who_was_on_a_dead_node_is_removed_once() {
    let Some(Nodes { nodes: [one, mut two, three], acme, redis: _redis }) = Nodes::start().await else { return };
    let (mut ana, mut bo) = (Client::connect(&one, &acme).await, Client::connect(&three, &acme).await);
    ana.joins(ROOM, "ana").await;
    written(&three, &acme, 1).await;
    bo.joins(ROOM, "bo").await;
    assert_eq!(ana.next().await, added("bo"));
    // Rui is on the node that dies alone, and Bo on another one, too.
    let (mut rui, mut again) = (Client::connect(&two, &acme).await, Client::connect(&two, &acme).await);
    rui.joins(ROOM, "rui").await;
    again.joins(ROOM, "bo").await;
    assert_eq!(ana.next().await, added("rui"));
    two.kill();
    for other in [&mut ana, &mut bo] {
        other.next_of("pusher_internal:member_removed").await;
    }
    Backend::new(&one, &acme).tells(ROOM, "sentinel", json!(1)).await;
    assert_eq!(ana.next().await["event"], "sentinel");
    let mut eve = Client::connect(&three, &acme).await;
    assert_eq!(eve.joins(ROOM, "eve").await["ids"], json!(["ana", "bo", "eve"]));
}

#[tokio::test]
async fn who_was_on_a_frozen_node_leaves_and_comes_back_with_it() {
    let Some(Nodes { nodes: [one, mut two], acme, redis: _redis }) = Nodes::start().await else { return };
    let (mut ana, mut rui) = (Client::connect(&one, &acme).await, Client::connect(&two, &acme).await);
    ana.joins(ROOM, "ana").await;
    written(&two, &acme, 1).await;
    rui.joins(ROOM, "rui").await;
    assert_eq!(ana.next().await, added("rui"));
    let frozen = two.freeze();
    assert_eq!(ana.next().await, removed("rui"));
    let mut eve = Client::connect(&one, &acme).await;
    assert_eq!(eve.joins(ROOM, "eve").await["ids"], json!(["ana", "eve"]));
    assert_eq!(ana.next().await, added("eve"));
    drop(frozen);
    assert_eq!(ana.next().await, added("rui"));
    assert_eq!(rui.next_of("pusher_internal:member_added").await, added("eve"));
    let mut late = Client::connect(&two, &acme).await;
    assert_eq!(late.joins(ROOM, "late").await["ids"], json!(["ana", "eve", "late", "rui"]));
}
