//! What is limited and how: one bucket a key, in memory.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// What a request counts against. Keys are hashed names, never the session key itself, so that
/// nothing here outlives or reveals a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// An address.
    Address(IpAddr),
    /// One conversation from one address.
    Conversation(i64, IpAddr),
    /// One account.
    User(i64),
    /// Everybody who came after the table was full: they share one bucket, so that somebody with
    /// endless addresses can neither fill the memory nor get more than one bucket's worth.
    Overflow,
}

/// The outcome of a check, with what the answer's headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Requests a minute.
    pub limit: u32,
    /// How many are left at this moment.
    pub remaining: u32,
    /// Set when refused: try again after that long.
    pub retry_after: Option<Duration>,
}

/// A limit of so many requests a minute and key, with as many at once (GCRA).
#[derive(Debug)]
pub struct Limit {
    per_minute: NonZeroU32,
    keys_max: usize,
    buckets: RateLimiter<LimitKey, DashMapStateStore<LimitKey>, DefaultClock, StateInformationMiddleware>,
    refusals: AtomicU64,
    checks: AtomicU64,
}

impl Limit {
    /// How many checks may pass between two looks at the number of keys.
    const SWEEP_EVERY: u64 = 4096;

    /// A limit over at most about `keys_max` keys.
    pub fn new(per_minute: NonZeroU32, keys_max: usize) -> Self {
        let buckets = RateLimiter::dashmap(Quota::per_minute(per_minute)).with_middleware();
        Self { per_minute, keys_max, buckets, refusals: AtomicU64::new(0), checks: AtomicU64::new(0) }
    }

    /// Counts a request against `key`.
    pub fn check(&self, key: LimitKey) -> Decision {
        let checks = self.checks.fetch_add(1, Ordering::Relaxed);
        if checks.is_multiple_of(Self::SWEEP_EVERY) {
            self.buckets.retain_recent();
        }
        let key = if self.buckets.len() >= self.keys_max { LimitKey::Overflow } else { key };
        let limit = self.per_minute.get();
        match self.buckets.check_key(&key) {
            Ok(state) => Decision { limit, remaining: state.remaining_burst_capacity(), retry_after: None },
            Err(refused) => {
                self.refusals.fetch_add(1, Ordering::Relaxed);
                let wait = refused.wait_time_from(DefaultClock::default().now());
                Decision { limit, remaining: 0, retry_after: Some(wait) }
            }
        }
    }

    /// How many were refused so far.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }
}

/// The limits of the doors; `None` where limits are switched off.
#[derive(Debug)]
pub struct Limits {
    /// Sends of a guest, by conversation and address.
    pub send: Option<Limit>,
    /// Polls, long polls and streams of a guest, by conversation and address.
    pub poll: Option<Limit>,
    /// What no conversation vouches for: creating one, or naming one that is not there; by address.
    pub address: Option<Limit>,
    /// The staff side, by account.
    pub staff: Option<Limit>,
    /// Registration, sign-in and codes, by address.
    pub auth: Option<Limit>,
    /// Requests of the assistant's public doors, by address.
    pub chats: Option<Limit>,
}
