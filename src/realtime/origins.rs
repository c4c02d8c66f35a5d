//! Which connection brought something about: it is spared the echo of it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::sockets::SocketId;
use crate::domain::EventId;

/// Deeds that are remembered at once; the oldest are forgotten first.
const KEPT: usize = 8192;
/// For how long a deed is expected that was announced by another node.
const HEARSAY: Duration = Duration::from_secs(10);

/// The connections behind the last deeds. A deed is noted before it is done, because what it brings about is
/// published before it is answered.
#[derive(Debug)]
pub struct Origins<D>(Mutex<Noted<D>>);

#[derive(Debug)]
struct Noted<D> {
    /// `None`: it was done again, by a connection that did not say which it is.
    by_deed: HashMap<D, Option<Origin>>,
    in_order: VecDeque<D>,
}

/// Who is about to do something.
#[derive(Debug)]
struct Origin {
    socket: SocketId,
    /// Of what another node announced, until when it is believed, and for which event once it was asked for one: when
    /// the same is done again by somebody else, it may be on a node that knows nothing of this.
    hearsay: Option<(Instant, Option<EventId>)>,
}

impl<D> Default for Origins<D> {
    fn default() -> Self {
        Self(Mutex::new(Noted { by_deed: HashMap::new(), in_order: VecDeque::new() }))
    }
}

impl<D: Clone + Eq + Hash> Origins<D> {
    /// That connection is about to do that.
    pub fn note(&self, deed: D, socket: SocketId) {
        self.put(deed, Origin { socket, hearsay: None });
    }

    /// Another node says that this connection, which is here, is about to do that.
    pub fn note_hearsay(&self, deed: D, socket: SocketId) {
        self.put(deed, Origin { socket, hearsay: Some((Instant::now() + HEARSAY, None)) });
    }

    fn put(&self, deed: D, origin: Origin) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.by_deed.insert(deed.clone(), Some(origin)).is_none() {
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
        if let Some(origin) = noted.by_deed.get_mut(deed) {
            *origin = None;
        }
    }

    /// Who did that, if it is known, with the event that came of it.
    pub fn of(&self, deed: &D, event: EventId) -> Option<SocketId> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = noted.by_deed.get_mut(deed)?.as_mut()?;
        if let Some((until, of)) = &mut origin.hearsay {
            let is_this = *of.get_or_insert(event) == event && Instant::now() < *until;
            return is_this.then_some(origin.socket);
        }
        Some(origin.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: EventId = EventId(1);

    #[test]
    fn what_another_node_announced_is_for_one_event() {
        let origins = Origins::default();
        origins.note_hearsay("edit", SocketId(1, 1));
        assert_eq!(origins.of(&"edit", EVENT), Some(SocketId(1, 1)));
        assert_eq!(origins.of(&"edit", EVENT), Some(SocketId(1, 1)), "it is asked for more than once");
        assert_eq!(origins.of(&"edit", EventId(2)), None, "done again, by whomever");
        origins.note_hearsay("edit", SocketId(1, 1));
        assert_eq!(origins.of(&"edit", EventId(3)), Some(SocketId(1, 1)));
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let origins = Origins::default();
        for deed in 0..KEPT + 10 {
            origins.note(deed, SocketId(1, 1));
        }
        assert_eq!((origins.of(&9, EVENT), origins.of(&10, EVENT)), (None, Some(SocketId(1, 1))));
        origins.note(10, SocketId(2, 2));
        assert_eq!(origins.of(&10, EVENT), Some(SocketId(2, 2)), "the last who did it");
        origins.forget(&10);
        assert_eq!(origins.of(&10, EVENT), None, "somebody else did it since");
    }
}
