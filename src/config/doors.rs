//! The doors that speak other assistants' dialects.
#![expect(missing_docs, reason = "roost.example.toml documents each option, and a test compares the two")]

use serde::{Deserialize, Serialize};

use super::section::section;

section!(Openai { message_chars_max: usize = 32_000, messages_max: usize = 1000, body_bytes_max: usize = 4 << 20 });

section!(Aisdk { message_chars_max: usize = 32_000, messages_max: usize = 1000, body_bytes_max: usize = 1 << 20 });
