//! What bounds connections, and how they speak.

use std::fmt;
use std::time::Duration;

use super::Frame;
use crate::config;

/// Where random bytes come from.
pub type Draw = Box<dyn Fn() -> [u8; 8] + Send + Sync>;

/// How a close with a code and a reason is said on the wire.
pub type SayClose = fn(u16, &str) -> Frame;

/// The bounds, and what the wire and the clock give.
pub struct SocketRules {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections to one app.
    pub per_app_max: usize,
    /// Connections from one address.
    pub per_address_max: usize,
    /// Signed-in connections of one user.
    pub per_user_max: usize,
    /// Subscriptions of one connection.
    pub channels_per_socket_max: usize,
    /// Members of one presence channel.
    pub members_max: usize,
    /// Bytes that may wait for one connection; a subscription that catches up holds a quarter of it.
    pub outbox_bytes_max: usize,
    /// Bytes that may wait for one fan-out thread.
    pub fanout_bytes_max: usize,
    /// Bytes kept for those who subscribe later, over all channels.
    pub kept_bytes_max: usize,
    /// Bytes kept of messages that are not complete, over all connections.
    pub inbound_bytes_max: usize,
    /// Fan-out threads; at least 1.
    pub fanout_threads: usize,
    /// A connection that was not heard for so long is asked for a sign of life.
    pub ping_after: Duration,
    /// For so long it may be silent after that; a close may take as long.
    pub pong_wait: Duration,
    /// How a close is said.
    pub say_close: SayClose,
    /// Where names of connections come from.
    pub draw: Draw,
}

impl SocketRules {
    /// As an operator has set them.
    pub fn new(options: &config::Sockets, say_close: SayClose, draw: Draw) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            connections_max: options.connections_max,
            per_app_max: options.per_app_max,
            per_address_max: options.per_address_max,
            per_user_max: options.per_user_max,
            channels_per_socket_max: options.channels_per_socket_max,
            members_max: options.members_max,
            outbox_bytes_max: options.outbox_bytes_max,
            fanout_bytes_max: options.fanout_mib_max << 20,
            kept_bytes_max: options.kept_mib_max << 20,
            inbound_bytes_max: options.inbound_mib_max << 20,
            fanout_threads: if options.fanout_threads == 0 { cores() } else { options.fanout_threads },
            ping_after: Duration::from_secs(options.ping_s),
            pong_wait: Duration::from_secs(options.pong_s),
            say_close,
            draw,
        }
    }
}

impl fmt::Debug for SocketRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketRules").field("connections_max", &self.connections_max).finish_non_exhaustive()
    }
}
