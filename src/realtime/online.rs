//! Which accounts have a connection at the moment.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::UserId;

/// Counts each account's connections.
#[derive(Debug, Default)]
pub struct Online {
    state: Mutex<State>,
    changed: Notify,
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
            state.changed.insert(user);
            self.changed.notify_one();
        }
    }

    /// One less.
    pub fn leave(&self, user: UserId) {
        let mut state = self.lock();
        let Some(count) = state.connections.get_mut(&user) else { return };
        *count -= 1;
        if *count == 0 {
            state.connections.remove(&user);
            state.changed.insert(user);
            self.changed.notify_one();
        }
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
