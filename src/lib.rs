//! Roost: one chat server, four doors. See `ARCHITECTURE.md` for the tour.
pub mod bench;
pub mod clock;
pub mod domain;
pub mod error;
pub mod store;
