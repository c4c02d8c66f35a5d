//! A node: this program's own server, as a process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::postgres::last_lines;
use super::process::{Output, Running};
use super::{PATIENCE, failed, free_port, wait_until};
use crate::error::{Error, Result};

/// How long a node may take to say that it lives.
const ANSWER: Duration = Duration::from_secs(1);

/// How a node is run.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// The program `roost`; [`NodePlan::new`] takes the one that runs.
    pub program: PathBuf,
    /// Its data folder.
    pub data: PathBuf,
    /// Where its log goes.
    pub log: PathBuf,
    /// Variables of its environment, like `ROOST_STORE_URL`.
    pub environment: Vec<(String, String)>,
}

impl NodePlan {
    /// A node over a data folder, with its log in it, without rate limits: all load comes from one address.
    ///
    /// # Errors
    /// When the system does not say which program runs.
    pub fn new(data: &Path) -> Result<Self> {
        let program = std::env::current_exe().map_err(Error::internal)?;
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = vec![set("ROOST_LIMITS_ENABLED", "false"), set("ROOST_LOG_FILTER", "warn")];
        Ok(Self { program, data: data.to_owned(), log: data.join("node.log"), environment })
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A node on 127.0.0.1 that keeps its port over its restarts. All its methods that start or end something block.
#[derive(Debug)]
pub struct LocalNode {
    plan: NodePlan,
    port: u16,
    server: Option<Running>,
}

impl LocalNode {
    /// Starts a node and waits until it lives.
    ///
    /// # Errors
    /// When it does not; the sentence ends with what its log said last.
    pub fn start(plan: NodePlan) -> Result<Self> {
        let mut node = Self { plan, port: free_port()?, server: None };
        node.start_again()?;
        Ok(node)
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its process, if it runs.
    pub fn pid(&self) -> Option<Pid> {
        self.server.as_ref().map(Running::pid)
    }

    /// How it ended by itself, if it did.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.server.as_ref().and_then(Running::ended)
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.plan.log).unwrap_or_default()
    }

    /// `SIGKILL`: no farewell.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Stops it without ending it: to others it is cut off.
    pub fn freeze(&self) {
        self.server.iter().for_each(Running::freeze);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.server.iter().for_each(Running::thaw);
    }

    /// `SIGTERM`, and waits until it has drained and ended.
    ///
    /// # Errors
    /// When it ends with a failure, or not in time; it is killed then.
    pub fn drain(&mut self) -> Result<()> {
        let Some(server) = self.server.take() else { return Ok(()) };
        server.signal(Signal::TERM);
        match server.wait(PATIENCE) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(failed(format!("a node ended with {status}: {}", last_lines(&self.log())))),
            None => Err(failed("a node did not end on SIGTERM and was killed")),
        }
    }

    /// Starts it again on the same port and over the same data.
    ///
    /// # Errors
    /// As [`LocalNode::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.kill();
        let mut command = Command::new(&self.plan.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROOST_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--listen", &self.address().to_string(), "--data"]).arg(&self.plan.data);
        command.envs(self.plan.environment.iter().map(|(name, value)| (name, value)));
        let server = Running::spawn(&command, Output::File(&self.plan.log))?;
        let is_up = wait_until(PATIENCE, || server.ended().is_some() || self.lives());
        if !is_up || server.ended().is_some() {
            return Err(failed(format!("a node does not start: {}", last_lines(&self.log()))));
        }
        self.server = Some(server);
        Ok(())
    }

    /// Whether it says that it lives.
    pub fn lives(&self) -> bool {
        self.livez().unwrap_or(false)
    }

    fn livez(&self) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&self.address(), ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b"200"))
    }
}
