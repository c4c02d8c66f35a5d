//! Sends of several nodes to the same conversations: their batches meet at the heads.

use std::collections::BTreeMap;
use std::sync::Arc;

use roost::domain::{Conversation, ConversationKind, Event, EventBody, EventId, Message, UserId};
use roost::store::postgres::{PostgresOptions, PostgresStore};
use roost::store::{NewMessage, Store};
use tokio::task::JoinSet;

use crate::support::postgres::{self, Database};
use crate::support::store::{Recorder, assert_dense, at, from_guest, from_staff, live_chat, with_key};

const NODES: usize = 3;
/// One, so that each batch is for several conversations.
const LANES: usize = 1;
const CHATS: usize = 7;
const ROUNDS: usize = 15;

async fn nodes(database: &Database) -> Vec<Arc<PostgresStore>> {
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let url = database.url.clone();
        let options = PostgresOptions { url, fsync: false, lanes: LANES, pool: 4, ..PostgresOptions::default() };
        let heard = Arc::new(Recorder::default());
        nodes.push(Arc::new(PostgresStore::open(&options, heard, at(0)).await.unwrap()));
    }
    nodes
}

async fn chats(store: &PostgresStore) -> Vec<Conversation> {
    let mut chats = Vec::new();
    for number in 0..CHATS {
        chats.push(store.create_conversation(live_chat(&number.to_string())).await.unwrap());
    }
    chats
}

fn messages(log: &[Event]) -> Vec<Arc<Message>> {
    let added = |event: &Event| match &event.body {
        EventBody::MessageAdded(message) => Some(Arc::clone(message)),
        _ => None,
    };
    log.iter().filter_map(added).collect()
}

/// What is right of a conversation's log whoever wrote it.
async fn assert_in_order(store: &PostgresStore, chat: &Conversation) -> Vec<Arc<Message>> {
    let log = store.events(chat.id, EventId::START, 100_000).await.unwrap();
    assert_dense(&log);
    assert!(log.windows(2).all(|pair| pair[0].id < pair[1].id), "ids grow with the numbers");
    assert!(log.windows(2).all(|pair| pair[0].at <= pair[1].at), "time does not go back");
    let head = store.tail(chat.id, 0).await.unwrap().expect("it is there").conversation;
    let last = log.last().expect("somebody wrote");
    assert_eq!((head.head.seq, head.head.event_id), (last.seq, last.id));
    assert_eq!(head.last_activity_at, last.at);
    messages(&log)
}

/// Every node sends all of it at once, each chat's messages one behind the other, and each node to the chats in another
/// order.
async fn send_from_each(
    nodes: &[Arc<PostgresStore>],
    chats: &[Conversation],
    what: fn(&Conversation, usize, usize) -> NewMessage,
) -> usize {
    let mut sends = JoinSet::new();
    for (node, store) in nodes.iter().enumerate() {
        for nth in 0..chats.len() {
            let chat = if node % 2 == 0 { chats[nth].clone() } else { chats[chats.len() - 1 - nth].clone() };
            let store = Arc::clone(store);
            sends.spawn(async move {
                let mut replayed = 0;
                for round in 0..ROUNDS {
                    let sent = store.append(what(&chat, node, round)).await.unwrap();
                    replayed += usize::from(sent.replayed);
                }
                replayed
            });
        }
    }
    sends.join_all().await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_write_to_the_same_conversations_wait_for_each_other() {
    if !postgres::is_there("sends of several nodes") {
        return;
    }
    let database = Database::new().await;
    let nodes = nodes(&database).await;
    let chats = chats(&nodes[0]).await;
    // Each message by its own node's clock, which goes wrong at times.
    send_from_each(&nodes, &chats, |chat, node, round| {
        let instant = at(if round % 5 == 0 { 1000 } else { (node * 100 + round) as i64 });
        let text = format!("{node} {round}");
        let said = if round % 4 == 3 {
            from_staff(chat.id, UserId(3 + node as i64), &text)
        } else {
            from_guest(chat.id, &text)
        };
        NewMessage { at: instant, ..said }
    })
    .await;
    for chat in &chats {
        let messages = assert_in_order(&nodes[0], chat).await;
        assert_eq!(messages.len(), NODES * ROUNDS, "each once");
        for node in 0..NODES {
            let sent = messages.iter().filter(|message| message.text.starts_with(&format!("{node} ")));
            let rounds: Vec<_> = sent.map(|message| message.text[2..].parse::<usize>().unwrap()).collect();
            assert_eq!(rounds, (0..ROUNDS).collect::<Vec<_>>(), "who waits for the answer is answered in order");
        }
        let staff = nodes[0].participants(chat.id).await.unwrap();
        assert_eq!(staff.iter().filter(|one| one.user_id.is_some()).count(), NODES, "each of them joined once");
    }
}

/// A lane's batches hold several for one conversation here, of which some are sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_that_several_nodes_use_at_once_stands_for_one_message() {
    if !postgres::is_there("keys of several nodes") {
        return;
    }
    let database = Database::new().await;
    let nodes = nodes(&database).await;
    let chats = chats(&nodes[0]).await;
    // The author of an account is one whatever the role.
    let replayed = send_from_each(&nodes, &chats, |chat, node, round| {
        let key = format!("key {round}");
        let said = if round % 3 == 0 { from_guest(chat.id, "hello") } else { from_staff(chat.id, UserId(3), "hello") };
        let said = if round % 3 == 1 && node == 1 {
            NewMessage { user_id: Some(UserId(3)), ..from_guest(chat.id, "hello") }
        } else {
            said
        };
        with_key(&key, said)
    })
    .await;
    assert_eq!(replayed, CHATS * ROUNDS * (NODES - 1));
    for chat in &chats {
        let messages = assert_in_order(&nodes[0], chat).await;
        assert_eq!(messages.len(), ROUNDS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_for_one_conversation_are_numbered_in_their_order_whatever_else_the_nodes_write() {
    if !postgres::is_there("batches of several nodes") {
        return;
    }
    let database = Database::new().await;
    let nodes = nodes(&database).await;
    let chats = chats(&nodes[0]).await;
    let mut sends = JoinSet::new();
    for (node, store) in nodes.iter().enumerate() {
        for round in 0..ROUNDS {
            for chat in &chats {
                let (store, chat) = (Arc::clone(store), chat.clone());
                sends.spawn(async move {
                    let said = |part: usize| {
                        let new = from_guest(chat.id, &format!("{node} {round} {part}"));
                        if part == 1 { with_key(&format!("{node} {round}"), new) } else { new }
                    };
                    if round % 2 == 0 {
                        store.append_all((0..3).map(said).collect()).await.unwrap();
                    } else {
                        futures_util::future::try_join_all((0..3).map(|part| store.append(said(part)))).await.unwrap();
                    }
                });
            }
        }
    }
    sends.join_all().await;
    for chat in &chats {
        let messages = assert_in_order(&nodes[0], chat).await;
        assert_eq!(messages.len(), NODES * ROUNDS * 3);
        let mut parts = BTreeMap::<_, Vec<_>>::new();
        for message in &messages {
            let (batch, part) = message.text.rsplit_once(' ').expect("three numbers");
            parts.entry(batch.to_owned()).or_default().push(part.to_owned());
        }
        assert!(parts.values().all(|parts| parts == &["0", "1", "2"]), "{parts:?}");
        assert_eq!(chat.kind, ConversationKind::LiveChat);
    }
}
