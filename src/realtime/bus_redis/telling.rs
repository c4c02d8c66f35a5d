//! The half of the bus that tells.
//!
//! Publishing never waits: a message finds room or is lost. One task sends what waits, many messages in one round trip.
//! That something was lost is remembered until all nodes were told of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::{BusBounds, Names};
use crate::redis::{Redis, Script, Unanswered, cmd};

/// Sets a new epoch: an instant, which no other epoch is.
const BUMP: &str = "local now = redis.call('TIME') \
    local epoch = now[1] .. '.' .. now[2] \
    redis.call('SET', KEYS[1], epoch) \
    return epoch";

/// What is sent in one round trip, at the most.
const MESSAGES_AT_ONCE: usize = 512;
const BYTES_AT_ONCE: usize = 1 << 20;

/// How long to wait before all are told again: what is told makes each node read the store.
const MEND_PAUSE: Duration = Duration::from_millis(200);

/// Who tells.
pub(super) struct Telling {
    names: Names,
    redis: Redis,
    bounds: BusBounds,
    bump: Script,
    queue: Mutex<Queue>,
    work: Notify,
    lost: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(String, Bytes)>,
    bytes: usize,
    /// Something was lost, and not all nodes were told.
    is_torn: bool,
}

impl Queue {
    fn take(&mut self) -> Vec<(String, Bytes)> {
        let mut room = BYTES_AT_ONCE;
        let mut batch = Vec::new();
        while batch.len() < MESSAGES_AT_ONCE
            && let Some(next) = self.waiting.front().map(size)
            && (next <= room || batch.is_empty())
        {
            room = room.saturating_sub(next);
            self.bytes -= next;
            batch.extend(self.waiting.pop_front());
        }
        batch
    }
}

fn size((channel, message): &(String, Bytes)) -> usize {
    channel.len() + message.len()
}

impl Telling {
    pub fn new(names: Names, redis: Redis, bounds: BusBounds) -> Self {
        Self {
            names,
            redis,
            bounds,
            bump: Script::new(BUMP),
            queue: Mutex::default(),
            work: Notify::new(),
            lost: AtomicU64::new(0),
        }
    }

    pub fn is_up(&self) -> bool {
        self.redis.is_up()
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub fn publish(&self, topic: &str, message: Bytes) {
        let message = (self.names.channel(topic), message);
        let mut queue = self.queue();
        let bytes = queue.bytes + size(&message);
        // While Redis is away nothing waits for it: when it is back, everybody reads the store.
        let has_room = queue.waiting.len() < self.bounds.messages_max && bytes <= self.bounds.bytes_max;
        if has_room && self.redis.is_up() {
            queue.bytes = bytes;
            queue.waiting.push_back(message);
        } else {
            queue.is_torn = true;
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        drop(queue);
        self.work.notify_one();
    }

    /// Sends what waits, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut mended = None;
        loop {
            let pause = mended.map_or(Duration::ZERO, |at: Instant| MEND_PAUSE.saturating_sub(at.elapsed()));
            let is_torn = self.queue().is_torn;
            if is_torn && pause.is_zero() {
                self.mend().await;
                mended = Some(Instant::now());
            } else if !self.send_some().await {
                let pause = if is_torn { pause } else { Duration::MAX };
                let _ = timeout(pause, self.work.notified()).await;
            }
        }
    }

    /// Whether anything waited.
    async fn send_some(&self) -> bool {
        let batch = self.queue().take();
        let count = batch.len();
        if count > 0 && self.send(batch).await.is_err() {
            self.lost.fetch_add(count as u64, Ordering::Relaxed);
            self.queue().is_torn = true;
        }
        count > 0
    }

    async fn send(&self, batch: Vec<(String, Bytes)>) -> Result<(), Unanswered> {
        let commands = batch.into_iter().map(|(channel, message)| {
            let command = cmd("SPUBLISH").arg(&channel).arg(&message[..]).to_owned();
            (channel, command)
        });
        self.redis.run_all(commands).await
    }

    /// Tells all nodes that something was lost. What is lost meanwhile is told the next time.
    async fn mend(&self) {
        self.queue().is_torn = false;
        let is_there = self.redis.connected(Duration::from_secs(1)).await;
        if !is_there || self.tell_disturbed().await.is_err() {
            self.queue().is_torn = true;
        }
    }

    async fn tell_disturbed(&self) -> Result<(), Unanswered> {
        let (key, channel) = (self.names.epoch(), self.names.disturbed());
        let epoch: String = self.redis.call(&key, &self.bump.key(&key)).await?;
        self.redis.run::<()>(&channel, cmd("SPUBLISH").arg(&channel).arg(epoch)).await
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_by_bytes_and_takes_at_least_one_message() {
        let mut queue = Queue::default();
        for bytes in [BYTES_AT_ONCE * 2, BYTES_AT_ONCE / 2, BYTES_AT_ONCE / 4, BYTES_AT_ONCE / 2, 1] {
            queue.bytes += bytes + 1;
            queue.waiting.push_back(("t".to_owned(), Bytes::from(vec![0; bytes])));
        }
        let batches: Vec<_> = std::iter::from_fn(|| Some(queue.take().len()).filter(|len| *len > 0)).collect();
        assert_eq!((batches, queue.bytes), (vec![1, 2, 2], 0));
    }
}
