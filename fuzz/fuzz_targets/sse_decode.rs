//! `cargo fuzz run sse_decode`: the events of a provider.
#![no_main]

#[path = "../checks/sse_decode.rs"]
mod sse_decode;

libfuzzer_sys::fuzz_target!(|data: &[u8]| sse_decode::check(data));
