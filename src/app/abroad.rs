//! The other nodes, where the configuration names a Redis by which to reach them.

use std::sync::Arc;
use std::time::Duration;

use super::Background;
use crate::api::pusher;
use crate::chat::SharedChat;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::Witness;
use crate::error::{Error, Result};
use crate::jobs::Outbox;
use crate::realtime::Realtime;
use crate::realtime::bus::{Bus, Ears};
use crate::realtime::bus_redis::{BusBounds, RedisBus};
use crate::realtime::nodes::{NodeParts, NodeRules, Nodes};
use crate::realtime::roster_redis::RedisRoster;
use crate::realtime::switch::{Route, Switch};
use crate::redis::{Redis, RedisOptions};

/// How many times as long as one command somebody who comes waits for what other nodes have: it is two, one after the
/// other, and behind those of others.
const COMMANDS: u32 = 5;

/// Joins the other nodes, if there may be any.
///
/// # Errors
/// `Internal` with a sentence for the operator.
pub(super) fn join(
    config: &Config,
    (clock, realtime): (&Clock, &Realtime),
    chat: &SharedChat,
    (outbox, background): (&Arc<Outbox>, &Background),
) -> Result<()> {
    let options = &config.redis;
    if options.url.is_empty() {
        return Ok(());
    }
    let wait = Duration::from_millis(options.wait_ms);
    let redis = Redis::open(RedisOptions::new(&options.url, &options.prefix, wait).map_err(Error::internal)?);
    let switch = Arc::new(Switch::default());
    let bounds = BusBounds { messages_max: options.queue, bytes_max: options.queue_bytes_max };
    let bus: Arc<dyn Bus> = Arc::new(RedisBus::start(&redis, bounds, Arc::clone(&switch) as Arc<dyn Ears>));
    let parts = NodeParts {
        bus,
        roster: Arc::new(RedisRoster::new(redis)),
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
        wait: wait * COMMANDS,
    };
    let id = u64::from_le_bytes(clock.secret());
    let nodes = Nodes::start(parts, id, rules, &background.tasks, &background.stop);
    chat.hear_nodes();
    let ears: Arc<dyn Ears> = nodes;
    let ears = Arc::downgrade(&ears);
    switch.connect(vec![Route { is_theirs: Nodes::is_topic, ears }]);
    Ok(())
}
