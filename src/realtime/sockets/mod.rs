//! Connections that are written to: who is connected, who subscribed to what, who is there, and the
//! way out to each of them. It knows no protocol: what goes out is [`Frame`]s that its callers made.
//!
//! A publication is queued for the fan-out threads (`lanes.rs`), which append it to the outboxes of
//! those who get it (`channel.rs`, `outbox.rs`) and write each connection once (`socket.rs`). The
//! order of everything that happens to a channel is made under the channel's lock: whoever subscribes
//! gets what is published after, and nothing from before, and a subscription that catches up
//! ([`Join::hold`]) gets everything once.

mod channel;
mod directory;
mod far;
mod id;
mod lanes;
mod look;
mod outbox;
mod own;
mod people;
mod places;
mod rules;
mod shared;
mod socket;
mod subscriptions;
mod sweep;
mod terms;
#[cfg(test)]
mod tests;
mod users;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;

use super::nodes::{Nodes, Room};
use crate::domain::PlatformId;
use directory::{Directory, SHARDS};
use lanes::Lanes;
use places::Places;
use shared::{Shared, lock};
use users::Users;

pub(super) use far::{Near, Own as OwnPart, Took};
pub use id::SocketId;
pub use places::Place;
pub use rules::{Draw, SayClose, SocketRules};
pub use socket::{SOCKET_BYTES, Socket, Turn};
pub use terms::{
    Answer, Appearance, ChannelFigures, Expected, Full, Join, JoinRefused, Joined, Left, Member, Published,
    SignInRefused, SocketStats, Voucher,
};

/// Bytes as they go over the wire; one encoding serves every receiver.
pub type Frame = Bytes;

/// Each platform is an app: its channels and users are its own.
pub type App = PlatformId;

/// What a connection is told on the server's way down. 4100 is the code at which stock clients pause
/// for a second before they come back.
const DRAINED: (u16, &str) = (4100, "the server goes down: reconnect and resume");

/// Every connection.
pub struct Sockets {
    shared: Arc<Shared>,
    lanes: Lanes,
    places: Arc<Places>,
    by_id: Box<[Mutex<HashMap<SocketId, Socket>>]>,
    channels: Directory,
    users: Users,
    /// The other nodes, when this is one of many.
    nodes: OnceLock<Arc<Nodes>>,
}

impl Sockets {
    /// Starts the fan-out threads and, in the background, the look at who has fallen silent. All of it
    /// ends when the last reference is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(rules: SocketRules) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared::new(rules));
        let sockets = Arc::new(Self {
            lanes: Lanes::start(&shared)?,
            shared,
            places: Arc::default(),
            by_id: (0..SHARDS).map(|_| Mutex::default()).collect(),
            channels: Directory::new(),
            users: Users::default(),
            nodes: OnceLock::new(),
        });
        tokio::spawn(sweep_on(Arc::downgrade(&sockets)));
        Ok(sockets)
    }

    /// From now on this is one of many nodes. Said once, before anybody is let in.
    pub(super) fn join_nodes(&self, nodes: &Arc<Nodes>) {
        let _ = self.nodes.set(Arc::clone(nodes));
    }

    /// The other nodes, when this is one of many.
    pub fn nodes(&self) -> Option<&Arc<Nodes>> {
        self.nodes.get()
    }

    /// What this node has of a room is another now. Called under the room's lock.
    fn touch(&self, room: impl FnOnce() -> Room, user: Option<&str>) {
        if let Some(nodes) = self.nodes() {
            nodes.touch(room(), user);
        }
    }

    /// Room for a connection to that app. An IPv6 address has to be cut to its network first.
    ///
    /// # Errors
    /// What there is no room in.
    pub fn admit(&self, app: App, address: IpAddr) -> Result<Place, Full> {
        self.places.take(&self.shared.rules, app, address)
    }

    /// Room to say no: for a connection that is told why and closed. `None`: not even that; refuse it
    /// before the upgrade.
    pub fn admit_briefly(&self, address: IpAddr) -> Option<Place> {
        self.places.take_briefly(&self.shared.rules, address)
    }

    /// Takes in a connection that has a place. Whoever drives it calls [`Self::forget`] at its end.
    pub fn enter(&self, place: &Place, stream: TcpStream) -> Socket {
        let app = place.app().unwrap_or_default();
        loop {
            let id = SocketId::drawn((self.shared.rules.draw)());
            let id = self.nodes().map_or(id, |nodes| id.of_node(nodes.tag()));
            let mut shard = self.shard(id);
            let Entry::Vacant(free) = shard.entry(id) else { continue };
            let socket = free.insert(Socket::new(id, app, stream, Arc::clone(&self.shared))).clone();
            drop(shard);
            let ping = u32::try_from(self.shared.rules.ping_after.as_secs()).unwrap_or(u32::MAX);
            self.shared.wheel().put(id, ping);
            self.touch(|| Room::App(app), None);
            if self.places.is_draining() {
                // It had its place before, and would be overlooked.
                socket.close(DRAINED.0, DRAINED.1);
            }
            return socket;
        }
    }

    /// The connection is gone. What it has not given back with [`Self::leave`], it gives back now.
    pub fn forget(&self, socket: &Socket) {
        socket.hang_up();
        self.leave(socket, |_, _| None);
        self.shared.figures.left.fetch_add(1, Ordering::Relaxed);
        self.touch(|| Room::App(socket.app()), None);
        let mut shard = self.shard(socket.id());
        shard.remove(&socket.id());
        if shard.len() * 8 < shard.capacity() {
            shard.shrink_to_fit();
        }
    }

    /// A connection by its name.
    pub fn find(&self, app: App, id: SocketId) -> Option<Socket> {
        self.shard(id).get(&id).filter(|socket| socket.app() == app).cloned()
    }

    /// Lets nobody in any more, closes everybody, one after another over `spread`, and resolves when
    /// all are gone.
    pub async fn drain(&self, spread: Duration) {
        const STEP: Duration = Duration::from_millis(20);
        self.places.drain();
        let all = self.all();
        let steps = (spread.as_millis() / STEP.as_millis()).max(1) as usize;
        for some in all.chunks(all.len().div_ceil(steps).max(1)) {
            some.iter().for_each(|socket| socket.close(DRAINED.0, DRAINED.1));
            tokio::time::sleep(STEP).await;
        }
        drop(all);
        self.places.emptied().await;
    }

    /// Ends everybody at once.
    pub fn abandon(&self) {
        self.places.drain();
        self.all().iter().for_each(Socket::end);
    }

    /// Connections, with those that are being told no.
    pub fn len(&self) -> usize {
        self.places.total()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes that so many bytes more are kept of messages that are not complete, over all connections.
    /// `false`: that is too much.
    pub fn keep_inbound(&self, bytes: usize) -> bool {
        let before = self.shared.figures.inbound_bytes.fetch_add(bytes, Ordering::Relaxed);
        before + bytes <= self.shared.rules.inbound_bytes_max
    }

    /// Notes that so many bytes are not kept any more.
    pub fn drop_inbound(&self, bytes: usize) {
        self.shared.figures.inbound_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn all(&self) -> Vec<Socket> {
        self.by_id.iter().flat_map(|shard| lock(shard).values().cloned().collect::<Vec<_>>()).collect()
    }

    fn shard(&self, id: SocketId) -> MutexGuard<'_, HashMap<SocketId, Socket>> {
        lock(&self.by_id[id.0 as usize % SHARDS])
    }

    /// Looks at those who are due, and at some of what is kept.
    fn sweep(&self) {
        let now = self.shared.seconds();
        let due = self.shared.wheel().turn(now);
        for id in due {
            let Some(socket) = self.shard(id).get(&id).cloned() else { continue };
            if let Some(again) = sweep::visit(&socket, &self.shared.rules, now) {
                self.shared.wheel().put(id, again);
            }
        }
        self.clear_kept(now as usize);
        if let Some(nodes) = self.nodes() {
            nodes.leave_rooms(self, now as usize);
        }
    }
}

async fn sweep_on(sockets: Weak<Sockets>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let Some(sockets) = sockets.upgrade() else { return };
        sockets.sweep();
    }
}
