//! A server whose assistant is a scripted provider on loopback.

use roost::config::{Config, Key, ProviderName};
use roost::local::Scripted;
use roost::local::scripted::{Script, Seen};

use super::app::TestApp;

/// The key that the server is given for it.
pub const KEY: &str = "sk-of-the-suite";

/// A provider that does that, and a server that asks it.
pub async fn provided(plan: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> (Scripted, TestApp) {
    provided_with(plan, |_| {}).await
}

/// The same with more of a configuration.
pub async fn provided_with(
    plan: impl Fn(&Seen) -> Script + Send + Sync + 'static,
    change: impl FnOnce(&mut Config),
) -> (Scripted, TestApp) {
    let provider = Scripted::start(plan).await.expect("a provider");
    let app = TestApp::with(|config| {
        asks(config, &provider.url());
        change(config);
    });
    let app = app.await;
    (provider, app)
}

/// Has a server ask the provider at that address, and not wait long before it asks again.
pub fn asks(config: &mut Config, url: &str) {
    config.assistant.provider = ProviderName::Named("openai".to_owned());
    config.assistant.openai.base_url = url.to_owned();
    config.assistant.openai.api_key = Key(KEY.to_owned());
    config.assistant.openai.model = "scripted".to_owned();
    config.assistant.retry_first_ms = 1;
}

/// What a request asked, as JSON.
pub fn asked(seen: &Seen) -> serde_json::Value {
    serde_json::from_slice(&seen.body).expect("a body in JSON")
}
