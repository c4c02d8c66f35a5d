//! WebSocket connections (RFC 6455): the handshake, the frames, and the task of a connection. What is
//! said on one is its [`Session`]'s affair.

pub mod codec;
mod connection;
pub mod frame;
mod upgrade;

pub use connection::{Limits, Session};
pub use upgrade::{Handshake, NoHandshake};
