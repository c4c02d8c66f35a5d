//! The head table: the conversations that somebody asked for lately, bounded.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Interest;
use super::channel::{Channel, Keep, Offered};
use crate::domain::{Conversation, ConversationId, ConversationKind, Event, Logged, Scope};

const SHARDS: usize = 64;

/// What the hub counts, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct HubStats {
    /// Conversations in memory.
    pub conversations: usize,
    /// Those who wait or follow.
    pub listeners: usize,
}

/// The conversations in memory, by number and by key. Holds at most a configured number that
/// nobody is using; one that is in use is never dropped, because its followers would then miss
/// what is announced.
pub struct Hub {
    by_id: Vec<Mutex<HashMap<ConversationId, Arc<Channel>>>>,
    by_key: Vec<Mutex<HashMap<Box<str>, ConversationId>>>,
    hasher: RandomState,
    tick: AtomicU64,
    shard_max: usize,
    keep: Keep,
    interest: OnceLock<Weak<dyn Interest>>,
    /// What the tick was, now and then: who was not used since such a moment is idle.
    ticks: Mutex<VecDeque<(Instant, u64)>>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub that holds about `conversations_max` conversations with their last `events_max`
    /// events each, of at most `bytes_max` bytes.
    pub fn new(conversations_max: usize, events_max: usize, bytes_max: usize) -> Self {
        Self {
            by_id: (0..SHARDS).map(|_| Mutex::default()).collect(),
            by_key: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            tick: AtomicU64::new(1),
            shard_max: conversations_max.div_ceil(SHARDS).max(1),
            keep: Keep { events: events_max, bytes: bytes_max },
            interest: OnceLock::new(),
            ticks: Mutex::default(),
        }
    }

    /// From now on that is told which conversations are held.
    pub fn interest(&self, interest: Weak<dyn Interest>) {
        // Set once, while the system is wired.
        let _ = self.interest.set(interest);
    }

    /// How many of a conversation's last events a channel wants to be loaded with.
    pub fn events_max(&self) -> usize {
        self.keep.events
    }

    /// The channel of the conversation with that key, if it is held.
    pub fn find(&self, kind: ConversationKind, key: &str) -> Option<Arc<Channel>> {
        let name = name(kind, key);
        let id = *lock(&self.by_key[self.key_shard(&name)]).get(name.as_str())?;
        let channel = lock(&self.by_id[id_shard(id)]).get(&id).cloned()?;
        channel.touch(self.tick.fetch_add(1, Ordering::Relaxed));
        Some(channel)
    }

    /// The channel of that conversation, if it is held.
    pub fn held(&self, id: ConversationId) -> Option<Arc<Channel>> {
        lock(&self.by_id[id_shard(id)]).get(&id).cloned()
    }

    /// The channel of that conversation, made (and not loaded) if it is not held. It hears of
    /// every commit from before this returns, so a store that is read afterwards and the
    /// announcements leave no hole between them.
    pub fn enter(&self, id: ConversationId) -> Arc<Channel> {
        let tick = self.tick.fetch_add(1, Ordering::Relaxed);
        let mut shard = lock(&self.by_id[id_shard(id)]);
        if let Some(channel) = shard.get(&id) {
            channel.touch(tick);
            return Arc::clone(channel);
        }
        if shard.len() >= self.shard_max {
            self.make_room(&mut shard);
        }
        let channel = Arc::new(Channel::new(id, self.keep));
        channel.touch(tick);
        shard.insert(id, Arc::clone(&channel));
        drop(shard);
        if let Some(interest) = self.interest.get().and_then(Weak::upgrade) {
            interest.entered(Scope::Conversation(id));
        }
        channel
    }

    /// Offers an event to its conversation's channel: it takes those that follow on what it has.
    pub fn offer(&self, event: &Event) -> Offered {
        self.held(event.conversation_id).map_or(Offered::Unheld, |channel| channel.offer(event))
    }

    /// Forgets what is held of a conversation; whoever uses its channel has to load it again.
    pub fn forget(&self, id: ConversationId) {
        if let Some(channel) = self.held(id) {
            channel.forget();
        }
    }

    /// A message with that number was written here, and those before it are not told yet.
    pub fn expect(&self, id: ConversationId, seq: u64) {
        if let Some(channel) = self.held(id) {
            channel.expect(seq);
        }
    }

    /// In how many parts [`Hub::heads`] lists.
    pub fn shards(&self) -> usize {
        SHARDS
    }

    /// A part of the loaded conversations, each with the number of its last event as it is known here.
    pub fn heads(&self, shard: usize) -> Vec<(ConversationId, u64)> {
        let held = lock(&self.by_id[shard]);
        held.iter().filter_map(|(id, channel)| Some((*id, channel.head()?.seq))).collect()
    }

    /// Drops the conversations that nobody uses and nobody has asked for since that long.
    pub fn release_idle(&self, since: Duration) {
        let now = Instant::now();
        let mut ticks = lock(&self.ticks);
        ticks.push_back((now, self.tick.load(Ordering::Relaxed)));
        let mut before = None;
        while let Some((at, tick)) = ticks.front().copied()
            && now.duration_since(at) >= since
        {
            before = Some(tick);
            ticks.pop_front();
        }
        drop(ticks);
        let Some(before) = before else { return };
        for shard in &self.by_id {
            let is_idle = |channel: &Arc<Channel>| {
                Arc::strong_count(channel) == 1 && channel.used.load(Ordering::Relaxed) < before
            };
            let mut shard = lock(shard);
            let idle: Vec<_> = shard.iter().filter(|(_, channel)| is_idle(channel)).map(|(id, _)| *id).collect();
            for id in idle {
                self.release(&mut shard, id);
            }
        }
    }

    /// Lets [`Hub::find`] find a loaded conversation by its key.
    pub fn name(&self, conversation: &Conversation) {
        let name = name(conversation.kind, &conversation.key);
        lock(&self.by_key[self.key_shard(&name)]).insert(name.into_boxed_str(), conversation.id);
    }

    /// These events were committed, in this order.
    pub fn announce(&self, events: &[Logged]) {
        for Logged { event, .. } in events {
            let channel = lock(&self.by_id[id_shard(event.conversation_id)]).get(&event.conversation_id).cloned();
            if let Some(channel) = channel {
                channel.announce(event.clone());
            }
        }
    }

    /// This conversation was removed.
    pub fn remove(&self, id: ConversationId) {
        let channel = lock(&self.by_id[id_shard(id)]).remove(&id);
        if let Some(channel) = channel {
            self.forget_name(&channel);
            self.left(id);
            channel.remove();
        }
    }

    /// Counts what is held.
    pub fn stats(&self) -> HubStats {
        let mut stats = HubStats::default();
        for shard in &self.by_id {
            let shard = lock(shard);
            stats.conversations += shard.len();
            stats.listeners += shard.values().map(|channel| channel.listeners()).sum::<usize>();
        }
        stats
    }

    /// Drops the least recently used eighth of those that nobody holds.
    fn make_room(&self, shard: &mut HashMap<ConversationId, Arc<Channel>>) {
        let mut idle: Vec<_> = shard
            .iter()
            .filter(|(_, channel)| Arc::strong_count(channel) == 1)
            .map(|(id, channel)| (channel.used.load(Ordering::Relaxed), *id))
            .collect();
        idle.sort_unstable();
        for (_, id) in idle.into_iter().take((shard.len() / 8).max(1)) {
            self.release(shard, id);
        }
    }

    fn release(&self, shard: &mut HashMap<ConversationId, Arc<Channel>>, id: ConversationId) {
        if let Some(channel) = shard.remove(&id) {
            self.forget_name(&channel);
            self.left(id);
        }
    }

    fn left(&self, id: ConversationId) {
        if let Some(interest) = self.interest.get().and_then(Weak::upgrade) {
            interest.left(Scope::Conversation(id));
        }
    }

    fn forget_name(&self, channel: &Channel) {
        if let Some((kind, key)) = channel.name() {
            let name = name(kind, &key);
            lock(&self.by_key[self.key_shard(&name)]).remove(name.as_str());
        }
    }

    fn key_shard(&self, name: &str) -> usize {
        (self.hasher.hash_one(name) as usize) % SHARDS
    }
}

/// Kind and key in one string: a lookup then borrows, and both share a map.
fn name(kind: ConversationKind, key: &str) -> String {
    let kind = kind.as_str();
    let mut name = String::with_capacity(kind.len() + 1 + key.len());
    name.push_str(kind);
    name.push('/');
    name.push_str(key);
    name
}

fn id_shard(id: ConversationId) -> usize {
    (id.0.unsigned_abs() as usize) % SHARDS
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
