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

use tokio::sync::mpsc;
use uuid::Uuid;

use crate::chat::SharedChat;
use crate::clock::Clock;
use crate::domain::{
    Content, ConversationKind, EventId, EventType, Happened, HookForm, Logged, Place, PlatformId, Retries, Scope,
    Timestamp, UserId, Webhook, WebhookId, Witness,
};
use crate::error::Result;
use crate::hooks::Sender;
use crate::store::SharedStore;
use crate::store::webhooks::Taken;

/// Events that are taken from the log in one step.
const PAGE: usize = 256;

/// What happened on channels and may wait for the disk: some seconds' worth of a busy server's.
const SEEN_MAX: usize = 10_000;

/// How many pages of what happened on channels are put on disk in one step.
const SEEN_PAGES: usize = 8;

/// An endpoint that wants nothing of what happens has its cursor moved only once it is so many events behind: to move
/// it is a write.
const MOVE_AFTER: i64 = 2000;

/// How what is posted is worded. JSON is the doors' business.
#[derive(Clone, Copy)]
pub struct Renderer {
    /// An event of the log, with what those are known by whom it names.
    pub event: fn(&Logged, &HashMap<UserId, Uuid>) -> Vec<u8>,
    /// What happened on a channel, and when, in Pusher's form.
    pub happening: fn(&Happened, Timestamp) -> Vec<u8>,
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
    /// What happened on channels and nobody was told of: too much happened at once.
    pub overlooked: AtomicU64,
}

/// What a look at the log came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// Whether anybody follows the log at all.
    pub is_followed: bool,
    /// Whether there may be more to take already.
    pub is_more: bool,
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
    /// What happened on channels and is not on disk yet, in order.
    seen: mpsc::Sender<(PlatformId, Happened, Timestamp)>,
    unwritten: Mutex<mpsc::Receiver<(PlatformId, Happened, Timestamp)>>,
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
        let (seen, unwritten) = mpsc::channel(SEEN_MAX);
        let unwritten = Mutex::new(unwritten);
        Self { store, chat, clock, sender, render, rules, claimer, stats, seen, unwritten, ahead, busy }
    }

    /// What it has done so far.
    pub fn stats(&self) -> &OutboxStats {
        &self.stats
    }

    /// Posts under way.
    pub fn under_way(&self) -> usize {
        lock(&self.busy).values().sum()
    }

    /// Takes the next page of the log for every endpoint that has room for more. A page and no more: an endpoint that
    /// has to look through a long log holds up nobody's posts.
    ///
    /// # Errors
    /// What the store answers; what was taken before stays taken, and one page that cannot be read keeps nobody from
    /// another.
    pub async fn take(&self) -> Result<Took> {
        let mut is_more = self.write_seen().await?;
        let hooks = self.chat.look_at_webhooks().await?;
        let hooks: Vec<_> = hooks.into_iter().filter(|hook| self.follows(hook)).collect();
        lock(&self.ahead).retain(|id, _| hooks.iter().any(|hook| hook.id == *id));
        let mut groups: Vec<EventId> = hooks.iter().filter(|hook| self.has_room(hook)).map(|h| self.at(h)).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut failed = None;
        for cursor in groups {
            let group: Vec<_> = hooks.iter().filter(|hook| self.has_room(hook) && self.at(hook) == cursor).collect();
            match self.take_page(cursor, &group).await {
                Ok(more) => is_more |= more,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(Took { is_followed: !hooks.is_empty(), is_more }), Err)
    }

    /// Puts what happened on channels on disk; whether there may be more.
    async fn write_seen(&self) -> Result<bool> {
        for _ in 0..SEEN_PAGES {
            let batch: Vec<_> = {
                let mut unwritten = lock(&self.unwritten);
                std::iter::from_fn(|| unwritten.try_recv().ok()).take(PAGE).collect()
            };
            if batch.is_empty() {
                return Ok(false);
            }
            let count = batch.len() as u64;
            if let Err(error) = self.chat.webhook_happened(batch).await {
                self.stats.overlooked.fetch_add(count, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(true)
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

impl Witness for Outbox {
    fn wants(&self, platform: PlatformId) -> bool {
        self.chat.wants_happenings(platform)
    }

    fn saw(&self, platform: PlatformId, happened: Happened) {
        match self.seen.try_send((platform, happened, self.clock.now())) {
            Ok(()) => self.chat.ring_webhook_bell(),
            Err(_) => self.count(&self.stats.overlooked),
        }
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
