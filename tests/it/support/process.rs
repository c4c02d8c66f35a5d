//! The real binary as a process: what only a process can show, like being killed.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use roost::local::{Output, Running};
use rustix::process::Signal;

/// A running `roost serve`.
pub struct Process {
    pub url: String,
    running: Running,
    /// What it said when it started.
    pub said: Vec<String>,
}

/// The binary that this build made.
pub fn roost() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roost"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ROOST_")) {
        command.env_remove(name);
    }
    command
}

impl Process {
    /// Starts over a folder, on a free port, without rate limits.
    pub fn start(data: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = roost();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.env("ROOST_LIMITS_ENABLED", "false").env("ROOST_LOG_FILTER", "warn");
        command.envs(super::engine::environment_of(data)).envs(environment.iter().copied());
        Self::spawn(command)
    }

    /// Runs a command that ends in a server, and waits for the lines in which it says where.
    pub fn spawn(command: Command) -> Self {
        Self::spawn_to(command, Output::Read)
    }

    /// The same with a place for what it says on standard error.
    pub fn spawn_to(command: Command, output: Output<'_>) -> Self {
        let mut running = Running::spawn(&command, output).expect("the binary starts");
        let mut said = Vec::new();
        for line in running.lines().expect("standard output") {
            let line = line.expect("text");
            let is_last = line.starts_with("open");
            said.push(line);
            if is_last {
                break;
            }
        }
        let address = said.iter().find_map(|line| line.split_once("http://")).map(|(_, address)| address);
        let url = format!("http://{}", address.unwrap_or_else(|| panic!("no address in {said:?}")));
        Self { url, running, said }
    }

    /// `SIGKILL`: no farewell.
    pub fn kill(self) {
        assert!(self.running.ended().is_none(), "it ended by itself");
        self.running.kill();
    }

    /// Its number among the processes.
    pub fn pid(&self) -> rustix::process::Pid {
        self.running.pid()
    }

    /// `SIGTERM`, without waiting.
    pub fn terminate(&self) {
        self.running.signal(Signal::TERM);
    }

    /// The memory that it holds.
    pub fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero()));
        let status = status.expect("a running child");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
    }

    /// The end, which has to come in time.
    pub fn wait(&mut self, longest: Duration) -> ExitStatus {
        self.running.wait(longest).unwrap_or_else(|| panic!("the server did not end within {longest:?}"))
    }
}
