//! WebSocket connections (RFC 6455): the handshake, the frames, and the task of a connection.

mod connection;
pub mod frame;
mod upgrade;

pub use connection::Session;
pub use upgrade::{Handshake, NoHandshake};
