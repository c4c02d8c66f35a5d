//! Channels by app and name.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use super::App;
use super::channel::Channel;
use super::shared::lock;

/// Locks that the directory is spread over.
pub(super) const SHARDS: usize = 64;

type Names = HashMap<Arc<str>, Arc<Channel>>;

/// Every channel.
#[derive(Debug, Default)]
pub(super) struct Directory {
    shards: Box<[Mutex<HashMap<App, Names>>]>,
    hasher: RandomState,
}

impl Directory {
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new() }
    }

    pub fn find(&self, app: App, name: &str) -> Option<Arc<Channel>> {
        let shard = lock(self.shard(name));
        shard.get(&app)?.get(name).cloned()
    }

    pub fn find_or_add(&self, app: App, name: &str, new: impl FnOnce(Arc<str>) -> Channel) -> Arc<Channel> {
        let mut shard = lock(self.shard(name));
        let names = shard.entry(app).or_default();
        if let Some(found) = names.get(name) {
            return Arc::clone(found);
        }
        let key: Arc<str> = name.into();
        let channel = Arc::new(new(Arc::clone(&key)));
        names.insert(key, Arc::clone(&channel));
        channel
    }

    /// Removes a channel when `is_idle` says so under the locks of the directory and of the channel.
    pub fn remove_if(&self, channel: &Channel, is_idle: impl FnOnce(&mut super::channel::Body) -> bool) {
        let mut shard = lock(self.shard(channel.name()));
        let mut body = channel.body();
        if body.is_gone || !is_idle(&mut body) {
            return;
        }
        body.is_gone = true;
        let Some(names) = shard.get_mut(&channel.app()) else { return };
        names.remove(channel.name());
        if names.is_empty() {
            shard.remove(&channel.app());
        } else if names.len() * 8 < names.capacity() {
            names.shrink_to_fit();
        }
    }

    /// An app's channels whose names begin like that, in no order.
    pub fn of(&self, app: App, prefix: &str) -> Vec<Arc<Channel>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            let names = shard.get(&app).into_iter().flat_map(|names| names.values());
            found.extend(names.filter(|channel| channel.name().starts_with(prefix)).cloned());
        }
        found
    }

    /// Every channel of a shard.
    pub fn shard_of(&self, number: usize) -> Vec<Arc<Channel>> {
        let shard = lock(&self.shards[number % SHARDS]);
        shard.values().flat_map(|names| names.values().cloned()).collect()
    }

    fn shard(&self, name: &str) -> &Mutex<HashMap<App, Names>> {
        &self.shards[self.hasher.hash_one(name) as usize % SHARDS]
    }
}
