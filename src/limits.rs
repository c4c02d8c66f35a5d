//! What is limited and how: one bucket a key, in memory, or in Redis when there are several nodes.

mod attempts;
mod shared;
mod tries;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{NotUntil, Quota, RateLimiter};

use shared::Buckets;

pub use attempts::{AccountKey, Attempts};
pub use shared::{BUCKET, Shared};

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
}

/// What one client has: an IPv4 address, or the first 64 bits of an IPv6 one, because the rest of it
/// is more addresses than any table.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
        four @ IpAddr::V4(_) => four,
    }
}

impl LimitKey {
    /// The key that is counted: of an address its [`network`].
    fn counted(self) -> Self {
        match self {
            Self::Address(address) => Self::Address(network(address)),
            Self::Conversation(id, address) => Self::Conversation(id, network(address)),
            user @ Self::User(_) => user,
        }
    }
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
    buckets: RateLimiter<LimitKey, Table, DefaultClock, StateInformationMiddleware>,
    shared: Option<Buckets>,
    refusals: AtomicU64,
    checks: AtomicU64,
}

impl Limit {
    /// How many checks may pass between two looks at the number of keys.
    const SWEEP_EVERY: u64 = 4096;

    /// A limit over at most about `keys_max` keys.
    pub fn new(per_minute: NonZeroU32, keys_max: usize) -> Self {
        let quota = Quota::per_minute(per_minute);
        let buckets = RateLimiter::new(quota, Table::new(keys_max), DefaultClock::default());
        Self { per_minute, buckets, shared: None, refusals: AtomicU64::new(0), checks: AtomicU64::new(0) }
    }

    /// The same limit counted by all nodes together; `name` tells it from the others.
    #[must_use]
    pub fn shared(self, name: &'static str, shared: Shared) -> Self {
        Self { shared: Some(Buckets::new(name, shared)), ..self }
    }

    /// Counts a request against `key`. Waits for Redis, if there is one, as long as a command of it may take; without
    /// an answer this node grants its share.
    pub async fn check(&self, key: LimitKey) -> Decision {
        let key = key.counted();
        let decision = match &self.shared {
            None => self.here(key),
            Some(all) => match all.check(self.per_minute, key).await {
                Ok(decision) => decision,
                Err(_) => self.share(key, all.shared.nodes()),
            },
        };
        self.refusals.fetch_add(u64::from(decision.retry_after.is_some()), Ordering::Relaxed);
        decision
    }

    fn here(&self, key: LimitKey) -> Decision {
        self.sweep();
        let limit = self.per_minute.get();
        match self.buckets.check_key(&key) {
            Ok(state) => Decision { limit, remaining: state.remaining_burst_capacity(), retry_after: None },
            Err(refused) => Decision { limit, remaining: 0, retry_after: Some(wait(&refused)) },
        }
    }

    /// One of so many shares of the limit, at least one request a minute: each weighs as much as there are shares.
    fn share(&self, key: LimitKey, shares: NonZeroU32) -> Decision {
        self.sweep();
        let weight = shares.min(self.per_minute);
        let limit = self.per_minute.get() / weight;
        match self.buckets.check_key_n(&key, weight) {
            Ok(Ok(state)) => {
                Decision { limit, remaining: state.remaining_burst_capacity() / weight, retry_after: None }
            }
            Ok(Err(refused)) => Decision { limit, remaining: 0, retry_after: Some(wait(&refused)) },
            // No weight is more than the bucket holds.
            Err(_) => Decision { limit, remaining: 0, retry_after: Some(Duration::from_secs(60)) },
        }
    }

    fn sweep(&self) {
        let checks = self.checks.fetch_add(1, Ordering::Relaxed);
        if checks.is_multiple_of(Self::SWEEP_EVERY) {
            self.buckets.retain_recent();
        }
    }

    /// How many were refused so far.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }
}

fn wait(refused: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>) -> Duration {
    refused.wait_time_from(DefaultClock::default().now())
}

/// The buckets by key, in a bounded number. Who comes when it is full shares one bucket with all who
/// do, so that somebody with endless addresses can neither fill the memory nor get more than one
/// bucket's worth; who was there before keeps their own.
#[derive(Debug)]
struct Table {
    shards: Vec<Mutex<HashMap<LimitKey, Nanos>>>,
    hasher: RandomState,
    len: AtomicUsize,
    keys_max: usize,
    shared: Mutex<Option<Nanos>>,
}

impl Table {
    const SHARDS: usize = 64;

    fn new(keys_max: usize) -> Self {
        let shards = (0..Self::SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new(), len: AtomicUsize::new(0), keys_max, shared: Mutex::default() }
    }
}

impl StateStore for Table {
    type Key = LimitKey;

    fn measure_and_replace<T, F, E>(&self, key: &LimitKey, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let shard = (self.hasher.hash_one(key) as usize) % Self::SHARDS;
        let mut held = lock(&self.shards[shard]);
        if let Some(bucket) = held.get_mut(key) {
            let (decision, next) = decide(Some(*bucket))?;
            *bucket = next;
            return Ok(decision);
        }
        if self.len.load(Ordering::Relaxed) >= self.keys_max {
            drop(held);
            let mut shared = lock(&self.shared);
            let (decision, next) = decide(*shared)?;
            *shared = Some(next);
            return Ok(decision);
        }
        let (decision, next) = decide(None)?;
        held.insert(*key, next);
        self.len.fetch_add(1, Ordering::Relaxed);
        Ok(decision)
    }
}

impl ShrinkableKeyedStateStore<LimitKey> for Table {
    fn retain_recent(&self, drop_below: Nanos) {
        for shard in &self.shards {
            let mut held = lock(shard);
            let before = held.len();
            held.retain(|_, bucket| *bucket > drop_below);
            self.len.fetch_sub(before - held.len(), Ordering::Relaxed);
        }
    }

    fn shrink_to_fit(&self) {
        self.shards.iter().for_each(|shard| lock(shard).shrink_to_fit());
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Words of typing: of a guest by conversation and address, of staff by account.
    pub typing: Option<Limit>,
    /// Registration, sign-in and codes, by address.
    pub auth: Option<Limit>,
    /// Requests of the assistant's public doors, by address.
    pub chats: Option<Limit>,
    /// Requests of users who write to each other, by account.
    pub pigeons: Option<Limit>,
    /// A user's own chats, by account; without a session by address.
    pub neptun: Option<Limit>,
    /// Questions in OpenAI's dialect, by account.
    pub openai: Option<Limit>,
    /// Questions in the AI SDK's dialect, by address.
    pub aisdk: Option<Limit>,
    /// Endpoints and events of a platform, by account.
    pub events: Option<Limit>,
    /// Documents, by account.
    pub knowledge: Option<Limit>,
}
