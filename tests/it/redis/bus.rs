//! The bus: what one node publishes the others hear, and whatever is lost is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use roost::realtime::bus::{Bus, Ears};
use roost::realtime::bus_redis::{BusBounds, RedisBus};
use roost::redis::{Redis, RedisOptions, cmd};

use super::server::{Cluster, Server};
use crate::support::app::until;

/// What a node heard.
#[derive(Default)]
struct Heard {
    messages: Mutex<Vec<(String, Vec<u8>)>>,
    disturbed: AtomicUsize,
    away: AtomicUsize,
}

impl Ears for Heard {
    fn heard(&self, topic: &str, message: &[u8]) {
        self.messages.lock().unwrap().push((topic.to_owned(), message.to_vec()));
    }

    fn disturbed(&self) {
        self.disturbed.fetch_add(1, Ordering::SeqCst);
    }

    fn away(&self) {
        self.away.fetch_add(1, Ordering::SeqCst);
    }
}

/// A node's bus with its ears.
struct Node {
    bus: RedisBus,
    heard: Arc<Heard>,
}

const BOUNDS: BusBounds = BusBounds { messages_max: 65_536, bytes_max: 64 << 20 };

impl Node {
    async fn start(url: &str) -> Self {
        Self::bounded(url, BOUNDS).await
    }

    async fn bounded(url: &str, bounds: BusBounds) -> Self {
        let options = RedisOptions::new(url, "t", Duration::from_millis(500)).expect("an address");
        let heard = Arc::new(Heard::default());
        let bus = RedisBus::start(&Redis::open(options), bounds, Arc::clone(&heard) as Arc<dyn Ears>);
        let node = Self { bus, heard };
        until(|| node.bus.is_up() && node.disturbed() == 1).await;
        node
    }

    fn disturbed(&self) -> usize {
        self.heard.disturbed.load(Ordering::SeqCst)
    }

    fn away(&self) -> usize {
        self.heard.away.load(Ordering::SeqCst)
    }

    async fn follows(&self, topics: &[&str]) {
        for topic in topics {
            assert!(self.bus.subscribe(topic).await, "{topic}");
        }
    }

    fn says(&self, topic: &str, message: impl Into<Bytes>) {
        self.bus.publish(topic, message.into());
    }

    /// What was heard of a topic, in order.
    fn of(&self, topic: &str) -> Vec<Vec<u8>> {
        let messages = self.heard.messages.lock().unwrap();
        messages.iter().filter(|(of, _)| of == topic).map(|(_, message)| message.clone()).collect()
    }

    async fn hears(&self, topic: &str, message: &[u8]) {
        until(|| self.of(topic).iter().any(|heard| heard == message)).await;
    }

    fn count(&self) -> usize {
        self.heard.messages.lock().unwrap().len()
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range.map(|number| number.to_be_bytes().to_vec()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_after_the_acknowledgement_is_heard_by_all_in_order() {
    let Some(server) = Server::start().await else { return };
    let (a, b) = (Node::start(&server.url()).await, Node::start(&server.url()).await);
    a.follows(&["one", "two"]).await;
    b.follows(&["one"]).await;
    let numbers = numbers(0..5000);
    for number in &numbers {
        a.says("one", number.clone());
        b.says("two", number.clone());
    }
    until(|| a.count() == 10_000 && b.count() == 5000).await;
    assert_eq!((a.of("one"), a.of("two"), b.of("one")), (numbers.clone(), numbers.clone(), numbers));
    assert_eq!((a.bus.lost(), b.bus.lost()), (0, 0));
    assert_eq!((a.disturbed(), b.disturbed()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_not_heard_and_can_be_joined_again() {
    let Some(server) = Server::start().await else { return };
    let node = Node::start(&server.url()).await;
    node.follows(&["left", "kept"]).await;
    node.bus.unsubscribe("left");
    // Acknowledged after the one that leaves: the server is told in order.
    node.follows(&["later"]).await;
    node.says("left", "1");
    node.says("kept", "2");
    node.hears("kept", b"2").await;
    assert!(node.of("left").is_empty());
    for _ in 0..50 {
        node.bus.unsubscribe("left");
        node.follows(&["left"]).await;
    }
    node.says("left", "3");
    node.hears("left", b"3").await;
    assert_eq!((node.away(), node.disturbed()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_is_found_again_with_every_topic() {
    let Some(mut server) = Server::start().await else { return };
    let (a, b) = (Node::start(&server.url()).await, Node::start(&server.url()).await);
    let topics: Vec<_> = (0..2000).map(|number| format!("topic-{number}")).collect();
    let asked = topics.iter().map(|topic| a.bus.subscribe(topic));
    assert!(futures_util::future::join_all(asked).await.into_iter().all(|heard| heard));
    server.kill();
    until(|| a.away() == 1 && b.away() == 1 && !a.bus.is_up()).await;
    assert!(!a.bus.subscribe("meanwhile").await, "nothing can be promised");
    b.says("topic-0", "lost");
    assert!(b.bus.lost() > 0);
    server.again().await;
    until(|| a.disturbed() >= 2 && b.disturbed() >= 2 && a.bus.is_up() && b.bus.is_up()).await;
    for topic in topics.iter().map(String::as_str).chain(["meanwhile"]) {
        b.says(topic, topic.to_owned());
    }
    until(|| a.count() == topics.len() + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_noticed_and_what_was_said_meanwhile_is_not_lost_in_silence() {
    let Some(server) = Server::start().await else { return };
    let (a, b) = (Node::start(&server.url()).await, Node::start(&server.url()).await);
    a.follows(&["t"]).await;
    server.freeze();
    b.says("t", "on its way");
    let asked = a.bus.subscribe("frozen");
    until(|| a.away() == 1 && b.away() == 1).await;
    assert!(!asked.await);
    b.says("t", "not even that");
    let before = (a.disturbed(), b.disturbed());
    server.thaw();
    until(|| a.disturbed() > before.0 && b.disturbed() > before.1 && a.bus.is_up() && b.bus.is_up()).await;
    // By now what was lost is told, so a message that comes through proves that nothing is torn.
    b.says("frozen", "after");
    a.hears("frozen", b"after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_its_messages_disturbs_those_who_would_have_heard_them() {
    let Some(server) = Server::start().await else { return };
    let narrow = BusBounds { messages_max: 1, bytes_max: 10 };
    let (a, b) = (Node::bounded(&server.url(), narrow).await, Node::start(&server.url()).await);
    b.follows(&["t"]).await;
    a.says("t", "longer than ten bytes");
    assert_eq!(a.bus.lost(), 1);
    until(|| a.disturbed() == 2 && b.disturbed() == 2).await;
    a.says("t", "x");
    b.hears("t", b"x").await;
    assert_eq!((a.away(), b.away()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_server_is_noticed() {
    let Some(server) = Server::start().await else { return };
    let (a, b) = (Node::start(&server.url()).await, Node::start(&server.url()).await);
    a.follows(&["t"]).await;
    for times in 2..4 {
        server.ask::<()>(&cmd("FLUSHALL")).await;
        until(|| a.disturbed() == times && b.disturbed() == times).await;
    }
    assert_eq!((a.away(), b.away()), (0, 0));
    b.says("t", "still heard");
    a.hears("t", b"still heard").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_late_is_found() {
    let Some(mut server) = Server::start().await else { return };
    server.kill();
    let options = RedisOptions::new(&server.url(), "t", Duration::from_millis(500)).expect("an address");
    let heard = Arc::new(Heard::default());
    let bus = RedisBus::start(&Redis::open(options), BOUNDS, Arc::clone(&heard) as Arc<dyn Ears>);
    assert!(!bus.subscribe("t").await && !bus.is_up());
    server.again().await;
    let node = Node { bus, heard };
    until(|| node.disturbed() > 0 && node.bus.is_up()).await;
    assert_eq!(node.away(), 0);
    node.says("t", "x");
    node.hears("t", b"x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_master_is_found_through_sentinels() {
    let Some(mut master) = Server::start().await else { return };
    let to = master.port.to_string();
    let Some(replica) = Server::with(&["--replicaof", "127.0.0.1", &to, "--repl-diskless-sync-delay", "0"]).await
    else {
        return;
    };
    until_answered(async || replica.ask::<String>(cmd("INFO").arg("replication")).await.contains("link_status:up"))
        .await;
    let Some(sentinel) = Server::sentinel(&master).await else { return };
    until_answered(async || {
        let replicas = cmd("SENTINEL").arg("replicas").arg("mymaster").to_owned();
        sentinel.ask::<Vec<::redis::Value>>(&replicas).await.len() == 1
    })
    .await;
    let url = format!("redis+sentinel://127.0.0.1:{}/mymaster", sentinel.port);
    let (a, b) = (Node::start(&url).await, Node::start(&url).await);
    a.follows(&["t"]).await;
    b.says("t", "by the first");
    a.hears("t", b"by the first").await;
    master.kill();
    until(|| a.away() == 1 && b.away() == 1).await;
    until(|| a.disturbed() >= 2 && b.disturbed() >= 2 && a.bus.is_up() && b.bus.is_up()).await;
    b.says("t", "by the second");
    a.hears("t", b"by the second").await;
    assert!(replica.ask::<String>(cmd("INFO").arg("replication")).await.contains("role:master"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_cross_a_cluster_and_a_lost_server_of_it_is_noticed() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let (a, b) = (Node::start(&cluster.url()).await, Node::start(&cluster.url()).await);
    let topics: Vec<_> = (0..100).map(|number| format!("topic-{number}")).collect();
    for topic in &topics {
        a.follows(&[topic]).await;
    }
    topics.iter().for_each(|topic| b.says(topic, topic.clone()));
    until(|| a.count() == topics.len()).await;
    cluster.0[2].kill();
    until(|| a.away() == 1 && b.away() == 1).await;
    cluster.0[2].again().await;
    until(|| a.disturbed() >= 2 && b.disturbed() >= 2 && a.bus.is_up() && b.bus.is_up()).await;
    topics.iter().for_each(|topic| b.says(topic, topic.clone()));
    until(|| a.count() == 2 * topics.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_takes_its_topics_along() {
    let Some(cluster) = Cluster::start().await else { return };
    let node = Node::start(&cluster.url()).await;
    node.follows(&["{moving}"]).await;
    let slot: u16 = cluster.0[0].ask(cmd("CLUSTER").arg("KEYSLOT").arg("moving")).await;
    let from = usize::from(slot / 5461).min(2);
    let to: String = cluster.0[(from + 1) % 3].ask(cmd("CLUSTER").arg("MYID")).await;
    for server in [(from + 1) % 3, from, (from + 2) % 3] {
        cluster.0[server].ask::<()>(cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("NODE").arg(&to)).await;
    }
    until(|| node.disturbed() >= 2 && node.bus.is_up()).await;
    // Who publishes may learn of the move by the first message only; that it is lost is told.
    until(|| {
        node.says("{moving}", "x");
        !node.of("{moving}").is_empty()
    })
    .await;
}

async fn until_answered(is: impl AsyncFn() -> bool) {
    let began = std::time::Instant::now();
    while !is().await {
        assert!(began.elapsed() < crate::support::app::PATIENCE, "it does not become so");
        tokio::task::yield_now().await;
    }
}
