//! Programs from outside that some suites need: `scripts/test` brings them, `cargo test` alone goes
//! without.

use std::path::PathBuf;

use super::left_out;

/// Where the program is that a variable names; `None` says on standard error that the suite is left
/// out, and why.
pub fn program(suite: &str, variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    if path.is_none() {
        left_out(suite, &format!("{variable} names no program; scripts/test installs it and runs everything"));
    }
    path
}
