//! What a stretch of time cost the processes of a cluster, each sort apart.

use std::time::Duration;

use rustix::process::Pid;

use super::machine;
use super::server::Process;
use crate::error::Result;

/// The processes that are looked at.
pub struct Watched {
    /// Of Roost.
    pub nodes: Vec<Pid>,
    /// The database's; one a connection.
    pub postgres: Vec<Pid>,
    /// Of the bus.
    pub redis: Vec<Pid>,
}

/// Processor time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// All nodes'.
    pub nodes: Duration,
    /// The database's.
    pub postgres: Duration,
    /// The bus's.
    pub redis: Duration,
    /// The load generator's.
    pub own: Duration,
    /// What all processors were busy, and all they had.
    busy: Duration,
    all: Duration,
}

impl Cost {
    fn until_now(watched: &Watched) -> Result<Self> {
        // A connection that ended meanwhile spent nothing since.
        let sum = |pids: &[Pid]| pids.iter().filter_map(|pid| Process::of(*pid).cpu().ok()).sum();
        let (busy, all) = machine::processors()?;
        Ok(Self {
            nodes: sum(&watched.nodes),
            postgres: sum(&watched.postgres),
            redis: sum(&watched.redis),
            own: Process::own().cpu()?,
            busy,
            all,
        })
    }

    /// Field by field.
    fn with(self, other: Self, each: fn(Duration, Duration) -> Duration) -> Self {
        Self {
            nodes: each(self.nodes, other.nodes),
            postgres: each(self.postgres, other.postgres),
            redis: each(self.redis, other.redis),
            own: each(self.own, other.own),
            busy: each(self.busy, other.busy),
            all: each(self.all, other.all),
        }
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        self.with(other, |one, other| one + other)
    }

    /// Which share of the machine others took.
    pub fn elsewhere_share(&self) -> f64 {
        let known = self.nodes + self.postgres + self.redis + self.own;
        self.busy.saturating_sub(known).as_secs_f64() / self.all.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Reads what a stretch of time costs.
pub struct Meter(Cost);

impl Meter {
    /// Starts now.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn start(watched: &Watched) -> Result<Self> {
        Ok(Self(Cost::until_now(watched)?))
    }

    /// What was spent since.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn read(&self, watched: &Watched) -> Result<Cost> {
        Ok(Cost::until_now(watched)?.with(self.0, |now, then| now.saturating_sub(then)))
    }
}
