//! What the suites share.
#![allow(dead_code, reason = "actors and helpers are written whole; not every suite uses all of them yet")]

pub mod app;
pub mod browser;
pub mod cut;
pub mod engine;
pub mod neptun;
pub mod nginx;
pub mod openai;
pub mod outside;
pub mod pigeon;
pub mod postgres;
pub mod process;
pub mod provider;
pub mod pusher;
pub mod raw;
pub mod receiver;
pub mod redis;
pub mod s3;
pub mod script;
pub mod smtp;
pub mod sse;
pub mod store;
pub mod temp;
pub mod ws;

/// Says that a suite was left out, and why, past the harness, which hides what passing tests print.
pub fn left_out(suite: &str, why: &str) {
    use std::io::Write;
    // On a line of its own, in one piece: other tests write at the same time. Nobody to tell is no
    // reason to fail.
    let _ = std::io::stderr().write_all(format!("\nleft out: {suite}: {why}\n").as_bytes());
}
