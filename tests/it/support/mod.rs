//! What the suites share.
#![allow(dead_code, reason = "actors and helpers are written whole; not every suite uses all of them yet")]

pub mod app;
pub mod outside;
pub mod process;
pub mod sse;
pub mod store;
pub mod temp;
