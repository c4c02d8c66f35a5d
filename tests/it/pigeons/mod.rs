//! The Pigeons door, from the outside.

mod accounts;
mod attachments;
mod broadcasting;
mod conversations;
mod devices;
mod errors;
mod journey;
mod one_log;
mod paging;
mod receipts;
mod retries;
mod seed;
mod sockets;
mod streams;
mod tenants;
mod validation;

use serde_json::Value;

/// What is said, in order.
fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["context"]["text"].as_str().expect("a text")).collect()
}
