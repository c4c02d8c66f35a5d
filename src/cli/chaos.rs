//! `roost chaos`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::say;
use crate::chaos::{self, Plan};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Nodes of a cluster unless told otherwise.
const NODES: usize = 3;

/// Does to servers of its own what machines and networks do to yours, and audits what clients saw meanwhile.
#[derive(Args, Debug)]
pub struct Options {
    /// Everything is drawn from it; a random one unless given.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How long faults go on.
    #[arg(long, value_name = "M", default_value_t = 3.0)]
    minutes: f64,
    /// Nodes over a PostgreSQL and a Redis of their own, which have to be installed.
    #[arg(long, value_name = "N", default_value_t = NODES, conflicts_with = "embedded")]
    nodes: usize,
    /// One node on SQLite instead of a cluster.
    #[arg(long)]
    embedded: bool,
    /// Writes everything that clients did and were told to a file.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

/// Runs it; a broken rule is an error.
///
/// # Errors
/// When something is wrong, or the servers cannot be started.
pub fn run(options: &Options) -> Result<()> {
    let seed = options.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(Clock::system().secret())));
    if !options.minutes.is_finite() || options.minutes <= 0.0 || options.minutes > 24.0 * 60.0 {
        return Err(Error::internal("--minutes must be more than 0, and no more than a day"));
    }
    if !options.embedded && !(1..=16).contains(&options.nodes) {
        return Err(Error::internal("--nodes must be between 1 and 16"));
    }
    let plan = Plan {
        seed,
        long: Duration::from_secs_f64(options.minutes * 60.0),
        nodes: if options.embedded { 0 } else { options.nodes },
        program: program()?,
        history: options.history.clone(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::internal)?;
    let report = runtime.block_on(chaos::run(&plan, say))?;
    report.text.lines().for_each(say);
    if report.is_green { Ok(()) } else { Err(Error::internal(format!("roost chaos --seed {seed} found something"))) }
}

fn program() -> Result<PathBuf> {
    std::env::current_exe().map_err(Error::internal)
}
