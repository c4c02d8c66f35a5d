//! How many answers may be under way at once on this node: in all, and of one conversation, user and tenant.
//!
//! A place is counted from when it is taken until it is given back, and not only while its run is among the runs: who asks
//! a hundred times at once gets no more than who asks one time after the other, and answers that nothing is kept of take
//! places, too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Owner;
use crate::domain::{ConversationId, PlatformId, UserId};
use crate::error::{Error, Result};

/// Whose answers are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Everybody,
    Conversation(ConversationId),
    User(UserId),
    /// `None`: all who belong to none.
    Tenant(Option<PlatformId>),
}

type Taken = Mutex<HashMap<Whose, usize>>;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    /// In all.
    pub everybody: usize,
    /// In one conversation.
    pub conversation: usize,
    /// Of one user.
    pub user: usize,
    /// Of one tenant.
    pub tenant: usize,
}

/// The places that are taken.
#[derive(Default)]
pub(super) struct Places(Arc<Taken>);

impl Places {
    /// A place for one more answer. Taken before its question is stored: who is refused has asked nothing.
    pub fn take(&self, owner: &Owner, max: Crowd) -> Result<Place> {
        let whose = [
            Some((Whose::Everybody, max.everybody)),
            owner.conversation.map(|id| (Whose::Conversation(id), max.conversation)),
            owner.user.map(|id| (Whose::User(id), max.user)),
            Some((Whose::Tenant(owner.tenant), max.tenant)),
        ];
        let mut taken = lock(&self.0);
        let is_full = |(whose, max): &(Whose, usize)| taken.get(whose).copied().unwrap_or(0) >= *max;
        if whose.iter().flatten().any(is_full) {
            return Err(Error::Busy);
        }
        let whose: Vec<_> = whose.into_iter().flatten().map(|(whose, _)| whose).collect();
        for one in &whose {
            *taken.entry(*one).or_default() += 1;
        }
        drop(taken);
        Ok(Place { whose, taken: Arc::clone(&self.0) })
    }
}

/// A place for one answer, until this is dropped.
pub(super) struct Place {
    whose: Vec<Whose>,
    taken: Arc<Taken>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        for one in &self.whose {
            if let Some(count) = taken.get_mut(one) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(one);
                }
            }
        }
    }
}

fn lock(taken: &Taken) -> MutexGuard<'_, HashMap<Whose, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_given_back_can_be_taken() {
        let places = Places::default();
        let max = Crowd { everybody: 3, conversation: 1, user: 2, tenant: 3 };
        let of = |conversation: Option<i64>, user| Owner {
            conversation: conversation.map(ConversationId),
            user: Some(UserId(user)),
            address: None,
            tenant: None,
        };
        let first = places.take(&of(Some(1), 1), max).unwrap();
        assert!(places.take(&of(Some(1), 2), max).is_err(), "the conversation has one");
        let second = places.take(&of(None, 1), max).unwrap();
        assert!(places.take(&of(None, 1), max).is_err(), "the user has two");
        let third = places.take(&of(None, 2), max).unwrap();
        assert!(places.take(&of(None, 3), max).is_err(), "there are three");
        drop(first);
        let again = places.take(&of(Some(1), 1), max).unwrap();
        assert_eq!(lock(&places.0)[&Whose::Tenant(None)], 3);
        drop((again, second, third));
        assert!(lock(&places.0).is_empty(), "nothing is kept of those who left");
    }
}
