//! The sections of the configuration. What each option means is said once, in
//! `roost.example.toml`.
#![expect(missing_docs, reason = "roost.example.toml documents each option, and a test compares the two")]

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::section::{section, words};

section!(Http {
    body_bytes_max: usize = 256 << 10,
    head_bytes_max: usize = 32 << 10,
    head_timeout_s: u64 = 30,
    body_timeout_s: u64 = 15,
    write_timeout_s: u64 = 30,
    connections_max: usize = 10_000,
    streams_max: usize = 5000,
    streams_per_address_max: usize = 200,
    streams_per_user_max: usize = 50,
    streams_recheck_s: u64 = 60,
    heartbeat_s: u64 = 15,
    drain_s: u64 = 30,
    trusted_proxies: Vec<Network> = Vec::new(),
    cors_origins: Vec<String> = vec!["*".to_owned()],
});

section!(Sockets {
    connections_max: usize = 16_000,
    per_app_max: usize = 16_000,
    per_address_max: usize = 200,
    per_user_max: usize = 100,
    message_bytes_max: usize = 64 << 10,
    inbound_mib_max: usize = 64,
    messages_per_second: u32 = 50,
    messages_burst: u32 = 600,
    channels_per_socket_max: usize = 256,
    members_max: usize = 100,
    outbox_bytes_max: usize = 1 << 20,
    kept_mib_max: usize = 64,
    fanout_threads: usize = 0,
    fanout_mib_max: usize = 64,
    ping_s: u64 = 45,
    pong_s: u64 = 30,
    origins: Vec<String> = vec!["*".to_owned()],
});

section!(Store {
    url: String = String::new(),
    replica_url: String = String::new(),
    replica_lag_max_ms: u64 = 1000,
    pool: usize = 8,
    lanes: usize = 2,
    durability: Durability = Durability::Full,
    readers: usize = 2,
    queue: usize = 4096,
    queue_wait_ms: u64 = 5000,
    batch_max: usize = 256,
    cache_mib: u64 = 32,
    size_mib_max: u64 = 0,
    wal_mib: u64 = 64,
});

section!(Redis {
    url: String = String::new(),
    prefix: String = "roost".to_owned(),
    wait_ms: u64 = 100,
    queue: usize = 65_536,
    queue_bytes_max: usize = 64 << 20,
});

section!(Cluster {
    node: String = String::new(),
    lease_s: u64 = 15,
    beat_s: u64 = 3,
    leave_after_s: u64 = 30,
    polls_per_second: u32 = 200,
    nodes: u32 = 0,
});

section!(Heads {
    conversations_max: usize = 20_000,
    events_max: usize = 64,
    bytes_max: usize = 32 << 10,
    follower_events_max: usize = 1024,
});

section!(Limits {
    enabled: bool = true,
    guest_send_per_minute: u32 = 60,
    guest_poll_per_minute: u32 = 60,
    address_per_minute: u32 = 60,
    staff_per_minute: u32 = 60,
    typing_per_minute: u32 = 60,
    auth_per_minute: u32 = 60,
    chats_per_minute: u32 = 600,
    pigeons_per_minute: u32 = 600,
    neptun_per_minute: u32 = 600,
    openai_per_minute: u32 = 600,
    aisdk_per_minute: u32 = 600,
    events_per_minute: u32 = 600,
    knowledge_per_minute: u32 = 300,
    keys_max: usize = 100_000,
});

section!(Guest {
    allow_weak_keys: AutoBool = AutoBool::Auto,
    assistant: bool = false,
    message_chars_max: usize = 1000,
});

section!(Chats {
    message_chars_max: usize = 32_000,
    metadata_bytes_max: usize = 32 << 10,
    enforce_expiry: bool = true,
    session_hours: u64 = 24,
    list_sessions: ListSessions = ListSessions::Auto,
});

section!(Pigeons { message_chars_max: usize = 5000 });

section!(Pusher {
    activity_timeout_s: u64 = 120,
    client_events: bool = true,
    client_events_per_second: u32 = 10,
    subscription_count: bool = false,
});

section!(Neptun {
    models: Vec<String> = models(),
    message_chars_max: usize = 32_000,
    file_chars_max: usize = 100_000,
    batch_max: usize = 1000,
    body_bytes_max: usize = 4 << 20,
});

fn models() -> Vec<String> {
    let names = [
        "google/gemma-2-27b-it",
        "qwen/Qwen2.5-72B-Instruct",
        "qwen/Qwen2.5-Coder-32B-Instruct",
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
        "mistralai/Mistral-Nemo-Instruct-2407",
        "mistralai/Mistral-7B-Instruct-v0.3",
        "microsoft/Phi-3-mini-4k-instruct",
        "cloudflare/llama-3.3-70b-instruct-fp8-fast",
        "openrouter/gemini-2.0-pro-exp-02-05",
        "openrouter/deepseek-chat",
        "openrouter/llama-3.3-70b-instruct",
        "ollama/rwkv-6-world",
        "OpenAssistant/oasst-sft-4-pythia-12b-epoch-3.5",
        "mistralai/Mistral-7B-Instruct-v0.1",
    ];
    names.map(str::to_owned).to_vec()
}

section!(Accounts {
    code_minutes: u64 = 10,
    code_tries_max: u32 = 5,
    hashes_max: usize = 2,
    sign_in_free_tries: u32 = 5,
    sign_in_wait_max_s: u64 = 900,
    session_hours: u64 = 168,
    ticket_minutes: u64 = 60,
});

section!(Mail { smtp_url: String = String::new(), from: String = String::new() });

section!(Attachments {
    store: ObjectStoreName = ObjectStoreName::Folder,
    s3_bucket: String = String::new(),
    s3_endpoint: String = String::new(),
    s3_region: String = "us-east-1".to_owned(),
    s3_access_key: String = String::new(),
    s3_secret_key: String = String::new(),
    bytes_max: u64 = 25 << 20,
    types: Vec<String> = ATTACHMENT_TYPES.map(str::to_owned).to_vec(),
    uploads_max: usize = 8,
    uploads_per_user_max: usize = 2,
    upload_timeout_s: u64 = 300,
    keep_loose_hours: u64 = 24,
    thumbnail_px: u32 = 320,
    image_pixels_max: u64 = 25_000_000,
});

/// What people send each other and no browser runs.
const ATTACHMENT_TYPES: [&str; 23] = [
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "video/mp4",
    "video/webm",
    "video/quicktime",
    "audio/mpeg",
    "audio/mp4",
    "audio/ogg",
    "audio/wav",
    "text/plain",
    "application/pdf",
    "application/rtf",
    "application/zip",
    "application/x-ole-storage",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/epub+zip",
];

section!(Webhooks {
    allow_private: bool = false,
    per_owner_max: usize = 20,
    open_max: u64 = 10_000,
    at_once: usize = 32,
    per_endpoint_at_once: usize = 4,
    timeout_s: u64 = 15,
    body_bytes_max: usize = 1 << 20,
    retry_first_s: u64 = 5,
    retry_longest_s: u64 = 7200,
    retry_hours: u64 = 24,
    disable_after_hours: u64 = 120,
    keep_days: u64 = 14,
});

section!(Log { format: LogFormat = LogFormat::Pretty, filter: String = "info".to_owned() });

words!(Durability { Full, Relaxed });
words!(ListSessions { Auto, Public, Key, Closed });
words!(ObjectStoreName { Folder, S3 });
words!(LogFormat { Pretty, Json });

/// `"auto"`, `true` or `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoBool {
    Auto,
    Always(bool),
}

impl AutoBool {
    /// The choice, where `auto` means the argument.
    pub fn or(self, auto: bool) -> bool {
        match self {
            Self::Auto => auto,
            Self::Always(choice) => choice,
        }
    }
}

impl Serialize for AutoBool {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Always(choice) => serializer.serialize_bool(*choice),
        }
    }
}

impl<'de> Deserialize<'de> for AutoBool {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Choice(bool),
            Word(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Choice(choice) => Ok(Self::Always(choice)),
            Either::Word(word) if word == "auto" => Ok(Self::Auto),
            Either::Word(word) => Err(serde::de::Error::custom(format!("{word:?} is not \"auto\", true or false"))),
        }
    }
}

/// An address, or all addresses that share its first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether the network holds that address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                u32::from(self.bits) <= differ.leading_zeros()
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                u32::from(self.bits) <= differ.leading_zeros()
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(raw: &str) -> Result<Self, String> {
        let wrong = || format!("{raw:?} is neither an address nor a network like 10.0.0.0/8");
        let (address, bits) = raw.split_once('/').map_or((raw, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > width { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.address, self.bits))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.200.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!(!network.contains("::1".parse().unwrap()));
        let one: Network = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "x/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
