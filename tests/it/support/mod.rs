//! What the suites share.

pub mod store;
pub mod temp;
