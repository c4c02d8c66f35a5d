//! The Pigeons door, from the outside.

mod journey;
mod seed;

use serde_json::Value;

/// What is said, in order.
fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["context"]["text"].as_str().expect("a text")).collect()
}
