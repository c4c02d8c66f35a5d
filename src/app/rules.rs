//! The rules of the use-cases as the configuration has them.

use std::time::Duration;

use super::{budgets, outbox};
use crate::chat::{AttachmentRules, Rules};
use crate::config::{self, Config};
use crate::domain::WhileAnswering;
use crate::error::Result;

/// # Errors
/// `Internal` with a sentence for the operator.
pub(super) fn rules(config: &Config) -> Result<Rules> {
    let (assistant, accounts) = (&config.assistant, &config.accounts);
    Ok(Rules {
        assistant_answers_guests: config.guest.assistant,
        enforce_expiry: config.chats.enforce_expiry,
        session_lifetime: Duration::from_secs(config.chats.session_hours * 3600),
        context_messages: assistant.context_messages,
        // What is wrong with them is said when the provider is made, before anybody asks.
        prompts: super::assistant::prompts(assistant).unwrap_or_default(),
        runs_max: assistant.runs_max,
        answer_timeout: Duration::from_secs(assistant.timeout_s),
        is_one_of_many: !config.store.url.is_empty() || !config.redis.url.is_empty(),
        tell_every: Duration::from_millis(assistant.delta_ms),
        runs_per_conversation_max: assistant.runs_per_conversation_max,
        runs_per_user_max: assistant.runs_per_user_max,
        runs_per_tenant_max: assistant.runs_per_tenant_max,
        while_answering: match assistant.while_answering {
            config::WhileAnswering::Queue => WhileAnswering::Queue,
            config::WhileAnswering::Interrupt => WhileAnswering::Interrupt,
            config::WhileAnswering::Parallel => WhileAnswering::Parallel,
        },
        answer_bytes_max: assistant.answer_bytes_max,
        code_lifetime: Duration::from_secs(accounts.code_minutes * 60),
        code_tries_max: accounts.code_tries_max,
        hashes_max: accounts.hashes_max,
        sign_in_free_tries: accounts.sign_in_free_tries,
        sign_in_wait_max: Duration::from_secs(accounts.sign_in_wait_max_s),
        sign_in_keys_max: config.limits.keys_max,
        sign_in_shared: None,
        sign_in_lifetime: Duration::from_secs(accounts.session_hours.saturating_mul(3600)),
        ticket_lifetime: Duration::from_secs(accounts.ticket_minutes.saturating_mul(60)),
        attachments: attachment_rules(&config.attachments),
        knowledge: super::knowledge::rules(&config.knowledge)?,
        webhooks: outbox::rules(&config.webhooks),
        budgets: budgets::rules(&config.budgets),
    })
}

fn attachment_rules(options: &crate::config::Attachments) -> AttachmentRules {
    AttachmentRules {
        bytes_max: options.bytes_max,
        types: options.types.clone(),
        uploads_max: options.uploads_max,
        uploads_per_user_max: options.uploads_per_user_max,
        keep_loose: Duration::from_secs(options.keep_loose_hours.saturating_mul(3600)),
        thumbnail_px: options.thumbnail_px,
        image_pixels_max: options.image_pixels_max,
    }
}
