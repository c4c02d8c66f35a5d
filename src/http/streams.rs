//! The count of long polls and event streams: bounded in all and by address, and closed in a
//! staggered way when the server goes down, so that the clients do not all come back at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::limits::network;

/// Counts who waits.
#[derive(Clone, Debug)]
pub struct Streams {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
    closing: CancellationToken,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place among those who wait; given back when dropped.
#[derive(Debug)]
pub struct Place {
    streams: Arc<Inner>,
    address: IpAddr,
    /// Spread evenly over 0..1, so that closes are too.
    turn: f64,
}

impl Streams {
    /// At most `max` in all and `per_address_max` from one address.
    pub fn new(max: usize, per_address_max: usize) -> Self {
        let (open, closing) = (Mutex::default(), CancellationToken::new());
        Self { inner: Arc::new(Inner { max, per_address_max, open, closing }) }
    }

    /// A place, or `None` when there is none left or the server goes down.
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        if self.inner.closing.is_cancelled() {
            return None;
        }
        let address = network(address);
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let here = open.by_address.get(&address).copied().unwrap_or(0);
        if open.total >= self.inner.max || here >= self.inner.per_address_max {
            return None;
        }
        open.total += 1;
        open.by_address.insert(address, here + 1);
        // Steps of the golden ratio fall evenly into 0..1, whatever their number.
        let turn = (open.total as f64 * 0.618_033_988_749_895).fract();
        Some(Place { streams: Arc::clone(&self.inner), address, turn })
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner).total
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
        if let Some(here) = open.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let streams = Streams::new(3, 2);
        let [a, b] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let first = streams.enter(a).unwrap();
        let _second = streams.enter(a).unwrap();
        assert!(streams.enter(a).is_none(), "one address has its own bound");
        let _third = streams.enter(b).unwrap();
        assert!(streams.enter(b).is_none(), "and all share one");
        drop(first);
        assert!(streams.enter(b).is_some());
        streams.close();
        assert!(streams.enter(a).is_none());
    }
}
