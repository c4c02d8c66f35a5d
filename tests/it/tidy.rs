//! The house rules as tests: they read the source tree and say which line breaks which rule.
//!
//! A rule that needs an exception names it with its reason; an exception that is not needed any
//! more fails too, so that the lists stay short.

mod deploy;
mod layers;
mod papers;
mod shape;
mod source;

/// Fails with every finding on a line of its own.
fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
