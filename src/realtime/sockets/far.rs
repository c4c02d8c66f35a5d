//! What other nodes have of a channel or of a user, counted together with what is here.
//!
//! Every node derives who comes and who leaves from its own view: what its subscribers are told fits together
//! whatever was lost on the way. A part that is heard of has the number of the part before it, so that a hole is
//! noticed, and the roster is read instead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::channel::{Body, Channel};
use super::{App, Frame, Member, Published, Sockets};
use crate::realtime::nodes::{Change, NodeId, Room, Wording};
use crate::realtime::roster::Part;

/// What other nodes have.
#[derive(Debug)]
pub(super) struct Far {
    parts: BTreeMap<NodeId, Known>,
    /// Set once everything is known that can be.
    ready: CancellationToken,
    used: Instant,
}

/// What is known of another node's part. One that has nothing stays, so that what is older is known as such.
#[derive(Debug, Default)]
struct Known {
    version: u64,
    count: u64,
    members: BTreeMap<Box<str>, Arc<Member>>,
    /// Whether it was known before the roster was read.
    is_old: bool,
}

/// What is known of a room when somebody is about to enter it.
pub(in crate::realtime) enum Near<T> {
    /// Everything.
    Ready,
    /// It is being asked; this is set when it was answered.
    Coming(CancellationToken),
    /// Nothing yet: whoever gets this asks, and says so with [`Sockets::make_known`].
    New(T),
}

/// What became of what another node told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::realtime) enum Took {
    /// It is known now, was before, or concerns nobody here.
    It,
    /// Something before it was not heard: the roster has to be read.
    Gap,
}

/// What this node has in a room.
#[derive(Clone, Debug, Default)]
pub(in crate::realtime) struct Own {
    pub count: u64,
    pub came: Vec<Member>,
    pub left: Vec<String>,
}

impl Far {
    fn new() -> Self {
        Self { parts: BTreeMap::new(), ready: CancellationToken::new(), used: Instant::now() }
    }

    /// Subscriptions, or connections, elsewhere.
    pub fn count(&self) -> usize {
        self.parts.values().map(|part| part.count as usize).sum()
    }

    /// Whether a user is there.
    pub fn has(&self, user_id: &str) -> bool {
        self.parts.values().any(|part| part.members.contains_key(user_id))
    }

    /// Members elsewhere; one who is on two nodes comes twice.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.parts.values().flat_map(|part| part.members.values())
    }

    /// Takes what a node tells; those whose presence may have changed by it.
    fn take(&mut self, node: NodeId, change: Change) -> Result<(), Took> {
        let known = self.parts.entry(node).or_default();
        if change.version <= known.version {
            return Err(Took::It);
        }
        if change.before == 0 {
            known.members.clear();
        } else if change.before != known.version {
            return Err(Took::Gap);
        }
        known.put(change);
        Ok(())
    }

    fn replace(&mut self, parts: Vec<(NodeId, Part)>) {
        for (node, part) in parts {
            let known = self.parts.entry(node).or_default();
            known.is_old = false;
            if part.version > known.version {
                known.members.clear();
                let Part { version, count, members } = part;
                known.put(Change { version, count, came: members, ..Change::default() });
            }
        }
        // What was known of and is not written down any more has ended.
        self.parts.values_mut().filter(|known| known.is_old).for_each(Known::clear);
    }
}

impl Known {
    fn put(&mut self, change: Change) {
        (self.version, self.count, self.is_old) = (change.version, change.count, false);
        change.left.iter().for_each(|user| drop(self.members.remove(user.as_str())));
        for member in change.came {
            self.members.insert(member.user_id.as_str().into(), Arc::new(member));
        }
        if self.count == 0 {
            self.members.clear();
        }
    }

    fn clear(&mut self) {
        (self.count, self.is_old) = (0, false);
        self.members.clear();
    }

    fn users(&self) -> impl Iterator<Item = Box<str>> {
        self.members.keys().cloned()
    }
}

impl Sockets {
    /// Looks what is known of a room that somebody is about to enter. `ask` runs when it is nothing yet, before
    /// anybody else can look; it must not block.
    pub(in crate::realtime) fn near<T>(&self, room: &Room, ask: impl FnOnce() -> T) -> Near<T> {
        self.with_far(room, |far| match far {
            Some(far) => {
                far.used = Instant::now();
                if far.ready.is_cancelled() { Near::Ready } else { Near::Coming(far.ready.clone()) }
            }
            None => {
                *far = Some(Box::new(Far::new()));
                Near::New(ask())
            }
        })
        .unwrap_or(Near::Ready)
    }

    /// Everything is known of a room that can be.
    pub(in crate::realtime) fn make_known(&self, room: &Room) {
        self.with_far(room, |far| {
            if let Some(far) = far {
                far.ready.cancel();
            }
        });
    }

    /// The roster is about to be read: what it does not say from here on, and is known before, is over.
    pub(in crate::realtime) fn will_read(&self, room: &Room) {
        self.with_far(room, |far| {
            far.iter_mut().flat_map(|far| far.parts.values_mut()).for_each(|known| known.is_old = true);
        });
    }

    /// Takes what the roster says of other nodes.
    pub(in crate::realtime) fn take_view(&self, room: &Room, parts: Vec<(NodeId, Part)>, wording: &dyn Wording) {
        self.change_far(room, wording, |far| {
            far.replace(parts);
            Ok(())
        });
    }

    /// Takes what another node tells.
    pub(in crate::realtime) fn take_change(
        &self,
        room: &Room,
        node: NodeId,
        change: Change,
        wording: &dyn Wording,
    ) -> Took {
        self.change_far(room, wording, |far| far.take(node, change))
    }

    /// A node is not among the living.
    pub(in crate::realtime) fn lose_nodes(&self, is_gone: impl Fn(NodeId) -> bool, wording: &dyn Wording) {
        for room in self.far_rooms() {
            self.change_far(&room, wording, |far| {
                far.parts.extract_if(.., |node, _| is_gone(*node)).for_each(drop);
                Ok(())
            });
        }
    }

    /// Every room of which something is known, or asked.
    pub(in crate::realtime) fn far_rooms(&self) -> Vec<Room> {
        let mut rooms = self.users.far_rooms();
        for shard in 0..super::directory::SHARDS {
            let channels = self.channels.shard_of(shard).into_iter();
            let far = channels.filter(|channel| channel.body().far.is_some());
            rooms.extend(far.map(|channel| Room::Channel(channel.app(), channel.shared_name())));
        }
        rooms
    }

    /// Whether this node takes part in a room.
    pub(in crate::realtime) fn is_near(&self, room: &Room) -> bool {
        match room {
            Room::Channel(app, name) => self.channels.find(*app, name).is_some_and(|found| found.body().far.is_some()),
            Room::User(app, user) => self.users.with(*app, user, |user| user.far.is_some()).unwrap_or(false),
            Room::Account(_) | Room::App(_) => false,
        }
    }

    /// Leaves rooms of one shard (users are in the first) that nobody here has needed for so long. `left` runs
    /// before anybody can enter again; it must not block.
    pub(in crate::realtime) fn leave_rooms(&self, shard: usize, after: Duration, mut left: impl FnMut(&Room)) {
        let is_over = |far: &Option<Box<Far>>| {
            far.as_ref().is_some_and(|far| far.ready.is_cancelled() && far.used.elapsed() >= after)
        };
        for channel in self.channels.shard_of(shard) {
            let mut body = channel.body();
            if body.subscriptions > 0 {
                body.far.iter_mut().for_each(|far| far.used = Instant::now());
            } else if is_over(&body.far) {
                body.far = None;
                left(&Room::Channel(channel.app(), channel.shared_name()));
                drop(body);
                self.close_if_idle(&channel);
            }
        }
        if shard.is_multiple_of(super::directory::SHARDS) {
            self.users.leave_far(is_over, left);
        }
    }

    /// What this node has in a room: of those users, or of all.
    pub(in crate::realtime) fn own_part(&self, room: &Room, users: Option<&[Box<str>]>) -> Own {
        match room {
            Room::Channel(app, name) => {
                self.channels.find(*app, name).map(|channel| own_of(&channel.body(), users)).unwrap_or_default()
            }
            Room::User(app, user) => Own { count: self.users.sockets(*app, user).len() as u64, ..Own::default() },
            Room::App(app) => Own { count: self.places.of(*app) as u64, ..Own::default() },
            Room::Account(_) => Own::default(),
        }
    }

    /// Every room in which this node has something.
    pub(in crate::realtime) fn own_rooms(&self) -> Vec<Room> {
        let mut rooms = self.users.own_rooms();
        for shard in 0..super::directory::SHARDS {
            let channels = self.channels.shard_of(shard).into_iter();
            let own = channels.filter(|channel| channel.body().subscriptions > 0);
            rooms.extend(own.map(|channel| Room::Channel(channel.app(), channel.shared_name())));
        }
        rooms
    }

    /// Publishes what another node published, and keeps it when it is to be kept.
    pub(in crate::realtime) fn publish_near(&self, app: App, channel: &str, mut published: Published) {
        // Only who has subscribers keeps it; others ask the roster.
        if self.channels.find(app, channel).is_none_or(|found| found.body().far.is_none()) {
            return;
        }
        published.cursor = None;
        self.publish(app, channel, published);
    }

    /// Keeps for a channel what the roster has kept, unless something came since it was asked.
    pub(in crate::realtime) fn keep_near(&self, room: (App, &str), frame: Frame, keep: Duration, asked: Instant) {
        let Some(channel) = self.channels.find(room.0, room.1) else { return };
        let mut body = channel.body();
        if !body.is_gone && body.kept.as_ref().is_none_or(|kept| kept.at < asked) {
            let now = Instant::now();
            self.keep(&mut body, super::channel::Kept { frame, at: now, until: now + keep });
        }
    }

    fn with_far<T>(&self, room: &Room, look: impl FnOnce(&mut Option<Box<Far>>) -> T) -> Option<T> {
        match room {
            Room::Channel(app, name) => loop {
                let channel = self.open(*app, name);
                let mut body = channel.body();
                if body.is_gone {
                    continue;
                }
                let looked = look(&mut body.far);
                drop(body);
                self.close_if_idle(&channel);
                return Some(looked);
            },
            Room::User(app, user) => Some(self.users.with_far(*app, user, look)),
            Room::Account(_) | Room::App(_) => None,
        }
    }

    /// Changes what is known of a room, and tells who is there.
    fn change_far(
        &self,
        room: &Room,
        wording: &dyn Wording,
        change: impl FnOnce(&mut Far) -> Result<(), Took>,
    ) -> Took {
        let changed = match room {
            Room::Channel(app, name) => {
                let Some(channel) = self.channels.find(*app, name) else { return Took::It };
                let mut body = channel.body();
                let Some(mut far) = body.far.take() else { return Took::It };
                let before = Seen::of(&body, &far);
                let changed = change(&mut far);
                let after = Seen::of(&body, &far);
                body.far = Some(far);
                if changed.is_ok() {
                    self.tell_turn(&channel, &mut body, (&before, &after), wording);
                }
                changed
            }
            Room::User(app, user) => match self.users.change_far(*app, user, change) {
                Ok(Some((appearance, is_online))) => {
                    let frame = wording.watched(is_online, &appearance.user_id);
                    appearance.watchers.iter().for_each(|watcher| watcher.send(frame.clone()));
                    Ok(())
                }
                Ok(None) => Ok(()),
                Err(took) => Err(took),
            },
            Room::Account(_) | Room::App(_) => Ok(()),
        };
        changed.err().unwrap_or(Took::It)
    }

    /// Tells subscribers how a channel's view has changed. Called under its lock.
    fn tell_turn(&self, channel: &Arc<Channel>, body: &mut Body, seen: (&Seen, &Seen), wording: &dyn Wording) {
        if body.subscriptions == 0 {
            return;
        }
        let plain = |frame| Published { frame, ..Published::default() };
        let (before, after) = seen;
        for (user, member) in &after.elsewhere {
            if !before.elsewhere.contains_key(user) {
                self.publish_in(channel, body, plain(wording.member_added(channel.name(), member)));
            }
        }
        for user in before.elsewhere.keys().filter(|user| !after.elsewhere.contains_key(*user)) {
            self.publish_in(channel, body, plain(wording.member_removed(channel.name(), user)));
        }
        if before.count != after.count
            && let Some(frame) = wording.counted(channel.name(), after.count)
        {
            self.publish_in(channel, body, plain(frame));
        }
    }
}

/// Who is there by other nodes alone, and how many subscribe in all.
struct Seen {
    elsewhere: BTreeMap<Box<str>, Arc<Member>>,
    count: usize,
}

impl Seen {
    fn of(body: &Body, far: &Far) -> Self {
        let is_here = |user: &str| body.members.as_ref().is_some_and(|members| members.contains_key(user));
        let elsewhere = far.parts.values().flat_map(Known::users_with_members).filter(|(user, _)| !is_here(user));
        Self { elsewhere: elsewhere.collect(), count: body.subscriptions + far.count() }
    }
}

impl Known {
    fn users_with_members(&self) -> impl Iterator<Item = (Box<str>, Arc<Member>)> {
        self.users().zip(self.members.values().cloned())
    }
}

fn own_of(body: &Body, users: Option<&[Box<str>]>) -> Own {
    let members = body.members.as_deref();
    let find = |user: &str| members.and_then(|members| members.get(user)).map(|(member, _)| Member::clone(member));
    let mut own = Own { count: body.subscriptions as u64, ..Own::default() };
    match users {
        None => own.came = members.iter().flat_map(|all| all.values()).map(|(one, _)| Member::clone(one)).collect(),
        Some(users) => {
            for user in users {
                match find(user) {
                    Some(member) => own.came.push(member),
                    None => own.left.push(String::from(&**user)),
                }
            }
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str) -> Member {
        Member { user_id: id.to_owned(), info: None }
    }

    fn change(version: u64, before: u64, count: u64, came: &[&str], left: &[&str]) -> Change {
        let left = left.iter().map(|id| (*id).to_owned()).collect();
        Change { version, before, count, came: came.iter().map(|id| member(id)).collect(), left }
    }

    fn users(far: &Far) -> Vec<&str> {
        far.members().map(|member| member.user_id.as_str()).collect()
    }

    #[test]
    fn what_is_heard_twice_or_late_changes_nothing_and_a_hole_is_noticed() {
        let mut far = Far::new();
        assert_eq!(far.take(1, change(5, 0, 1, &["ana"], &[])), Ok(()));
        assert_eq!(far.take(1, change(5, 0, 1, &["eve"], &[])), Err(Took::It));
        assert_eq!(far.take(1, change(9, 7, 2, &["rui"], &[])), Err(Took::Gap));
        assert_eq!(far.take(1, change(9, 5, 2, &["rui"], &[])), Ok(()));
        assert_eq!((users(&far), far.count()), (vec!["ana", "rui"], 2));
        assert_eq!(far.take(1, change(12, 9, 0, &[], &["ana"])), Ok(()));
        assert_eq!((users(&far), far.count()), (vec![], 0));
        assert_eq!(far.take(1, change(11, 0, 1, &["ana"], &[])), Err(Took::It), "from before the end");
        assert_eq!(far.take(1, change(20, 0, 1, &["bo"], &[])), Ok(()), "it came again");
        assert_eq!(users(&far), ["bo"]);
    }

    #[test]
    fn what_is_read_ends_what_was_known_before_and_nothing_newer() {
        let mut far = Far::new();
        for node in [1, 2, 3] {
            far.take(node, change(5, 0, 1, &[&node.to_string()], &[])).unwrap();
        }
        far.parts.values_mut().for_each(|known| known.is_old = true);
        far.take(2, change(6, 5, 2, &["new"], &[])).unwrap();
        let part = |version, id: &str| Part { version, count: 1, members: vec![member(id)] };
        far.replace(vec![(2, part(5, "2")), (3, part(8, "three"))]);
        assert_eq!((users(&far), far.count()), (vec!["2", "new", "three"], 3));
    }
}
