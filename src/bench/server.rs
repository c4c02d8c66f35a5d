//! The server that is measured: a process of its own, or one that runs already.

use std::ffi::OsStr;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::machine;
use crate::error::{Error, Result};
use crate::local::{LocalNode, Output, PATIENCE, Running};

/// A server under measurement.
#[derive(Debug)]
pub struct Server {
    /// Where it answers.
    pub address: SocketAddr,
    /// How requests name it.
    pub host: String,
    /// Its process, where that is known.
    pub process: Option<Process>,
    running: Option<Running>,
}

impl Server {
    /// Starts this program's own server on a data folder and waits until it says where it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn spawn(data: &Path, config: Option<&Path>) -> Result<Self> {
        Self::spawn_with(data, config, &[])
    }

    /// The same, with more of the environment.
    ///
    /// # Errors
    /// As [`Server::spawn`].
    pub fn spawn_with(data: &Path, config: Option<&Path>, environment: &[(&str, &str)]) -> Result<Self> {
        let program = std::env::current_exe().map_err(Error::internal)?;
        let mut command = Command::new(program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(config.iter().flat_map(|file| [OsStr::new("--config"), file.as_os_str()]))
            // All load comes from one address; and a line for each request would be measured too.
            .env("ROOST_LIMITS_ENABLED", "false")
            .env("ROOST_LOG_FILTER", "warn")
            .envs(environment.iter().copied());
        let mut running = Running::spawn(&command, Output::Read)?;
        let heard = hear_url(&mut running);
        let mut server = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            host: String::new(),
            process: Some(Process::of(running.pid())),
            running: Some(running),
        };
        // An error from here on stops the child, because the server is dropped.
        (server.host, server.address) = parse_url(&heard?)?;
        Ok(server)
    }

    /// A server that runs already; `pid` is its process, if it is on this machine.
    ///
    /// # Errors
    /// When the URL is not a plain `http://host:port` or `ws://host:port`.
    pub fn running(url: &str, pid: Option<u32>) -> Result<Self> {
        let (host, address) = parse_url(url)?;
        Ok(Self { address, host, process: pid.map(Process), running: None })
    }

    /// A node of a cluster: it ends with its owner.
    pub fn node(node: &LocalNode) -> Self {
        let address = node.address();
        Self { address, host: address.to_string(), process: node.pid().map(Process::of), running: None }
    }

    /// Asks the server to end and waits until it has, if it is this program's own.
    ///
    /// # Errors
    /// When it ends with a failure or not at all.
    pub fn stop(mut self) -> Result<()> {
        self.running.take().map_or(Ok(()), |running| end(&running))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take()
            && let Err(error) = end(&running)
        {
            eprintln!("{error}");
        }
    }
}

fn end(running: &Running) -> Result<()> {
    running.signal(Signal::TERM);
    match running.wait(PATIENCE) {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(failed(&format!("ended with {status}"))),
        None => {
            running.kill();
            Err(failed("did not end on SIGTERM and was killed"))
        }
    }
}

fn failed(what: &str) -> Error {
    Error::internal(format!("the server under measurement {what}"))
}

/// Waits for the first URL on the child's output. The rest is read and dropped by a thread, since
/// a full pipe would stop the server.
pub(super) fn hear_url(running: &mut Running) -> Result<String> {
    let lines = running.lines().ok_or_else(|| failed("has no output"))?;
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(std::io::Result::ok) {
            if let Some(url) = url_in(&line) {
                let _ = tell.send(url.to_owned());
            }
        }
    });
    told.recv_timeout(PATIENCE).map_err(|_| failed("did not say where it listens"))
}

fn url_in(line: &str) -> Option<&str> {
    let url = &line[line.find("http://")?..];
    let end = url.find(|c: char| c.is_whitespace() || c == '"' || c == '\u{1b}').unwrap_or(url.len());
    Some(&url[..end])
}

/// The host as requests name it, and its address.
pub(super) fn parse_url(url: &str) -> Result<(String, SocketAddr)> {
    let wrong = || Error::internal(format!("{url:?} is not of the form http://host:port or ws://host:port"));
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://"));
    let host = host.ok_or_else(wrong)?.trim_end_matches(['/', '.', ',']);
    let named = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut addresses = named.to_socket_addrs().map_err(|_| wrong())?;
    Ok((host.to_owned(), addresses.next().ok_or_else(wrong)?))
}

/// A process whose cost can be read.
#[derive(Clone, Copy, Debug)]
pub struct Process(u32);

/// Processor time of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// In the program.
    pub user: Duration,
    /// In the kernel, on its behalf.
    pub kernel: Duration,
}

impl Cpu {
    /// Both.
    pub fn all(self) -> Duration {
        self.user + self.kernel
    }

    /// The kernel's share, 0 to 1.
    pub fn kernel_share(self) -> f64 {
        self.kernel.as_secs_f64() / self.all().as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// What was spent since `before`.
    pub fn since(self, before: Self) -> Self {
        Self { user: self.user.saturating_sub(before.user), kernel: self.kernel.saturating_sub(before.kernel) }
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self { user: self.user + other.user, kernel: self.kernel + other.kernel }
    }
}

/// What a process has in memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// At its highest.
    pub peak: u64,
}

impl Process {
    /// The process of that number.
    pub fn of(pid: Pid) -> Self {
        Self(pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// This very process.
    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// Processor time so far, of all its threads.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn cpu(self) -> Result<Duration> {
        Ok(self.cpu_split()?.all())
    }

    /// The same, split into the program's own and the kernel's on its behalf.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn cpu_split(self) -> Result<Cpu> {
        let stat = self.read("stat")?;
        let (user, system) = parse_ticks(&stat).ok_or_else(|| Error::internal("/proc/<pid>/stat is not understood"))?;
        Ok(Cpu { user: machine::ticks(user), kernel: machine::ticks(system) })
    }

    /// Its memory.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn memory(self) -> Result<Memory> {
        Ok(parse_memory(&self.read("status")?))
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        std::fs::read_to_string(&path).map_err(|error| Error::internal(format!("{path}: {error}")))
    }
}

/// `utime` and `stime`, the fields 14 and 15. The second field, the name, may itself hold spaces and
/// parentheses.
fn parse_ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user, system))
}

fn parse_memory(status: &str) -> Memory {
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Memory { resident: kibibytes("VmRSS:").unwrap_or(0) * 1024, peak: kibibytes("VmHWM:").unwrap_or(0) * 1024 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_found_in_what_the_server_prints() {
        assert_eq!(url_in("  Listening on http://127.0.0.1:4711"), Some("http://127.0.0.1:4711"));
        assert_eq!(url_in(r#"{"url":"http://127.0.0.1:4711"}"#), Some("http://127.0.0.1:4711"));
        assert_eq!(url_in("Data is in ./x"), None);
        let (host, address) = parse_url("http://127.0.0.1:4711/").unwrap();
        assert_eq!((host.as_str(), address.port()), ("127.0.0.1:4711", 4711));
        assert_eq!(parse_url("ws://127.0.0.1:6001").unwrap().1.port(), 6001);
        for wrong in ["https://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:1/path", "http://"] {
            assert!(parse_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn processor_time_and_memory_are_read_from_proc() {
        let stat = "42 (a) (b c) S 1 42 42 0 -1 4194304 100 0 0 0 250 30 0 0 20 0 4 0 100 1000 10";
        assert_eq!(parse_ticks(stat), Some((250, 30)));
        assert_eq!(
            parse_memory("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"),
            Memory { resident: 1 << 20, peak: 2 << 20 }
        );
        assert!(Process::own().memory().unwrap().resident > 0);
        assert!(Process::own().cpu().is_ok());
    }
}
