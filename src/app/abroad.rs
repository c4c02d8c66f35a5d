//! The other nodes, where the configuration names a Redis by which to reach them.

use std::sync::Arc;
use std::time::Duration;

use super::Background;
use crate::api::pusher;
use crate::chat::SharedChat;
use crate::clock::Clock;
use crate::cluster::Relay;
use crate::config::Config;
use crate::domain::Witness;
use crate::error::Result;
use crate::jobs::Outbox;
use crate::limits::Shared;
use crate::realtime::Realtime;
use crate::realtime::bus::{Bus, Ears};
use crate::realtime::bus_redis::{BusBounds, RedisBus};
use crate::realtime::nodes::{NodeParts, NodeRules, Nodes};
use crate::realtime::roster_redis::RedisRoster;
use crate::realtime::switch::{Route, Switch};
use crate::redis::Redis;

/// How many times as long as one command somebody who comes waits for what other nodes have: it is two, one after the
/// other, and behind those of others.
const COMMANDS: u32 = 5;

/// The line to the other nodes.
pub(super) struct Line {
    redis: Redis,
    switch: Arc<Switch>,
    bus: Arc<dyn Bus>,
    shared: Shared,
}

impl Line {
    /// Opens it, if there may be other nodes.
    ///
    /// # Errors
    /// `Internal` with a sentence for the operator.
    pub fn open(config: &Config) -> Result<Option<Self>> {
        let Some(options) = super::redis_options(config)? else { return Ok(None) };
        let redis = Redis::open(options);
        let switch = Arc::new(Switch::default());
        let bounds = BusBounds { messages_max: config.redis.queue, bytes_max: config.redis.queue_bytes_max };
        let bus = Arc::new(RedisBus::start(&redis, bounds, Arc::clone(&switch) as Arc<dyn Ears>));
        let shared = Shared::new(redis.clone(), config.cluster.nodes);
        Ok(Some(Self { redis, switch, bus, shared }))
    }

    /// What carries news.
    pub fn bus(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.bus)
    }

    /// Where limits are counted.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Joins the other nodes.
    pub fn join(
        &self,
        config: &Config,
        (clock, realtime): (&Clock, &Realtime),
        chat: &SharedChat,
        (outbox, background): (&Arc<Outbox>, &Background),
        relay: Option<&Arc<Relay>>,
    ) {
        let parts = NodeParts {
            bus: self.bus(),
            roster: Arc::new(RedisRoster::new(self.redis.clone())),
            sockets: Arc::clone(&realtime.sockets),
            broker: Arc::clone(&realtime.broker),
            online: Arc::clone(chat.online()),
            wording: Arc::new(pusher::Words { counts: config.pusher.subscription_count }),
            witness: Arc::clone(outbox) as Arc<dyn Witness>,
        };
        let rules = NodeRules {
            lease: Duration::from_secs(config.cluster.lease_s),
            beat: Duration::from_secs(config.cluster.beat_s),
            leave_after: Duration::from_secs(config.cluster.leave_after_s),
            wait: Duration::from_millis(config.redis.wait_ms) * COMMANDS,
        };
        let id = u64::from_le_bytes(clock.secret());
        let nodes = Nodes::start(parts, id, rules, &background.tasks, &background.stop);
        chat.hear_nodes();
        let ears: Arc<dyn Ears> = nodes;
        let mut routes = vec![Route { is_theirs: Nodes::is_topic, ears: Arc::downgrade(&ears) }];
        if let Some(relay) = relay {
            let ears: Arc<dyn Ears> = relay.clone();
            routes.push(Route { is_theirs: Relay::is_topic, ears: Arc::downgrade(&ears) });
        }
        self.switch.connect(routes);
    }
}
