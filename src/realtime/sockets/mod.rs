//! Connections that are written to: who is connected, who subscribed to what, who is there, and the
//! way out to each of them.

mod id;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::{EventId, PlatformId, UserId};

pub use id::SocketId;

/// Bytes as they go over the wire; one encoding serves every receiver.
pub type Frame = Bytes;

/// Each platform is an app: its channels and users are its own.
pub type App = PlatformId;

/// One connection's way out. Cheap to clone.
#[derive(Clone)]
pub struct Socket(Arc<Inner>);

struct Inner {
    id: SocketId,
    app: App,
}

impl Socket {
    /// Its name.
    pub fn id(&self) -> SocketId {
        self.0.id
    }

    /// The app that it came to.
    pub fn app(&self) -> App {
        self.0.app
    }

    /// Sends, after everything that was sent before. Who does not read what is sent is closed as too slow.
    pub fn send(&self, frame: Frame) {
        let _ = frame;
    }

    /// Sends what is queued, then a close frame; nothing that is sent later goes out.
    pub fn close(&self, code: u16, reason: &str) {
        let _ = (code, reason);
    }

    /// Whether nothing more is sent to it.
    pub fn is_closing(&self) -> bool {
        false
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.0.id)
    }
}

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
    /// Whether to hold what is published until [`Sockets::release`].
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

/// Room for one connection; given back when dropped.
#[derive(Debug)]
pub struct Place;

/// Counts, since the start where they end in `_total`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketStats {
    /// Connections.
    pub connections: usize,
    /// Channels that somebody subscribes to.
    pub channels: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Frames written.
    pub frames_total: u64,
    /// Bytes written.
    pub bytes_total: u64,
    /// System calls that wrote.
    pub writes_total: u64,
    /// Connections closed because they did not read.
    pub slow_total: u64,
    /// Connections that found no room.
    pub refused_total: u64,
}

/// Every connection.
pub struct Sockets;

impl Sockets {
    /// Room for a connection to that app.
    ///
    /// # Errors
    /// What there is no room in.
    pub fn admit(&self, app: App, address: IpAddr) -> Result<Place, Full> {
        let _ = (app, address);
        Ok(Place)
    }

    /// Room to say no: for a connection that is told why and closed. `None`: not even that; refuse it
    /// before the upgrade.
    pub fn admit_briefly(&self, address: IpAddr) -> Option<Place> {
        let _ = address;
        None
    }

    /// Subscribes. `answer` runs under the channel's lock: what it returns for the joiner is sent to it
    /// before anything published later, what it returns for the others is published in order.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn subscribe(
        &self,
        socket: &Socket,
        join: Join<'_>,
        answer: impl FnOnce(&Joined) -> Answer,
    ) -> Result<(), JoinRefused> {
        let _ = (socket, join, answer);
        Ok(())
    }

    /// Ends a hold: what was held with a cursor after `after`, or without one, is sent in order, and from
    /// now on everything goes straight through. `false`: more was published than is held; read the log
    /// again and call again. `true` also when there is no such subscription any more.
    pub fn release(&self, socket: &Socket, channel: &str, after: EventId) -> bool {
        let _ = (socket, channel, after);
        true
    }

    /// Ends a subscription; `tell` runs under the channel's lock and says what the others get. `false`:
    /// there is none.
    pub fn unsubscribe(&self, socket: &Socket, channel: &str, tell: impl FnOnce(&Left) -> Option<Published>) -> bool {
        let _ = (socket, channel, tell);
        true
    }

    /// Ends everything of a connection: `tell` as in [`Self::unsubscribe`], for each channel (its name is
    /// given). Returns what that means to those who watch its user, when it was signed in.
    pub fn leave(&self, socket: &Socket, tell: impl FnMut(&str, &Left) -> Option<Published>) -> Option<Appearance> {
        let _ = (socket, tell);
        None
    }

    /// Publishes; whether anybody is there. Never blocks.
    pub fn publish(&self, app: App, channel: &str, published: Published) -> bool {
        let _ = (app, channel, published);
        false
    }

    /// Whether anybody subscribes.
    pub fn has_subscribers(&self, app: App, channel: &str) -> bool {
        let _ = (app, channel);
        false
    }

    /// Whether that connection subscribes.
    pub fn is_subscribed(&self, socket: &Socket, channel: &str) -> bool {
        let _ = (socket, channel);
        false
    }

    /// As whom that connection is on that presence channel.
    pub fn member(&self, socket: &Socket, channel: &str) -> Option<Member> {
        let _ = (socket, channel);
        None
    }

    /// Whether some subscription was authorised by that user.
    pub fn has_owner(&self, app: App, channel: &str, owner: UserId) -> bool {
        let _ = (app, channel, owner);
        false
    }

    /// The app's occupied channels whose names begin like that, by name.
    pub fn channels(&self, app: App, prefix: &str) -> Vec<ChannelFigures> {
        let _ = (app, prefix);
        Vec::new()
    }

    /// One occupied channel.
    pub fn channel(&self, app: App, name: &str) -> Option<ChannelFigures> {
        let _ = (app, name);
        None
    }

    /// The ids of who is on a presence channel.
    pub fn members(&self, app: App, name: &str) -> Vec<String> {
        let _ = (app, name);
        Vec::new()
    }

    /// What is kept for those who subscribe.
    pub fn kept(&self, app: App, name: &str) -> Option<Frame> {
        let _ = (app, name);
        None
    }

    /// Connections of that app.
    pub fn connections(&self, app: App) -> usize {
        let _ = app;
        0
    }

    /// Signs a connection in as a user of its app, once. `None`: it is signed in.
    pub fn sign_in(&self, socket: &Socket, user_id: &str) -> Option<Appearance> {
        let _ = (socket, user_id);
        None
    }

    /// As whom a connection is signed in.
    pub fn signed_in(&self, socket: &Socket) -> Option<String> {
        let _ = socket;
        None
    }

    /// Whether that user has a signed-in connection.
    pub fn is_signed_in(&self, app: App, user_id: &str) -> bool {
        let _ = (app, user_id);
        false
    }

    /// The signed-in connections of a user.
    pub fn sockets_of(&self, app: App, user_id: &str) -> Vec<Socket> {
        let _ = (app, user_id);
        Vec::new()
    }

    /// Watches users in the place of those it watched before; returns who of them is signed in. How many
    /// it may watch is the caller's to check.
    pub fn watch(&self, socket: &Socket, ids: &[String]) -> Vec<String> {
        let _ = (socket, ids);
        Vec::new()
    }

    /// Says that a connection will soon ask for a channel, and for whom. `false`: there is no such
    /// connection, or it expects too many.
    pub fn expect(&self, app: App, socket: SocketId, channel: &str, expected: Expected) -> bool {
        let _ = (app, socket, channel, expected);
        false
    }

    /// What was said with [`Self::expect`] within the last minute; taken.
    pub fn expected(&self, socket: &Socket, channel: &str) -> Option<Expected> {
        let _ = (socket, channel);
        None
    }

    /// The counts.
    pub fn stats(&self) -> SocketStats {
        SocketStats::default()
    }
}
