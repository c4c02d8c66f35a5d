//! Redis goes away, is emptied, is frozen: nothing fails meanwhile, and afterwards what is told is true again.

use roost::domain::Platform;
use roost::redis::cmd;
use serde_json::json;

use super::node::Nodes;
use crate::redis::server::Server;
use crate::support::app::{TestApp, until_async};
use crate::support::pusher::{Backend, Client};

const ROOM: &str = "presence-room";

/// Who a backend is told is there, sorted.
async fn users(app: &TestApp, acme: &Platform) -> Vec<String> {
    let (_, told) = Backend::new(app, acme).get(&format!("channels/{ROOM}/users"), &[]).await;
    let ids = told["users"].as_array().expect("a list").iter();
    let mut ids: Vec<_> = ids.map(|user| user["id"].as_str().expect("an id").to_owned()).collect();
    ids.sort();
    ids
}

/// The fields of the nodes that have something in the room.
async fn names(redis: &Server, acme: &Platform) -> Vec<String> {
    let fields: Vec<String> = redis.ask(cmd("HKEYS").arg(format!("roost:{{c/{}/{ROOM}}}:p", acme.id))).await;
    fields.into_iter().filter(|field| field.starts_with("n:")).collect()
}

async fn become_true(app: &TestApp, acme: &Platform, want: &[&str]) {
    until_async(async || users(app, acme).await == want).await;
}

#[tokio::test]
async fn while_redis_is_away_each_node_goes_on_and_then_they_agree_again() {
    let Some(Nodes { nodes: [one, two], acme, mut redis }) = Nodes::start().await else { return };
    let (mut ana, mut rui) = (Client::connect(&one, &acme).await, Client::connect(&two, &acme).await);
    ana.joins(ROOM, "ana").await;
    rui.joins(ROOM, "rui").await;
    ana.next_of("pusher_internal:member_added").await;
    let mut kim = Client::connect(&two, &acme).await;
    kim.joins(ROOM, "kim").await;
    ana.next_of("pusher_internal:member_added").await;
    redis.kill();
    // Each node knows what it knew, and what happens on itself.
    let mut bo = Client::connect(&one, &acme).await;
    assert_eq!(bo.joins(ROOM, "bo").await["ids"], json!(["ana", "bo", "kim", "rui"]));
    assert_eq!(ana.next().await["data"]["user_id"], "bo");
    bo.whispers(ROOM, "client-hello", json!(1)).await;
    assert_eq!(ana.next_of("client-hello").await["data"], 1);
    let mut alone = Client::connect(&two, &acme).await;
    assert_eq!(alone.joins("presence-other", "alone").await["count"], 1);
    rui.leaves(ROOM).await;
    assert_eq!(bo.so_far().await.len(), 0);
    redis.again().await;
    assert_eq!(ana.next_of("pusher_internal:member_removed").await["data"]["user_id"], "rui");
    for node in [&one, &two] {
        become_true(node, &acme, &["ana", "bo", "kim"]).await;
    }
    assert_eq!(kim.next_of("pusher_internal:member_added").await["data"]["user_id"], "bo");
    let mut eve = Client::connect(&two, &acme).await;
    assert_eq!(eve.joins(ROOM, "eve").await["ids"], json!(["ana", "bo", "eve", "kim"]));
    assert_eq!(ana.next().await["data"]["user_id"], "eve");
}

#[tokio::test]
async fn what_is_emptied_is_written_again_and_nobody_seems_to_have_left() {
    let Some(Nodes { nodes: [one, two], acme, redis }) = Nodes::start().await else { return };
    let (mut ana, mut rui) = (Client::connect(&one, &acme).await, Client::connect(&two, &acme).await);
    ana.joins(ROOM, "ana").await;
    become_true(&two, &acme, &["ana"]).await;
    rui.joins(ROOM, "rui").await;
    ana.next_of("pusher_internal:member_added").await;
    redis.ask::<()>(&cmd("FLUSHALL")).await;
    for node in [&one, &two] {
        become_true(node, &acme, &["ana", "rui"]).await;
    }
    // After a lease every node writes once more, and what is not written down by then is over.
    let parts =
        cmd("HMGET").arg(format!("roost:{{c/{}/{ROOM}}}:p", acme.id)).arg(names(&redis, &acme).await).to_owned();
    let before: Vec<String> = redis.ask(&parts).await;
    assert_eq!(before.len(), 2);
    until_async(async || {
        let now: Vec<String> = redis.ask(&parts).await;
        now.iter().zip(&before).all(|(now, before)| now != before)
    })
    .await;
    assert_eq!((ana.so_far().await, rui.so_far().await), (vec![], vec![]));
    rui.leaves(ROOM).await;
    assert_eq!(ana.next().await["event"], "pusher_internal:member_removed");
}

#[tokio::test]
async fn a_frozen_redis_keeps_nobody_waiting_for_long() {
    let Some(Nodes { nodes: [one, two], acme, redis }) = Nodes::start().await else { return };
    let mut ana = Client::connect(&one, &acme).await;
    ana.joins(ROOM, "ana").await;
    redis.freeze();
    for number in 0..3 {
        let mut client = Client::connect(&one, &acme).await;
        client.joins(ROOM, &number.to_string()).await;
        assert_eq!(ana.next().await["data"]["user_id"], number.to_string());
        client.subscribes(&format!("private-{number}")).await;
        client.leaves(ROOM).await;
        ana.next_of("pusher_internal:member_removed").await;
    }
    let mut rui = Client::connect(&two, &acme).await;
    rui.joins(ROOM, "rui").await;
    redis.thaw();
    assert_eq!(ana.next_of("pusher_internal:member_added").await["data"]["user_id"], "rui");
    assert_eq!(rui.next_of("pusher_internal:member_added").await["data"]["user_id"], "ana");
}
