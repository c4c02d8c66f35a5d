//! What subscribers are told of others on other nodes, in the protocol's words.

use super::names::Kind;
use super::{frame, rest};
use crate::realtime::nodes::Wording;
use crate::realtime::sockets::{Frame, Member, Socket};

/// The words.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// Whether subscribers are told how many they are.
    pub counts: bool,
}

impl Wording for Words {
    fn member_added(&self, channel: &str, member: &Member) -> Frame {
        frame::member_added(channel, &member.user_id, member.info.as_deref())
    }

    fn member_removed(&self, channel: &str, user_id: &str) -> Frame {
        frame::member_removed(channel, user_id)
    }

    fn counted(&self, channel: &str, subscriptions: usize) -> Option<Frame> {
        let is_counted = self.counts && !Kind::of(channel).is_presence();
        is_counted.then(|| frame::subscription_count(channel, subscriptions))
    }

    fn watched(&self, is_online: bool, user_id: &str) -> Frame {
        frame::watched(is_online, &[user_id.to_owned()])
    }

    fn is_shared(&self, channel: &str) -> bool {
        let kind = Kind::of(channel);
        self.counts || kind.is_presence() || kind.keeps
    }

    fn terminate(&self, socket: &Socket) {
        rest::terminate_one(socket);
    }
}
