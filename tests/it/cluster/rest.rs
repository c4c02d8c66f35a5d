//! What an app's backend asks and is told: of all nodes, and once.

use std::time::Instant;

use reqwest::{Method, StatusCode};
use roost::domain::Witness;
use serde_json::{Value, json};

use super::node::{Node, Nodes};
use crate::support::app::{PATIENCE, until_async};
use crate::support::pusher::{Backend, Client};
use crate::support::receiver::Receiver;

#[tokio::test]
async fn channels_are_those_of_all_nodes() {
    let Some(Nodes { nodes: [one, two], acme, redis: _redis }) = Nodes::start().await else { return };
    let (mut ana, mut rui) = (Client::connect(&one, &acme).await, Client::connect(&two, &acme).await);
    ana.joins("presence-a", "ana").await;
    rui.joins("presence-a", "rui").await;
    rui.joins("presence-b", "rui").await;
    rui.subscribes("private-only-two").await;
    let mut again = Client::connect(&two, &acme).await;
    again.joins("presence-a", "ana").await;
    // What a node has is written down in its own time.
    let seen = async |node: &Node| {
        let backend = Backend::new(node, &acme);
        let info = [("filter_by_prefix", "presence-"), ("info", "user_count,subscription_count")];
        let (_, rooms) = backend.get("channels", &info).await;
        let (_, all) = backend.get("channels", &[]).await;
        let (_, room) = backend.get("channels/presence-a", &[("info", "user_count,subscription_count")]).await;
        let (_, other) = backend.get("channels/private-only-two", &[]).await;
        let (_, users) = backend.get("channels/presence-a/users", &[]).await;
        let (_, count) = backend.get("connections", &[]).await;
        json!([rooms["channels"], all["channels"], room, other, users["users"], count])
    };
    let want = json!([
        {"presence-a": {"user_count": 2, "subscription_count": 3}, "presence-b": {"user_count": 1, "subscription_count": 1}},
        {"presence-a": {}, "presence-b": {}, "private-only-two": {}},
        {"occupied": true, "user_count": 2, "subscription_count": 3},
        {"occupied": true},
        [{"id": "ana"}, {"id": "rui"}],
        {"connections": 3},
    ]);
    for node in [&one, &two] {
        become_true(async || seen(node).await, &want).await;
    }
    drop((rui, again));
    let want = json!([
        {"presence-a": {"user_count": 1, "subscription_count": 1}},
        {"presence-a": {}},
        {"occupied": true, "user_count": 1, "subscription_count": 1},
        {"occupied": false},
        [{"id": "ana"}],
        {"connections": 1},
    ]);
    for node in [&two, &one] {
        become_true(async || seen(node).await, &want).await;
    }
}

async fn become_true(look: impl AsyncFn() -> Value, want: &Value) {
    let began = Instant::now();
    until_async(async || {
        let found = look().await;
        assert!(began.elapsed() < PATIENCE / 2 || found == *want, "{found} stays in the place of {want}");
        found == *want
    })
    .await;
}

#[tokio::test]
async fn a_users_connections_end_on_all_nodes() {
    let Some(Nodes { nodes: [one, two], acme, redis: _redis }) = Nodes::start().await else { return };
    let mut clients = Vec::new();
    for node in [&one, &two] {
        for user in ["eve", "ana"] {
            let mut client = Client::connect(node, &acme).await;
            client.signs_in(&json!({"id": user})).await;
            client.next_of("pusher:signin_success").await;
            clients.push(client);
        }
    }
    let (status, _) = Backend::new(&two, &acme).post("users/eve/terminate_connections", &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let [eve, ana, also_eve, also_ana] = &mut clients[..] else { panic!("four") };
    for client in [eve, also_eve] {
        assert_eq!(client.closed().await, 4009);
    }
    for client in [ana, also_ana] {
        assert!(client.so_far().await.is_empty());
    }
}

#[tokio::test]
async fn a_backend_is_told_once_of_what_only_all_nodes_together_know() {
    let Some(Nodes { nodes: [one, two], acme, redis: _redis }) = Nodes::start().await else { return };
    let receiver = Receiver::start().await;
    let backend = one.pigeon_who(&acme, "backend", false, &["events"]).await;
    let hook = json!({"url": receiver.url, "form": "pusher"});
    let (status, _) = backend.send(Method::POST, "/api/v1/webhooks", hook).await;
    assert_eq!(status, StatusCode::CREATED);
    let turn = async || {
        for node in [&one, &two] {
            node.app.outbox.turn().await.expect("a turn");
        }
        let heard = receiver.heard();
        let events = heard.iter().flat_map(|heard| heard.json()["events"].as_array().cloned().unwrap_or_default());
        json!(events.collect::<Vec<_>>())
    };
    until_async(async || {
        turn().await;
        two.app.outbox.wants(acme.id)
    })
    .await;
    let (mut ana, mut again) = (Client::connect(&one, &acme).await, Client::connect(&two, &acme).await);
    ana.joins("presence-a", "ana").await;
    let occupied = json!({"name": "channel_occupied", "channel": "presence-a"});
    let added = json!({"name": "member_added", "channel": "presence-a", "user_id": "ana"});
    become_true(&turn, &json!([occupied, added])).await;
    // From one node to the other and back, as when a page is changed behind a load balancer.
    again.joins("presence-a", "ana").await;
    ana.leaves("presence-a").await;
    ana.joins("presence-a", "ana").await;
    again.leaves("presence-a").await;
    let mut rui = Client::connect(&two, &acme).await;
    rui.joins("presence-a", "rui").await;
    let rui_added = json!({"name": "member_added", "channel": "presence-a", "user_id": "rui"});
    become_true(&turn, &json!([occupied, added, rui_added])).await;
    drop(ana);
    let removed = |user: &str| json!({"name": "member_removed", "channel": "presence-a", "user_id": user});
    become_true(&turn, &json!([occupied, added, rui_added, removed("ana")])).await;
    drop(rui);
    let vacated = json!({"name": "channel_vacated", "channel": "presence-a"});
    become_true(&turn, &json!([occupied, added, rui_added, removed("ana"), removed("rui"), vacated])).await;
}
