//! What is said about connections and channels.

use std::sync::Arc;
use std::time::Duration;

use super::socket::Socket;
use super::{Frame, SocketId};
use crate::domain::{EventId, TokenId, UserId};

/// What is published to a channel.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// What subscribers get.
    pub frame: Frame,
    /// Where it stands in the log, if it does; a subscription that catches up takes each once.
    pub cursor: Option<EventId>,
    /// Who does not get it.
    pub except: Option<SocketId>,
    /// For how long it is kept for those who subscribe later, in the place of what was kept before.
    pub keep: Option<Duration>,
}

/// Somebody on a presence channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Their id in the app.
    pub user_id: String,
    /// What the others are told of them, as JSON.
    pub info: Option<String>,
}

/// A subscription that is asked for.
#[derive(Clone, Debug)]
pub struct Join<'a> {
    /// The channel's name.
    pub channel: &'a str,
    /// Who it is, on a presence channel.
    pub member: Option<Member>,
    /// Which user of ours authorised it.
    pub owner: Option<UserId>,
    /// Whether to hold what is published until [`Sockets::release`](super::Sockets::release).
    pub hold: bool,
}

/// What a subscription found.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Subscriptions of the channel, with this one.
    pub subscriptions: usize,
    /// Whether it is the only one: the channel is occupied from now on.
    pub is_first: bool,
    /// Whether its member was not there before.
    pub is_new_member: bool,
    /// Everybody who is there, with the member who joined.
    pub members: Vec<Member>,
    /// What is kept for those who subscribe.
    pub kept: Option<Frame>,
}

/// What is said about a subscription while nothing else can be published to the channel.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// To the one who joined, in order, before everything that is published later.
    pub joiner: Vec<Frame>,
    /// To all others.
    pub others: Option<Published>,
}

/// Why a subscription is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinRefused {
    /// The connection has as many channels as one may have.
    TooManyChannels,
    /// The presence channel has as many members as one may have.
    TooManyMembers,
    /// It has subscribed to that channel.
    Already,
    /// It is being closed.
    Closing,
}

/// What the end of a subscription leaves.
#[derive(Clone, Debug)]
pub struct Left {
    /// Subscriptions that the channel still has.
    pub subscriptions: usize,
    /// Whether it was the last one: the channel is vacated.
    pub is_last: bool,
    /// The member who is not there any more, when this was their last subscription.
    pub member_gone: Option<Member>,
}

/// A channel, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelFigures {
    /// Its name.
    pub name: Arc<str>,
    /// How many subscribe to it.
    pub subscriptions: usize,
    /// How many different members are there; 0 where it is no presence channel.
    pub users: usize,
}

/// What a sign-in, or the end of a connection, means to those who watch that user.
#[derive(Clone, Debug)]
pub struct Appearance {
    /// Whose.
    pub user_id: String,
    /// Whether it is their first connection, or was their last.
    pub is_change: bool,
    /// Who watches them; empty when nothing changed.
    pub watchers: Vec<Socket>,
}

/// What the auth endpoint found out about a subscription that will be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Where the client is in the log, if it said so.
    pub since: Option<EventId>,
    /// Who was authorised.
    pub owner: UserId,
    /// By which token.
    pub token_id: TokenId,
}

impl Expected {
    /// As a client carries it from the node that authorised it to the one that has its connection.
    pub fn text(&self) -> String {
        let since = self.since.map_or_else(String::new, |since| since.0.to_string());
        format!("{}.{}.{since}", self.owner.0, self.token_id.0)
    }

    /// What the text says, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (owner, token) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let since = match parts.next()? {
            "" => None,
            since => Some(EventId(since.parse().ok()?)),
        };
        parts.next().is_none().then_some(Self { since, owner: UserId(owner), token_id: TokenId(token) })
    }
}

/// What vouches for a connection's subscriptions: an account, and the token that it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Voucher {
    /// The account.
    pub owner: UserId,
    /// Its token.
    pub token_id: TokenId,
}

/// Why there is no room for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The server has as many as it may have.
    Server,
    /// The app has.
    App,
    /// The address has.
    Address,
    /// The server goes down.
    Draining,
}

/// Why a sign-in is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInRefused {
    /// The connection is signed in.
    Already,
    /// The user has as many signed-in connections as one may have.
    TooMany,
    /// It is being closed.
    Closing,
}

/// Counts, since the start where they end in `_total`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketStats {
    /// Connections, with those that are being told no.
    pub connections: usize,
    /// Channels that somebody subscribes to, or of which something is kept.
    pub channels: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Bytes that wait for the fan-out threads.
    pub fanout_bytes: usize,
    /// Bytes that are kept for those who subscribe later.
    pub kept_bytes: usize,
    /// Bytes that are kept of messages that are not complete.
    pub inbound_bytes: usize,
    /// Frames written.
    pub frames_total: u64,
    /// Bytes written.
    pub bytes_total: u64,
    /// System calls that wrote.
    pub writes_total: u64,
    /// Connections closed because they did not read, or because the fan-out had no room.
    pub slow_total: u64,
    /// Connections that found no room.
    pub refused_total: u64,
    /// Connections that have ended.
    pub left_total: u64,
}
