//! Presence channels: who is there, who comes, who leaves.

use reqwest::StatusCode;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::pusher::{Backend, Client};

const ROOM: &str = "presence-room";

#[tokio::test]
async fn members_see_each_other_come_and_leave() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let (mut ana, mut rui) = (Client::connect(&app, &acme).await, Client::connect(&app, &acme).await);
    assert_eq!(ana.joins(ROOM, "ana").await, json!({"count": 1, "ids": ["ana"], "hash": {"ana": {"name": "ana"}}}));
    let there = rui.joins(ROOM, "rui").await;
    assert_eq!(there["count"], 2);
    assert_eq!(there["hash"], json!({"ana": {"name": "ana"}, "rui": {"name": "rui"}}));
    let added = json!({"event": "pusher_internal:member_added", "channel": ROOM,
        "data": {"user_id": "rui", "user_info": {"name": "rui"}}});
    assert_eq!(ana.next().await, added);
    // Nobody hears of their own coming.
    assert!(rui.so_far().await.is_empty());
    rui.leaves(ROOM).await;
    let removed = json!({"event": "pusher_internal:member_removed", "channel": ROOM, "data": {"user_id": "rui"}});
    assert_eq!(ana.next().await, removed);
}

#[tokio::test]
async fn only_the_first_and_the_last_connection_of_a_user_are_told() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let mut ana = Client::connect(&app, &acme).await;
    ana.joins(ROOM, "ana").await;
    let (mut phone, mut desk) = (Client::connect(&app, &acme).await, Client::connect(&app, &acme).await);
    phone.joins(ROOM, "7").await;
    desk.asks(ROOM, Some(&json!({"user_id": 7, "user_info": {"name": "another"}}))).await;
    let there = desk.next().await["data"]["presence"].clone();
    assert_eq!(there["count"], 2, "a number is the id that its digits are");
    assert_eq!(ana.next().await["event"], "pusher_internal:member_added");
    drop(phone);
    Backend::new(&app, &acme).tells(ROOM, "sentinel", json!(1)).await;
    assert_eq!(ana.next().await["event"], "sentinel");
    assert_eq!(desk.next().await["event"], "sentinel");
    drop(desk);
    let removed = ana.next().await;
    assert_eq!(
        (&removed["event"], &removed["data"]),
        (&json!("pusher_internal:member_removed"), &json!({"user_id": "7"}))
    );
}

#[tokio::test]
async fn the_backend_sees_who_is_there() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let backend = Backend::new(&app, &acme);
    let (mut ana, mut rui) = (Client::connect(&app, &acme).await, Client::connect(&app, &acme).await);
    ana.joins(ROOM, "ana").await;
    rui.joins(ROOM, "rui").await;
    let (_, users) = backend.get(&format!("channels/{ROOM}/users"), &[]).await;
    let mut ids: Vec<_> = users["users"].as_array().unwrap().iter().map(|user| user["id"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    assert_eq!(ids, ["ana", "rui"]);
    let (_, room) = backend.get(&format!("channels/{ROOM}"), &[("info", "user_count,subscription_count")]).await;
    assert_eq!(room, json!({"occupied": true, "user_count": 2, "subscription_count": 2}));
    let (_, rooms) = backend.get("channels", &[("filter_by_prefix", "presence-"), ("info", "user_count")]).await;
    assert_eq!(rooms, json!({"channels": {ROOM: {"user_count": 2}}}));
}

#[tokio::test]
async fn what_others_would_be_told_has_limits() {
    let app = TestApp::with(|config| config.sockets.members_max = 2).await;
    let acme = app.platform("Acme").await;
    let mut client = Client::connect(&app, &acme).await;
    for (data, status) in [
        (json!({"user_info": {}}), 400),
        (json!({"user_id": null}), 400),
        (json!({"user_id": ["a"]}), 400),
        (json!([]), 400),
        (json!("ana"), 400),
        (json!({"user_id": ""}), 413),
        (json!({"user_id": "a".repeat(129)}), 413),
        (json!({"user_id": "ana", "user_info": {"name": "a".repeat(1100)}}), 413),
    ] {
        client.asks(ROOM, Some(&data)).await;
        assert_eq!(client.is_refused(ROOM).await, status, "{data}");
    }
    client.asks(ROOM, None).await;
    assert_eq!(client.is_refused(ROOM).await, 400);
    client.asks(ROOM, Some(&json!({"user_id": "a".repeat(128)}))).await;
    assert_eq!(client.next().await["event"], "pusher_internal:subscription_succeeded");
    let (mut second, mut third) = (Client::connect(&app, &acme).await, Client::connect(&app, &acme).await);
    second.joins(ROOM, "second").await;
    third.asks(ROOM, Some(&json!({"user_id": "third"}))).await;
    assert_eq!(third.is_refused(ROOM).await, 403);
    // One more connection of who is there is no more member.
    third.joins(ROOM, "second").await;
}

#[tokio::test]
async fn a_conversations_users_see_each_other_through_the_auth_endpoint() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let eve = app.pigeon(&ana.platform, "Eve").await;
    let room = format!("presence-conversation.{conversation}");
    let mut clients = Vec::new();
    for user in [&ana, &rui] {
        let mut client = Client::connect(&app, &ana.platform).await;
        assert_eq!(user.enters(&mut client, &room, &[]).await, StatusCode::OK);
        let there = client.next().await;
        assert_eq!(there["event"], "pusher_internal:subscription_succeeded");
        assert_eq!(there["data"]["presence"]["hash"][user.uuid()], json!({"name": user.user.name, "avatar": null}));
        clients.push(client);
    }
    assert_eq!(clients[0].next().await["data"]["user_id"], rui.uuid());
    assert_eq!(eve.enters(&mut clients[1], &room, &[]).await, StatusCode::FORBIDDEN);
    assert!(app.app.chat.is_online(&ana.platform, &rui.user).await);
    clients.pop();
    assert_eq!(clients[0].next().await["event"], "pusher_internal:member_removed");
    app.is_offline(&ana.platform, &rui.user).await;
    assert!(app.app.chat.is_online(&ana.platform, &ana.user).await);
}
