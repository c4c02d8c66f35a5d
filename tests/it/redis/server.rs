//! Redis servers of a test's own, on loopback, without anything on disk that matters.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use roost::redis::{Cmd, cmd};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::app::PATIENCE;
use crate::support::outside;
use crate::support::temp::TempDir;

/// A server. It is ended with its test.
pub struct Server {
    pub port: u16,
    program: PathBuf,
    arguments: Vec<String>,
    child: Option<Child>,
    dir: TempDir,
}

impl Server {
    /// Starts one; `None` says on standard error that the suite is left out.
    pub async fn start() -> Option<Self> {
        Self::with(&[]).await
    }

    /// Starts one with more arguments.
    pub async fn with(more: &[&str]) -> Option<Self> {
        let mut server = Self::plan()?;
        server.arguments.extend(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"].map(str::to_owned));
        server.arguments.extend(["--port".to_owned(), server.port.to_string()]);
        server.arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        server.again().await;
        Some(server)
    }

    /// Starts a sentinel that watches `master`, the only one who has to agree.
    pub async fn sentinel(master: &Self) -> Option<Self> {
        let mut server = Self::plan()?;
        let file = server.dir.path().join("sentinel.conf");
        let watch = format!(
            "port {}\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n",
            server.port, master.port
        );
        std::fs::write(&file, watch).expect("a folder that can be written");
        server.arguments.extend([file.to_string_lossy().into_owned(), "--sentinel".to_owned()]);
        server.again().await;
        Some(server)
    }

    fn plan() -> Option<Self> {
        let program = outside::program("redis", "SUITE_REDIS")?;
        Some(Self { port: free_port(), program, arguments: Vec::new(), child: None, dir: TempDir::new() })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it once more, empty, on the same port, and waits for its first answer.
    pub async fn again(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(self.dir.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("redis-server starts"));
        let began = Instant::now();
        while self.asked::<()>(&cmd("PING")).await.is_err() {
            let ended = self.child.as_mut().expect("a child").try_wait().expect("a child");
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "redis-server does not start");
            tokio::task::yield_now().await;
        }
    }

    /// `SIGKILL`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a server that runs");
        child.kill().expect("a child");
        child.wait().expect("a child");
    }

    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a server that runs");
        kill_process(Pid::from_child(child), signal).expect("a signal");
    }

    /// Asks it on a connection of its own.
    pub async fn ask<T: ::redis::FromRedisValue>(&self, command: &Cmd) -> T {
        self.asked(command).await.expect("an answer")
    }

    pub async fn asked<T: ::redis::FromRedisValue>(&self, command: &Cmd) -> ::redis::RedisResult<T> {
        let client = ::redis::Client::open(self.url())?;
        command.query_async(&mut client.get_multiplexed_async_connection().await?).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Three masters that have a third of the slots each.
pub struct Cluster(pub Vec<Server>);

impl Cluster {
    pub async fn start() -> Option<Self> {
        let mut servers = Vec::new();
        for _ in 0..3 {
            let bus = free_port().to_string();
            servers.push(Server::with(&["--cluster-enabled", "yes", "--cluster-port", &bus]).await?);
        }
        for (server, (first, last)) in servers.iter().zip([(0, 5460), (5461, 10922), (10923, 16383)]) {
            server.ask::<()>(cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last)).await;
        }
        for server in &servers[1..] {
            let bus = server.arguments.last().expect("a port");
            let meet = cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(server.port).arg(bus).to_owned();
            servers[0].ask::<()>(&meet).await;
        }
        let cluster = Self(servers);
        cluster.agrees().await;
        Some(cluster)
    }

    async fn agrees(&self) {
        let began = Instant::now();
        for server in &self.0 {
            loop {
                let info: String = server.ask(cmd("CLUSTER").arg("INFO")).await;
                if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
                    break;
                }
                assert!(began.elapsed() < PATIENCE, "the cluster does not come together: {info}");
                tokio::task::yield_now().await;
            }
        }
    }

    pub fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", self.0[0].port, self.0[1].port)
    }
}

/// Free a moment ago. Below those that the kernel gives to who connects, so that it is free after a restart, too.
fn free_port() -> u16 {
    let drawn = uuid::Uuid::new_v4().as_u128();
    let ports = (0..1000).map(|step| 10_000 + u16::try_from((drawn + step) % 20_000).expect("it fits"));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.into_iter().find(is_free).expect("a free port")
}
