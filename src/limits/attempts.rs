//! Tries to sign in: after a few failures each next one has to wait longer.
//!
//! A limit a minute does not stop who guesses patiently; a wait that doubles does. Failures count
//! against the account, whether it exists or not, and against the address that they come from.
//! Limits protect the server and can be switched off; this protects the accounts and cannot.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::network;
use super::shared::Shared;
use super::tries::{self, Tries};
use crate::domain::Timestamp;

/// What somebody tries to get into, as a keyed hash of its name: nothing here reveals an address.
pub type AccountKey = [u8; 16];

/// The failures of the last hour, in memory and in a bounded number; with Redis those of all nodes. What came to this
/// node is remembered here in any case, for when Redis does not answer.
#[derive(Debug)]
pub struct Attempts {
    rule: Rule,
    accounts: Mutex<Failures<AccountKey>>,
    addresses: Mutex<Failures<IpAddr>>,
    tries: Option<Tries>,
    refusals: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    free: u32,
    wait_max: Duration,
    keys_max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    last: Timestamp,
}

impl Attempts {
    /// How long a failure is remembered after the last one.
    pub const MEMORY: Duration = Duration::from_secs(3600);

    /// After `free` failures the next try has to wait a second, after each further one twice as long
    /// as before, at most `wait_max`. At most about `keys_max` accounts and as many addresses are
    /// remembered.
    pub fn new(free: u32, wait_max: Duration, keys_max: usize) -> Self {
        let rule = Rule { free: free.max(1), wait_max, keys_max: keys_max.max(1) };
        let (accounts, addresses, refusals) = (Mutex::default(), Mutex::default(), AtomicU64::new(0));
        Self { rule, accounts, addresses, tries: None, refusals }
    }

    /// The same rule over the failures of all nodes.
    #[must_use]
    pub fn shared(self, shared: Shared) -> Self {
        Self { tries: Some(Tries::new(shared)), ..self }
    }

    /// How long a try has to wait before it may be made; `None`: not at all. While Redis is away each node gives its
    /// share of the free tries, at least one.
    pub async fn wait(&self, account: AccountKey, from: IpAddr, now: Timestamp) -> Option<Duration> {
        let wait = match &self.tries {
            None => self.wait_here(&self.rule, account, from, now),
            Some(tries) => match tries.of(account, from).await {
                Ok(failures) => failures.into_iter().filter_map(|failures| self.rule.left(failures)).max(),
                Err(_) => self.wait_here(&self.rule.shared_by(tries.shared.nodes().get()), account, from, now),
            },
        };
        self.refusals.fetch_add(u64::from(wait.is_some()), Ordering::Relaxed);
        wait
    }

    fn wait_here(&self, rule: &Rule, account: AccountKey, from: IpAddr, now: Timestamp) -> Option<Duration> {
        let account = with(&self.accounts, |failures| failures.wait(&account, rule, now));
        let address = with(&self.addresses, |failures| failures.wait(&network(from), rule, now));
        account.max(address)
    }

    /// How many tries were told to wait so far.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Counts a failure.
    pub async fn failed(&self, account: AccountKey, from: IpAddr, now: Timestamp) {
        with(&self.accounts, |failures| failures.add(account, &self.rule, now));
        with(&self.addresses, |failures| failures.add(network(from), &self.rule, now));
        if let Some(tries) = &self.tries {
            // Without an answer it is remembered here.
            let _ = tries.add(account, from).await;
        }
    }

    /// Forgets the account's failures. The address's stay: whoever has one account could otherwise
    /// sign in to it between guesses at others.
    pub async fn succeeded(&self, account: AccountKey) {
        with(&self.accounts, |failures| failures.by_key.remove(&account));
        if let Some(tries) = &self.tries {
            let _ = tries.forget(account).await;
        }
    }
}

impl Rule {
    /// One of so many nodes' share of it.
    fn shared_by(self, nodes: u32) -> Self {
        Self { free: (self.free / nodes).max(1), ..self }
    }

    fn left(&self, failures: tries::Failures) -> Option<Duration> {
        if failures.times < self.free || failures.since >= Attempts::MEMORY {
            return None;
        }
        let doubled = 2_u64.saturating_pow(failures.times - self.free);
        let whole = Duration::from_secs(doubled).min(self.wait_max);
        whole.checked_sub(failures.since).filter(|left| !left.is_zero())
    }
}

fn with<K, T>(failures: &Mutex<Failures<K>>, work: impl FnOnce(&mut Failures<K>) -> T) -> T {
    work(&mut failures.lock().unwrap_or_else(PoisonError::into_inner))
}

#[derive(Debug)]
struct Failures<K> {
    by_key: HashMap<K, Failed>,
    /// Of those who come when there is no place left.
    shared: Option<Failed>,
}

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), shared: None }
    }
}

impl<K: Hash + Eq> Failures<K> {
    fn wait(&self, key: &K, rule: &Rule, now: Timestamp) -> Option<Duration> {
        let own = self.by_key.get(key);
        let failed = own.or_else(|| self.shared.as_ref().filter(|_| self.by_key.len() >= rule.keys_max))?;
        failed.wait(rule, now)
    }

    fn add(&mut self, key: K, rule: &Rule, now: Timestamp) {
        if let Some(failed) = self.by_key.get_mut(&key) {
            *failed = failed.again(now);
            return;
        }
        if self.by_key.len() >= rule.keys_max {
            self.make_room(rule, now);
        }
        if self.by_key.len() >= rule.keys_max {
            self.shared = Some(self.shared.map_or_else(|| Failed::once(now), |shared| shared.again(now)));
        } else {
            self.by_key.insert(key, Failed::once(now));
        }
    }

    /// Lets go of what is forgotten anyhow, then of those who have not used up their free tries: a
    /// flood of names that failed once each may not push out who really guesses. Only one who has to
    /// wait stays, and each of them cost its maker several hashed passwords.
    fn make_room(&mut self, rule: &Rule, now: Timestamp) {
        self.by_key.retain(|_, failed| !failed.is_forgotten(now));
        if self.by_key.len() >= rule.keys_max {
            self.by_key.retain(|_, failed| failed.times >= rule.free);
        }
    }
}

impl Failed {
    fn once(now: Timestamp) -> Self {
        Self { times: 1, last: now }
    }

    fn again(self, now: Timestamp) -> Self {
        if self.is_forgotten(now) { Self::once(now) } else { Self { times: self.times.saturating_add(1), last: now } }
    }

    fn is_forgotten(self, now: Timestamp) -> bool {
        now >= self.last.plus(Attempts::MEMORY)
    }

    fn wait(self, rule: &Rule, now: Timestamp) -> Option<Duration> {
        // A clock that was set back may not lengthen the wait.
        let since = u64::try_from(now.0.saturating_sub(self.last.0)).unwrap_or(0);
        rule.left(tries::Failures { times: self.times, since: Duration::from_micros(since) })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const A: AccountKey = [1; 16];
    const B: AccountKey = [2; 16];
    const HOME: &str = "192.0.2.1";
    const AWAY: &str = "2001:db8::1";

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_767_323_045_000_000 + seconds * 1_000_000)
    }

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    fn attempts(keys_max: usize) -> Attempts {
        Attempts::new(3, Duration::from_secs(10), keys_max)
    }

    fn seconds(attempts: &Attempts, account: AccountKey, from: &str, now: i64) -> u64 {
        let wait = attempts.wait(account, ip(from), at(now)).now_or_never().expect("nothing to wait for");
        wait.map_or(0, |wait| wait.as_secs())
    }

    fn fails(attempts: &Attempts, account: AccountKey, from: &str, now: i64) {
        attempts.failed(account, ip(from), at(now)).now_or_never().expect("nothing to wait for");
    }

    #[test]
    fn waits_grow_after_the_free_tries() {
        let attempts = attempts(10);
        for want in [0, 0, 1, 2, 4, 8, 10, 10] {
            fails(&attempts, A, HOME, 0);
            assert_eq!(seconds(&attempts, A, HOME, 0), want);
        }
        assert_eq!(seconds(&attempts, A, HOME, 4), 6, "a wait passes");
        assert_eq!(seconds(&attempts, A, HOME, 10), 0);
        assert_eq!(seconds(&attempts, A, HOME, -100), 10, "a clock set back does not lengthen it");
        assert_eq!(seconds(&attempts, A, AWAY, 0), 10, "the account waits from everywhere");
        assert_eq!(seconds(&attempts, B, HOME, 0), 10, "and the address with every account");
        assert_eq!(seconds(&attempts, B, AWAY, 0), 0);
    }

    #[test]
    fn neighbours_in_one_network_count_as_one() {
        let attempts = attempts(10);
        (0..3).for_each(|_| fails(&attempts, A, "2001:db8::2", 0));
        assert_eq!(seconds(&attempts, B, AWAY, 0), 1);
    }

    #[test]
    fn an_hour_or_a_success_forgets() {
        let attempts = attempts(10);
        (0..4).for_each(|_| fails(&attempts, A, HOME, 0));
        attempts.succeeded(A).now_or_never().expect("nothing to wait for");
        assert_eq!((seconds(&attempts, A, AWAY, 0), seconds(&attempts, A, HOME, 0)), (0, 2), "the address does not");
        fails(&attempts, B, HOME, 3600);
        assert_eq!(seconds(&attempts, B, HOME, 3600), 0, "it begins anew after an hour");
    }

    #[test]
    fn endless_names_push_out_nobody_who_guesses() {
        let attempts = attempts(4);
        (0..3).for_each(|_| fails(&attempts, A, HOME, 0));
        for name in 10..100 {
            fails(&attempts, [name; 16], &format!("198.51.100.{name}"), 0);
        }
        assert!(attempts.accounts.lock().unwrap().by_key.len() <= 4);
        assert_eq!(seconds(&attempts, A, AWAY, 0), 1);
    }

    #[test]
    fn when_all_places_are_taken_by_guessers_newcomers_share_one() {
        let attempts = attempts(1);
        (0..3).for_each(|_| fails(&attempts, A, HOME, 0));
        (0..3).for_each(|_| fails(&attempts, B, AWAY, 0));
        assert_eq!((seconds(&attempts, B, AWAY, 0), seconds(&attempts, [3; 16], "198.51.100.7", 0)), (1, 1));
        assert_eq!(attempts.accounts.lock().unwrap().by_key.len(), 1);
    }
}
