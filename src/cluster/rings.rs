//! Bells for those who follow more than one conversation: rung once the store shows them everything up to the event.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::{EventId, Scope};

/// What is to be rung, and from which horizon on. As many as there are scopes in which something happened while the
/// horizon stood still: some milliseconds.
#[derive(Debug, Default)]
pub(super) struct Rings {
    held: Mutex<HashMap<Scope, EventId>>,
    more: Notify,
}

impl Rings {
    /// Something happened in a scope.
    pub fn add(&self, scope: Scope, event: EventId) {
        let mut held = self.lock();
        let last = held.entry(scope).or_insert(event);
        *last = event.max(*last);
        drop(held);
        self.more.notify_one();
    }

    /// Takes out those whose events are all decided by now.
    pub fn due(&self, horizon: EventId) -> Vec<Scope> {
        let mut held = self.lock();
        let due: Vec<_> = held.iter().filter(|(_, event)| **event <= horizon).map(|(scope, _)| *scope).collect();
        for scope in &due {
            held.remove(scope);
        }
        due
    }

    /// Resolves when there is something to ring. Cancel-safe.
    pub async fn more(&self) {
        while self.lock().is_empty() {
            self.more.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, EventId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    #[test]
    fn a_scope_is_rung_when_its_last_event_is_decided() {
        let (rings, kind) = (Rings::default(), crate::domain::ConversationKind::Direct);
        let (one, other) = (Scope::User(UserId(1), kind), Scope::User(UserId(2), kind));
        rings.add(one, EventId(5));
        rings.add(one, EventId(9));
        rings.add(other, EventId(6));
        assert_eq!(rings.due(EventId(5)), vec![]);
        assert_eq!(rings.due(EventId(8)), vec![other]);
        assert_eq!(rings.due(EventId(9)), vec![one]);
        assert_eq!(rings.due(EventId(9)), vec![]);
    }
}
