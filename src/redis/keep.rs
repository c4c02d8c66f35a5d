//! Keeping connections: made in the background, made anew whenever they break, for ever.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::PushKind;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::RedisOptions;
use super::links::{Links, Pushed};

/// What lives on connections.
pub(crate) trait Life: Send + Sync + 'static {
    /// Told of every message that a server sends by itself on the connections that are made next.
    fn pushed(self: &Arc<Self>, alarm: &Arc<Alarm>) -> Pushed;

    /// Lives on these connections until they are good for nothing any more; says why.
    fn live(&self, links: Arc<Links>, alarm: Arc<Alarm>) -> impl Future<Output = String> + Send;
}

/// Rung when something may be wrong with the connections of one moment.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    bell: Notify,
    is_open: AtomicBool,
    is_over: AtomicBool,
}

impl Alarm {
    /// Something may be wrong: look.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// What comes by the connections counts from now on, or does not any more.
    pub fn open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Release);
    }

    /// Whether what comes by the connections counts.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// The connections are of no use any more.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.ring();
    }

    /// Whether the connections are known to be of no use.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Resolves when it is rung, or after that long.
    pub async fn rung(&self, at_most: Duration) {
        let _ = timeout(at_most, self.bell.notified()).await;
    }
}

/// What ends an alarm when its connection is lost.
pub(crate) fn ends_with_connection(alarm: &Arc<Alarm>) -> Pushed {
    let alarm = Arc::clone(alarm);
    Arc::new(move |info| {
        if info.kind == PushKind::Disconnection {
            alarm.end();
        }
    })
}

/// Making connections takes so long at the most, before it is tried anew.
const CONNECT_ALL_WAIT: Duration = Duration::from_secs(4);

/// Keeps a life on connections, until it is dropped.
pub(crate) async fn keep(options: RedisOptions, what: &'static str, life: Arc<impl Life>) {
    let mut pause = Pause::default();
    let mut is_told = false;
    loop {
        let alarm = Arc::new(Alarm::default());
        let pushed = life.pushed(&alarm);
        let why = match timeout(CONNECT_ALL_WAIT, Links::connect(&options.address, &pushed)).await {
            Ok(Ok(links)) => {
                tracing::info!(what, "connected to Redis");
                let began = Instant::now();
                let why = life.live(Arc::new(links), alarm).await;
                is_told = false;
                pause.after(began.elapsed());
                why
            }
            Ok(Err(error)) => error.category().to_owned(),
            Err(_) => "no answer".to_owned(),
        };
        if !is_told {
            tracing::warn!(what, why, "Redis is away; this node goes on without");
            is_told = true;
        }
        tokio::time::sleep(pause.next()).await;
    }
}

/// How long to wait before the next try: each time twice as long, half of it by chance, so that not all nodes come back
/// at once.
#[derive(Debug, Default)]
struct Pause {
    tries: u32,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);
    /// Connections that lasted for so long were good.
    const GOOD: Duration = Duration::from_secs(5);

    fn after(&mut self, lasted: Duration) {
        if lasted >= Self::GOOD {
            self.tries = 0;
        }
    }

    fn next(&mut self) -> Duration {
        let whole = Self::FIRST.saturating_mul(1 << self.tries.min(10)).min(Self::LONGEST);
        self.tries = self.tries.saturating_add(1);
        let chance = RandomState::new().hash_one(self.tries) % 1024;
        whole / 2 + whole.mul_f64(chance as f64 / 2048.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew_after_good_connections() {
        let mut pause = Pause::default();
        let first = pause.next();
        assert!(first >= Pause::FIRST / 2 && first <= Pause::FIRST);
        for _ in 0..100 {
            assert!(pause.next() <= Pause::LONGEST);
        }
        assert!(pause.next() >= Pause::LONGEST / 2);
        pause.after(Duration::from_millis(10));
        assert!(pause.next() >= Pause::LONGEST / 2);
        pause.after(Pause::GOOD);
        assert!(pause.next() <= Pause::FIRST);
    }
}
