//! Writes down what this node has in its rooms, and tells the others.
//!
//! What is written is looked up when it is written: a room that changes often is written as often as there is
//! time for, and one that could not be written is written whole the next time. So there is no queue that could
//! overflow, and nothing that could be written in a wrong order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::rooms::AT_ONCE;
use super::wire::{Change, Said};
use super::{LEAVINGS_MAX, Leaving, Nodes, Room, Touched, lock};
use crate::domain::{Happened, PlatformId};
use crate::realtime::roster::{Away, Tell, Turned, Written};
use crate::realtime::sockets::{OwnPart, Sockets};

/// How long a leaving waits for the coming back before an app's backend is told, by the protocol at most 3 s.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the writer waits after the roster did not answer.
const AGAIN: Duration = Duration::from_millis(250);
/// How long it goes on after the node was told to end.
const FAREWELL: Duration = Duration::from_secs(2);

impl Nodes {
    /// What this node has in a room is another now; a member's subscription when it is about one. Called with
    /// locks held: it only takes note.
    pub(in crate::realtime) fn touch(&self, room: Room, user: Option<&str>) {
        let mut dirty = lock(&self.dirty);
        let was_clean = dirty.is_empty();
        let touched = dirty.entry(room).or_default();
        if let Some(user) = user.filter(|_| !touched.is_whole) {
            touched.users.insert(user.into());
        }
        drop(dirty);
        if was_clean {
            self.writes.notify_one();
        }
    }

    /// The roster may be old, or nothing: writes everything again, and reads everything again.
    pub(super) fn begin_again(&self) {
        *lock(&self.disturbed) = Some(Instant::now());
        self.renew_all();
    }

    /// Whether what the roster does not have is over: else its node may not have written it again yet.
    pub(super) fn is_settled(&self) -> bool {
        lock(&self.disturbed).is_none()
    }

    pub(super) fn renew_all(&self) {
        let Some(sockets) = self.sockets.upgrade() else { return };
        let mut own = sockets.own_rooms();
        own.extend(self.online.all().into_iter().map(Room::Account));
        // Also what is written and not there any more.
        own.extend(lock(&self.written).keys().cloned());
        let mut dirty = lock(&self.dirty);
        for room in own {
            dirty.entry(room).or_default().is_whole = true;
        }
        drop(dirty);
        self.writes.notify_one();
        lock(&self.unread).extend(sockets.far_rooms());
        self.reads.notify_one();
    }

    /// Writes until the end, and then what is left, for a moment.
    pub(super) async fn write_on(self: Arc<Self>) {
        self.stop.run_until_cancelled(self.write_always()).await;
        let farewell = async {
            while !lock(&self.dirty).is_empty() && self.write_some().await {}
            // Who leaves something behind is swept.
            if lock(&self.written).is_empty() {
                let _ = self.roster.forget(self.id).await;
            }
        };
        // What is not said now, the lease says.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    async fn write_always(&self) {
        loop {
            if lock(&self.dirty).is_empty() {
                self.writes.notified().await;
            } else if !self.write_some().await {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Writes some rooms; `false` when the roster did not answer.
    async fn write_some(&self) -> bool {
        let Some(sockets) = self.sockets.upgrade() else { return false };
        let some: Vec<_> = {
            let mut dirty = lock(&self.dirty);
            let rooms: Vec<_> = dirty.keys().take(AT_ONCE).cloned().collect();
            rooms.into_iter().filter_map(|room| dirty.remove_entry(&room)).collect()
        };
        let write = some.into_iter().map(async |(room, touched)| {
            let is_written = self.write(&sockets, &room, &touched).await.is_ok();
            if let (false, Room::Account(user)) = (is_written, &room) {
                // Who waits for it goes by what is known here.
                self.online.note(*user);
            }
            (!is_written).then_some((room, touched))
        });
        let failed: Vec<_> = join_all(write).await.into_iter().flatten().collect();
        self.is_up.store(failed.is_empty(), Ordering::Relaxed);
        let is_written = failed.is_empty();
        let mut dirty = lock(&self.dirty);
        for (room, touched) in failed {
            let again = dirty.entry(room).or_default();
            again.is_whole = true;
            // Who came or left is still to be told to the app's backend.
            again.users.extend(touched.users);
        }
        is_written
    }

    async fn write(&self, sockets: &Sockets, room: &Room, touched: &Touched) -> Result<(), Away> {
        let before = lock(&self.written).get(room).copied();
        let users: Vec<_> = touched.users.iter().cloned().collect();
        let version = self.versions.fetch_add(1, Ordering::Relaxed) + 1;
        let own = match room {
            Room::Account(user) => OwnPart { count: self.online.connections(*user), ..OwnPart::default() },
            _ => sockets.own_part(room, (!touched.is_whole).then_some(&users)),
        };
        if own.count == 0 && before.is_none() && !touched.is_whole {
            return Ok(());
        }
        if own.count > 0 && before.is_none() {
            self.roster.list(self.id, room, true).await?;
        }
        let OwnPart { count, came, left } = own;
        let here: BTreeSet<String> = came.iter().map(|member| member.user_id.clone()).collect();
        let gone = users.iter().map(|user| String::from(&**user)).filter(|user| !here.contains(user)).collect();
        let (here, gone): (Vec<_>, Vec<_>) = (here.into_iter().collect(), gone);
        let written = Written { version, count, is_whole: touched.is_whole, came, left };
        self.roster.write(self.id, room, written.clone()).await?;
        self.note_written(room, (count > 0).then_some(version));
        if self.is_shared(room) {
            self.tell_nodes(room, touched.is_whole, before, written);
        }
        if count == 0 {
            self.roster.list(self.id, room, false).await?;
        }
        if touched.is_whole && before.is_some() && self.is_told(room) {
            self.roster.turn(room, self.living_ids(), here.clone(), Tell::Nothing).await?;
        }
        self.tell_backend(sockets, room, (here, gone), count).await
    }

    /// Whether anybody is told who is in a room, besides its subscribers.
    fn is_told(&self, room: &Room) -> bool {
        match room {
            Room::Channel(app, _) => self.wants(*app),
            Room::Account(_) => true,
            Room::User(..) | Room::App(_) => false,
        }
    }

    fn note_written(&self, room: &Room, version: Option<u64>) {
        let mut written = lock(&self.written);
        match version {
            Some(version) => written.insert(room.clone(), version),
            None => written.remove(room),
        };
    }

    fn tell_nodes(&self, room: &Room, is_whole: bool, before: Option<u64>, written: Written) {
        let topic = room.topic();
        let room = room.clone();
        let said = if is_whole {
            Said::Renewed { room }
        } else {
            let Written { version, count, came, left, .. } = written;
            Said::Changed { room, change: Change { version, before: before.unwrap_or(0), count, came, left } }
        };
        self.say(&topic, &said);
    }

    /// Tells who wants to know what happens: comings at once, leavings when they last.
    async fn tell_backend(
        &self,
        sockets: &Sockets,
        room: &Room,
        (here, gone): (Vec<String>, Vec<String>),
        count: u64,
    ) -> Result<(), Away> {
        match room {
            Room::Account(user) => self.online.note(*user),
            Room::Channel(app, name) if self.wants(*app) => {
                self.turn(room, here, Tell::Comings).await?;
                let total = sockets.channel(*app, name).map_or(0, |figures| figures.subscriptions);
                if self.wording.counted(name, total).is_some() {
                    let channel = String::from(&**name);
                    self.tell(*app, Happened::SubscriptionCount { channel, count: total });
                }
                self.turn_later(room, gone, count == 0);
            }
            _ => {}
        }
        Ok(())
    }

    fn turn_later(&self, room: &Room, users: Vec<String>, is_empty: bool) {
        if users.is_empty() && !is_empty {
            return;
        }
        let mut leavings = lock(&self.leavings);
        let due = if leavings.len() < LEAVINGS_MAX { Instant::now() + PATIENCE } else { Instant::now() };
        leavings.push_back(Leaving { due, room: room.clone(), users });
    }

    /// Tells leavings that have lasted.
    pub(super) async fn tell_leavings(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PATIENCE / 6).await;
            while let Some(leaving) = self.due() {
                if self.turn(&leaving.room, leaving.users.clone(), Tell::All).await.is_err() {
                    // It is told when there is an answer; there is an end to how many can wait.
                    let mut leavings = lock(&self.leavings);
                    if leavings.len() < LEAVINGS_MAX {
                        leavings.push_front(leaving);
                    }
                    break;
                }
            }
        }
    }

    fn due(&self) -> Option<Leaving> {
        let mut leavings = lock(&self.leavings);
        let is_due = leavings.front().is_some_and(|leaving| leaving.due <= Instant::now());
        if is_due { leavings.pop_front() } else { None }
    }

    /// Tells the backend how a channel differs from what it was told last.
    pub(super) async fn turn(&self, room: &Room, users: Vec<String>, tell: Tell) -> Result<(), Away> {
        let Room::Channel(app, name) = room else { return Ok(()) };
        let turned = self.roster.turn(room, self.living_ids(), users, tell).await?;
        self.tell_turned(*app, name, turned);
        Ok(())
    }

    fn tell_turned(&self, app: PlatformId, name: &str, turned: Turned) {
        let channel = || name.to_owned();
        if turned.is_occupied == Some(true) {
            self.tell(app, Happened::ChannelOccupied { channel: channel() });
        }
        for user_id in turned.came {
            self.tell(app, Happened::MemberAdded { channel: channel(), user_id });
        }
        for user_id in turned.left {
            self.tell(app, Happened::MemberRemoved { channel: channel(), user_id });
        }
        if turned.is_occupied == Some(false) {
            self.tell(app, Happened::ChannelVacated { channel: channel() });
        }
    }
}
