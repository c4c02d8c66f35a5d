//! Following conversations: the heads in memory, and who waits for them.
//!
//! This module knows neither the store nor any client protocol. It is told of commits
//! ([`crate::store::Listener`], wired in `app.rs`), and it may forget anything at any time: events
//! carry dense numbers, so whoever follows notices a hole and reads the store instead.

mod channel;
mod hub;
mod online;
pub mod sockets;

pub use channel::{Channel, Since};
pub use hub::{Hub, HubStats};
pub use online::Online;

/// What is live: nothing of it is stored.
pub struct Live {
    /// Conversations, and who follows them.
    pub hub: std::sync::Arc<Hub>,
    /// Connections, and what they subscribe to.
    pub sockets: std::sync::Arc<sockets::Sockets>,
}
