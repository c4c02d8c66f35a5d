//! The loop around the outbox: who waits for what, and how many posts are under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Outbox, lock};
use crate::chat::{Batch, Follower};
use crate::domain::{Delivery, Scope, Webhook, WebhookId};
use crate::error::Result;
use crate::store::webhooks::Claim;

/// How often the store is looked at when no bell rings: another process may have made an endpoint, or queued
/// something again.
const TICK: Duration = Duration::from_secs(1);

/// How long the way down waits for posts under way. What is cut off is posted again, by another node or after the next
/// start.
const FAREWELL: Duration = Duration::from_secs(5);

/// Counts a post under way while it lives.
struct Busy(Arc<Outbox>, WebhookId);

impl Busy {
    fn new(outbox: &Arc<Outbox>, id: WebhookId) -> Self {
        *lock(&outbox.busy).entry(id).or_default() += 1;
        Self(Arc::clone(outbox), id)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut busy = lock(&self.0.busy);
        if let Some(count) = busy.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                busy.remove(&self.1);
            }
        }
    }
}

impl Outbox {
    /// Takes what there is, and sends what is due, until nothing is due any more; how many posts that were.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn turn(self: &Arc<Self>) -> Result<usize> {
        let mut posts = 0;
        loop {
            while self.take().await?.is_more {}
            let mut under_way = JoinSet::new();
            self.start(&mut under_way).await?;
            if under_way.is_empty() {
                return Ok(posts);
            }
            posts += under_way.len();
            while under_way.join_next().await.is_some() {}
        }
    }

    /// Works until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        if let Err(error) = self.store.release_claims(self.claimer, self.clock.now()).await {
            tracing::warn!(error = %error, "what the last stop cut off is posted again only after a while");
        }
        let (mut under_way, mut news) = (JoinSet::new(), None);
        while !stop.is_cancelled() {
            let wait = match self.round(&mut under_way, &mut news).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(error = %error, "webhooks cannot be sent at the moment");
                    TICK
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(_) = under_way.join_next() => {}
                () = self.chat.webhook_bell() => {}
                () = heard(&mut news) => {}
                () = sleep(wait) => {}
            }
        }
        let finished = async { while under_way.join_next().await.is_some() {} };
        if timeout(FAREWELL, finished).await.is_err() {
            // Another node need not wait for the claims to lapse.
            under_way.shutdown().await;
            let _ = timeout(FAREWELL, self.store.release_claims(self.claimer, self.clock.now())).await;
        }
    }

    /// Takes and starts what there is, a piece at a time; how long until something is due.
    async fn round(self: &Arc<Self>, under_way: &mut JoinSet<()>, news: &mut Option<Follower>) -> Result<Duration> {
        // Listened to before the log is read: what comes in between rings.
        let listening = match news.take() {
            Some(listening) => listening,
            None => self.chat.follow_scope(Scope::All, self.chat.log_end().await?),
        };
        let took = self.take().await;
        while under_way.try_join_next().is_some() {}
        // Also when the log cannot be read: what was taken from it is sent.
        let started = self.start(under_way).await?;
        let took = took?;
        // With nobody to tell, the log need not be listened to.
        *news = took.is_followed.then_some(listening);
        if started == 0 && !took.is_more {
            let due = self.store.next_due().await?.map(|due| due.0 - self.clock.now().0);
            // What is due and cannot be started waits for a post to end, or for the next look.
            let wait = due.filter(|wait| *wait > 0).and_then(|wait| u64::try_from(wait).ok());
            return Ok(wait.map_or(TICK, |wait| Duration::from_micros(wait).min(TICK)));
        }
        Ok(Duration::ZERO)
    }

    /// Starts the posts that are due, as many as there is room for; how many.
    async fn start(self: &Arc<Self>, under_way: &mut JoinSet<()>) -> Result<usize> {
        let room = self.rules.at_once.saturating_sub(under_way.len());
        let now = self.clock.now();
        // Looked at without a write first: a claim is one.
        if room == 0 || self.store.next_due().await?.is_none_or(|due| due > now) {
            return Ok(0);
        }
        let claim = Claim {
            claimer: self.claimer,
            limit: room,
            per_webhook: self.rules.per_webhook,
            busy: lock(&self.busy).iter().map(|(id, count)| (*id, *count)).collect(),
            now,
            until: now.plus(self.rules.lease),
        };
        let claimed = self.store.claim_deliveries(claim).await?;
        let started = claimed.len();
        for (delivery, hook) in claimed {
            let busy = Busy::new(self, hook.id);
            under_way.spawn(post(Arc::clone(self), busy, delivery, hook));
        }
        Ok(started)
    }
}

async fn post(outbox: Arc<Outbox>, busy: Busy, delivery: Delivery, hook: Webhook) {
    if let Err(error) = outbox.deliver(&delivery, &hook).await {
        tracing::warn!(error = %error, webhook = %hook.id, "a delivery waits for its claim to lapse");
    }
    drop(busy);
}

/// Waits for the log to grow; for ever where it is not listened to. It is listened to anew then: what it holds is
/// read where it is taken.
async fn heard(news: &mut Option<Follower>) {
    let Some(listening) = news else { return std::future::pending().await };
    while let Ok(Batch::Signal(_)) = listening.next().await {}
    *news = None;
}
