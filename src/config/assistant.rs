//! Who answers, and within which bounds.
#![expect(missing_docs, reason = "roost.example.toml documents each option, and a test compares the two")]

use serde::{Deserialize, Serialize};

use super::section::{section, words};

section!(Assistant {
    provider: ProviderName = ProviderName::Echo,
    echo_pause_ms: u64 = 0,
    context_messages: usize = 14,
    runs_max: usize = 1000,
    timeout_s: u64 = 120,
    answer_bytes_max: usize = 256 << 10,
    checkpoint_ms: u64 = 250,
});

words!(ProviderName { Echo, None });
