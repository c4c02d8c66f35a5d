//! The count of long polls and event streams: bounded in all, by address and by account, and closed
//! in a staggered way when the server goes down, so that the clients do not all come back at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::UserId;
use crate::limits::network;

/// Counts who waits.
#[derive(Clone, Debug)]
pub struct Streams {
    inner: Arc<Inner>,
}

/// How many may wait at once.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In all.
    pub max: usize,
    /// From one address.
    pub per_address_max: usize,
    /// Of one account.
    pub per_user_max: usize,
}

#[derive(Debug)]
struct Inner {
    bounds: Bounds,
    open: Mutex<Open>,
    closing: CancellationToken,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    left: u64,
    by_address: HashMap<IpAddr, usize>,
    by_user: HashMap<UserId, usize>,
}

/// A place among those who wait; given back when dropped.
#[derive(Debug)]
pub struct Place {
    streams: Arc<Inner>,
    address: IpAddr,
    user: Option<UserId>,
    /// Spread evenly over 0..1, so that closes are too.
    turn: f64,
}

impl Streams {
    /// Nobody waits yet.
    pub fn new(bounds: Bounds) -> Self {
        let (open, closing) = (Mutex::default(), CancellationToken::new());
        Self { inner: Arc::new(Inner { bounds, open, closing }) }
    }

    /// A place, or `None` when there is none left or the server goes down.
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        self.enter_as(address, None)
    }

    /// As [`Streams::enter`], counted against an account, too.
    pub fn enter_as(&self, address: IpAddr, user: Option<UserId>) -> Option<Place> {
        if self.inner.closing.is_cancelled() {
            return None;
        }
        let (address, bounds) = (network(address), self.inner.bounds);
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let here = open.by_address.get(&address).copied().unwrap_or(0);
        let theirs = user.and_then(|user| open.by_user.get(&user).copied()).unwrap_or(0);
        if open.total >= bounds.max || here >= bounds.per_address_max || theirs >= bounds.per_user_max {
            return None;
        }
        open.total += 1;
        open.by_address.insert(address, here + 1);
        if let Some(user) = user {
            open.by_user.insert(user, theirs + 1);
        }
        // Steps of the golden ratio fall evenly into 0..1, whatever their number.
        let turn = (open.total as f64 * 0.618_033_988_749_895).fract();
        Some(Place { streams: Arc::clone(&self.inner), address, user, turn })
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// How many have ended since the start.
    pub fn left(&self) -> u64 {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner).left
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells everybody to end.
    pub fn close(&self) {
        self.inner.closing.cancel();
    }
}

impl Place {
    /// Resolves when this stream is to end: at its turn within `spread` after the server began to
    /// go down.
    pub async fn closed(&self, spread: Duration) {
        self.streams.closing.cancelled().await;
        tokio::time::sleep(spread.mul_f64(self.turn)).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        open.left += 1;
        leave(&mut open.by_address, &self.address);
        if let Some(user) = &self.user {
            leave(&mut open.by_user, user);
        }
    }
}

fn leave<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let streams = Streams::new(Bounds { max: 3, per_address_max: 2, per_user_max: 1 });
        let [a, b] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let first = streams.enter(a).unwrap();
        let _second = streams.enter(a).unwrap();
        assert!(streams.enter(a).is_none(), "one address has its own bound");
        let _third = streams.enter(b).unwrap();
        assert!(streams.enter(b).is_none(), "and all share one");
        drop(first);
        assert!(streams.enter(b).is_some());
        let lan = Some(UserId(1));
        let theirs = streams.enter_as(b, lan);
        assert!(theirs.is_some() && streams.enter_as(a, lan).is_none(), "one account has its own, wherever it is");
        drop(theirs);
        assert!(streams.enter_as(a, lan).is_some());
        streams.close();
        assert!(streams.enter(a).is_none());
    }
}
