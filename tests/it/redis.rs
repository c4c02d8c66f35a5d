//! What nodes share by Redis, with real servers that are killed, frozen, emptied and moved.

mod bus;
mod limits;
pub mod server;
