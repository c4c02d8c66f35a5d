//! Which accounts have a connection at the moment.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::UserId;

/// Counts each account's connections.
#[derive(Debug, Default)]
pub struct Online {
    users: Mutex<HashMap<UserId, usize>>,
}

impl Online {
    /// One more connection of that account; whether it is the first.
    pub fn enter(&self, user: UserId) -> bool {
        let mut users = self.lock();
        let count = users.entry(user).or_insert(0);
        *count += 1;
        *count == 1
    }

    /// One less; whether it was the last.
    pub fn leave(&self, user: UserId) -> bool {
        let mut users = self.lock();
        let Some(count) = users.get_mut(&user) else { return false };
        *count -= 1;
        let is_last = *count == 0;
        if is_last {
            users.remove(&user);
        }
        is_last
    }

    /// Whether the account has any.
    pub fn has(&self, user: UserId) -> bool {
        self.lock().contains_key(&user)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_connection_takes_somebody_along() {
        let online = Online::default();
        let ana = UserId(1);
        assert!(online.enter(ana) && !online.enter(ana));
        assert!(!online.leave(ana) && online.has(ana));
        assert!(online.leave(ana) && !online.has(ana));
        assert!(!online.leave(ana));
    }
}
