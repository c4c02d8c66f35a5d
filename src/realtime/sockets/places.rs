//! Who gets in: a bounded number of connections in all, to one app, and from one address.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::rules::SocketRules;
use super::shared::lock;
use super::{App, Full};

/// The share of all connections that may be there beyond the bound, to be told no.
const BRIEF_SHARE: usize = 16;

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<Taken>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    brief: usize,
    by_app: HashMap<App, usize>,
    by_address: HashMap<IpAddr, usize>,
    refused: u64,
    is_draining: bool,
}

/// Room for one connection; given back when dropped.
pub struct Place {
    places: Arc<Places>,
    app: Option<App>,
    address: IpAddr,
}

impl Places {
    pub fn take(self: &Arc<Self>, rules: &SocketRules, app: App, address: IpAddr) -> Result<Place, Full> {
        let mut taken = lock(&self.taken);
        if let Some(full) = taken.full(rules, app, address) {
            taken.refused += 1;
            return Err(full);
        }
        taken.total += 1;
        *taken.by_app.entry(app).or_default() += 1;
        *taken.by_address.entry(address).or_default() += 1;
        Ok(Place { places: Arc::clone(self), app: Some(app), address })
    }

    pub fn take_briefly(self: &Arc<Self>, rules: &SocketRules, address: IpAddr) -> Option<Place> {
        let mut taken = lock(&self.taken);
        if taken.brief >= (rules.connections_max / BRIEF_SHARE).max(1) {
            taken.refused += 1;
            return None;
        }
        taken.brief += 1;
        Some(Place { places: Arc::clone(self), app: None, address })
    }

    pub fn drain(&self) {
        lock(&self.taken).is_draining = true;
    }

    pub fn is_draining(&self) -> bool {
        lock(&self.taken).is_draining
    }

    /// Resolves when nobody is there.
    pub async fn emptied(&self) {
        loop {
            let notified = self.left.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.total() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Everybody who is there, also briefly.
    pub fn total(&self) -> usize {
        let taken = lock(&self.taken);
        taken.total + taken.brief
    }

    pub fn of(&self, app: App) -> usize {
        lock(&self.taken).by_app.get(&app).copied().unwrap_or(0)
    }

    pub fn refused(&self) -> u64 {
        lock(&self.taken).refused
    }
}

impl Taken {
    fn full(&self, rules: &SocketRules, app: App, address: IpAddr) -> Option<Full> {
        let count = |count: Option<&usize>| count.copied().unwrap_or(0);
        if self.is_draining {
            Some(Full::Draining)
        } else if self.total >= rules.connections_max {
            Some(Full::Server)
        } else if count(self.by_app.get(&app)) >= rules.per_app_max {
            Some(Full::App)
        } else if count(self.by_address.get(&address)) >= rules.per_address_max {
            Some(Full::Address)
        } else {
            None
        }
    }
}

impl Place {
    /// The app that it is for; `None` when it is only to say no.
    pub fn app(&self) -> Option<App> {
        self.app
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        if let Some(app) = self.app {
            taken.total -= 1;
            less(&mut taken.by_app, &app);
            less(&mut taken.by_address, &self.address);
        } else {
            taken.brief -= 1;
        }
        let is_empty = taken.total + taken.brief == 0;
        drop(taken);
        if is_empty {
            self.places.left.notify_waiters();
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("app", &self.app).finish_non_exhaustive()
    }
}

fn less<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
