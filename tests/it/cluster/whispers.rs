//! What clients and backends publish, and what is told and not kept.

use reqwest::{Method, StatusCode};
use roost::chat::Deed;
use roost::domain::EventId;
use serde_json::json;

use super::node::Nodes;
use crate::support::app::{answer, until};
use crate::support::pigeon::Pigeon;
use crate::support::pusher::{Backend, Client};
use crate::support::{left_out, postgres};

#[tokio::test]
async fn a_whisper_goes_to_every_node_and_not_back() {
    let Some(Nodes { nodes: [one, two, three], acme, redis: _redis }) = Nodes::start().await else { return };
    let mut clients = Vec::new();
    for node in [&one, &one, &two, &three] {
        let mut client = Client::connect(node, &acme).await;
        client.subscribes("private-a").await;
        clients.push(client);
    }
    for number in 0..3 {
        clients[0].whispers("private-a", "client-typing", json!(number)).await;
        for client in &mut clients[1..] {
            assert_eq!(client.next().await, json!({"event": "client-typing", "channel": "private-a", "data": number}));
        }
    }
    Backend::new(&three, &acme).tells("private-a", "sentinel", json!(1)).await;
    for client in &mut clients {
        assert_eq!(client.next().await["event"], "sentinel", "the first that the sender hears, and once");
        assert!(client.so_far().await.is_empty());
    }
}

#[tokio::test]
async fn a_backends_event_spares_the_socket_that_it_names_wherever_that_is() {
    let Some(Nodes { nodes: [one, two], acme, redis: _redis }) = Nodes::start().await else { return };
    let (mut ana, mut rui) = (Client::connect(&one, &acme).await, Client::connect(&two, &acme).await);
    ana.subscribes("news").await;
    rui.subscribes("news").await;
    let backend = Backend::new(&two, &acme);
    let event = json!({"name": "spared", "channels": ["news"], "data": "1", "socket_id": ana.id});
    assert_eq!(backend.post("events", &event).await.0, StatusCode::OK);
    let batch = json!({"batch": [{"name": "all", "channel": "news", "data": "2"}]});
    assert_eq!(backend.post("batch_events", &batch).await.0, StatusCode::OK);
    assert_eq!(ana.next().await["event"], "all");
    assert_eq!([rui.next().await["event"].clone(), rui.next().await["event"].clone()], ["spared", "all"]);
}

#[tokio::test]
async fn what_a_channel_keeps_is_kept_for_all() {
    let Some(Nodes { nodes: [one, two], acme, redis: _redis }) = Nodes::start().await else { return };
    let mut ana = Client::connect(&one, &acme).await;
    ana.subscribes("cache-news").await;
    assert_eq!(ana.next().await["event"], "pusher:cache_miss");
    for (node, data) in [(&two, 1), (&one, 2), (&two, 3)] {
        Backend::new(node, &acme).tells("cache-news", "last", json!(data)).await;
        assert_eq!(ana.next().await["data"], data);
        for node in [&one, &two] {
            let mut rui = Client::connect(node, &acme).await;
            rui.subscribes("cache-news").await;
            assert_eq!(rui.next().await["data"], data);
            let (_, channel) = Backend::new(node, &acme).get("channels/cache-news", &[("info", "cache")]).await;
            assert_eq!(channel["cache"]["data"], data.to_string());
        }
    }
}

#[tokio::test]
async fn who_types_is_seen_on_every_node() {
    let Some(Nodes { nodes: [one, two], acme: _, redis: _redis }) = Nodes::start().await else { return };
    let (lan, mai) = (one.guest().await, two.staff("Mai").await);
    let mut desk = mai.follows("").await;
    desk.next_of("resumed").await.unwrap();
    lan.typing().await;
    assert_eq!(desk.next().await.unwrap().data["session_key"], lan.key);
}

#[tokio::test]
async fn the_node_with_the_connection_knows_what_it_brought_about() {
    let Some(Nodes { nodes: [one, two], acme, redis: _redis }) = Nodes::start().await else { return };
    let ana = Client::connect(&one, &acme).await;
    let socket = ana.id.parse().unwrap();
    let (pigeon, rui) = (one.pigeon(&acme, "Ana").await, one.pigeon(&acme, "Rui").await);
    let conversation = pigeon.opens(&rui).await;
    pigeon.says(&conversation, &rui, "hello").await;
    let event = {
        let found = one.app.chat.conversation_named(&conversation).await.unwrap().unwrap();
        one.app.chat.log_page(found.id, EventId::START).await.unwrap().remove(0)
    };
    let deed = Deed::behind(&event).unwrap();
    assert_eq!(one.app.chat.origin_of(&event), None);
    two.app.chat.note_origin(deed, Some(socket));
    until(|| one.app.chat.origin_of(&event) == Some(socket)).await;
    assert_eq!(two.app.chat.origin_of(&event), None, "it has nobody to spare");
}

/// What is in the log goes to every node by the shared store.
#[tokio::test]
async fn a_letter_spares_the_connection_that_it_was_sent_from_wherever_that_is() {
    if !postgres::is_chosen() {
        return left_out("letters over nodes", "the embedded store tells one process; SUITE_STORE=postgres has it");
    }
    let Some(Nodes { nodes: [one, two], acme, redis: _redis }) = Nodes::start().await else { return };
    let (ana, rui) = (one.pigeon(&acme, "Ana").await, one.pigeon(&acme, "Rui").await);
    let conversation = ana.opens(&rui).await;
    let room = format!("private-conversation.{conversation}");
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(&one, &acme).await;
        assert_eq!(ana.enters(&mut client, &room, &[]).await, StatusCode::OK);
        client.next_of("pusher_internal:subscription_succeeded").await;
        clients.push(client);
    }
    let on_two = Pigeon { app: &two, platform: acme.clone(), user: ana.user.clone(), token: ana.token.clone() };
    for number in 0..3 {
        let body = ana.message(&conversation, &rui, &number.to_string());
        let sent = on_two.request(Method::POST, "messages").header("X-Socket-ID", &clients[0].id).json(&body);
        assert_eq!(answer(sent).await.0, StatusCode::CREATED);
        assert_eq!(clients[1].next().await["event"], "message.sent");
    }
    assert!(clients[0].so_far().await.is_empty());
}

/// Whoever balances the load may send a client's request for a signature to another node than its connection: what it
/// missed comes all the same.
#[tokio::test]
async fn who_comes_back_is_told_what_was_missed_whichever_node_authorised_it() {
    if !postgres::is_chosen() {
        return left_out("letters over nodes", "the embedded store tells one process; SUITE_STORE=postgres has it");
    }
    let Some(Nodes { nodes: [one, two], acme, redis: _redis }) = Nodes::start().await else { return };
    let (ana, rui) = (one.pigeon(&acme, "Ana").await, one.pigeon(&acme, "Rui").await);
    let conversation = ana.opens(&rui).await;
    let room = format!("private-conversation.{conversation}");
    for text in ["one", "two", "three"] {
        ana.says(&conversation, &rui, text).await;
    }
    let mut client = Client::connect(&two, &acme).await;
    assert_eq!(rui.enters(&mut client, &room, &[("since", "0")]).await, StatusCode::OK);
    for text in ["one", "two", "three"] {
        let told = client.next_of("message.sent").await;
        assert_eq!(told["data"]["context"]["text"], text, "{told}");
    }
}
