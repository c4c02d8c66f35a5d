//! Who listens to what: every follower under its scope, told of each event once.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::Notify;

use super::Interest;
use super::seam::{Held, Lapsed};
use crate::domain::{ConversationId, EventId, Logged, Scope, Signal};
use crate::plant::{Plant, is_planted};

const SHARDS: usize = 64;

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// Something was committed.
    Logged(Arc<Logged>),
    /// Something happened that is not kept.
    Signal(Arc<Signal>),
    /// The conversation that is listened to was removed.
    Gone,
}

/// The listeners by scope. Costs nothing for scopes to which nobody listens.
pub struct Broker {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    queue_max: usize,
    next: AtomicU64,
    listeners: AtomicUsize,
    /// Everything up to here was told.
    announced: AtomicI64,
    interest: OnceLock<Weak<dyn Interest>>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("listeners", &self.listeners()).finish_non_exhaustive()
    }
}

type Shard = HashMap<Scope, HashMap<u64, Arc<Ear>>>;

/// Where a listener's news wait for it.
#[derive(Debug)]
struct Ear {
    held: Mutex<Held<EventId, Heard>>,
    /// Something happened that is not here: the log has to be read.
    has_rung: AtomicBool,
    /// Whether its listener has looked once.
    has_looked: AtomicBool,
    news: Notify,
}

/// A place among the listeners; given back when dropped.
#[derive(Debug)]
pub struct Listening {
    broker: Arc<Broker>,
    scope: Scope,
    number: u64,
    ear: Arc<Ear>,
}

impl Broker {
    /// Holds at most `queue_max` news for each listener; who is behind by more reads the log.
    pub fn new(queue_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            queue_max,
            next: AtomicU64::new(0),
            listeners: AtomicUsize::new(0),
            announced: AtomicI64::new(0),
            interest: OnceLock::new(),
        }
    }

    /// Listens from now on: whatever is committed after this returned is heard.
    pub fn listen(self: &Arc<Self>, scope: Scope) -> Listening {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let held = Mutex::new(Held::new(self.queue_max));
        let ear = Arc::new(Ear {
            held,
            has_rung: AtomicBool::new(false),
            has_looked: AtomicBool::new(false),
            news: Notify::new(),
        });
        lock(self.shard(&scope)).entry(scope).or_default().insert(number, Arc::clone(&ear));
        self.listeners.fetch_add(1, Ordering::Relaxed);
        if let Some(interest) = self.interested() {
            interest.entered(scope);
        }
        Listening { broker: Arc::clone(self), scope, number, ear }
    }

    /// These events were committed, in this order.
    pub fn announce(&self, events: &[Logged]) {
        for logged in events {
            // Made when the first listener is met.
            let mut shared = None;
            for scope in logged.place.scopes() {
                self.tell(scope, Some(logged.event.id), || {
                    Heard::Logged(Arc::clone(shared.get_or_insert_with(|| Arc::new(logged.clone()))))
                });
            }
        }
        if let Some(last) = events.last() {
            self.begin_at(last.event.id);
        }
    }

    /// From now on that is told what is listened to; and what happens is told by it, through
    /// [`Broker::tell_conversation`] and [`Broker::ring`], and not in one order over all conversations.
    pub fn interest(&self, interest: Weak<dyn Interest>) {
        // Set once, while the system is wired.
        let _ = self.interest.set(interest);
    }

    /// Whether everything that happens is announced here, in the order of its numbers.
    pub fn is_in_order(&self) -> bool {
        self.interest.get().is_none()
    }

    /// Tells those who listen to the event's conversation, and nobody else.
    pub fn tell_conversation(&self, logged: &Logged) {
        let heard = || Heard::Logged(Arc::new(logged.clone()));
        self.tell(Scope::Conversation(logged.event.conversation_id), Some(logged.event.id), heard);
    }

    /// Makes everybody in a scope read the log.
    pub fn ring(&self, scope: Scope) {
        let shard = lock(self.shard(&scope));
        for ear in shard.get(&scope).into_iter().flat_map(HashMap::values) {
            ear.has_rung.store(true, Ordering::Release);
            ear.news.notify_one();
        }
    }

    fn interested(&self) -> Option<Arc<dyn Interest>> {
        self.interest.get().and_then(Weak::upgrade)
    }

    /// Nothing up to this event will be announced: it was committed before there was anybody to tell.
    pub fn begin_at(&self, event: EventId) {
        self.announced.fetch_max(event.0, Ordering::Release);
    }

    /// How far everybody was told: whatever is in a scope up to here was put where its listeners find it.
    pub fn announced(&self) -> EventId {
        EventId(self.announced.load(Ordering::Acquire))
    }

    /// Something happened in a scope that is told and not kept.
    pub fn signal(&self, scope: Scope, signal: &Arc<Signal>) {
        self.tell(scope, None, || Heard::Signal(Arc::clone(signal)));
    }

    /// This conversation was removed.
    pub fn remove(&self, id: ConversationId) {
        self.tell(Scope::Conversation(id), None, || Heard::Gone);
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    fn tell(&self, scope: Scope, cursor: Option<EventId>, mut heard: impl FnMut() -> Heard) {
        let shard = lock(self.shard(&scope));
        for ear in shard.get(&scope).into_iter().flat_map(HashMap::values) {
            if is_planted(Plant::DropAtSeam) && !ear.has_looked.load(Ordering::Relaxed) {
                continue;
            }
            lock(&ear.held).put(cursor, heard(), 1);
            ear.news.notify_one();
        }
    }

    fn shard(&self, scope: &Scope) -> &Mutex<Shard> {
        &self.shards[(self.hasher.hash_one(scope) as usize) % SHARDS]
    }
}

impl Listening {
    /// What was heard since the last time, but for what `after` covers already.
    ///
    /// # Errors
    /// [`Lapsed`] when it was more than is held, and when it is only known that there is something.
    pub fn take(&self, after: EventId) -> Result<Vec<Heard>, Lapsed> {
        self.ear.has_looked.store(true, Ordering::Relaxed);
        if self.ear.has_rung.swap(false, Ordering::AcqRel) {
            return Err(Lapsed);
        }
        let taken = lock(&self.ear.held).take(after)?;
        Ok(taken.into_iter().map(|(_, heard)| heard).collect())
    }

    /// Whether there is something to take.
    pub fn is_waiting(&self) -> bool {
        self.ear.has_rung.load(Ordering::Acquire) || lock(&self.ear.held).is_waiting()
    }

    /// Resolves when there is something to take. Cancel-safe.
    pub async fn news(&self) {
        while !self.is_waiting() {
            self.ear.news.notified().await;
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut shard = lock(self.broker.shard(&self.scope));
        if let Some(ears) = shard.get_mut(&self.scope) {
            ears.remove(&self.number);
            if ears.is_empty() {
                shard.remove(&self.scope);
            }
        }
        drop(shard);
        self.broker.listeners.fetch_sub(1, Ordering::Relaxed);
        if let Some(interest) = self.broker.interested() {
            interest.left(self.scope);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
