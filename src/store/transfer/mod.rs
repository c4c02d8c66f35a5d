//! Moving a store from SQLite to PostgreSQL while it is in use.
//!
//! **Before the server stops** everything is copied, table by table and piece by piece (`copy`); then every
//! conversation is compared, by count and checksum (`check`); then rounds find what has changed meanwhile (`level`).
//! All of that only reads the source, in short transactions, and remembers in the target how far it came (`state`):
//! cut off at any point, it goes on there.
//!
//! **While no server runs** (the folder's lock says so) a last round brings the rest, rows are counted, sequences are set
//! past every number that was given out, references are put back, and the target is marked as whole. That takes as long
//! as what changed in the last seconds, and a look at every head and account. Numbers, identifiers, cursors, keys,
//! secrets and tokens stay what they were, so that clients go on where they are.
//!
//! **How a change is found.** Whatever changes a conversation's log moves its head, in the same transaction: heads that
//! are the same on both sides stand for conversations that are. Heads are copied first, so that what is copied later is
//! never older than its head says. Everything that no head tells of is compared row by row, each round.

mod account_tables;
mod check;
mod conversation_tables;
mod copy;
mod finish;
mod level;
mod pace;
mod rows;
mod source;
mod state;
mod tables;
mod target;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::source::{Bounds, Source};
use self::state::Found;
pub(in crate::store) use self::state::{IS_THERE, IS_UNFINISHED, UNFINISHED};
use self::target::Target;
use super::migrate::SQLITE;
use super::sqlite::{DataDir, DataDirLock, Marker, SqliteStore};
use crate::domain::Timestamp;
use crate::error::{Error, Result};

/// Bytes of one piece, unless its only row is larger.
const PIECE_BYTES: usize = 4 << 20;

/// Between two looks whether the server has stopped.
const LOOKS_APART: Duration = Duration::from_millis(100);

/// Between two rounds while it runs, at the least; and at least as long as a round takes, so that what is read here
/// takes half of a disk's time at the most.
const ROUNDS_APART: Duration = Duration::from_secs(1);

/// Who is told how it goes: a line at a time.
pub type Told<'a> = &'a (dyn Fn(String) + Sync);

/// What is moved, where, and how.
#[derive(Clone, Debug)]
pub struct Move {
    /// The data folder.
    pub from: PathBuf,
    /// `postgres://user:password@host/database?sslmode=…`
    pub to: String,
    /// Whether to wait until the server over the folder has stopped.
    pub wait: bool,
    /// Whether to compare every conversation once more when it has, and not only those that changed since they were
    /// compared.
    pub check_all: bool,
    /// Rows of one piece.
    pub rows: usize,
    /// When this began.
    pub now: Timestamp,
}

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Conversations in the target.
    pub conversations: i64,
    /// Messages in them, deleted ones too.
    pub messages: i64,
    /// Other events.
    pub events: i64,
    /// How long no server could have run, by this program.
    pub down: Duration,
}

/// Moves a store; see the module's words.
///
/// # Errors
/// `Internal` with a sentence for the operator: a server still uses the folder, the target is another store's, they are
/// not the same. The same command goes on where this one stopped.
pub async fn run(plan: &Move, tell: Told<'_>) -> Result<Moved> {
    let dir = folder(plan)?;
    let bounds = Bounds { rows: plan.rows.max(1), bytes: PIECE_BYTES };
    let source = Source::open(&dir.database(), bounds)?;
    let target = Target::connect(&plan.to).await?;
    if state::begin(&source, &target, plan.now).await? == Found::Finished {
        return finish::again(&target, &Marker::of(&dir)).await;
    }
    let mut held = dir.lock().ok();
    copy::all(&source, &target, tell).await?;
    for fault in check::conversations(&source, &target, false, tell).await?.faults {
        tell(format!("not the same, and brought anew: {fault}"));
    }
    if held.is_none() {
        held = Some(stopped(plan, &dir, &Sides { source: &source, target: &target }, tell).await?);
    }
    let marker = Marker::of(&dir);
    let done = finish::cut_over(plan, &Sides { source: &source, target: &target }, &marker, tell).await;
    // A server may start on the folder again: nothing was lost there.
    if done.is_err() {
        marker.remove();
    }
    drop(held);
    done
}

struct Sides<'a> {
    source: &'a Source,
    target: &'a Target,
}

/// The data folder, with a store of this binary's schema in it.
fn folder(plan: &Move) -> Result<DataDir> {
    if !plan.from.join("roost.db").is_file() {
        return Err(Error::internal(format!("there is no store in {}", plan.from.display())));
    }
    let dir = DataDir::prepare(&plan.from)?;
    if SqliteStore::is_behind(&dir, SQLITE)? {
        let what = "has an older schema: start this Roost on it once, or let one of its commands open it";
        return Err(Error::internal(format!("the store in {} {what}", plan.from.display())));
    }
    Ok(dir)
}

/// Follows the server until it has stopped, and takes the folder.
async fn stopped(plan: &Move, dir: &DataDir, sides: &Sides<'_>, tell: Told<'_>) -> Result<DataDirLock> {
    loop {
        let begun = Instant::now();
        let round = level::round(sides.source, sides.target).await?;
        let took = begun.elapsed();
        tell(format!("a round: {} conversations had changed, {} rows", round.conversations, round.rows));
        if plan.wait {
            tell("waiting for the server to stop (SIGTERM it now)".to_owned());
        }
        while begun.elapsed() < took + took.max(ROUNDS_APART) {
            match dir.lock() {
                Ok(held) => return Ok(held),
                Err(error) if !plan.wait => {
                    return Err(Error::internal(format!(
                        "what is there is copied; stop the server and run this again for the rest, or use --wait \
                         ({error})"
                    )));
                }
                Err(_) => tokio::time::sleep(LOOKS_APART).await,
            }
        }
    }
}
