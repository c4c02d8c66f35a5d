//! Comparing what is followed here with the store: now and then while the bus works, for what a node committed and died
//! before it told; often, at a bounded rate, while there is no bus.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::relay::Relay;
use super::topics;
use crate::domain::{ConversationId, EventId, Scope};
use crate::error::Result;

/// Conversations that one read compares.
const SLICE: usize = 500;

/// How often everything is compared while the bus works.
const CALM: Duration = Duration::from_secs(5);

/// How often it is at the most while there is none: what others write is late by this, and by what the rate makes of
/// many.
const ALONE: Duration = Duration::from_millis(200);

impl Relay {
    /// Compares, for ever.
    pub(super) async fn sweep(self: Arc<Self>) {
        let mut seen = EventId::START;
        loop {
            let pause = if self.is_heard() { CALM } else { ALONE };
            let is_doubted = tokio::select! {
                () = tokio::time::sleep(pause) => false,
                () = self.doubted.notified() => true,
            };
            self.leave_what_nobody_follows();
            match self.compare(seen, is_doubted).await {
                Ok(newest) => seen = newest,
                Err(error) => tracing::warn!(error = %error, "what is followed could not be compared with the store"),
            }
        }
    }

    fn is_heard(&self) -> bool {
        self.bus.as_ref().is_some_and(|bus| bus.is_up())
    }

    /// One round, unless nothing was written since the last; the newest event as of its beginning.
    async fn compare(&self, seen: EventId, is_doubted: bool) -> Result<EventId> {
        let Some(store) = self.store() else { return Ok(seen) };
        let newest = store.newest_event().await?;
        if newest == seen && !is_doubted {
            return Ok(newest);
        }
        let mut reads = Pace::new(self.rules.polls_per_second, self.is_heard() && !is_doubted);
        for scope in self.topics.wide() {
            reads.next().await;
            self.rings.add(scope, newest);
            if matches!(scope, Scope::Kind(_)) {
                self.rings.add(Scope::All, newest);
            }
        }
        for shard in 0..self.realtime.hub.shards() {
            let heads = self.realtime.hub.heads(shard);
            for slice in heads.chunks(SLICE) {
                reads.next().await;
                self.compare_heads(slice).await?;
            }
        }
        Ok(newest)
    }

    async fn compare_heads(&self, known: &[(ConversationId, u64)]) -> Result<()> {
        let Some(store) = self.store() else { return Ok(()) };
        let found = store.heads(known.iter().map(|(id, _)| *id).collect()).await?;
        for (id, seq) in known {
            match found.iter().find(|(found, _)| found == id) {
                Some((_, head)) if head.seq > *seq => self.fall_behind(*id),
                Some(_) => {}
                None => self.gone(*id),
            }
        }
        Ok(())
    }

    fn leave_what_nobody_follows(&self) {
        self.realtime.hub.release_idle(self.rules.leave_after);
        for scope in self.topics.abandoned(self.rules.leave_after, Instant::now()) {
            if let Some(bus) = &self.bus {
                bus.unsubscribe(&topics::name(scope));
            }
        }
    }
}

/// Spreads reads over time, so that they are no more than so many a second.
struct Pace {
    every: Duration,
    next: Instant,
}

impl Pace {
    /// A tenth of the rate is enough while the bus works.
    fn new(per_second: u32, is_calm: bool) -> Self {
        let share = if is_calm { 10 } else { 1 };
        Self { every: Duration::from_secs(share) / per_second.max(1), next: Instant::now() }
    }

    async fn next(&mut self) {
        tokio::time::sleep_until(self.next.into()).await;
        self.next += self.every;
    }
}
