//! The failures to sign in that all nodes remember together, in Redis.

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::attempts::{AccountKey, Attempts};
use super::network;
use super::shared::{Shared, hex};
use crate::redis::{Script, Unanswered, cmd};

/// How many failures, and how many microseconds ago the last one was, by Redis' clock.
const READ: &str = "
local failed = redis.call('HMGET', KEYS[1], 'times', 'last')
if not failed[1] then return {0, 0} end
local now = redis.call('TIME')
return {tonumber(failed[1]), math.max(now[1] * 1000000 + now[2] - failed[2], 0)}
";

/// One failure more, forgotten after so many seconds without another.
const ADD: &str = "
local now = redis.call('TIME')
redis.call('HINCRBY', KEYS[1], 'times', 1)
redis.call('HSET', KEYS[1], 'last', string.format('%.0f', now[1] * 1000000 + now[2]))
redis.call('EXPIRE', KEYS[1], ARGV[1])
";

/// How often somebody failed, and how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    pub times: u32,
    pub since: Duration,
}

pub(super) struct Tries {
    pub shared: Shared,
    read: Script,
    add: Script,
}

impl std::fmt::Debug for Tries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tries").finish_non_exhaustive()
    }
}

impl Tries {
    pub fn new(shared: Shared) -> Self {
        Self { shared, read: Script::new(READ), add: Script::new(ADD) }
    }

    /// The failures of the account, and of the address.
    pub async fn of(&self, account: AccountKey, from: IpAddr) -> Result<[Failures; 2], Unanswered> {
        let (account, address) = (self.of_account(account), self.of_address(from));
        let (account, address) = tokio::join!(self.failures(&account), self.failures(&address));
        Ok([account?, address?])
    }

    async fn failures(&self, key: &str) -> Result<Failures, Unanswered> {
        let (times, since): (u32, u64) = self.shared.redis().call(key, &self.read.key(key)).await?;
        Ok(Failures { times, since: Duration::from_micros(since) })
    }

    pub async fn add(&self, account: AccountKey, from: IpAddr) -> Result<(), Unanswered> {
        let keys = [self.of_account(account), self.of_address(from)];
        let [mut account, mut address] = keys.each_ref().map(|key| self.add.key(key));
        let [account, address] = [&mut account, &mut address].map(|call| call.arg(Attempts::MEMORY.as_secs()));
        let redis = self.shared.redis();
        let (account, address) = tokio::join!(redis.call::<()>(&keys[0], account), redis.call(&keys[1], address));
        account.and(address)
    }

    pub async fn forget(&self, account: AccountKey) -> Result<(), Unanswered> {
        let key = self.of_account(account);
        self.shared.redis().run(&key, cmd("DEL").arg(&key)).await
    }

    fn of_account(&self, account: AccountKey) -> String {
        self.shared.redis().key(&format!("tries:account:{}", hex(&account)))
    }

    fn of_address(&self, from: IpAddr) -> String {
        let digest = Sha256::digest(network(from).to_string());
        self.shared.redis().key(&format!("tries:address:{}", hex(&digest[..16])))
    }
}
