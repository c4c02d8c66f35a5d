//! Between the store, the other nodes, and those who follow here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::orders::{Orders, Told};
use super::rings::Rings;
use super::topics::{self, Topics};
use super::wire::News;
use crate::domain::{ConversationId, ConversationKind, EventId, Logged, Scope};
use crate::realtime::bus::{Bus, Ears};
use crate::realtime::{Interest, Realtime};
use crate::store::{Listener, SharedStore};

/// How many events are read at once of a conversation that fell behind.
const PAGE: usize = 256;

/// How long those before an early event may take to come by themselves.
const GRACE: Duration = Duration::from_millis(20);

/// How often the horizon is looked at while something waits for it: each look goes through all locks of the server, so
/// that many nodes that look often would cost more than what they look for.
const LOOK: Duration = Duration::from_millis(10);

/// The operator's rules.
#[derive(Clone, Copy, Debug)]
pub struct RelayRules {
    /// How long a topic is still heard after its last follower left.
    pub leave_after: Duration,
    /// Reads of the store a second for those who follow while the bus is away, at the most.
    pub polls_per_second: u32,
}

/// Tells the other nodes what was committed here, and those who follow here what was committed anywhere.
pub struct Relay {
    node: Uuid,
    pub(super) realtime: Realtime,
    pub(super) bus: Option<Arc<dyn Bus>>,
    pub(super) rules: RelayRules,
    store: OnceLock<SharedStore>,
    orders: Orders,
    pub(super) topics: Topics,
    pub(super) rings: Rings,
    behind: Mutex<HashMap<ConversationId, Behind>>,
    fell_behind: Notify,
    /// The bus went away or came back: everything that is followed is compared with the store.
    pub(super) doubted: Notify,
    me: OnceLock<Weak<Self>>,
}

/// What is known of a conversation that may have fallen behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Behind {
    /// Something came early: those before it may be on their way.
    Early,
    /// Something is missing, or may be.
    Missing,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay that does nothing before [`Relay::start`] but keep what it is told in order. Without a bus there is no
    /// other way to the other nodes than the store.
    pub fn new(node: Uuid, realtime: Realtime, bus: Option<Arc<dyn Bus>>, rules: RelayRules) -> Arc<Self> {
        let relay = Arc::new(Self {
            node,
            realtime,
            bus,
            rules,
            store: OnceLock::new(),
            orders: Orders::default(),
            topics: Topics::default(),
            rings: Rings::default(),
            behind: Mutex::default(),
            fell_behind: Notify::new(),
            doubted: Notify::new(),
            me: OnceLock::new(),
        });
        let _ = relay.me.set(Arc::downgrade(&relay));
        let interest: Arc<dyn Interest> = relay.clone();
        relay.realtime.hub.interest(Arc::downgrade(&interest));
        relay.realtime.broker.interest(Arc::downgrade(&interest));
        relay
    }

    /// Whether a topic of the bus is for a relay.
    pub fn is_topic(topic: &str) -> bool {
        topics::parse(topic).is_some()
    }

    /// Begins to compare what is followed with the store, until `stop`.
    pub fn start(self: &Arc<Self>, store: SharedStore, tasks: &TaskTracker, stop: &CancellationToken) {
        let _ = self.store.set(store);
        let spawn = |work: futures_util::future::BoxFuture<'static, ()>| {
            let stop = stop.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = work => {}
                }
            });
        };
        spawn(Box::pin(Arc::clone(self).ring_when_decided()));
        spawn(Box::pin(Arc::clone(self).catch_up_when_behind()));
        spawn(Box::pin(Arc::clone(self).sweep()));
    }

    pub(super) fn store(&self) -> Option<&SharedStore> {
        self.store.get()
    }

    /// Reads of a conversation what is missing here, soon.
    pub(super) fn fall_behind(&self, id: ConversationId) {
        self.may_be_behind(id, Behind::Missing);
    }

    fn may_be_behind(&self, id: ConversationId, how: Behind) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        let known = behind.entry(id).or_insert(how);
        *known = how.max(*known);
        drop(behind);
        self.fell_behind.notify_one();
    }

    async fn catch_up_when_behind(self: Arc<Self>) {
        loop {
            self.fell_behind.notified().await;
            // Those before them may be on their way.
            tokio::time::sleep(GRACE).await;
            let behind = std::mem::take(&mut *self.behind.lock().unwrap_or_else(PoisonError::into_inner));
            for (id, how) in behind {
                if how == Behind::Early && !self.orders.is_waiting(id) {
                    continue;
                }
                if let Err(error) = self.catch_up(id).await {
                    tracing::warn!(error = %error, "what is followed could not be read; it is tried again");
                    self.fall_behind(id);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Tells those who follow a conversation everything that the store has of it.
    pub(super) async fn catch_up(&self, id: ConversationId) -> crate::error::Result<()> {
        let (Some(store), Some(channel)) = (self.store(), self.realtime.hub.held(id)) else {
            // Nobody here asks any more: what waited has nobody to be told.
            self.orders.remove(id);
            return Ok(());
        };
        loop {
            let (Some(head), Some(place)) = (channel.head(), channel.place()) else {
                self.realtime.broker.ring(Scope::Conversation(id));
                return Ok(());
            };
            let events = store.events(id, head.event_id, PAGE).await?;
            let count = events.len();
            for event in events {
                let logged = Logged { event, place: Arc::clone(&place) };
                if self.orders.others(&self.realtime, logged) == Told::Early {
                    // The store has no holes: somebody else got on meanwhile, or the channel was loaded anew.
                    break;
                }
            }
            if count < PAGE {
                return Ok(());
            }
        }
    }

    /// Rings for those who follow more than one conversation, as soon as the store shows them everything up to the
    /// event that it is about.
    async fn ring_when_decided(self: Arc<Self>) {
        loop {
            self.rings.more().await;
            let Some(store) = self.store() else { return };
            match store.last_event().await {
                Ok(horizon) => {
                    self.rings.due(horizon).into_iter().for_each(|scope| self.realtime.broker.ring(scope));
                    self.realtime.broker.begin_at(horizon);
                }
                Err(error) => {
                    tracing::warn!(error = %error, "how far the log is decided could not be read; it is tried again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Rings in the wide scopes of events, here and on the nodes that hear them. A batch of many events in one scope is
    /// one bell.
    fn ring_wide(&self, events: &[Logged]) {
        let mut wide: HashMap<Scope, EventId> = HashMap::new();
        for logged in events {
            let scopes = logged.place.scopes().filter(|scope| !matches!(scope, Scope::Conversation(_)));
            wide.extend(scopes.map(|scope| (scope, logged.event.id)));
        }
        for (scope, event) in wide {
            self.rings.add(scope, event);
            // The whole log is its kinds.
            if let (Some(bus), false) = (&self.bus, scope == Scope::All) {
                bus.publish(&topics::name(scope), News::bell(self.node, event).write().into());
            }
        }
    }

    /// A conversation is not there any more.
    pub(super) fn gone(&self, id: ConversationId) {
        self.orders.remove(id);
        self.realtime.remove(id);
    }

    /// What another node said of a conversation.
    fn heard_of(&self, id: ConversationId, news: News) {
        if news.is_gone {
            return self.gone(id);
        }
        match news.logged(id).map(|logged| self.orders.others(&self.realtime, logged)) {
            Some(Told::Done) => {}
            Some(Told::Early) => self.may_be_behind(id, Behind::Early),
            None => self.fall_behind(id),
        }
    }

    /// Hears a topic from now on. Once it does, what happened in between is looked for.
    fn subscribe(&self, scope: Scope) {
        let (Some(bus), Some(me)) = (&self.bus, self.me.get()) else { return };
        let (subscribed, me) = (bus.subscribe(&topics::name(scope)), me.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if subscribed.await
                && let Some(relay) = me.upgrade()
            {
                relay.settle(scope).await;
            }
        });
    }

    /// Finds what happened in a scope before this node heard of it.
    async fn settle(&self, scope: Scope) {
        if let Scope::Conversation(id) = scope {
            return self.fall_behind(id);
        }
        let Some(store) = self.store() else { return };
        if let Ok(newest) = store.newest_event().await {
            self.rings.add(scope, newest);
        }
    }
}

impl Listener for Relay {
    fn committed(&self, events: &[Logged]) {
        for logged in events {
            if self.orders.own(&self.realtime, logged) == Told::Early {
                self.may_be_behind(logged.event.conversation_id, Behind::Early);
            }
            if let Some(bus) = &self.bus {
                let topic = topics::name(Scope::Conversation(logged.event.conversation_id));
                bus.publish(&topic, News::of(self.node, logged).write().into());
            }
        }
        self.ring_wide(events);
    }

    fn removed(&self, conversation: ConversationId) {
        self.gone(conversation);
        if let Some(bus) = &self.bus {
            bus.publish(&topics::name(Scope::Conversation(conversation)), News::gone(self.node).write().into());
        }
    }
}

impl Ears for Relay {
    fn heard(&self, topic: &str, message: &[u8]) {
        let (Some(scope), Some(news)) = (topics::parse(topic), News::read(message)) else { return };
        if news.node == self.node {
            return;
        }
        match scope {
            Scope::Conversation(id) => self.heard_of(id, news),
            Scope::Kind(_) => {
                self.rings.add(scope, EventId(news.event_id));
                self.rings.add(Scope::All, EventId(news.event_id));
            }
            wide => self.rings.add(wide, EventId(news.event_id)),
        }
    }

    fn disturbed(&self) {
        self.doubted.notify_one();
    }

    fn away(&self) {
        self.doubted.notify_one();
    }
}

impl Interest for Relay {
    fn entered(&self, scope: Scope) {
        for scope in heard_for(scope) {
            if self.topics.enter(scope) {
                self.subscribe(scope);
            }
        }
    }

    fn left(&self, scope: Scope) {
        let now = Instant::now();
        heard_for(scope).into_iter().for_each(|scope| self.topics.leave(scope, now));
    }
}

/// The scopes whose topics are heard for somebody who follows that one.
fn heard_for(scope: Scope) -> Vec<Scope> {
    if scope == Scope::All { ConversationKind::ALL.map(Scope::Kind).to_vec() } else { vec![scope] }
}
