//! What happens on the channels of a platform, as its own backend can be told of it.

use super::PlatformId;

/// Something that happened on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Somebody subscribed where nobody had.
    ChannelOccupied {
        /// The channel.
        channel: String,
    },
    /// Nobody subscribes any more.
    ChannelVacated {
        /// The channel.
        channel: String,
    },
    /// A user came to a presence channel.
    MemberAdded {
        /// The channel.
        channel: String,
        /// Their id in the app.
        user_id: String,
    },
    /// A user left a presence channel with the last of their connections.
    MemberRemoved {
        /// The channel.
        channel: String,
        /// Their id in the app.
        user_id: String,
    },
    /// A client sent something to the others.
    ClientEvent {
        /// The channel.
        channel: String,
        /// The event's name.
        event: String,
        /// What it carried.
        data: Option<String>,
        /// The connection that sent it.
        socket_id: String,
        /// Who sent it, on a presence channel.
        user_id: Option<String>,
    },
    /// Somebody subscribed to a channel that keeps its last event, and there was none.
    CacheMiss {
        /// The channel.
        channel: String,
    },
    /// The number of a channel's subscriptions changed.
    SubscriptionCount {
        /// The channel.
        channel: String,
        /// How many there are.
        count: usize,
    },
}

impl Happened {
    /// The channel that it happened on.
    pub fn channel(&self) -> &str {
        match self {
            Self::ChannelOccupied { channel }
            | Self::ChannelVacated { channel }
            | Self::MemberAdded { channel, .. }
            | Self::MemberRemoved { channel, .. }
            | Self::ClientEvent { channel, .. }
            | Self::CacheMiss { channel }
            | Self::SubscriptionCount { channel, .. } => channel,
        }
    }
}

/// Takes note of what happens on channels, for who wants to be told.
pub trait Witness: Send + Sync {
    /// Whether anybody wants to be told of that platform's channels. Asked often, so it must be cheap, and
    /// it must not block.
    fn wants(&self, platform: PlatformId) -> bool;

    /// It happened. Called with locks held and in order, a channel at a time: it must not block, and has a
    /// bound of its own on what it holds.
    fn saw(&self, platform: PlatformId, happened: Happened);
}

/// Nobody wants to be told.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Witness for Nobody {
    fn wants(&self, _: PlatformId) -> bool {
        false
    }

    fn saw(&self, _: PlatformId, _: Happened) {}
}
