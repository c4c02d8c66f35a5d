//! Many nodes behind one address: what is in no log, and yet has to be true on all of them.
//!
//! What clients and backends publish goes to every node that has subscribers, by the bus. Who is where is written
//! into the roster by the node that has them (`writer.rs`), told by the bus, and counted by every node together
//! with what it has itself (`sockets/far.rs`): each tells its own subscribers what its own view becomes, so that
//! what one subscriber hears always fits together. A node lives by a lease; the parts of one that is silent are
//! left out, and swept by whoever notices (`lives.rs`).
//!
//! Everything here may be lost: when the bus or the roster was away, every node writes again what it has, and
//! reads what others have. While it is away each goes on with what it knows.

mod lives;
mod look;
mod room;
mod rooms;
mod wire;
mod writer;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bus::{Bus, Ears};
use super::roster::Roster;
use super::sockets::{App, Frame, Member, Published, Socket, SocketId, Sockets, Took};
use super::{Broker, Online};
use crate::domain::{Happened, PlatformId, Scope, Signal, Witness};

pub use room::Room;
use wire::Said;
pub use wire::{Change, NodeId};

/// The beginning of the topics of rooms.
pub(super) const ROOMS: &str = "s:";
/// The beginning of the topics of single nodes, by tag.
const NODE: &str = "n:";
/// The topic that every node hears.
pub const ALL: &str = "all";

/// Leavings that wait until they are told; one more is told at once.
const LEAVINGS_MAX: usize = 10_000;

/// What subscribers are told, in the words of their protocol.
pub trait Wording: Send + Sync {
    /// Somebody came to a presence channel.
    fn member_added(&self, channel: &str, member: &Member) -> Frame;

    /// Somebody left one.
    fn member_removed(&self, channel: &str, user_id: &str) -> Frame;

    /// How many subscribe; `None` where they are not told.
    fn counted(&self, channel: &str, subscriptions: usize) -> Option<Frame>;

    /// A user whom somebody watches came or left.
    fn watched(&self, is_online: bool, user_id: &str) -> Frame;

    /// Whether who subscribes is told what others have: of other channels nothing is read.
    fn is_shared(&self, channel: &str) -> bool;

    /// Ends a connection because the app wants it.
    fn terminate(&self, socket: &Socket);
}

/// Those above who say words to each other over nodes, which nobody here understands.
pub trait Hearing: Send + Sync {
    /// Another node said something. It must not block.
    fn heard(&self, word: &[u8]);
}

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub struct NodeRules {
    /// For how long a node lives without a sign of life.
    pub lease: Duration,
    /// How often it gives one.
    pub beat: Duration,
    /// How long a room that nobody needs is kept.
    pub leave_after: Duration,
    /// The longest that somebody who comes waits for what other nodes have.
    pub wait: Duration,
}

/// What nodes stand on.
pub struct NodeParts {
    /// What they tell each other by.
    pub bus: Arc<dyn Bus>,
    /// Where they write down what they have.
    pub roster: Arc<dyn Roster>,
    /// The connections of this one.
    pub sockets: Arc<Sockets>,
    /// Those who follow, on this one.
    pub broker: Arc<Broker>,
    /// The accounts with connections, on this one.
    pub online: Arc<Online>,
    /// How subscribers are told.
    pub wording: Arc<dyn Wording>,
    /// Who wants to be told what happens on channels.
    pub witness: Arc<dyn Witness>,
}

/// This node among the others.
pub struct Nodes {
    id: NodeId,
    tag: u32,
    rules: NodeRules,
    bus: Arc<dyn Bus>,
    roster: Arc<dyn Roster>,
    // They hold this, and the witness holds them.
    sockets: Weak<Sockets>,
    broker: Arc<Broker>,
    online: Arc<Online>,
    wording: Arc<dyn Wording>,
    witness: Weak<dyn Witness>,
    hearing: OnceLock<Weak<dyn Hearing>>,
    /// The last number that was given to a part.
    versions: AtomicU64,
    /// Rooms in which this node's part is another than the one that is written.
    dirty: Mutex<HashMap<Room, Touched>>,
    /// Rooms of which a part is written, with its number.
    written: Mutex<HashMap<Room, u64>>,
    /// Rooms whose roster has to be read.
    unread: Mutex<BTreeSet<Room>>,
    /// When each node was last known to live.
    living: Mutex<BTreeMap<NodeId, Instant>>,
    sweeping: Mutex<BTreeSet<NodeId>>,
    leavings: Mutex<VecDeque<Leaving>>,
    writes: Notify,
    reads: Notify,
    beats: Notify,
    /// Whether the roster answered last.
    is_up: AtomicBool,
    /// Since when the roster may lack what other nodes have, unless they have written it again by now.
    disturbed: Mutex<Option<Instant>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What of a room has to be written.
#[derive(Debug, Default)]
struct Touched {
    users: BTreeSet<Box<str>>,
    /// All of it, because what is written may be anything.
    is_whole: bool,
}

/// Something that is told when it is still so after a while.
struct Leaving {
    due: Instant,
    room: Room,
    users: Vec<String>,
}

impl Nodes {
    /// Joins the others, and goes on until `stop`, among those tasks. `id` is drawn, and never used again. What the
    /// bus tells on its topics has to be given to this.
    pub fn start(
        parts: NodeParts,
        id: NodeId,
        rules: NodeRules,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let nodes = Arc::new(Self {
            id,
            tag: (id % u64::from(SocketId::TAG_MAX + 1)) as u32,
            rules,
            bus: parts.bus,
            roster: parts.roster,
            sockets: Arc::downgrade(&parts.sockets),
            broker: parts.broker,
            online: parts.online,
            wording: parts.wording,
            witness: Arc::downgrade(&parts.witness),
            hearing: OnceLock::new(),
            versions: AtomicU64::new(0),
            dirty: Mutex::default(),
            written: Mutex::default(),
            unread: Mutex::default(),
            living: Mutex::default(),
            sweeping: Mutex::default(),
            leavings: Mutex::default(),
            writes: Notify::new(),
            reads: Notify::new(),
            beats: Notify::new(),
            is_up: AtomicBool::new(true),
            disturbed: Mutex::default(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        parts.sockets.join_nodes(&nodes);
        nodes.online.join_nodes(&nodes);
        tasks.spawn(Arc::clone(&nodes).live());
        tasks.spawn(Arc::clone(&nodes).write_on());
        tasks.spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&nodes).read_on()));
        tasks.spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&nodes).tell_leavings()));
        nodes
    }

    /// Whether a topic is one of these: who has the bus's ears gives what is heard there to this.
    pub fn is_topic(topic: &str) -> bool {
        topic == ALL || topic.starts_with(ROOMS) || topic.starts_with(NODE)
    }

    /// Who understands the words that those above say.
    pub fn tell_words_to(&self, hearing: &Arc<dyn Hearing>) {
        let _ = self.hearing.set(Arc::downgrade(hearing));
    }

    /// What the names of this node's connections have in common.
    pub fn tag(&self) -> u32 {
        self.tag
    }

    /// Publishes to subscribers on other nodes.
    pub fn publish(&self, app: App, channel: &str, published: &Published) {
        let room = Room::Channel(app, channel.into());
        let topic = room.topic();
        let keep_ms = published.keep.map_or(0, |keep| keep.as_millis() as u64);
        let (frame, except) = (published.frame.clone(), published.except);
        self.say(&topic, &Said::Published { room, frame, except, keep_ms });
    }

    /// Tells followers on other nodes what is told and not kept.
    pub fn signal(&self, scopes: &[Scope], signal: &Signal) {
        self.say(ALL, &Said::Signal { scopes: scopes.to_vec(), signal: signal.clone() });
    }

    /// Ends the signed-in connections of a user, on other nodes.
    pub fn terminate(&self, app: App, user: &str) {
        self.say(ALL, &Said::Terminate { app, user: user.to_owned() });
    }

    /// Says something to those above on every other node.
    pub fn say_word(&self, word: Vec<u8>) {
        self.say(ALL, &Said::Word(word));
    }

    /// Says something to those above on the node that has a connection of that name; `false` when it is this one.
    pub fn say_word_to(&self, socket: SocketId, word: Vec<u8>) -> bool {
        let tag = socket.tag();
        if tag == self.tag {
            return false;
        }
        self.say(&format!("{NODE}{tag}"), &Said::Word(word));
        true
    }

    /// Whether what is published comes through, as far as is known.
    pub fn is_up(&self) -> bool {
        self.bus.is_up() && self.is_up.load(Ordering::Relaxed)
    }

    fn say(&self, topic: &str, said: &Said) {
        self.bus.publish(topic, said.encode(self.id));
    }

    /// Hears what every node hears, and what is for this one alone.
    fn listen(&self) -> [futures_util::future::BoxFuture<'static, bool>; 2] {
        [self.bus.subscribe(ALL), self.bus.subscribe(&format!("{NODE}{}", self.tag))]
    }

    fn took(&self, from: NodeId, said: Said) {
        let Some(sockets) = self.sockets.upgrade() else { return };
        match said {
            Said::Published { room: Room::Channel(app, channel), frame, except, keep_ms } => {
                let keep = (keep_ms > 0).then(|| Duration::from_millis(keep_ms));
                sockets.publish_near(app, &channel, Published { frame, cursor: None, except, keep });
            }
            Said::Published { .. } => {}
            Said::Changed { room, change } => {
                self.saw(from);
                if sockets.take_change(&room, from, change, &*self.wording) == Took::Gap {
                    self.read_again(room);
                }
            }
            Said::Renewed { room } => {
                self.saw(from);
                self.read_again(room);
            }
            Said::Signal { scopes, signal } => {
                let signal = Arc::new(signal);
                scopes.into_iter().for_each(|scope| self.broker.signal(scope, &signal));
            }
            Said::Terminate { app, user } => {
                sockets.sockets_of(app, &user).iter().for_each(|socket| self.wording.terminate(socket));
            }
            Said::Word(word) => {
                if let Some(hearing) = self.hearing.get().and_then(Weak::upgrade) {
                    hearing.heard(&word);
                }
            }
        }
    }

    /// A node that says something lives, also when it is so new that no sign of life was heard yet.
    fn saw(&self, node: NodeId) {
        lock(&self.living).entry(node).or_insert_with(Instant::now);
    }

    fn wants(&self, app: PlatformId) -> bool {
        self.witness.upgrade().is_some_and(|witness| witness.wants(app))
    }

    fn tell(&self, app: PlatformId, happened: Happened) {
        if let Some(witness) = self.witness.upgrade() {
            witness.saw(app, happened);
        }
    }
}

impl Ears for Nodes {
    fn heard(&self, _topic: &str, message: &[u8]) {
        if let Some((from, said)) = Said::decode(message)
            && from != self.id
        {
            self.took(from, said);
        }
    }

    fn disturbed(&self) {
        // Whatever the roster has may be old, or nothing.
        self.begin_again();
        self.beats.notify_one();
    }

    fn away(&self) {}
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nodes").field("id", &self.id).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
