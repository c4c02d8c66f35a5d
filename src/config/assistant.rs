//! Who answers, and within which bounds.
#![expect(missing_docs, reason = "roost.example.toml documents each option, and a test compares the two")]

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::section::{section, words};

section!(Assistant {
    provider: ProviderName = ProviderName::Echo,
    fallback: Vec<String> = Vec::new(),
    echo_pause_ms: u64 = 0,
    context_messages: usize = 14,
    prompt_tokens_max: usize = 16_000,
    tokens_max: u32 = 4096,
    runs_max: usize = 1000,
    runs_per_conversation_max: usize = 64,
    runs_per_user_max: usize = 32,
    runs_per_tenant_max: usize = 1000,
    while_answering: WhileAnswering = WhileAnswering::Parallel,
    timeout_s: u64 = 120,
    connect_timeout_s: u64 = 5,
    first_token_timeout_s: u64 = 60,
    idle_timeout_s: u64 = 30,
    retries: u32 = 2,
    retry_first_ms: u64 = 500,
    retry_wait_max_s: u64 = 20,
    answer_bytes_max: usize = 256 << 10,
    delta_ms: u64 = 30,
    event_bytes_max: usize = 1 << 20,
    cheaper_model: String = String::new(),
    openai: OpenAi = OpenAi::default(),
    anthropic: Anthropic = Anthropic::default(),
    providers: BTreeMap<String, NamedProvider> = BTreeMap::new(),
    models: BTreeMap<String, ModelRoute> = BTreeMap::new(),
    prices: BTreeMap<String, Price> = BTreeMap::new(),
    prompts: BTreeMap<String, String> = BTreeMap::new(),
    tenants: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new(),
});

words!(WhileAnswering { Queue, Interrupt, Parallel });

section!(OpenAi {
    base_url: String = "https://api.openai.com/v1".to_owned(),
    api_key: Key = Key::default(),
    model: String = String::new(),
    key_header: String = "authorization".to_owned(),
    tokens_parameter: TokensParameter = TokensParameter::Auto,
    ask_usage: bool = true,
});

section!(Anthropic {
    base_url: String = "https://api.anthropic.com".to_owned(),
    api_key: Key = Key::default(),
    model: String = String::new(),
});

section!(ModelRoute { provider: String = String::new(), model: String = String::new() });

section!(Price { prompt: f64 = 0.0, completion: f64 = 0.0 });

/// A provider that has a table of its own, by what it speaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum NamedProvider {
    OpenAi(OpenAi),
    Anthropic(Anthropic),
}

impl NamedProvider {
    /// What it is known by there.
    pub(super) fn key(&mut self) -> &mut Key {
        match self {
            Self::OpenAi(options) => &mut options.api_key,
            Self::Anthropic(options) => &mut options.api_key,
        }
    }
}

/// How a provider is told how many tokens an answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokensParameter {
    Auto,
    MaxTokens,
    MaxCompletionTokens,
}

/// What we are known by at a provider. Not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "set" })
    }
}

/// Who answers: the echo, nobody, or a provider by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ProviderName {
    Echo,
    None,
    Named(String),
}

impl From<String> for ProviderName {
    fn from(name: String) -> Self {
        match name.as_str() {
            "echo" => Self::Echo,
            "none" => Self::None,
            _ => Self::Named(name),
        }
    }
}

impl From<ProviderName> for String {
    fn from(name: ProviderName) -> Self {
        name.as_str().to_owned()
    }
}

impl ProviderName {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Echo => "echo",
            Self::None => "none",
            Self::Named(name) => name,
        }
    }
}

impl Assistant {
    /// The providers that have to be there: who answers, who is asked next, and who has a model.
    pub fn used(&self) -> Vec<&str> {
        let mut used = vec![self.provider.as_str()];
        used.extend(self.fallback.iter().map(String::as_str));
        used.extend(self.models.values().map(|route| route.provider.as_str()));
        used.retain(|name| !matches!(*name, "echo" | "none"));
        used
    }

    /// How the provider of that name is reached, unless there is none.
    pub fn named(&self, name: &str) -> Option<NamedProvider> {
        match name {
            "openai" => Some(NamedProvider::OpenAi(self.openai.clone())),
            "anthropic" => Some(NamedProvider::Anthropic(self.anthropic.clone())),
            _ => self.providers.get(name).cloned(),
        }
    }

    /// Checks what types cannot.
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, provider) in self.used().into_iter().map(|name| (name, self.named(name))) {
            let provider = provider.ok_or_else(|| {
                format!("assistant: there is no provider {name:?}: it needs a table [assistant.providers.{name}]")
            })?;
            self.check_provider(name, &provider)?;
        }
        if let Some(name) = self.providers.keys().find(|name| !is_free(name)) {
            return Err(format!("assistant.providers: {name:?} must be a name of its own, in a-z, 0-9, - and _"));
        }
        if self.fallback.iter().any(|name| name == "none") {
            return Err("assistant.fallback: \"none\" answers nothing".to_owned());
        }
        let is_price = |price: f64| price.is_finite() && (0.0..=1e9).contains(&price);
        if let Some((name, _)) = self.prices.iter().find(|(_, p)| !is_price(p.prompt) || !is_price(p.completion)) {
            return Err(format!("assistant.prices.{name:?} must be amounts for a million tokens"));
        }
        if !self.cheaper_model.is_empty() && !self.models.contains_key(&self.cheaper_model) {
            return Err("assistant.cheaper_model must be one of assistant.models".to_owned());
        }
        Ok(())
    }

    fn check_provider(&self, name: &str, provider: &NamedProvider) -> Result<(), String> {
        let (base_url, model) = match provider {
            NamedProvider::OpenAi(options) => (&options.base_url, &options.model),
            NamedProvider::Anthropic(options) => (&options.base_url, &options.model),
        };
        let place = if matches!(name, "openai" | "anthropic") { name.to_owned() } else { format!("providers.{name}") };
        if !base_url.starts_with("http://") && !base_url.starts_with("https://") {
            return Err(format!("assistant.{place}.base_url must be an address like https://api.example.com/v1"));
        }
        let is_default = self.provider.as_str() == name || self.fallback.iter().any(|fallback| fallback == name);
        let needs_model =
            is_default || self.models.values().any(|route| route.provider == name && route.model.is_empty());
        if needs_model && model.is_empty() {
            return Err(format!("assistant.{place}.model must name the model that answers"));
        }
        Ok(())
    }
}

/// Whether a table of `[assistant.providers]` may be called that.
fn is_free(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !matches!(name, "" | "echo" | "none" | "openai" | "anthropic") && name.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(text: &str) -> Result<Assistant, String> {
        let config: Config = figment::Figment::from(figment::providers::Serialized::defaults(Config::default()))
            .merge(<figment::providers::Toml as figment::providers::Format>::string(text))
            .extract()
            .map_err(|error| error.to_string())?;
        config.check().map(|()| config.assistant)
    }

    #[test]
    fn a_provider_has_a_name_and_a_kind() {
        let local = "[assistant]\nprovider = \"local\"\n[assistant.providers.local]\n";
        let options = read(&format!("{local}kind = \"openai\"\nbase_url = \"http://h/v1\"\nmodel = \"m\"")).unwrap();
        assert_eq!((options.provider.as_str(), options.used()), ("local", vec!["local"]));
        let Some(NamedProvider::OpenAi(openai)) = options.named("local") else { panic!("{options:?}") };
        assert_eq!((openai.model.as_str(), openai.ask_usage), ("m", true));
        for (more, says) in [
            ("model = \"m\"", "kind"),
            ("kind = \"smoke\"", "smoke"),
            ("kind = \"openai\"\nmodle = \"m\"", "modle"),
            ("kind = \"openai\"", "assistant.providers.local.model"),
            ("kind = \"anthropic\"\nmodel = \"m\"\nbase_url = \"example.com\"", "assistant.providers.local.base_url"),
        ] {
            let refused = read(&format!("{local}{more}")).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (text, says) in [
            ("provider = \"openai\"", "assistant.openai.model"),
            ("provider = \"opnai\"", "there is no provider \"opnai\""),
            ("fallback = [\"none\"]", "answers nothing"),
            ("fallback = [\"anthropic\"]", "assistant.anthropic.model"),
            ("cheaper_model = \"a/b\"", "assistant.cheaper_model"),
            ("tokens_max = 0", "assistant.tokens_max must be at least 1"),
            ("[assistant.providers.openai]\nkind = \"openai\"", "a name of its own"),
            ("[assistant.models.\"a/b\"]\nprovider = \"x\"", "there is no provider \"x\""),
            ("[assistant.prices.m]\nprompt = -1.0", "a million tokens"),
            ("[assistant.prices.m]\nprompt = nan", "a million tokens"),
        ] {
            let refused = read(&format!("[assistant]\n{text}")).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
        assert!(read("[assistant]\nfallback = [\"echo\"]\n[assistant.prices.m]\nprompt = 3").is_ok());
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?} {:?}", Key("k".to_owned()), Key::default()), "set none");
    }
}
