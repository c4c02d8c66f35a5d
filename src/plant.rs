//! Bugs that are put in on purpose, so that a test can show that `roost chaos` finds them. Only debug builds have them,
//! and only when `SUITE_PLANT` names one.

use std::hash::{BuildHasher, RandomState};

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Events are told before their commit, which then fails now and then, as when a machine dies between the two.
    PublishBeforeCommit,
    /// What happens between a follower's entry and its first look is not always kept for it.
    DropAtSeam,
}

/// Whether this bug was put in.
#[cfg(debug_assertions)]
pub fn is_planted(plant: Plant) -> bool {
    let name = match plant {
        Plant::PublishBeforeCommit => "publish-before-commit",
        Plant::DropAtSeam => "drop-at-seam",
    };
    std::env::var("SUITE_PLANT").is_ok_and(|planted| planted == name)
}

/// Whether this bug was put in: never in what is delivered.
#[cfg(not(debug_assertions))]
pub const fn is_planted(_: Plant) -> bool {
    false
}

/// Whether what was planted goes wrong this time: about once in fifty.
pub fn goes_wrong() -> bool {
    RandomState::new().hash_one(0).is_multiple_of(50)
}
