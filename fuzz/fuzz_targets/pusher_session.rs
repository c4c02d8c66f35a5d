//! `cargo fuzz run pusher_session`: the frames of a client of the Pusher protocol.
#![no_main]

#[path = "../checks/pusher_session.rs"]
mod pusher_session;

libfuzzer_sys::fuzz_target!(|data: &[u8]| pusher_session::check(data));
