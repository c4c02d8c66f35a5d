//! Programs from outside that some suites need: `scripts/test` brings them, `cargo test` alone goes
//! without.

use std::io::Write;
use std::path::PathBuf;

/// Where the program is that a variable names; `None` says on standard error that the suite is left
/// out, and why.
pub fn program(suite: &str, variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    if path.is_none() {
        left_out(suite, &format!("{variable} names no program; scripts/test installs it and runs everything"));
    }
    path
}

/// Says that a suite is left out. Past the capture of output, which would hide it.
pub fn left_out(suite: &str, why: &str) {
    let line = format!("\nleft out: {suite}: {why}\n");
    // Nobody to tell is no reason to fail.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
