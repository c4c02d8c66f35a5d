//! What makes several servers over one store look like one.
//!
//! Each node tells the others over the bus what it commits, and only those hear it that follow it. Nothing rests on the
//! bus: a conversation's events carry dense numbers, what follows more than one reads the store up to its horizon, and
//! everything that is followed is compared with the store now and then, often while the bus is away.

mod orders;
mod relay;
mod rings;
mod sweep;
mod topics;
mod wire;

pub use relay::{Relay, RelayRules};
