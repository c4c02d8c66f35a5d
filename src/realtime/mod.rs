//! Following: the heads in memory, who waits for them, and who listens to what happens.
//!
//! This module knows neither the store nor any client protocol. It is told of commits
//! ([`crate::store::Listener`], wired in `app.rs`), and it may forget anything at any time: events
//! carry dense numbers, so whoever follows notices a hole and reads the store instead.

mod broker;
pub mod bus;
pub mod bus_redis;
mod channel;
mod hub;
pub mod nodes;
mod online;
mod origins;
pub mod roster;
pub mod roster_redis;
pub mod seam;
pub mod sockets;
pub mod switch;

pub use broker::{Broker, Heard, Listening};
pub use channel::{Channel, Offered, Since};
pub use hub::{Hub, HubStats};
pub use online::Online;
pub use origins::Origins;

use std::sync::Arc;

use crate::domain::{ConversationId, Logged, Scope};

/// Everything that hears of commits.
#[derive(Clone)]
pub struct Realtime {
    /// The conversations in memory.
    pub hub: Arc<Hub>,
    /// Those who follow.
    pub broker: Arc<Broker>,
    /// Connections, and what they subscribe to.
    pub sockets: Arc<sockets::Sockets>,
}

impl Realtime {
    /// These events were committed, in this order. The heads know of them first: whoever is told by the
    /// broker and looks finds them there.
    pub fn announce(&self, events: &[Logged]) {
        self.hub.announce(events);
        self.broker.announce(events);
    }

    /// This conversation was removed.
    pub fn remove(&self, id: ConversationId) {
        self.hub.remove(id);
        self.broker.remove(id);
    }
}

/// Is told what somebody here follows, when other nodes write too: what happens there has to be heard of. A conversation
/// that is held in memory is followed as well. Called under a lock, so it must be quick and must not call back.
pub trait Interest: Send + Sync {
    /// Somebody follows from now on.
    fn entered(&self, scope: Scope);

    /// Somebody who did has left.
    fn left(&self, scope: Scope);
}
