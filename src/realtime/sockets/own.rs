//! What belongs to one connection: its subscriptions, its user, and what is expected of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::{Expected, Voucher};

/// How long an authorisation is good for: the client asks for the channel as soon as it has it.
const EXPECTED_FOR: Duration = Duration::from_secs(60);

/// Everything that has to be given back when the connection is gone.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub subscriptions: Vec<Arc<Channel>>,
    pub user: Option<Arc<str>>,
    pub watching: Vec<Arc<str>>,
    pub has_left: bool,
    /// What vouches for it. Each has authorised something, so there are no more than channels were asked for;
    /// those of channels that were left are kept, because they say who has the connection.
    pub vouchers: Vec<Voucher>,
    expected: Vec<Soon>,
}

#[derive(Debug)]
struct Soon {
    channel: Box<str>,
    expected: Expected,
    until: Instant,
}

impl Own {
    /// Its subscription of that channel.
    pub fn subscription(&self, channel: &str) -> Option<&Arc<Channel>> {
        self.subscriptions.iter().find(|subscription| subscription.name() == channel)
    }

    /// Notes what is expected, in the place of what was for that channel; `false` when that is too much.
    pub fn expect(&mut self, channel: &str, expected: Expected, max: usize, now: Instant) -> bool {
        self.expected.retain(|soon| soon.until > now && &*soon.channel != channel);
        if self.has_left || self.expected.len() >= max {
            return false;
        }
        self.expected.push(Soon { channel: channel.into(), expected, until: now + EXPECTED_FOR });
        true
    }

    /// Notes what vouches for it; `false` when that is too much.
    pub fn vouch(&mut self, voucher: Voucher, max: usize) -> bool {
        let is_known = self.vouchers.contains(&voucher);
        if !is_known && self.vouchers.len() < max {
            self.vouchers.reserve_exact(1);
            self.vouchers.push(voucher);
            return true;
        }
        is_known
    }

    /// Takes what is expected.
    pub fn expected(&mut self, channel: &str, now: Instant) -> Option<Expected> {
        let at = self.expected.iter().position(|soon| &*soon.channel == channel)?;
        let soon = self.expected.swap_remove(at);
        if self.expected.is_empty() {
            self.expected = Vec::new();
        }
        (soon.until > now).then_some(soon.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{TokenId, UserId};

    #[test]
    fn what_is_expected_is_taken_once_and_lapses() {
        let (mut own, now) = (Own::default(), Instant::now());
        let by = |owner| Expected { since: None, owner: UserId(owner), token_id: TokenId(owner) };
        assert!(own.expect("a", by(1), 2, now) && own.expect("b", by(2), 2, now));
        assert!(!own.expect("c", by(3), 2, now), "two is all there may be");
        assert!(own.expect("a", by(4), 2, now), "the same channel again takes no room");
        assert_eq!(own.expected("a", now), Some(by(4)));
        assert_eq!(own.expected("a", now), None);
        assert_eq!(own.expected("b", now + EXPECTED_FOR), None, "too late");
        assert!(own.expect("c", by(3), 1, now));
        assert!(own.expect("d", by(3), 1, now + EXPECTED_FOR), "what has lapsed takes no room");
    }
}
