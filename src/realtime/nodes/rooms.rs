//! Rooms in which this node takes part: entered when somebody here needs them, left a while after.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{NodeId, Nodes, Room, lock};
use crate::realtime::roster::{Part, View};
use crate::realtime::sockets::{Near, Socket, Sockets};

/// Rooms that are read, or written, at once.
pub(super) const AT_ONCE: usize = 64;

/// What has to come before somebody can enter.
enum Before {
    /// The room is being asked for already.
    Another(CancellationToken),
    /// It is asked for here, and heard from when this says so.
    Own(Room, BoxFuture<'static, bool>),
}

impl Nodes {
    /// Gets to know what other nodes have in rooms that a connection is about to enter. `true` when it is known
    /// already; else the connection's session is told when it is ([`Socket::ready`]), or when that took too long.
    pub fn prepare(self: &Arc<Self>, socket: &Socket, rooms: impl IntoIterator<Item = Room>) -> bool {
        let Some(sockets) = self.sockets.upgrade() else { return true };
        let before: Vec<_> = rooms.into_iter().filter_map(|room| self.approach(&sockets, room)).collect();
        if before.is_empty() {
            return true;
        }
        let (nodes, socket) = (Arc::clone(self), socket.clone());
        self.tasks.spawn(async move {
            join_all(before.into_iter().map(|before| nodes.enter(&sockets, before))).await;
            socket.ready();
        });
        false
    }

    fn approach(&self, sockets: &Sockets, room: Room) -> Option<Before> {
        // Under the room's lock, so that a leaving and a coming are in the bus's order, too.
        match sockets.near(&room, || self.bus.subscribe(&room.topic())) {
            Near::Ready => None,
            Near::Coming(ready) => Some(Before::Another(ready)),
            Near::New(heard) => Some(Before::Own(room, heard)),
        }
    }

    async fn enter(&self, sockets: &Sockets, before: Before) {
        match before {
            // Whoever asks has the time limits.
            Before::Another(ready) => ready.cancelled().await,
            Before::Own(room, heard) => {
                let is_heard = timeout(self.rules.wait, heard).await.unwrap_or(false);
                // What is not heard now is read when the bus is back.
                if is_heard && self.is_shared(&room) && !self.read(sockets, &room, true).await {
                    self.read_again(room.clone());
                }
                sockets.make_known(&room);
            }
        }
    }

    /// Whether what others have of a room is of use here.
    pub(super) fn is_shared(&self, room: &Room) -> bool {
        match room {
            Room::Channel(_, name) => self.wording.is_shared(name),
            Room::User(..) => true,
            Room::Account(_) | Room::App(_) => false,
        }
    }

    /// Reads what other nodes have of a room; `false` when there was no answer. When it is `strict`, what is not
    /// written down is over; else it may not be written down again yet.
    pub(super) async fn read(&self, sockets: &Sockets, room: &Room, strict: bool) -> bool {
        if strict {
            sockets.will_read(room);
        }
        let began = std::time::Instant::now();
        let Ok(Ok(view)) = timeout(self.rules.wait, self.roster.read(room)).await else { return false };
        let View { parts, kept } = view;
        sockets.take_view(room, self.of_living(parts), &*self.wording);
        if let (Room::Channel(app, name), Some((frame, keep))) = (room, kept) {
            sockets.keep_near((*app, name), frame, keep, began);
        }
        true
    }

    /// The parts of other nodes that live.
    pub(super) fn of_living(&self, mut parts: Vec<(NodeId, Part)>) -> Vec<(NodeId, Part)> {
        let living = lock(&self.living);
        parts.retain(|(node, _)| *node != self.id && living.contains_key(node));
        parts
    }

    /// Notes that a room's roster has to be read.
    pub(super) fn read_again(&self, room: Room) {
        lock(&self.unread).insert(room);
        self.reads.notify_one();
    }

    /// Reads rooms of which something was not heard.
    pub(super) async fn read_on(self: Arc<Self>) {
        loop {
            let some: Vec<_> = {
                let mut unread = lock(&self.unread);
                (0..AT_ONCE).map_while(|_| unread.pop_first()).collect()
            };
            if some.is_empty() {
                self.reads.notified().await;
                continue;
            }
            let Some(sockets) = self.sockets.upgrade() else { return };
            let strict = self.is_settled();
            let near = some.into_iter().filter(|room| sockets.is_near(room) && self.is_shared(room));
            let read = near.map(async |room| if self.read(&sockets, &room, strict).await { None } else { Some(room) });
            let failed: Vec<_> = join_all(read).await.into_iter().flatten().collect();
            if !failed.is_empty() {
                lock(&self.unread).extend(failed);
                tokio::time::sleep(self.rules.wait).await;
            }
        }
    }

    /// Leaves rooms of a shard that nobody here has needed for a while.
    pub(in crate::realtime) fn leave_rooms(&self, sockets: &Sockets, shard: usize) {
        sockets.leave_rooms(shard, self.rules.leave_after, |room| self.bus.unsubscribe(&room.topic()));
    }
}
