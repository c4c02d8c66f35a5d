//! What is done to the servers, and when: a function of the seed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::dice::Dice;
use super::history::History;
use super::servers::{Node, Servers, Shared, blocking, held};
use crate::error::Result;

/// How long a node may take to come back while other things are done to what it stands on.
const COME_BACK: Duration = Duration::from_secs(60);

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `SIGKILL`, and a new start.
    KillNode(usize),
    /// `SIGSTOP`, and `SIGCONT`.
    FreezeNode(usize),
    /// Its wires to PostgreSQL and Redis are cut.
    CutOffNode(usize),
    /// `SIGTERM`, and a new start.
    DrainNode(usize),
    /// That, one node after the other.
    RollingRestart,
    /// Redis is killed, and comes back empty.
    KillRedis,
    /// Redis stands still.
    FreezeRedis,
    /// Redis loses all it holds.
    EmptyRedis,
    /// PostgreSQL ends as it should, and starts again.
    RestartPostgres,
    /// PostgreSQL is killed, and recovers.
    KillPostgres,
    /// PostgreSQL stands still.
    FreezePostgres,
}

impl Fault {
    /// What it is called in counts.
    pub fn kind(self) -> &'static str {
        match self {
            Self::KillNode(_) => "nodes killed",
            Self::FreezeNode(_) => "nodes frozen",
            Self::CutOffNode(_) => "nodes cut off",
            Self::DrainNode(_) => "nodes restarted",
            Self::RollingRestart => "rolling restarts",
            Self::KillRedis => "Redis killed",
            Self::FreezeRedis => "Redis frozen",
            Self::EmptyRedis => "Redis emptied",
            Self::RestartPostgres => "PostgreSQL restarted",
            Self::KillPostgres => "PostgreSQL killed",
            Self::FreezePostgres => "PostgreSQL frozen",
        }
    }
}

/// A fault, when it begins, and how long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// After the beginning of the run.
    pub at: Duration,
    /// What is done.
    pub fault: Fault,
    /// Until it is mended.
    pub lasts: Duration,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} for {:.1} s", self.fault, self.lasts.as_secs_f64())
    }
}

/// The faults of a run of that length: those of nodes, and beside them those of what nodes share. Without nodes to
/// choose from there is one embedded node.
pub fn plan(seed: u64, long: Duration, nodes: usize) -> Vec<Vec<Planned>> {
    let of_nodes = lane(Dice::of(seed, "nodes"), long, |dice| {
        let node = dice.below(nodes.max(1));
        match dice.below(if nodes == 0 { 8 } else { 12 }) {
            0..=2 => (Fault::KillNode(node), dice.between(0, 3000)),
            3 | 4 => (Fault::FreezeNode(node), dice.between(100, 6000)),
            5 | 6 => (Fault::DrainNode(node), dice.between(0, 1000)),
            7 => (Fault::RollingRestart, 0),
            8 => (Fault::FreezeNode(node), dice.between(6000, 12_000)),
            _ => (Fault::CutOffNode(node), dice.between(300, 8000)),
        }
    });
    if nodes == 0 {
        return vec![of_nodes];
    }
    let of_shared = lane(Dice::of(seed, "shared"), long, |dice| match dice.below(9) {
        0 | 1 => (Fault::KillRedis, dice.between(0, 6000)),
        2 | 3 => (Fault::FreezeRedis, dice.between(100, 6000)),
        4 | 5 => (Fault::EmptyRedis, 0),
        6 => (Fault::RestartPostgres, 0),
        7 => (Fault::KillPostgres, dice.between(0, 2000)),
        _ => (Fault::FreezePostgres, dice.between(100, 4000)),
    });
    vec![of_nodes, of_shared]
}

/// One fault after the other, with time between them to write and to come back.
fn lane(mut dice: Dice, long: Duration, mut draw: impl FnMut(&mut Dice) -> (Fault, u64)) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut at = Duration::from_millis(dice.between(1500, 4000));
    while at < long {
        let (fault, lasts) = draw(&mut dice);
        let lasts = Duration::from_millis(lasts);
        planned.push(Planned { at, fault, lasts });
        at += lasts + Duration::from_millis(dice.between(1500, 6000));
    }
    planned
}

/// Does what was planned, each as soon as its time has come and the one before it is mended. Gives what it did.
///
/// # Errors
/// When something does not come back.
pub async fn inflict(servers: Arc<Servers>, planned: Vec<Planned>, history: Arc<History>) -> Result<Vec<Fault>> {
    let began = Instant::now();
    let mut done = Vec::new();
    for one in planned {
        sleep_until(began + one.at).await;
        history.fault(one.to_string());
        one_fault(&servers, &one).await?;
        history.fault(format!("{:?} is mended", one.fault));
        done.push(one.fault);
    }
    Ok(done)
}

async fn one_fault(servers: &Servers, planned: &Planned) -> Result<()> {
    match planned.fault {
        Fault::RollingRestart => {
            for node in &servers.nodes {
                of_node(Arc::clone(node), Fault::DrainNode(0), Duration::ZERO).await?;
            }
            Ok(())
        }
        Fault::KillNode(node) | Fault::FreezeNode(node) | Fault::CutOffNode(node) | Fault::DrainNode(node) => {
            of_node(Arc::clone(&servers.nodes[node]), planned.fault, planned.lasts).await
        }
        fault => match &servers.shared {
            Some(shared) => of_shared(Arc::clone(shared), fault, planned.lasts).await,
            None => Ok(()),
        },
    }
}

async fn of_node(node: Arc<Node>, fault: Fault, lasts: Duration) -> Result<()> {
    let (begun, again) = (Arc::clone(&node), Arc::clone(&node));
    blocking(move || match fault {
        Fault::KillNode(_) => {
            held(&begun.process).kill();
            Ok(())
        }
        Fault::FreezeNode(_) => {
            held(&begun.process).freeze();
            Ok(())
        }
        Fault::DrainNode(_) => held(&begun.process).drain(),
        _ => {
            begun.cut_off();
            Ok(())
        }
    })
    .await??;
    sleep(lasts).await;
    blocking(move || match fault {
        Fault::FreezeNode(_) => held(&node.process).thaw(),
        Fault::CutOffNode(_) => node.mend(),
        _ => {}
    })
    .await?;
    if matches!(fault, Fault::KillNode(_) | Fault::DrainNode(_)) { come_back(&again).await } else { Ok(()) }
}

/// Starts a node again, as whatever looks after services does: until it stays. What it stands on may be away.
async fn come_back(node: &Arc<Node>) -> Result<()> {
    let until = Instant::now() + COME_BACK;
    loop {
        let again = Arc::clone(node);
        let started = blocking(move || held(&again.process).start_again()).await?;
        if started.is_ok() || Instant::now() > until {
            return started;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

async fn of_shared(shared: Arc<Shared>, fault: Fault, lasts: Duration) -> Result<()> {
    let begun = Arc::clone(&shared);
    blocking(move || match fault {
        Fault::KillRedis => held(&begun.redis).kill(),
        Fault::FreezeRedis => held(&begun.redis).freeze(),
        Fault::RestartPostgres => held(&begun.postgres).stop(),
        Fault::KillPostgres => held(&begun.postgres).kill(),
        Fault::FreezePostgres => held(&begun.postgres).freeze(),
        _ => {}
    })
    .await?;
    sleep(lasts).await;
    blocking(move || match fault {
        Fault::KillRedis => held(&shared.redis).start_again(),
        Fault::EmptyRedis => held(&shared.redis).flush(),
        Fault::FreezeRedis => {
            held(&shared.redis).thaw();
            Ok(())
        }
        Fault::FreezePostgres => {
            held(&shared.postgres).thaw();
            Ok(())
        }
        _ => held(&shared.postgres).start_again(),
    })
    .await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_function_of_the_seed() {
        let long = Duration::from_secs(60);
        assert_eq!(plan(7, long, 3), plan(7, long, 3));
        assert_ne!(plan(7, long, 3), plan(8, long, 3));
        let shared = |fault: &Fault| !matches!(fault.kind().split(' ').next(), Some("nodes" | "rolling"));
        assert!(plan(7, long, 0).iter().flatten().all(|planned| !shared(&planned.fault)));
        assert!(plan(7, long, 3)[1].iter().all(|planned| shared(&planned.fault)));
        assert!((0..50).all(|seed| plan(seed, long, 3).iter().flatten().count() > 10), "a minute is full of them");
    }
}
