//! The configuration: defaults, then the file, then the environment, then the command line.
//!
//! Unknown keys are errors with a suggestion. `roost.example.toml` says what each option means; it
//! is also what `roost config defaults` prints, and a test keeps it equal to [`Config::default`].

mod assistant;
mod budgets;
mod check;
mod doors;
mod knowledge;
mod section;
mod sections;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

pub use assistant::{
    Anthropic, Assistant, Key, ModelRoute, NamedProvider, OpenAi, Price, ProviderName, TokensParameter, WhileAnswering,
};
pub use budgets::{Budgets, OverBudget, TenantBudget};
pub use doors::{Aisdk, Openai};
pub use knowledge::Knowledge;
pub use sections::{
    Accounts, Attachments, AutoBool, Chats, Cluster, Durability, Guest, Heads, Http, Limits, ListSessions, Log,
    LogFormat, Mail, Neptun, Network, ObjectStoreName, Pigeons, Pusher, Redis, Sockets, Store, Webhooks,
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
    /// The OpenAI door.
    pub openai: Openai,
    /// The AI SDK door.
    pub aisdk: Aisdk,
    /// Who answers.
    pub assistant: Assistant,
    /// Documents that answers rest on.
    pub knowledge: Knowledge,
    /// What answers may cost.
    pub budgets: Budgets,
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
            openai: Openai::default(),
            aisdk: Aisdk::default(),
            assistant: Assistant::default(),
            knowledge: Knowledge::default(),
            budgets: Budgets::default(),
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
    "openai",
    "aisdk",
    // Sections in a section come before it.
    "assistant_openai",
    "assistant_anthropic",
    "assistant",
    "knowledge",
    "budgets",
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

    /// Whether only this machine can connect, as far as the configuration tells: what is convenient
    /// and not safe in public is on by default only then. A proxy on this machine brings the public
    /// in through loopback.
    pub fn is_development(&self) -> bool {
        self.listen.ip().is_loopback() && self.http.trusted_proxies.is_empty()
    }

    /// The configuration as a file, with passwords left out.
    pub fn show(&self) -> String {
        let mut shown = self.clone();
        let assistant = &mut shown.assistant;
        let keys = assistant.providers.values_mut().map(NamedProvider::key);
        let keys = keys.chain([&mut assistant.openai.api_key, &mut assistant.anthropic.api_key]);
        let secrets = [
            &mut shown.store.url,
            &mut shown.store.replica_url,
            &mut shown.redis.url,
            &mut shown.mail.smtp_url,
            &mut shown.attachments.s3_access_key,
            &mut shown.attachments.s3_secret_key,
            &mut shown.knowledge.embeddings_key,
        ];
        let secrets = secrets.into_iter().chain(keys.map(|key| &mut key.0));
        secrets.filter(|secret| !secret.is_empty()).for_each(|secret| NOT_SHOWN.clone_into(secret));
        toml::to_string(&shown).unwrap_or_else(|error| format!("# {error}\n"))
    }
}

/// What stands in the place of a secret.
const NOT_SHOWN: &str = "(set, not shown)";

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
        Some(format!("{}.{key}", section.replace('_', ".")))
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
        config.knowledge.embeddings_key = "hunter2".to_owned();
        config.assistant.openai.api_key = Key("hunter2".to_owned());
        config.assistant.anthropic.api_key = Key("hunter2".to_owned());
        let named = OpenAi { api_key: Key("hunter2".to_owned()), ..OpenAi::default() };
        config.assistant.providers.insert("named".to_owned(), NamedProvider::OpenAi(named));
        assert!(!config.show().contains("hunter2"), "{}", config.show());
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
            ("ASSISTANT_PROVIDER", "assistant.provider"),
            ("ASSISTANT_OPENAI_BASE_URL", "assistant.openai.base_url"),
            ("ASSISTANT_ANTHROPIC_API_KEY", "assistant.anthropic.api_key"),
        ] {
            assert_eq!(dotted(variable), key);
        }
    }
}
