//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener};

use super::failed;
use crate::clock::Clock;
use crate::error::Result;

/// Below what the kernel gives to those who connect (`ip_local_port_range`, from 32768): a service that was killed
/// finds its port free when it comes back.
const FIRST: u16 = 16_384;
const COUNT: u16 = 16_000;

/// A port of 127.0.0.1 that is free now. Nobody keeps it free: who starts a service there is ready to hear that it
/// was taken.
///
/// # Errors
/// When a thousand in a row are taken.
pub fn free_port() -> Result<u16> {
    let start = u16::from_le_bytes(Clock::system().secret::<2>());
    (0..1000)
        .map(|step| FIRST + start.wrapping_add(step) % COUNT)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| failed("no port of 127.0.0.1 is free"))
}
