//! Which connection brought something about: it is spared the echo of it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use super::sockets::SocketId;

/// Deeds that are remembered at once; the oldest are forgotten first.
const KEPT: usize = 8192;

/// The connections behind the last deeds. A deed is noted before it is done, because what it brings about is
/// published before it is answered.
#[derive(Debug)]
pub struct Origins<D>(Mutex<Noted<D>>);

#[derive(Debug)]
struct Noted<D> {
    /// `None`: it was done again, by a connection that did not say which it is.
    by_deed: HashMap<D, Option<SocketId>>,
    in_order: VecDeque<D>,
}

impl<D> Default for Origins<D> {
    fn default() -> Self {
        Self(Mutex::new(Noted { by_deed: HashMap::new(), in_order: VecDeque::new() }))
    }
}

impl<D: Clone + Eq + Hash> Origins<D> {
    /// That connection is about to do that.
    pub fn note(&self, deed: D, socket: SocketId) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.by_deed.insert(deed.clone(), Some(socket)).is_none() {
            noted.in_order.push_back(deed);
        }
        if noted.in_order.len() > KEPT
            && let Some(oldest) = noted.in_order.pop_front()
        {
            noted.by_deed.remove(&oldest);
        }
    }

    /// Somebody who did not say which connection they are is about to do that: whoever did it before is told
    /// of it like everybody.
    pub fn forget(&self, deed: &D) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = noted.by_deed.get_mut(deed) {
            *socket = None;
        }
    }

    /// Who did that, if it is known.
    pub fn of(&self, deed: &D) -> Option<SocketId> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.by_deed.get(deed).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let origins = Origins::default();
        for deed in 0..KEPT + 10 {
            origins.note(deed, SocketId(1, 1));
        }
        assert_eq!((origins.of(&9), origins.of(&10)), (None, Some(SocketId(1, 1))));
        origins.note(10, SocketId(2, 2));
        assert_eq!(origins.of(&10), Some(SocketId(2, 2)), "the last who did it");
        origins.forget(&10);
        assert_eq!(origins.of(&10), None, "somebody else did it since");
    }
}
