//! Real services on this machine's loopback, for `roost bench`, `roost chaos` and the suite: PostgreSQL, Redis and
//! nodes of this very program, from the installed binaries, on free ports, in folders that are gone afterwards; and a
//! provider of answers that does what it is told.
//!
//! Nothing here outlives its starter, however that ends: the kernel ends the processes, a small shell removes the
//! folders. What blocks says so; async code calls it through `spawn_blocking`.

mod folder;
mod node;
mod port;
mod postgres;
mod process;
mod programs;
mod redis;
pub mod scripted;

use std::fmt::Display;
use std::time::{Duration, Instant};

pub use self::folder::Folder;
pub use self::node::{LocalNode, NodePlan};
pub use self::port::free_port;
pub use self::postgres::{LocalPostgres, PostgresPlan};
pub use self::process::{Output, Running};
pub use self::programs::{has_postgres, has_redis};
pub use self::redis::LocalRedis;
pub use self::scripted::Scripted;

use crate::error::{Error, Result};

/// How long a service may take to start, and to end.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often another port is tried when somebody took it between the look and the start.
const TRIES: usize = 5;

fn failed(what: impl Display) -> Error {
    Error::internal(what.to_string())
}

/// Looks until it is so; says whether it became so in time. Blocks.
pub(crate) fn wait_until(longest: Duration, mut is: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + longest;
    loop {
        if is() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        pause();
    }
}

/// Lets others have the processor between two looks at them.
#[expect(clippy::disallowed_methods, reason = "who watches another process has no bell to wait for")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Starts a service on a free port, and on another when that was taken meanwhile.
fn on_some_port<T>(start: impl Fn(u16) -> Result<T>) -> Result<T> {
    let mut last = failed("no port is free");
    for _ in 0..TRIES {
        match start(free_port()?) {
            Ok(started) => return Ok(started),
            Err(error) => last = error,
        }
    }
    Err(last)
}
