//! What a run is done to: one node on SQLite, or nodes over PostgreSQL and Redis, each behind wires of its own that can be
//! cut, and a load balancer before them that knows no client.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::gate::Gate;
use super::http::{Ask, Http};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::local::{Folder, LocalNode, LocalPostgres, LocalRedis, NodePlan, PostgresPlan};

/// How often the load balancer looks at a node, and how long that may take to answer.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_secs(1);

/// The database of the nodes.
const DATABASE: &str = "roost";

/// How long a node's lease lasts in a run, in seconds: short, so that it ends within the faults.
const LEASE_S: u64 = 4;

/// A node with its wires to PostgreSQL and Redis; none when it is embedded.
pub struct Node {
    /// The process.
    pub process: Mutex<LocalNode>,
    /// `http://127.0.0.1:port`, past the load balancer.
    pub url: String,
    wires: Vec<Gate>,
}

impl Node {
    /// Cuts it off from PostgreSQL and Redis.
    pub fn cut_off(&self) {
        self.wires.iter().for_each(|wire| wire.cut(0));
    }

    /// Ends that.
    pub fn mend(&self) {
        self.wires.iter().for_each(|wire| wire.mend(0));
    }
}

/// The services that nodes share.
pub struct Shared {
    /// The store.
    pub postgres: Mutex<LocalPostgres>,
    /// The bus.
    pub redis: Mutex<LocalRedis>,
}

/// Everything that serves. Nodes end before what they stand on.
pub struct Servers {
    looking: Vec<JoinHandle<()>>,
    /// The nodes.
    pub nodes: Vec<Arc<Node>>,
    /// The load balancer.
    pub front: Arc<Gate>,
    /// What nodes share; `None` for the embedded one.
    pub shared: Option<Arc<Shared>>,
    /// As the command line would open the same store.
    pub config: Config,
    folder: Folder,
}

impl Servers {
    /// Starts what nodes stand on, but no node yet: accounts are made first.
    ///
    /// # Errors
    /// When a service is not installed or does not start.
    pub async fn prepare(nodes: usize) -> Result<Self> {
        let folder = Folder::new("chaos")?;
        let mut config = Config { data: folder.path().join("node0"), ..Config::default() };
        let shared = if nodes == 0 { None } else { Some(Arc::new(start_shared().await?)) };
        if let Some(shared) = &shared {
            config.store.url = held(&shared.postgres).url(DATABASE);
        }
        let front = Arc::new(Gate::open(&[]).await?);
        Ok(Self { looking: Vec::new(), nodes: Vec::new(), front, shared, config, folder })
    }

    /// Starts the nodes, and the load balancer before them.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start(&mut self, count: usize, program: &std::path::Path) -> Result<()> {
        for number in 0..count.max(1) {
            let node = self.start_node(number, program).await?;
            self.nodes.push(Arc::new(node));
        }
        let addresses: Vec<_> = self.nodes.iter().map(|node| held(&node.process).address()).collect();
        self.front = Arc::new(Gate::open(&addresses).await?);
        self.looking = self
            .nodes
            .iter()
            .enumerate()
            .map(|(number, node)| tokio::spawn(look(Arc::clone(&self.front), number, node.url.clone())))
            .collect();
        Ok(())
    }

    async fn start_node(&self, number: usize, program: &std::path::Path) -> Result<Node> {
        let data = self.folder.path().join(format!("node{number}"));
        let mut plan = NodePlan::new(&data)?.with("ROOST_GUEST_ASSISTANT", "false").with("ROOST_HTTP_DRAIN_S", "3");
        program.clone_into(&mut plan.program);
        plan.log = self.folder.path().join(format!("node{number}.log"));
        let mut wires = Vec::new();
        if let Some(shared) = &self.shared {
            let (postgres, redis) = (held(&shared.postgres).url(DATABASE), held(&shared.redis).url());
            plan = plan.with("ROOST_CLUSTER_NODE", &format!("node{number}"));
            plan = plan.with("ROOST_CLUSTER_LEASE_S", &LEASE_S.to_string()).with("ROOST_CLUSTER_BEAT_S", "1");
            for (name, url) in [("ROOST_STORE_URL", postgres), ("ROOST_REDIS_URL", redis)] {
                let (wire, url) = wired(&url).await?;
                plan = plan.with(name, &url);
                wires.push(wire);
            }
        }
        let process = blocking(move || LocalNode::start(plan)).await??;
        let url = process.url();
        Ok(Node { process: Mutex::new(process), url, wires })
    }

    /// The URL of the load balancer.
    pub fn url(&self) -> String {
        format!("http://{}", self.front.address)
    }

    /// The end of every log, for who looks for a failure's cause.
    pub fn logs(&self) -> Vec<(String, String)> {
        let last = |log: String| log.lines().rev().take(20).map(str::to_owned).collect::<Vec<_>>();
        let logs = self.nodes.iter().enumerate().map(|(number, node)| (number, last(held(&node.process).log())));
        logs.map(|(number, mut lines)| {
            lines.reverse();
            (format!("node {number}"), lines.join("\n"))
        })
        .collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.looking.iter().for_each(JoinHandle::abort);
    }
}

/// Runs what blocks beside the async work.
///
/// # Errors
/// When it panics.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

/// What is behind a lock that a panic elsewhere does not spoil.
pub fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn start_shared() -> Result<Shared> {
    let postgres = blocking(|| LocalPostgres::start(&PostgresPlan::default())).await??;
    postgres.create_database(DATABASE, None).await?;
    Ok(Shared { postgres: Mutex::new(postgres), redis: Mutex::new(blocking(LocalRedis::start).await??) })
}

/// A wire to a service on loopback, and the service's address by that wire.
async fn wired(url: &str) -> Result<(Gate, String)> {
    let port = url.rsplit_once("127.0.0.1:").map_or("", |(_, rest)| rest);
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let number = port.parse().map_err(Error::internal)?;
    let wire = Gate::open(&[SocketAddr::from((Ipv4Addr::LOCALHOST, number))]).await?;
    let url = url.replace(&format!("127.0.0.1:{port}"), &wire.address.to_string());
    Ok((wire, url))
}

/// What a load balancer does: it looks at a node, leads nobody to one that is not ready, and gives up on the connections
/// of one that does not answer.
async fn look(front: Arc<Gate>, number: usize, url: String) {
    let http = Http::new();
    loop {
        match http.call(&url, &Ask::get("/readyz"), LOOK).await.map(|told| told.status) {
            Some(200) => front.mend(number),
            Some(_) => front.close(number),
            None => front.cut(number),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
