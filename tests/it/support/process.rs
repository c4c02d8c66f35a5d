//! The real binary as a process: what only a process can show, like being killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running `roost serve`.
pub struct Process {
    pub url: String,
    child: Child,
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
        command.envs(environment.iter().copied());
        Self::spawn(command)
    }

    /// Runs a command that ends in a server, and waits for the lines in which it says where.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
        let mut said = Vec::new();
        for line in lines {
            let line = line.expect("text");
            let is_last = line.starts_with("open");
            said.push(line);
            if is_last {
                break;
            }
        }
        let address = said.iter().find_map(|line| line.split_once("http://")).map(|(_, address)| address);
        let url = format!("http://{}", address.unwrap_or_else(|| panic!("no address in {said:?}")));
        Self { url, child, said }
    }

    /// `SIGKILL`: no farewell.
    pub fn kill(mut self) {
        self.child.kill().expect("a running child");
        self.child.wait().expect("its end");
    }

    /// Its number among the processes.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// `SIGTERM`, without waiting.
    pub fn terminate(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).expect("a running child");
    }

    /// The memory that it holds.
    pub fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running child");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
    }

    /// The end, which has to come in time.
    pub fn wait(&mut self, longest: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(began.elapsed() < longest, "the server did not end within {longest:?}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
