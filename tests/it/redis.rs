//! What nodes share by Redis, with real servers that are killed, frozen, emptied and moved.

mod bus;
pub mod server;
