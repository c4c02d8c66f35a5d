//! What an engine counts of its writes, for the metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters of a store's writes.
#[derive(Debug, Default)]
pub struct WriterStats {
    /// Commits so far.
    pub commits: AtomicU64,
    /// Commands that those commits held.
    pub commands: AtomicU64,
    /// Commands that wait in the queue.
    pub queued: AtomicU64,
    /// Whether the storage refused the last commit.
    pub failing: AtomicBool,
    /// Batch sizes, by the power of two that they do not exceed: 1, 2, 4, … 1024.
    pub batches: [AtomicU64; 11],
}

impl WriterStats {
    /// A commit of that many commands went well.
    pub(in crate::store) fn committed(&self, commands: usize) {
        self.failing.store(false, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.commands.fetch_add(commands as u64, Ordering::Relaxed);
        let power = commands.next_power_of_two().trailing_zeros() as usize;
        self.batches[power.min(self.batches.len() - 1)].fetch_add(1, Ordering::Relaxed);
    }
}
