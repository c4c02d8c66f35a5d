//! Who answers, and within which bounds.
#![expect(missing_docs, reason = "roost.example.toml documents each option, and a test compares the two")]

use serde::{Deserialize, Serialize};

use super::section::{section, words};

section!(Assistant {
    provider: ProviderName = ProviderName::Echo,
    echo_pause_ms: u64 = 0,
    context_messages: usize = 14,
    runs_max: usize = 1000,
    runs_per_conversation_max: usize = 16,
    runs_per_user_max: usize = 32,
    runs_per_tenant_max: usize = 1000,
    while_answering: WhileAnswering = WhileAnswering::Parallel,
    timeout_s: u64 = 120,
    answer_bytes_max: usize = 256 << 10,
    delta_ms: u64 = 30,
});

words!(ProviderName { Echo, None });
words!(WhileAnswering { Queue, Interrupt, Parallel });
