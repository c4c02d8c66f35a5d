//! What every part of the connections' keeping shares.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::outbox::Written;
use super::rules::SocketRules;
use super::sweep::Wheel;

/// Rules, counters, and the wheel of what is due.
pub(super) struct Shared {
    pub rules: SocketRules,
    pub figures: Figures,
    wheel: Mutex<Wheel>,
    began: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Figures {
    frames: AtomicU64,
    bytes: AtomicU64,
    writes: AtomicU64,
    pub slow: AtomicU64,
    pub left: AtomicU64,
    pub subscriptions: AtomicUsize,
    pub channels: AtomicUsize,
    pub kept_bytes: AtomicUsize,
    pub inbound_bytes: AtomicUsize,
}

impl Figures {
    pub fn wrote(&self, written: Written) {
        if written.writes > 0 {
            self.frames.fetch_add(written.frames, Ordering::Relaxed);
            self.bytes.fetch_add(written.bytes, Ordering::Relaxed);
            self.writes.fetch_add(written.writes, Ordering::Relaxed);
        }
    }

    pub fn written(&self) -> Written {
        Written {
            frames: self.frames.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    pub fn new(rules: SocketRules) -> Self {
        Self { rules, figures: Figures::default(), wheel: Mutex::default(), began: Instant::now() }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    pub fn wheel(&self) -> MutexGuard<'_, Wheel> {
        lock(&self.wheel)
    }
}

/// A lock that a panic elsewhere does not take away: what it guards is changed in single steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
