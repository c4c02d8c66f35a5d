//! The provider of the profile `runs`: an OpenAI-compatible server in a process of its own, which sends each run so many
//! pieces of text a second and notes when a client hangs up.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Args;

use super::client::{Client, get};
use super::piece;
use super::server::{Process, hear_url, parse_url};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::local::scripted::{Fate, Script, Seen, Step, done, events, finish, text_bytes, usage};
use crate::local::{Output, Running, Scripted};

/// The sub-command that the profile starts itself as.
pub const COMMAND: &str = "bench-provider";

/// Where it tells who hung up.
const LEFT: &str = "/left";

/// What it does.
#[derive(Args, Clone, Debug)]
pub struct ProviderOptions {
    /// Pieces of each answer.
    #[arg(long)]
    pieces: usize,
    /// Pieces a second of each answer.
    #[arg(long)]
    chunks: u32,
}

/// Serves until it is killed.
///
/// # Errors
/// When there is no port.
#[expect(clippy::print_stdout, reason = "its starter reads where it listens")]
pub fn provide(options: &ProviderOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
    runtime.block_on(async {
        let (clock, own) = (Clock::system(), Arc::new(OnceLock::<Scripted>::new()));
        let (options, told) = (options.clone(), Arc::clone(&own));
        let plan = move |seen: &Seen| {
            if seen.head.starts_with(&format!("GET {LEFT} ")) {
                return tell(&told.get().map(Scripted::seen).unwrap_or_default(), &clock);
            }
            answer(&options, &clock)
        };
        let scripted = Scripted::start(plan).await?;
        println!("{}", scripted.url());
        drop(own.set(scripted));
        std::future::pending().await
    })
}

fn answer(options: &ProviderOptions, clock: &Clock) -> Script {
    let clock = clock.clone();
    let make = move |number| text_bytes(&piece::text(number, clock.now()));
    let every = Duration::from_secs(1) / options.chunks.max(1);
    let pieces = Step::Pieces(options.pieces, every, Arc::new(make));
    Script(vec![events(), pieces, finish("stop"), usage(7, options.pieces), done()])
}

/// A line for each client that hung up: the run, and when, in microseconds.
fn tell(seen: &[Seen], clock: &Clock) -> Script {
    let line = |seen: &Seen| {
        let Fate::Left(at) = seen.fate else { return None };
        let at = clock.now().minus(at.elapsed());
        Some(format!("{} {}\n", piece::run_of(&seen.body)?, at.0))
    };
    let lines: String = seen.iter().filter_map(line).collect();
    let head = Step::Head(200, vec![("content-type", "text/plain".to_owned())]);
    // A chunk without bytes would end the body.
    Script(vec![head, Step::Body(format!("{lines}\n").into_bytes())])
}

/// The running process.
pub struct Provider {
    /// As an option of the server under measurement.
    pub url: String,
    /// For what it costs.
    pub process: Process,
    _running: Running,
}

impl Provider {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not start.
    pub fn spawn(pieces: usize, chunks: u32) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().map_err(Error::internal)?);
        command.args([COMMAND, "--pieces", &pieces.to_string(), "--chunks", &chunks.to_string()]);
        let mut running = Running::spawn(&command, Output::Read)?;
        let url = hear_url(&mut running)?;
        Ok(Self { url, process: Process::of(running.pid()), _running: running })
    }

    /// When it noticed, by the number of the run, that a client had hung up.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn left(&self) -> Result<HashMap<usize, i64>> {
        let (host, address) = parse_url(self.url.trim_end_matches("/v1"))?;
        let mut client = Client::connect(address).await.map_err(Error::internal)?;
        let told = client.call(&get(&host, LEFT)).await.map_err(Error::internal)?;
        let lines = String::from_utf8_lossy(told.body).into_owned();
        let line = |line: &str| {
            let (run, at) = line.split_once(' ')?;
            Some((run.parse().ok()?, at.parse().ok()?))
        };
        Ok(lines.lines().filter_map(line).collect())
    }
}
