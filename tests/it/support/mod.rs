//! What the suites share.

pub mod app;
pub mod process;
pub mod sse;
pub mod store;
pub mod temp;
