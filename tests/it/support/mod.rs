//! What the suites share.

pub mod app;
pub mod process;
pub mod raw;
pub mod sse;
pub mod store;
pub mod temp;
