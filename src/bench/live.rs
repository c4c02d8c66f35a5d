//! What the profiles of connections that stay have in common: what a stretch of time cost, and how their
//! figures become lines of the report.

use std::path::Path;
use std::time::Duration;

use super::Options;
use super::machine;
use super::pusher::App;
use super::server::{Cpu, Memory, Process, Server};
use crate::error::{Error, Result};

/// What such a profile has to say: cells of tables, the first row of which are headings.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// The figures.
    pub table: Vec<Vec<String>>,
    /// The goals: profile, measured, beside, wanted, met.
    pub goals: Vec<[String; 5]>,
    /// What has to be known besides.
    pub notes: Vec<String>,
}

/// Options of an own server for these profiles: all its clients come from one machine.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("ROOST_HTTP_CONNECTIONS_MAX", "19500"),
    ("ROOST_HTTP_STREAMS_MAX", "19500"),
    ("ROOST_HTTP_STREAMS_PER_ADDRESS_MAX", "19500"),
    ("ROOST_SOCKETS_PER_ADDRESS_MAX", "19500"),
];

/// Starts an own server for such a profile.
///
/// # Errors
/// When it does not start.
pub fn spawn(options: &Options, data: &Path) -> Result<Server> {
    Server::spawn_with(data, options.config.as_deref(), ENVIRONMENT)
}

/// The app on a server that runs already.
///
/// # Errors
/// When the URL is none, or the app is not named.
pub fn stranger(options: &Options, url: &str) -> Result<(Server, App)> {
    let server = Server::running(url, options.pid)?;
    let (Some(key), Some(secret), Some(id)) = (&options.key, &options.secret, &options.app_id) else {
        return Err(Error::internal("--url wants --key, --secret and --app-id for this profile"));
    };
    let app = App {
        address: server.address,
        host: server.host.clone(),
        key: key.clone(),
        id: id.clone(),
        secret: secret.clone(),
    };
    Ok((server, app))
}

/// Reads what a stretch of time costs.
pub struct Meter {
    server: Option<Process>,
    cpu: Cpu,
    own: Duration,
    busy: Duration,
    all: Duration,
}

/// What it cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// The server's processor time, where its process is known.
    pub server: Option<Cpu>,
    /// The load generator's.
    pub own: Duration,
    /// Others'.
    pub elsewhere: Duration,
    /// All that the processors had.
    pub all: Duration,
}

impl Meter {
    /// Starts now.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn start(server: Option<Process>) -> Result<Self> {
        let (busy, all) = machine::processors()?;
        let cpu = server.map_or(Ok(Cpu::default()), Process::cpu_split)?;
        Ok(Self { server, cpu, own: Process::own().cpu()?, busy, all })
    }

    /// What was spent since.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn read(&self) -> Result<Cost> {
        let now = Self::start(self.server)?;
        let (cpu, own) = (now.cpu.since(self.cpu), now.own.saturating_sub(self.own));
        Ok(Cost {
            server: self.server.map(|_| cpu),
            own,
            elsewhere: now.busy.saturating_sub(self.busy).saturating_sub(cpu.all() + own),
            all: now.all.saturating_sub(self.all),
        })
    }
}

impl Cost {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        let server = match (self.server, other.server) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        Self {
            server,
            own: self.own + other.own,
            elsewhere: self.elsewhere + other.elsewhere,
            all: self.all + other.all,
        }
    }

    /// The server's microseconds for each of `count`.
    pub fn server_micros(&self, count: f64) -> Option<f64> {
        self.server.map(|cpu| micros(cpu.all(), count))
    }

    /// The generator's.
    pub fn own_micros(&self, count: f64) -> f64 {
        micros(self.own, count)
    }

    /// The kernel's share of the server's time as a cell: `63 %`.
    pub fn kernel_cell(&self) -> String {
        self.server.map_or_else(not_measured, |cpu| format!("{:.0} %", cpu.kernel_share() * 100.0))
    }

    /// A line on how much of the machine others took; none where the server's share is not known.
    pub fn elsewhere_note(&self, name: &str) -> Option<String> {
        self.server?;
        let share = self.elsewhere.as_secs_f64() / self.all.as_secs_f64().max(f64::MIN_POSITIVE);
        Some(format!("{name}: others took {:.0} % of the processors", share * 100.0))
    }
}

fn micros(spent: Duration, count: f64) -> f64 {
    spent.as_secs_f64() * 1e6 / count.max(1.0)
}

/// A number as a cell, with so many digits after the point.
pub fn cell(number: Option<f64>, digits: usize) -> String {
    number.map_or_else(not_measured, |number| format!("{number:.digits$}"))
}

/// A cell for what the server's process would have to be known for.
pub fn not_measured() -> String {
    "not measured".to_owned()
}

/// Bytes as a cell, in MB.
pub fn megabytes(memory: Option<Memory>) -> String {
    cell(memory.map(|memory| memory.resident as f64 / 1e6), 1)
}

/// A goal: what was measured has to be at most, or at least, that much.
pub fn goal(name: &str, what: &str, measured: Option<f64>, wanted: Wanted) -> [String; 5] {
    let (sign, limit) = match wanted {
        Wanted::AtMost(limit) => ("<=", limit),
        Wanted::AtLeast(limit) => (">=", limit),
    };
    let met = measured.map(|measured| match wanted {
        Wanted::AtMost(limit) => measured <= limit,
        Wanted::AtLeast(limit) => measured >= limit,
    });
    let met = met.map_or("", |met| if met { "yes" } else { "no" });
    let measured = measured.map_or_else(not_measured, |measured| format!("{measured:.2} {what}"));
    [name.to_owned(), measured, String::new(), format!("{sign} {limit}"), met.to_owned()]
}

/// What a goal wants.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
}

/// The server's memory, where its process is known.
///
/// # Errors
/// When the process is gone.
pub fn memory(server: &Server) -> Result<Option<Memory>> {
    server.process.map(Process::memory).transpose()
}

/// Cells of a row.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Says how far it is.
pub fn say(progress: &str) {
    eprintln!("{progress}");
}
