//! What all nodes count together, in Redis; and what each does while Redis does not answer.
//!
//! Then every node grants its share: a request weighs as much as there are nodes. Who comes to all of them gets what
//! the limit says, or a little more in the moment when Redis goes away, because no node knows what the others had
//! counted.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Decision, LimitKey, network};
use crate::redis::{Redis, Script, Unanswered};

/// One bucket (GCRA): the key; the microseconds that it takes to earn one request, and how many can be saved up.
/// Answers whether the request is granted, how many more would be at this moment, and else how many microseconds to
/// wait. What is kept is the instant at which the bucket is full again, by Redis' clock, as long as it lies ahead; a
/// clock that was set back (another server's, after a failover) cannot make it further away than an empty bucket is.
pub const BUCKET: &str = "
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local every, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = tonumber(redis.call('GET', KEYS[1]) or now)
full = math.min(math.max(full, now), now + every * burst) + every
local room = now + every * burst - full
if room < 0 then return {0, 0, -room} end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return {1, math.floor(room / every), 0}
";

/// Redis, and how many nodes there are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shared {
    redis: Redis,
    nodes: Arc<AtomicU32>,
    is_fixed: bool,
}

impl Shared {
    /// `nodes`: among how many a limit is divided while Redis is away; 0: as many as were last seen.
    pub fn new(redis: Redis, nodes: u32) -> Self {
        Self { redis, nodes: Arc::new(AtomicU32::new(nodes.max(1))), is_fixed: nodes > 0 }
    }

    /// Where it is counted.
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// So many nodes are alive.
    pub fn saw_nodes(&self, nodes: u32) {
        if !self.is_fixed {
            self.nodes.store(nodes.max(1), Ordering::Relaxed);
        }
    }

    /// Among how many nodes a limit is divided.
    pub fn nodes(&self) -> NonZeroU32 {
        NonZeroU32::new(self.nodes.load(Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN)
    }
}

/// A limit that all nodes count together.
pub(super) struct Buckets {
    pub shared: Shared,
    name: &'static str,
    script: Script,
}

impl std::fmt::Debug for Buckets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buckets").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Buckets {
    pub fn new(name: &'static str, shared: Shared) -> Self {
        Self { shared, name, script: Script::new(BUCKET) }
    }

    pub async fn check(&self, per_minute: NonZeroU32, key: LimitKey) -> Result<Decision, Unanswered> {
        let limit = per_minute.get();
        let every = (60_000_000 + u64::from(limit) / 2) / u64::from(limit);
        let key = self.shared.redis.key(&format!("limit:{}:{}", self.name, key.digest()));
        let mut call = self.script.key(&key);
        let (is_granted, remaining, wait): (bool, u32, u64) =
            self.shared.redis.call(&key, call.arg(every.max(1)).arg(limit)).await?;
        let retry_after = (!is_granted).then(|| Duration::from_micros(wait));
        Ok(Decision { limit, remaining, retry_after })
    }
}

impl LimitKey {
    /// What the key is called in Redis: nobody's address stands there.
    fn digest(self) -> String {
        let mut digest = Sha256::new();
        match self {
            Self::Address(address) => digest.update(network(address).to_string()),
            Self::Conversation(id, address) => digest.update(format!("{id} {}", network(address))),
            Self::User(id) => digest.update(format!("user {id}")),
        }
        hex(&digest.finalize()[..16])
    }
}

/// In hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
