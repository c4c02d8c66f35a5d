//! The outbox: what happens is taken from the log for each endpoint that wants it, and posted there until it is taken
//! or given up.
//!
//! Two steps, each crash-proof. *Taking* writes the deliveries of a piece of the log and moves the endpoints' cursors
//! in one transaction, so that each event becomes one delivery an endpoint, whenever the process dies. *Sending*
//! claims what is due, posts it, and notes how it went; a claim whose owner died lapses. An endpoint that took
//! something may be told it again when the process dies before that is noted: it knows it by its id.
//!
//! How far behind an endpoint is costs nothing: what it has not been told is the log, not a queue. No more than
//! [`OutboxRules::open_max`] deliveries of it exist at once.
//!
//! A test cranks it by hand ([`Outbox::turn`]); the server runs it ([`Outbox::run`]).

mod send;
mod work;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::chat::SharedChat;
use crate::clock::Clock;
use crate::domain::{
    Content, ConversationKind, EventId, EventType, Happening, HookForm, Logged, Place, Retries, Scope, Timestamp,
    UserId, Webhook, WebhookId,
};
use crate::error::Result;
use crate::hooks::Sender;
use crate::store::SharedStore;
use crate::store::webhooks::Taken;

/// Events that are taken from the log in one step.
const PAGE: usize = 256;

/// An endpoint that wants nothing of what happens has its cursor moved only once it is so many events behind: to move
/// it is a write.
const MOVE_AFTER: i64 = 2000;

/// How what is posted is worded. JSON is the doors' business.
#[derive(Clone, Copy)]
pub struct Renderer {
    /// An event of the log, with what those are known by whom it names.
    pub event: fn(&Logged, &HashMap<UserId, Uuid>) -> Vec<u8>,
    /// What happened on a channel, and when, in Pusher's form.
    pub happening: fn(&str, &Happening, Timestamp) -> Vec<u8>,
}

/// The outbox's rules, which an operator can set.
#[derive(Clone, Debug)]
pub struct OutboxRules {
    /// When a failed delivery is tried again.
    pub retries: Retries,
    /// After failing for so long an endpoint is switched off.
    pub disable_after: Duration,
    /// How long a delivery that has ended stays in the list.
    pub keep: Duration,
    /// What is on its way to one endpoint at the most.
    pub open_max: u64,
    /// Posts at once, in all.
    pub at_once: usize,
    /// Posts at once to one endpoint.
    pub per_webhook: usize,
    /// The largest body that is posted, in bytes.
    pub body_bytes_max: usize,
    /// How long a claim is good: longer than any post takes.
    pub lease: Duration,
}

/// What the outbox has done so far.
#[derive(Debug, Default)]
pub struct OutboxStats {
    /// Deliveries that were taken.
    pub delivered: AtomicU64,
    /// Tries that failed.
    pub failed: AtomicU64,
    /// Deliveries that were given up.
    pub given_up: AtomicU64,
}

/// The outbox.
pub struct Outbox {
    store: SharedStore,
    chat: SharedChat,
    clock: Clock,
    sender: Sender,
    render: Renderer,
    rules: OutboxRules,
    claimer: Uuid,
    stats: OutboxStats,
    /// How far the log was looked through for endpoints that wanted nothing of it, beyond their cursors.
    ahead: Mutex<HashMap<WebhookId, EventId>>,
    /// Posts under way, by endpoint.
    busy: Mutex<HashMap<WebhookId, usize>>,
}

impl Outbox {
    /// Puts the outbox on its parts.
    pub fn new(
        store: SharedStore,
        chat: SharedChat,
        clock: Clock,
        sender: Sender,
        (render, rules): (Renderer, OutboxRules),
    ) -> Self {
        let claimer = clock.uuid();
        let (stats, ahead, busy) = (OutboxStats::default(), Mutex::default(), Mutex::default());
        Self { store, chat, clock, sender, render, rules, claimer, stats, ahead, busy }
    }

    /// What it has done so far.
    pub fn stats(&self) -> &OutboxStats {
        &self.stats
    }

    /// Posts under way.
    pub fn under_way(&self) -> usize {
        lock(&self.busy).values().sum()
    }

    /// Takes from the log what the endpoints want, up to its end or to where they have enough on their way; whether
    /// anybody follows the log at all.
    ///
    /// # Errors
    /// What the store answers; what was taken before stays taken.
    pub async fn take(&self) -> Result<bool> {
        loop {
            let hooks = self.chat.look_at_webhooks().await?;
            let hooks: Vec<_> = hooks.into_iter().filter(|hook| self.follows(hook)).collect();
            lock(&self.ahead).retain(|id, _| hooks.iter().any(|hook| hook.id == *id));
            let mut groups: Vec<EventId> =
                hooks.iter().filter(|hook| self.has_room(hook)).map(|h| self.at(h)).collect();
            groups.sort_unstable();
            groups.dedup();
            let mut is_more = false;
            for cursor in groups {
                let group: Vec<_> =
                    hooks.iter().filter(|hook| self.has_room(hook) && self.at(hook) == cursor).collect();
                is_more |= self.take_page(cursor, &group).await?;
            }
            if !is_more {
                return Ok(!hooks.is_empty());
            }
        }
    }

    /// Whether an endpoint is told events of the log.
    fn follows(&self, hook: &Webhook) -> bool {
        hook.form == HookForm::Standard && hook.disabled.is_none()
    }

    fn has_room(&self, hook: &Webhook) -> bool {
        hook.open < self.rules.open_max
    }

    /// How far the log was looked through for an endpoint.
    fn at(&self, hook: &Webhook) -> EventId {
        let ahead = lock(&self.ahead).get(&hook.id).copied();
        ahead.map_or(hook.cursor, |ahead| ahead.max(hook.cursor))
    }

    /// Takes a page for endpoints that stand at the same place; whether there may be more.
    async fn take_page(&self, cursor: EventId, hooks: &[&Webhook]) -> Result<bool> {
        let page = self.store.feed(Scope::All, cursor, PAGE).await?;
        if page.through <= cursor {
            return Ok(false);
        }
        let mut taken = Vec::new();
        for hook in hooks {
            let told: Vec<_> = page.events.iter().filter_map(|logged| told(hook, logged)).collect();
            if told.is_empty() && page.through.0 - hook.cursor.0 < MOVE_AFTER {
                lock(&self.ahead).insert(hook.id, page.through);
            } else {
                taken.push(Taken { webhook_id: hook.id, from: hook.cursor, to: page.through, told });
            }
        }
        if !taken.is_empty() {
            self.store.take_for_webhooks(taken, self.clock.now()).await?;
        }
        Ok(!page.is_end)
    }

    /// Removes deliveries that ended long ago; how many.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn prune(&self) -> Result<usize> {
        let before = self.clock.now().minus(self.rules.keep);
        let mut pruned = 0;
        loop {
            let step = self.store.prune_deliveries(before).await?;
            pruned += step;
            if step < crate::store::webhooks::DELIVERIES_AT_ONCE {
                return Ok(pruned);
            }
        }
    }

    fn count(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What an endpoint is told of an event, if it is.
fn told(hook: &Webhook, logged: &Logged) -> Option<(String, Content)> {
    let kind = EventType::of(&logged.event).as_str();
    let is_told = hears_of(hook, &logged.place) && hook.wants(kind);
    let content = Content::Event { id: logged.event.id, conversation_id: logged.event.conversation_id };
    is_told.then(|| (kind.to_owned(), content))
}

/// A platform hears of its own conversations. The operator's endpoints hear of those that are no platform's and no
/// signed-in user's own: what somebody asks an assistant under their account is theirs.
fn hears_of(hook: &Webhook, place: &Place) -> bool {
    match hook.platform_id {
        Some(platform) => place.platform_id == Some(platform),
        None => matches!(place.kind, ConversationKind::LiveChat | ConversationKind::AssistantSession),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
