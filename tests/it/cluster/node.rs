//! A node with a runtime of its own, which can be killed, frozen and thawed as a process can.

use std::ops::Deref;
use std::sync::mpsc;
use std::thread::JoinHandle;

use roost::config::Config;
use roost::domain::Platform;
use tokio::sync::oneshot;

use crate::redis::server::Server;
use crate::support::app::TestApp;

/// How long a node lives without a sign of life, in seconds.
pub const LEASE_S: u64 = 6;

/// A node.
pub struct Node {
    app: TestApp,
    orders: Option<oneshot::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    /// Stand still until this is dropped, then wait for more orders.
    Freeze(mpsc::Receiver<()>, oneshot::Receiver<Order>),
    /// Let go of everything, as it is.
    Die,
}

/// What thaws a frozen node when it is dropped.
pub struct Frozen(#[expect(dead_code, reason = "it is dropped, and that is what it is for")] mpsc::Sender<()>);

impl Node {
    async fn start(change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        let (orders, mut ordered) = oneshot::channel();
        let (ready, app) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let app = TestApp::with(change).await;
                assert!(ready.send(app).is_ok(), "the test waits for its node");
                while let Ok(Order::Freeze(thawed, more)) = (&mut ordered).await {
                    // Everything else is on this thread, too.
                    let _ = thawed.recv();
                    ordered = more;
                }
            });
            runtime.shutdown_background();
        });
        Self { app: app.await.expect("a node"), orders: Some(orders), thread: Some(thread) }
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        if let Some(orders) = self.orders.take() {
            let _ = orders.send(Order::Die);
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the node's thread");
        }
    }

    /// Stands still until what is returned is dropped.
    pub fn freeze(&mut self) -> Frozen {
        let (thaw, thawed) = mpsc::channel();
        let (orders, more) = oneshot::channel();
        let before = self.orders.replace(orders).expect("a node that lives");
        assert!(before.send(Order::Freeze(thawed, more)).is_ok(), "the node takes orders");
        Frozen(thaw)
    }
}

impl Deref for Node {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        &self.app
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Nodes that know each other, and an app of theirs.
pub struct Nodes<const N: usize> {
    // Before the Redis that they use.
    pub nodes: [Node; N],
    pub acme: Platform,
    pub redis: Server,
}

impl<const N: usize> Nodes<N> {
    /// So many; `None` says on standard error that the suite is left out.
    pub async fn start() -> Option<Self> {
        Self::with(|_| {}).await
    }

    /// The same with that changed.
    pub async fn with(change: fn(&mut Config)) -> Option<Self> {
        let redis = Server::start().await?;
        let mut nodes: Vec<Node> = Vec::new();
        for _ in 0..N {
            let (url, first) = (redis.url(), nodes.first().map(|first| first.config.clone()));
            let set = move |config: &mut Config| {
                config.redis.url = url;
                // Machines that test are busy.
                config.redis.wait_ms = 1000;
                config.cluster.lease_s = LEASE_S;
                config.cluster.beat_s = 1;
                config.webhooks.allow_private = true;
                config.redis.prefix = "roost".to_owned();
                if let Some(first) = first {
                    (config.data, config.store.url) = (first.data, first.store.url);
                }
                change(config);
            };
            nodes.push(Node::start(set).await);
        }
        for node in &nodes {
            node.joins().await;
        }
        let acme = nodes[0].platform("Acme").await;
        let nodes = nodes.try_into().unwrap_or_else(|_| unreachable!("as many as were started"));
        Some(Self { nodes, acme, redis })
    }
}

impl TestApp {
    /// Waits until the other nodes can be heard.
    pub async fn joins(&self) {
        let nodes = self.app.sockets.nodes().expect("one of many").clone();
        crate::support::app::until(|| nodes.is_up()).await;
    }
}
