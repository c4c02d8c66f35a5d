//! Redis for the suite: one server a test process, started when the first test wants it, and a prefix a test.

use std::sync::OnceLock;

use roost::local::LocalRedis;

/// Whether there is a Redis for those tests that need one; says so when there is none.
pub fn is_there(suite: &str) -> bool {
    let is_there = std::env::var_os("SUITE_REDIS").is_some_and(|program| !program.is_empty());
    if !is_there {
        super::left_out(suite, "no Redis (SUITE_REDIS); scripts/test installs it and runs everything");
    }
    is_there
}

/// The address of the server of this test process.
pub fn url() -> String {
    server().url()
}

/// A prefix for the keys and channels of one test.
pub fn prefix() -> String {
    format!("t{}", uuid::Uuid::new_v4().simple())
}

fn server() -> &'static LocalRedis {
    static SERVER: OnceLock<LocalRedis> = OnceLock::new();
    SERVER.get_or_init(|| LocalRedis::start().expect("Redis starts"))
}
