//! The outbox as the configuration wants it.

use std::sync::Arc;
use std::time::Duration;

use crate::api::log;
use crate::chat::{SharedChat, WebhookRules};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::Retries;
use crate::error::Result;
use crate::hooks::Sender;
use crate::jobs::{Outbox, OutboxRules, Renderer};
use crate::store::SharedStore;

pub(super) fn rules(options: &crate::config::Webhooks) -> WebhookRules {
    WebhookRules {
        allow_private: options.allow_private,
        per_owner_max: options.per_owner_max,
        open_max: options.open_max,
    }
}

/// What tells endpoints elsewhere.
pub(super) fn outbox(config: &Config, store: &SharedStore, chat: &SharedChat, clock: Clock) -> Result<Arc<Outbox>> {
    let options = &config.webhooks;
    let timeout = Duration::from_secs(options.timeout_s);
    let hours = |hours: u64| Duration::from_secs(hours.saturating_mul(3600));
    let rules = OutboxRules {
        retries: Retries {
            first: Duration::from_secs(options.retry_first_s),
            longest: Duration::from_secs(options.retry_longest_s),
            give_up: hours(options.retry_hours),
        },
        disable_after: hours(options.disable_after_hours),
        keep: hours(options.keep_days.saturating_mul(24)),
        open_max: options.open_max,
        at_once: options.at_once,
        per_webhook: options.per_endpoint_at_once,
        body_bytes_max: options.body_bytes_max,
        // Besides the post itself, what is posted is read and how it went is noted.
        lease: timeout + Duration::from_secs(30),
    };
    let render = Renderer { event: log::event_body, happening: log::happening_body };
    let sender = Sender::new(timeout, options.allow_private)?;
    Ok(Arc::new(Outbox::new(store.clone(), Arc::clone(chat), clock, sender, (render, rules))))
}
