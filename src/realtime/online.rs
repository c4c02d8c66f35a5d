//! Which accounts have a connection at the moment.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::Notify;

use super::nodes::{Nodes, Room};
use crate::domain::UserId;

/// Counts each account's connections.
#[derive(Debug, Default)]
pub struct Online {
    state: Mutex<State>,
    changed: Notify,
    /// The other nodes, when this is one of many.
    nodes: OnceLock<Weak<Nodes>>,
}

#[derive(Debug, Default)]
struct State {
    connections: HashMap<UserId, usize>,
    /// Who came or left since somebody last asked.
    changed: HashSet<UserId>,
}

impl Online {
    /// One more connection of that account.
    pub fn enter(&self, user: UserId) {
        let mut state = self.lock();
        let count = state.connections.entry(user).or_insert(0);
        *count += 1;
        if *count == 1 {
            drop(state);
            self.turned(user);
        }
    }

    /// One less.
    pub fn leave(&self, user: UserId) {
        let mut state = self.lock();
        let Some(count) = state.connections.get_mut(&user) else { return };
        *count -= 1;
        if *count == 0 {
            state.connections.remove(&user);
            drop(state);
            self.turned(user);
        }
    }

    /// From now on this is one of many nodes.
    pub(super) fn join_nodes(&self, nodes: &Arc<Nodes>) {
        let _ = self.nodes.set(Arc::downgrade(nodes));
    }

    /// The account came to this node, or left it. Of many nodes each writes that down first.
    fn turned(&self, user: UserId) {
        match self.nodes.get().and_then(Weak::upgrade) {
            Some(nodes) => nodes.touch(Room::Account(user), None),
            None => self.note(user),
        }
    }

    /// Notes that somebody came or left, here or on another node.
    pub(super) fn note(&self, user: UserId) {
        self.lock().changed.insert(user);
        self.changed.notify_one();
    }

    /// How many connections the account has here.
    pub(super) fn connections(&self, user: UserId) -> u64 {
        self.lock().connections.get(&user).map_or(0, |count| *count as u64)
    }

    /// The accounts that have connections here.
    pub(super) fn all(&self) -> Vec<UserId> {
        self.lock().connections.keys().copied().collect()
    }

    /// Whether the account has any.
    pub fn has(&self, user: UserId) -> bool {
        self.lock().connections.contains_key(&user)
    }

    /// Resolves when somebody came or left. For one who asks.
    pub async fn changed(&self) {
        while self.lock().changed.is_empty() {
            self.changed.notified().await;
        }
    }

    /// Who came or left since the last time; some may have done both.
    pub fn take_changed(&self) -> Vec<UserId> {
        std::mem::take(&mut self.lock().changed).into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_connection_takes_somebody_along() {
        let online = Online::default();
        let ana = UserId(1);
        online.enter(ana);
        online.enter(ana);
        assert_eq!(online.take_changed(), [ana]);
        online.leave(ana);
        assert!(online.has(ana) && online.take_changed().is_empty());
        online.leave(ana);
        assert!(!online.has(ana));
        assert_eq!(online.take_changed(), [ana]);
        online.leave(ana);
        assert!(online.take_changed().is_empty());
    }
}
