//! Tells a client that comes back what it missed, on all of its channels, before what comes.
//!
//! A stock client subscribes anew to each of its channels when it reconnects, each with the cursor from which
//! it wants to go on. Those of one connection that come at about the same time catch up together, in the order
//! of the log: the largest cursor that the client has seen is then right for all of its channels at every
//! moment, also when it is cut off again in the middle. Until then their subscriptions are held.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::broadcast::{Broadcast, channels_of, conversation_of, is_of, is_told};
use super::news::{self, News};
use crate::chat::{Batch, Follower};
use crate::domain::{ConversationKind, EventId, Logged, Scope, UserId};
use crate::realtime::sockets::{App, Socket, SocketId};

/// How long is waited for another of a connection's channels, and how often at the most. Stock clients ask
/// for all of them at once.
const GRACE: Duration = Duration::from_millis(100);
const GRACES: usize = 20;
/// Connections that read the log at once; the others wait for their turn, after each page. Nobody has a turn while
/// waiting for a client to read: those who do not would take all of them.
const READERS: usize = 64;
/// How long it waits before it asks a store again that did not answer.
const AGAIN: Duration = Duration::from_millis(250);

/// Whose subscriptions catch up together: those of one connection that one user authorised, who may read no more
/// than what is theirs.
type Key = (App, SocketId, UserId);

/// The connections that catch up.
pub(super) struct CatchUp {
    gathering: Mutex<HashMap<Key, Vec<Missing>>>,
    turns: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A subscription that is held.
#[derive(Clone, Debug)]
struct Missing {
    channel: String,
    since: EventId,
}

impl CatchUp {
    /// Catches up among those tasks, until `stop`.
    pub fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { gathering: Mutex::default(), turns: Semaphore::new(READERS), tasks, stop }
    }

    /// Catches up with a subscription, together with the connection's others.
    pub fn begin(
        self: &Arc<Self>,
        broadcast: &Arc<Broadcast>,
        socket: &Socket,
        channel: String,
        since: EventId,
        owner: UserId,
    ) {
        if !is_told(&channel) {
            broadcast.sockets().release(socket, &[&channel], since);
            return;
        }
        let key = (socket.app(), socket.id(), owner);
        let mut gathering = self.gathering.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = gathering.entry(key).or_default();
        missing.push(Missing { channel, since });
        if missing.len() == 1 {
            let turn = Turn { broadcast: Arc::clone(broadcast), socket: socket.clone(), owner };
            let catch_up = Arc::clone(self);
            let work = async move { catch_up.take_turn(turn).await };
            self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(work));
        }
    }

    /// How many of a connection's channels wait.
    fn count(&self, key: Key) -> usize {
        let gathering = self.gathering.lock().unwrap_or_else(PoisonError::into_inner);
        gathering.get(&key).map_or(0, Vec::len)
    }

    async fn take_turn(&self, turn: Turn) {
        let key = (turn.socket.app(), turn.socket.id(), turn.owner);
        let (mut count, mut graces) = (0, 0);
        while self.count(key) > count && graces < GRACES {
            count = self.count(key);
            graces += 1;
            tokio::time::sleep(GRACE).await;
        }
        // What comes while it waits is gathered, too.
        let Ok(first) = self.turns.acquire().await else { return };
        let gathered = self.gathering.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        drop(first);
        turn.run(gathered.unwrap_or_default(), &self.turns).await;
    }
}

/// Of what the channels that are missing tell.
struct Wanted {
    conversations: HashSet<Uuid>,
    /// Whether a user's own channel is among them: it tells of every conversation, and how it stands.
    state: bool,
}

impl Wanted {
    fn of(missing: &[Missing]) -> Self {
        let conversations = missing.iter().filter_map(|one| conversation_of(&one.channel)).collect();
        let state = missing.iter().any(|one| conversation_of(&one.channel).is_none());
        Self { conversations, state }
    }

    fn holds(&self, conversation: Uuid) -> bool {
        self.state || self.conversations.contains(&conversation)
    }

    /// The one conversation, if it is only one.
    fn only(&self) -> Option<Uuid> {
        let is_one = !self.state && self.conversations.len() == 1;
        self.conversations.iter().next().copied().filter(|_| is_one)
    }
}

/// One connection that catches up.
struct Turn {
    broadcast: Arc<Broadcast>,
    socket: Socket,
    owner: UserId,
}

impl Turn {
    async fn run(&self, mut missing: Vec<Missing>, turns: &Semaphore) {
        self.reset(&mut missing).await;
        let Some(from) = missing.iter().map(|one| one.since).min() else { return };
        let wanted = Wanted::of(&missing);
        let scope = self.scope(&wanted).await;
        let mut follower = self.broadcast.chat.follow_scope(scope, from);
        while !missing.is_empty() && self.socket.has_room().await {
            let Ok(turn) = turns.acquire().await else { return };
            match follower.missed().await {
                Ok(Some(Batch::Events(events))) => {
                    let news = self.news(&wanted, &events).await;
                    drop(turn);
                    self.tell(&missing, &news).await;
                    // The holds end with a look that finds nothing: what they hold by then is next to nothing, so that
                    // the largest cursor that the client has seen stays right for all of its channels.
                    follower.look_back();
                }
                // Told above, for every scope alike.
                Ok(Some(Batch::Reset(_) | Batch::Signal(_))) => {}
                Ok(Some(Batch::Gone)) => return,
                Ok(None) => self.release(&mut missing, &mut follower),
                Err(error) => {
                    drop(turn);
                    tracing::warn!(error = %error, "a connection catches up later");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// What is read: one conversation, which is as a rule in memory, or whatever the user takes part in.
    /// What is told on a user's channels happened in their conversations.
    ///
    /// Where several nodes write, always the latter: a conversation alone may be read past what is decided of the others,
    /// and a client that keeps one cursor for all its channels would then miss what comes in those behind it.
    async fn scope(&self, wanted: &Wanted) -> Scope {
        if self.broadcast.chat.is_in_order()
            && let Some(uuid) = wanted.only()
            && let Ok(Some(direct)) = self.broadcast.chat.direct_at(self.socket.app(), uuid).await
        {
            return Scope::Conversation(direct.conversation.id);
        }
        Scope::User(self.owner, ConversationKind::Direct)
    }

    /// What is told of some events, in their order.
    async fn news(&self, wanted: &Wanted, events: &[Logged]) -> Vec<News> {
        let events: Vec<_> = events.iter().filter(|logged| wanted.holds(logged.place.uuid)).cloned().collect();
        loop {
            match news::of(&self.broadcast.chat, &events, |_| wanted.state).await {
                Ok(news) => return news,
                Err(error) => tracing::warn!(error = %error, "a connection catches up later"),
            }
            // Who left must not keep a reader's turn.
            if self.socket.is_closing() {
                return Vec::new();
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Sends what each channel missed.
    async fn tell(&self, missing: &[Missing], news: &[News]) {
        for told in news.iter().filter(|news| is_of(self.socket.app(), news)) {
            if !self.socket.has_room().await {
                return;
            }
            self.send(missing, told);
        }
    }

    fn send(&self, missing: &[Missing], told: &News) {
        for channel in channels_of(&told.to) {
            if missing.iter().any(|one| one.channel == channel && one.since < told.id) {
                self.socket.send((self.broadcast.encode)(told.event, &channel, &told.data));
                self.broadcast.note_reached(told, |receiver| receiver == self.owner);
            }
        }
    }

    /// A cursor that this log has never given out is of another history: its client has to read anew what it
    /// shows, and is told what comes from here on.
    async fn reset(&self, missing: &mut [Missing]) {
        let (Ok(newest), Ok(end)) = tokio::join!(self.broadcast.chat.log_newest(), self.broadcast.chat.log_end())
        else {
            return;
        };
        for one in missing.iter_mut().filter(|one| one.since > newest) {
            one.since = end;
            self.socket.send((self.broadcast.encode)("reset", &one.channel, "{}"));
        }
    }

    /// Ends the holds, unless more came meanwhile than is held.
    fn release(&self, missing: &mut Vec<Missing>, follower: &mut Follower) {
        let end = follower.cursor();
        let mut channels: Vec<_> = missing.iter().map(|one| one.channel.as_str()).collect();
        // How a conversation stands is told before the event that moved it, under the same cursor.
        channels.sort_by_key(|channel| conversation_of(channel).is_some());
        if self.broadcast.sockets().release(&self.socket, &channels, end) {
            missing.clear();
        }
        for one in missing {
            one.since = one.since.max(end);
        }
        follower.look_back();
    }
}
