//! The bus over Redis: sharded pub/sub (Redis 7), which one server, the master of sentinels and a cluster all speak.
//!
//! A node has a connection that hears (`hearing`) and one that tells (`telling`), each made anew for ever when it
//! breaks. Pub/sub keeps nothing, so what matters is that no loss goes unnoticed:
//! - who hears was cut off, or hung: it subscribes to everything again and says that it was disturbed;
//! - who tells could not: it sets the epoch, a key that everybody looks at, and says so on a channel that all hear;
//! - Redis was emptied or replaced: the epoch is gone or is another one.

mod hearing;
mod telling;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;

use self::hearing::Hearing;
use self::telling::Telling;
use super::bus::{Bus, Ears};
use crate::redis::{Redis, keep};

/// What may wait to be sent.
#[derive(Clone, Copy, Debug)]
pub struct BusBounds {
    /// Messages.
    pub messages_max: usize,
    /// Bytes of them, their topics included.
    pub bytes_max: usize,
}

/// The bus. Ends when it is dropped.
pub struct RedisBus {
    hearing: Arc<Hearing>,
    telling: Arc<Telling>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

/// How long a batch of messages may take to be sent. It is not what requests wait for.
const TELL_WAIT: Duration = Duration::from_secs(1);

impl RedisBus {
    /// Begins to connect, by connections of its own. Must be called on a runtime. Until Redis is there for the first
    /// time the bus is away; the ears hear of that only as they hear of every other return: they are disturbed.
    pub fn start(redis: &Redis, bounds: BusBounds, ears: Arc<dyn Ears>) -> Self {
        let names = Names { prefix: redis.key("") };
        let hearing = Arc::new(Hearing::new(names.clone(), ears));
        let telling = Arc::new(Telling::new(names, redis.apart("telling", TELL_WAIT), bounds));
        let heard = tokio::spawn(keep(redis.options().clone(), "hearing", Arc::clone(&hearing)));
        let told = tokio::spawn(Arc::clone(&telling).run());
        Self { hearing, telling, _tasks: [AbortOnDropHandle::new(heard), AbortOnDropHandle::new(told)] }
    }

    /// How many messages found no room, or could not be sent, so far.
    pub fn lost(&self) -> u64 {
        self.telling.lost()
    }
}

impl Bus for RedisBus {
    fn subscribe(&self, topic: &str) -> BoxFuture<'static, bool> {
        match self.hearing.subscribe(topic) {
            Some(heard) => heard.map(|heard| heard.unwrap_or(false)).boxed(),
            None => futures_util::future::ready(false).boxed(),
        }
    }

    fn unsubscribe(&self, topic: &str) {
        self.hearing.unsubscribe(topic);
    }

    fn publish(&self, topic: &str, message: Bytes) {
        self.telling.publish(topic, message);
    }

    fn is_up(&self) -> bool {
        self.hearing.is_up() && self.telling.is_up()
    }
}

/// What keys and channels are called.
#[derive(Clone)]
struct Names {
    /// With its colon.
    prefix: String,
}

impl Names {
    /// The key that is set anew whenever messages were lost.
    fn epoch(&self) -> String {
        format!("{}epoch", self.prefix)
    }

    /// The channel on which all are told the new epoch. No topic is called so: those begin with `.`.
    fn disturbed(&self) -> String {
        format!("{}disturbed", self.prefix)
    }

    fn channel(&self, topic: &str) -> String {
        format!("{}.{topic}", self.prefix)
    }

    fn topic<'a>(&self, channel: &'a str) -> Option<&'a str> {
        channel.strip_prefix(self.prefix.as_str())?.strip_prefix('.')
    }
}
