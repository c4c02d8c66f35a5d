//! One channel: who subscribes to it, who is there, and what is kept.
//!
//! Two kinds of locks. The body's orders everything that happens to the channel: each subscription,
//! each end of one and each publication takes the next number under it. The lanes' guard the lists
//! of subscribers, one for each fan-out thread, so that a long list being served does not hold up who
//! publishes. They are taken in this order: a connection's own, the directory's shard, the body,
//! a lane, an outbox.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::far::Far;
use super::outbox::weight;
use super::shared::lock;
use super::socket::Socket;
use super::{App, Frame, Member, Published};
use crate::domain::EventId;

/// A channel that somebody subscribes to, or of which something is kept.
#[derive(Debug)]
pub(super) struct Channel {
    app: App,
    name: Arc<str>,
    body: Mutex<Body>,
    lanes: Box<[Lane]>,
}

/// What the order of events is made under.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// It is not in the directory any more: look there again.
    pub is_gone: bool,
    /// The number of the last publication.
    pub sequence: u64,
    pub subscriptions: usize,
    pub members: Option<Box<Members>>,
    pub kept: Option<Box<Kept>>,
    /// What other nodes have of it; `None` where there are none, or they were not asked.
    pub far: Option<Box<Far>>,
}

/// Who is on a presence channel, and by how many subscriptions.
pub(super) type Members = BTreeMap<Box<str>, (Arc<Member>, u32)>;

/// What is kept for those who subscribe later.
#[derive(Debug)]
pub(super) struct Kept {
    pub frame: Frame,
    pub at: Instant,
    pub until: Instant,
}

/// The subscribers of one fan-out thread.
#[derive(Debug, Default)]
struct Lane {
    count: AtomicU32,
    /// Publications up to this number did not find room in the thread's queue; 0: all did.
    lapsed: AtomicU64,
    subscribers: Mutex<Vec<Subscriber>>,
}

/// A subscription, as the fan-out sees it.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub socket: Socket,
    /// Publications after this number are for it.
    pub from: u64,
    /// It has everything of the log up to here.
    pub floor: EventId,
    /// The user of ours who authorised it; 0 for nobody.
    pub owner: i64,
    pub member: Option<Arc<Member>>,
    pub held: Option<Box<Held>>,
}

/// What was published while a subscription catches up, by the bytes that it would take to send it.
pub(super) type Held = crate::realtime::seam::Held<EventId, Frame>;

impl Channel {
    pub fn new(app: App, name: Arc<str>, lanes: usize) -> Self {
        Self { app, name, body: Mutex::default(), lanes: (0..lanes).map(|_| Lane::default()).collect() }
    }

    pub fn app(&self) -> App {
        self.app
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    pub fn body(&self) -> MutexGuard<'_, Body> {
        lock(&self.body)
    }

    /// Whether a fan-out thread has anybody to serve here.
    pub fn has_in(&self, lane: usize) -> bool {
        self.lanes[lane].count.load(Ordering::Acquire) > 0
    }

    /// Enters a subscriber. The body's lock is held.
    pub fn enter(&self, subscriber: Subscriber) {
        let lane = &self.lanes[subscriber.socket.lane()];
        let mut list = lock(&lane.subscribers);
        if list.is_empty() {
            // Most channels have one subscriber, and the list would begin with room for four.
            list.reserve_exact(1);
        }
        list.push(subscriber);
        lane.count.fetch_add(1, Ordering::Release);
    }

    /// Takes a subscriber out. The body's lock is held.
    pub fn take(&self, socket: &Socket) -> Option<Subscriber> {
        let lane = &self.lanes[socket.lane()];
        let mut list = lock(&lane.subscribers);
        let at = list.iter().position(|subscriber| subscriber.socket.is(socket))?;
        let taken = list.swap_remove(at);
        if list.len() * 4 < list.capacity() {
            let room = list.len() * 2;
            list.shrink_to(room);
        }
        lane.count.fetch_sub(1, Ordering::Release);
        Some(taken)
    }

    /// Looks at one subscriber.
    pub fn with<T>(&self, socket: &Socket, look: impl FnOnce(&mut Subscriber) -> T) -> Option<T> {
        self.list(socket).iter_mut().find(|subscriber| subscriber.socket.is(socket)).map(look)
    }

    /// The subscribers of a socket's thread, which publishes nothing to them meanwhile.
    pub fn list(&self, socket: &Socket) -> MutexGuard<'_, Vec<Subscriber>> {
        lock(&self.lanes[socket.lane()].subscribers)
    }

    /// Whether any subscriber is like that.
    pub fn any(&self, is: impl Fn(&Subscriber) -> bool) -> bool {
        self.lanes.iter().any(|lane| lock(&lane.subscribers).iter().any(&is))
    }

    /// Gives a publication to a thread's subscribers; those to flush are appended to `touched`.
    pub fn deliver(&self, lane: usize, sequence: u64, published: &Published, touched: &mut Vec<Socket>) {
        for subscriber in lock(&self.lanes[lane].subscribers).iter_mut() {
            if !subscriber.wants(sequence, published) {
                continue;
            }
            match &mut subscriber.held {
                Some(held) => held.put(published.cursor, published.frame.clone(), weight(&published.frame)),
                None => {
                    if subscriber.socket.queue(published.frame.clone()) {
                        touched.push(subscriber.socket.clone());
                    }
                }
            }
        }
    }

    /// Notes that a publication found no room in a thread's queue; whether it is the first that the
    /// thread does not know of.
    pub fn lapse(&self, lane: usize, sequence: u64) -> bool {
        self.lanes[lane].lapsed.fetch_max(sequence, Ordering::AcqRel) == 0
    }

    /// Whoever misses a publication that found no room is closed, or, while it catches up, told to read
    /// again: nobody may go on past a hole.
    pub fn settle(&self, lane: usize) {
        let mut list = lock(&self.lanes[lane].subscribers);
        let upto = self.lanes[lane].lapsed.swap(0, Ordering::AcqRel);
        for subscriber in list.iter_mut().filter(|subscriber| subscriber.from < upto) {
            match &mut subscriber.held {
                Some(held) => held.lapse(),
                None => subscriber.socket.close_behind(),
            }
        }
    }
}

impl Subscriber {
    fn wants(&self, sequence: u64, published: &Published) -> bool {
        self.from < sequence
            && published.except != Some(self.socket.id())
            && published.cursor.is_none_or(|cursor| cursor > self.floor)
    }
}

impl Body {
    /// Everybody who is there.
    pub fn all(&self) -> Vec<Member> {
        let members = self.members.iter().flat_map(|members| members.values());
        let mut all: Vec<_> = members.map(|(member, _)| Member::clone(member)).collect();
        if let Some(far) = &self.far {
            // Who is here is known as here, and who is on two other nodes once.
            let elsewhere: BTreeMap<&str, _> = far.members().map(|member| (member.user_id.as_str(), member)).collect();
            let elsewhere = elsewhere.into_iter().filter(|(user, _)| !self.has_here(user));
            all.extend(elsewhere.map(|(_, member)| Member::clone(member)));
        }
        all
    }

    /// How many are there.
    pub fn users(&self) -> usize {
        let here = self.members.as_ref().map_or(0, |members| members.len());
        let Some(far) = &self.far else { return here };
        let elsewhere: BTreeSet<_> = far.members().map(|member| member.user_id.as_str()).collect();
        here + elsewhere.into_iter().filter(|user| !self.has_here(user)).count()
    }

    /// How many subscribe, on all nodes.
    pub fn total(&self) -> usize {
        self.subscriptions + self.far.as_ref().map_or(0, |far| far.count())
    }

    /// Whether nobody knows that user to be there.
    pub fn lacks(&self, user_id: &str) -> bool {
        !self.has_here(user_id) && self.far.as_ref().is_none_or(|far| !far.has(user_id))
    }

    fn has_here(&self, user_id: &str) -> bool {
        self.members.as_ref().is_some_and(|members| members.contains_key(user_id))
    }

    /// Counts a member's subscription; as whom they are known here.
    pub fn appear(&mut self, member: Member) -> Arc<Member> {
        let members = self.members.get_or_insert_default();
        let known = members.entry(member.user_id.as_str().into()).or_insert_with(|| (Arc::new(member), 0));
        known.1 += 1;
        Arc::clone(&known.0)
    }

    /// Takes one of a member's subscriptions away; the member when it was the last here, and whether they are not
    /// on another node either.
    pub fn vanish(&mut self, member: &Member) -> Option<(Member, bool)> {
        let members = self.members.as_mut()?;
        let known = members.get_mut(member.user_id.as_str())?;
        known.1 -= 1;
        if known.1 > 0 {
            return None;
        }
        let (gone, _) = members.remove(member.user_id.as_str())?;
        if members.is_empty() {
            self.members = None;
        }
        let is_gone = self.far.as_ref().is_none_or(|far| !far.has(&gone.user_id));
        Some((Member::clone(&gone), is_gone))
    }

    /// What is kept and has not lapsed.
    pub fn kept(&self, now: Instant) -> Option<Frame> {
        self.kept.as_ref().filter(|kept| kept.until > now).map(|kept| kept.frame.clone())
    }

    /// Whether nothing needs the channel.
    pub fn is_idle(&self, now: Instant) -> bool {
        self.subscriptions == 0 && self.far.is_none() && self.kept.as_ref().is_none_or(|kept| kept.until <= now)
    }
}
