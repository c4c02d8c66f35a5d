//! The configuration: defaults, then the file, then the environment, then the command line.
//!
//! Unknown keys are errors with a suggestion. `roost.example.toml` says what each option means; it
//! is also what `roost config defaults` prints, and a test keeps it equal to [`Config::default`].

mod sections;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

pub use sections::{
    Accounts, Assistant, Attachments, AutoBool, Chats, Cluster, Durability, Guest, Heads, Http, Limits, ListSessions,
    Log, LogFormat, Mail, Neptun, Network, ObjectStoreName, Pigeons, ProviderName, Pusher, Redis, Sockets, Store,
    Webhooks,
};

/// The annotated defaults.
pub const EXAMPLE: &str = include_str!("../../roost.example.toml");

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The folder that holds the store.
    pub data: PathBuf,
    /// Connections and requests.
    pub http: Http,
    /// WebSocket connections.
    pub sockets: Sockets,
    /// The store.
    pub store: Store,
    /// What nodes tell each other by.
    pub redis: Redis,
    /// One node among others.
    pub cluster: Cluster,
    /// The head table.
    pub heads: Heads,
    /// Rate limits.
    pub limits: Limits,
    /// The guest door.
    pub guest: Guest,
    /// The chats door.
    pub chats: Chats,
    /// The Pigeons door.
    pub pigeons: Pigeons,
    /// The Pusher door.
    pub pusher: Pusher,
    /// The Neptun door.
    pub neptun: Neptun,
    /// Who answers.
    pub assistant: Assistant,
    /// Accounts.
    pub accounts: Accounts,
    /// Letters.
    pub mail: Mail,
    /// Uploaded files.
    pub attachments: Attachments,
    /// Endpoints that are told what happens.
    pub webhooks: Webhooks,
    /// Logs.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data: PathBuf::from("./roost-data"),
            http: Http::default(),
            sockets: Sockets::default(),
            store: Store::default(),
            redis: Redis::default(),
            cluster: Cluster::default(),
            heads: Heads::default(),
            limits: Limits::default(),
            guest: Guest::default(),
            chats: Chats::default(),
            pigeons: Pigeons::default(),
            pusher: Pusher::default(),
            neptun: Neptun::default(),
            assistant: Assistant::default(),
            accounts: Accounts::default(),
            mail: Mail::default(),
            attachments: Attachments::default(),
            webhooks: Webhooks::default(),
            log: Log::default(),
        }
    }
}

/// Names of the sections, which are also the first words of the environment's variables.
const SECTIONS: &[&str] = &[
    "http",
    "sockets",
    "store",
    "redis",
    "cluster",
    "heads",
    "limits",
    "guest",
    "chats",
    "pigeons",
    "pusher",
    "neptun",
    "assistant",
    "accounts",
    "mail",
    "attachments",
    "webhooks",
    "log",
];

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// One sentence for the operator: what is wrong, where, and what was probably meant.
    pub fn load(file: Option<&Path>) -> Result<Self, String> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(format!("there is no configuration file {}", file.display()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let environment = Env::prefixed(PREFIX).ignore(&["config"]).filter(|key| !is_kubernetes(key.as_str(), &value));
        let environment = environment.map(|key| dotted(key.as_str()).into());
        let config: Self = figment.merge(environment.lowercase(true)).extract().map_err(|error| explain(&error))?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        if let Some((name, _)) = self.positive().into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("{name} must be at least 1"));
        }
        if self.http.head_bytes_max < 8192 {
            return Err("http.head_bytes_max must be at least 8192".to_owned());
        }
        if self.sockets.fanout_threads > 64 {
            return Err("sockets.fanout_threads must be at most 64; 0 is one a core".to_owned());
        }
        if self.sockets.outbox_bytes_max < 64 << 10 {
            return Err("sockets.outbox_bytes_max must be at least 65536".to_owned());
        }
        if let Some(wrong) = self.http.cors_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(format!(
                "http.cors_origins: {wrong:?} is neither \"*\" nor an origin like https://example.com"
            ));
        }
        if let Some(wrong) = self.sockets.origins.iter().find(|origin| !is_origin(origin)) {
            return Err(format!("sockets.origins: {wrong:?} is neither \"*\" nor an origin like https://example.com"));
        }
        if let Some(wrong) = self.neptun.models.iter().find(|name| !is_model(name)) {
            return Err(format!("neptun.models: {wrong:?} is no name like publisher/model"));
        }
        if !self.mail.smtp_url.is_empty() && self.mail.from.is_empty() {
            return Err("mail.from must say who letters come from when mail.smtp_url is set".to_owned());
        }
        self.store.check()?;
        self.redis.check()?;
        self.cluster.check()?;
        self.attachments.check()
    }

    /// What must not be 0.
    fn positive(&self) -> [(&'static str, u64); 46] {
        [
            ("http.connections_max", self.http.connections_max as u64),
            ("http.streams_max", self.http.streams_max as u64),
            ("http.heartbeat_s", self.http.heartbeat_s),
            ("http.streams_recheck_s", self.http.streams_recheck_s),
            ("http.head_timeout_s", self.http.head_timeout_s),
            ("http.body_timeout_s", self.http.body_timeout_s),
            ("http.write_timeout_s", self.http.write_timeout_s),
            ("sockets.connections_max", self.sockets.connections_max as u64),
            ("sockets.messages_per_second", u64::from(self.sockets.messages_per_second)),
            ("sockets.messages_burst", u64::from(self.sockets.messages_burst)),
            ("sockets.ping_s", self.sockets.ping_s),
            ("sockets.pong_s", self.sockets.pong_s),
            ("store.readers", self.store.readers as u64),
            ("store.queue", self.store.queue as u64),
            ("store.batch_max", self.store.batch_max as u64),
            ("store.pool", self.store.pool as u64),
            ("store.lanes", self.store.lanes as u64),
            ("redis.wait_ms", self.redis.wait_ms),
            ("redis.queue", self.redis.queue as u64),
            ("redis.queue_bytes_max", self.redis.queue_bytes_max as u64),
            ("cluster.beat_s", self.cluster.beat_s),
            ("cluster.polls_per_second", u64::from(self.cluster.polls_per_second)),
            ("heads.events_max", self.heads.events_max as u64),
            ("guest.message_chars_max", self.guest.message_chars_max as u64),
            ("chats.message_chars_max", self.chats.message_chars_max as u64),
            ("pigeons.message_chars_max", self.pigeons.message_chars_max as u64),
            ("pusher.activity_timeout_s", self.pusher.activity_timeout_s),
            ("pusher.client_events_per_second", u64::from(self.pusher.client_events_per_second)),
            ("neptun.message_chars_max", self.neptun.message_chars_max as u64),
            ("neptun.file_chars_max", self.neptun.file_chars_max as u64),
            ("neptun.batch_max", self.neptun.batch_max as u64),
            ("neptun.models", self.neptun.models.len() as u64),
            ("assistant.runs_max", self.assistant.runs_max as u64),
            ("accounts.sign_in_free_tries", u64::from(self.accounts.sign_in_free_tries)),
            ("accounts.session_hours", self.accounts.session_hours),
            ("accounts.ticket_minutes", self.accounts.ticket_minutes),
            ("attachments.bytes_max", self.attachments.bytes_max),
            ("attachments.uploads_max", self.attachments.uploads_max as u64),
            ("attachments.uploads_per_user_max", self.attachments.uploads_per_user_max as u64),
            ("attachments.upload_timeout_s", self.attachments.upload_timeout_s),
            ("webhooks.open_max", self.webhooks.open_max),
            ("webhooks.at_once", self.webhooks.at_once as u64),
            ("webhooks.per_endpoint_at_once", self.webhooks.per_endpoint_at_once as u64),
            ("webhooks.timeout_s", self.webhooks.timeout_s),
            ("webhooks.retry_first_s", self.webhooks.retry_first_s),
            ("attachments.thumbnail_px", u64::from(self.attachments.thumbnail_px)),
        ]
    }

    /// Whether only this machine can connect, as far as the configuration tells: what is convenient
    /// and not safe in public is on by default only then. A proxy on this machine brings the public
    /// in through loopback.
    pub fn is_development(&self) -> bool {
        self.listen.ip().is_loopback() && self.http.trusted_proxies.is_empty()
    }

    /// The configuration as a file, with passwords left out.
    pub fn show(&self) -> String {
        let mut shown = self.clone();
        let secrets = [
            &mut shown.store.url,
            &mut shown.store.replica_url,
            &mut shown.redis.url,
            &mut shown.mail.smtp_url,
            &mut shown.attachments.s3_access_key,
            &mut shown.attachments.s3_secret_key,
        ];
        secrets.into_iter().filter(|secret| !secret.is_empty()).for_each(|secret| NOT_SHOWN.clone_into(secret));
        toml::to_string(&shown).unwrap_or_else(|error| format!("# {error}\n"))
    }
}

/// What stands in the place of a secret.
const NOT_SHOWN: &str = "(set, not shown)";

impl Store {
    fn check(&self) -> Result<(), String> {
        let is_address = |url: &str| url.starts_with("postgres://") || url.starts_with("postgresql://");
        for (name, url) in [("store.url", &self.url), ("store.replica_url", &self.replica_url)] {
            if !url.is_empty() && !is_address(url) {
                return Err(format!("{name} must be an address like postgres://user:password@db.example.com/roost"));
            }
        }
        if self.url.is_empty() && !self.replica_url.is_empty() {
            return Err("store.replica_url is of use with store.url only".to_owned());
        }
        Ok(())
    }
}

impl Redis {
    fn check(&self) -> Result<(), String> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.bytes().all(is_name) {
            return Err("redis.prefix must be 1 to 64 letters, digits and of - _ . :".to_owned());
        }
        Ok(())
    }
}

impl Cluster {
    fn check(&self) -> Result<(), String> {
        if self.lease_s < self.beat_s.saturating_mul(2) {
            return Err("cluster.lease_s must be at least twice cluster.beat_s".to_owned());
        }
        Ok(())
    }
}

impl Attachments {
    fn check(&self) -> Result<(), String> {
        if let Some(wrong) = self.types.iter().find(|allowed| !is_media_type(allowed)) {
            return Err(format!("attachments.types: {wrong:?} is neither a type like \"image/png\" nor \"image/*\""));
        }
        if self.store == ObjectStoreName::Folder {
            return Ok(());
        }
        if self.s3_bucket.is_empty() || self.s3_region.is_empty() {
            return Err("attachments.store = \"s3\" needs attachments.s3_bucket and attachments.s3_region".to_owned());
        }
        let endpoint = self.s3_endpoint.trim_end_matches('/');
        if !endpoint.is_empty() && (endpoint == "*" || !is_origin(endpoint)) {
            return Err("attachments.s3_endpoint must be an address like https://s3.example.com".to_owned());
        }
        if self.s3_access_key.is_empty() != self.s3_secret_key.is_empty() {
            return Err("attachments.s3_access_key and attachments.s3_secret_key are set together".to_owned());
        }
        Ok(())
    }
}

/// Whether that is a media type, or a family of them.
fn is_media_type(allowed: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-+._".contains(&b))
    };
    allowed.split_once('/').is_some_and(|(family, rest)| is_name(family) && (rest == "*" || is_name(rest)))
}

/// Whether a browser could send that as `Origin`: a scheme and a host, perhaps a port, nothing more.
fn is_origin(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return origin == "*" };
    let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    matches!(scheme, "http" | "https") && !host.is_empty() && host.bytes().all(is_host)
}

/// Whether that is a publisher and a model of theirs, as they stand in a path.
fn is_model(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    name.split_once('/').is_some_and(|(publisher, model)| is_word(publisher) && is_word(model))
}

/// What the environment's variables begin with.
const PREFIX: &str = "ROOST_";

/// The value of a variable, named without its prefix.
fn value(variable: &str) -> String {
    let value = std::env::var_os(format!("{PREFIX}{variable}"));
    value.map_or_else(String::new, |value| value.to_string_lossy().into_owned())
}

/// Whether Kubernetes made a variable: it tells each container of each service around it, and a
/// service called `roost` (or `roost-…`) is told in names that begin as ours do. `ROOST_PORT` is one
/// of these only when it holds an address like `tcp://10.0.0.1:8080`; else somebody means something
/// by it and has to hear that it is no option.
fn is_kubernetes(variable: &str, value: &dyn Fn(&str) -> String) -> bool {
    let name = format!("_{}", variable.to_ascii_uppercase());
    let is_of_port = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.split("_PORT_").skip(1).any(is_of_port)
        || (name.ends_with("_PORT") && value(variable).contains("://"))
}

/// `store_size_mib_max` is `store.size_mib_max`; what is in no section stays as it is.
fn dotted(variable: &str) -> String {
    let variable = variable.to_ascii_lowercase();
    let in_section = SECTIONS.iter().find_map(|section| {
        let key = variable.strip_prefix(section)?.strip_prefix('_')?;
        Some(format!("{section}.{key}"))
    });
    in_section.unwrap_or(variable)
}

fn explain(error: &figment::Error) -> String {
    let place = error.metadata.as_ref().map_or_else(String::new, |metadata| {
        let source = metadata.source.as_ref().map_or_else(|| metadata.name.to_string(), ToString::to_string);
        format!(" (from {source})")
    });
    let path = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(found, known) => {
            let name = if path.is_empty() || path.ends_with(found.as_str()) {
                if path.is_empty() { found.clone() } else { path.clone() }
            } else {
                format!("{path}.{found}")
            };
            let name = if place.contains("environment") {
                format!("{PREFIX}{}", name.replace('.', "_").to_ascii_uppercase())
            } else {
                name
            };
            let nearest = known.iter().min_by_key(|option| strsim::damerau_levenshtein(option, found));
            let near = nearest.filter(|option| strsim::jaro_winkler(option, found) > 0.7);
            let meant =
                near.map_or_else(|| format!("known are {}", known.join(", ")), |near| format!("did you mean {near}?"));
            format!("unknown option {name}{place}: {meant}")
        }
        other if path.is_empty() => format!("{other}{place}"),
        other => format!("option {path}: {other}{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_holds_every_option_with_its_default() {
        let example: Config = toml::from_str(EXAMPLE).unwrap();
        assert_eq!(example, Config::default());
        let keys = |text: &str| -> std::collections::BTreeSet<String> {
            let table: toml::Table = toml::from_str(text).unwrap();
            table
                .iter()
                .flat_map(|(name, value)| match value {
                    toml::Value::Table(section) => section.keys().map(|key| format!("{name}.{key}")).collect(),
                    _ => vec![name.clone()],
                })
                .collect()
        };
        assert_eq!(keys(EXAMPLE), keys(&toml::to_string(&Config::default()).unwrap()));
    }

    #[test]
    fn what_is_shown_holds_no_password() {
        let mut config = Config::default();
        for url in [&mut config.store.url, &mut config.store.replica_url, &mut config.redis.url] {
            "postgres://roost:hunter2@db.test/roost".clone_into(url);
        }
        config.mail.smtp_url = "smtps://roost:hunter2@mail.test".to_owned();
        config.attachments.s3_secret_key = "hunter2".to_owned();
        assert!(!config.show().contains("hunter2"), "{}", config.show());
    }

    #[test]
    fn what_cannot_be_is_said() {
        let refused = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().expect_err("refused")
        };
        assert!(refused(&|config| config.store.url = "mysql://db".to_owned()).contains("store.url"));
        assert!(refused(&|config| config.store.replica_url = "postgres://db".to_owned()).contains("replica_url"));
        assert!(refused(&|config| config.redis.prefix = "{x}".to_owned()).contains("redis.prefix"));
        assert!(refused(&|config| config.cluster.lease_s = 5).contains("cluster.lease_s"));
        assert!(refused(&|config| config.redis.wait_ms = 0).contains("redis.wait_ms"));
    }

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for origin in ["*", "https://example.com", "http://localhost:5173", "https://[::1]:8443"] {
            assert!(is_origin(origin), "{origin}");
        }
        for wrong in ["", "example.com", "https://example.com/", "https://", "ftp://example.com", "https://EXAMPLE.com"]
        {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_proxy_brings_the_public_to_loopback() {
        let mut config = Config::default();
        assert!(config.is_development());
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        assert!(!config.is_development());
        config.http.trusted_proxies.clear();
        config.listen = "0.0.0.0:80".parse().unwrap();
        assert!(!config.is_development());
    }

    #[test]
    fn variables_of_kubernetes_are_known() {
        let value = |name: &str| (if name == "PORT" { "tcp://10.0.0.1:8080" } else { "8080" }).to_owned();
        for name in [
            "PORT",
            "PORT_8080_TCP",
            "PORT_8080_TCP_ADDR",
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "METRICS_SERVICE_HOST",
            "METRICS_PORT_9090_TCP_PROTO",
        ] {
            assert!(is_kubernetes(name, &value), "{name}");
        }
        for name in ["LISTEN", "HTTP_PORT", "PORTS", "PORT_RANGE", "SERVICE", "STORE_READERS"] {
            assert!(!is_kubernetes(name, &value), "{name}");
        }
    }

    #[test]
    fn variables_name_sections() {
        for (variable, key) in [
            ("LISTEN", "listen"),
            ("STORE_SIZE_MIB_MAX", "store.size_mib_max"),
            ("LIMITS_ENABLED", "limits.enabled"),
            ("CHATS_ENFORCE_EXPIRY", "chats.enforce_expiry"),
        ] {
            assert_eq!(dotted(variable), key);
        }
    }
}
