//! Subscribing, publishing, and letting go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::channel::{Body, Channel, Held, Kept, Subscriber};
use super::outbox::weight;
use super::socket::Socket;
use super::{Answer, App, Appearance, Join, JoinRefused, Joined, Left, Published, Sockets};
use crate::domain::{EventId, UserId};
use crate::realtime::nodes::Room;

impl Sockets {
    /// Subscribes. `answer` runs under the channel's lock: what it returns for the joiner is sent to it
    /// before anything published later, what it returns for the others is published in order. It must not
    /// call back into `Sockets`, which would wait for itself.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn subscribe(
        &self,
        socket: &Socket,
        join: Join<'_>,
        answer: impl FnOnce(&Joined) -> Answer,
    ) -> Result<(), JoinRefused> {
        let mut own = socket.own();
        if own.has_left || socket.is_closing() {
            return Err(JoinRefused::Closing);
        }
        if own.subscription(join.channel).is_some() {
            return Err(JoinRefused::Already);
        }
        if own.subscriptions.len() >= self.shared.rules.channels_per_socket_max {
            return Err(JoinRefused::TooManyChannels);
        }
        let channel = self.join(socket, join, answer)?;
        if own.subscriptions.is_empty() {
            own.subscriptions.reserve_exact(1);
        }
        own.subscriptions.push(channel);
        drop(own);
        socket.flush();
        Ok(())
    }

    fn join(
        &self,
        socket: &Socket,
        join: Join<'_>,
        answer: impl FnOnce(&Joined) -> Answer,
    ) -> Result<Arc<Channel>, JoinRefused> {
        loop {
            let channel = self.open(socket.app(), join.channel);
            let mut body = channel.body();
            if body.is_gone {
                continue;
            }
            let is_new_member = join.member.as_ref().is_some_and(|member| body.lacks(&member.user_id));
            if is_new_member && body.users() >= self.shared.rules.members_max {
                drop(body);
                self.close_if_idle(&channel);
                return Err(JoinRefused::TooManyMembers);
            }
            self.join_in(socket, &channel, &mut body, join, is_new_member, answer);
            drop(body);
            return Ok(channel);
        }
    }

    /// Enters the subscription, under the channel's lock.
    fn join_in(
        &self,
        socket: &Socket,
        channel: &Arc<Channel>,
        body: &mut Body,
        join: Join<'_>,
        is_new_member: bool,
        answer: impl FnOnce(&Joined) -> Answer,
    ) {
        let is_presence = join.member.is_some();
        let member = join.member.map(|member| body.appear(member));
        body.subscriptions += 1;
        let user = member.as_ref().map(|member| member.user_id.as_str());
        self.touch(|| Room::Channel(channel.app(), channel.shared_name()), user);
        self.shared.figures.subscriptions.fetch_add(1, Ordering::Relaxed);
        let answer = answer(&Joined {
            subscriptions: body.total(),
            is_first: body.total() == 1,
            is_new_member,
            members: if is_presence { body.all() } else { Vec::new() },
            kept: body.kept(Instant::now()),
        });
        if let Some(others) = answer.others {
            self.publish_in(channel, body, others);
        }
        for frame in answer.joiner {
            socket.queue(frame);
        }
        channel.enter(Subscriber {
            socket: socket.clone(),
            from: body.sequence,
            floor: EventId(i64::MIN),
            owner: join.owner.map_or(0, |owner| owner.0),
            member,
            held: join.hold.then(|| Box::new(Held::new(self.shared.rules.outbox_bytes_max / 4))),
        });
    }

    /// Ends the holds of a connection on those channels, all at once: what was held with a cursor after `after`, or
    /// without one, is sent in the order of the cursors, and of the channels as they are named where cursors are equal,
    /// and from now on everything goes straight through. So the largest cursor that the client has seen is right for all
    /// of them at every moment. `false`: more was published than is held; read the log again and call again. Channels on
    /// which there is no subscription any more, or no hold, do not count.
    pub fn release(&self, socket: &Socket, channels: &[&str], after: EventId) -> bool {
        let own = socket.own();
        let named = channels.iter().enumerate();
        let mut found: Vec<_> = named.filter_map(|(at, name)| Some((at, own.subscription(name)?.clone()))).collect();
        drop(own);
        // Whoever locks several does it in this order.
        found.sort_by_key(|(_, channel)| Arc::as_ptr(channel));
        found.dedup_by_key(|(_, channel)| Arc::as_ptr(channel));
        let mut lists: Vec<_> = found.iter().map(|(at, channel)| (*at, channel.list(socket))).collect();
        let mut subscribers = Vec::with_capacity(lists.len());
        for (at, list) in &mut lists {
            subscribers.extend(list.iter_mut().find(|one| one.socket.is(socket)).map(|one| (*at, one)));
        }
        let is_released = release(subscribers, after);
        drop(lists);
        socket.flush();
        is_released
    }

    /// Ends a subscription; `tell` runs under the channel's lock and says what the others get. It must not
    /// call back into `Sockets`. `false`: there is none.
    pub fn unsubscribe(&self, socket: &Socket, channel: &str, tell: impl FnOnce(&Left) -> Option<Published>) -> bool {
        let mut own = socket.own();
        let Some(at) = own.subscriptions.iter().position(|subscription| subscription.name() == channel) else {
            return false;
        };
        let channel = own.subscriptions.swap_remove(at);
        drop(own);
        self.part(&channel, socket, tell);
        true
    }

    /// Ends everything of a connection: `tell` as in [`Self::unsubscribe`], for each channel (its name is
    /// given). Returns what that means to those who watch its user, when it was signed in.
    pub fn leave(&self, socket: &Socket, mut tell: impl FnMut(&str, &Left) -> Option<Published>) -> Option<Appearance> {
        let mut own = socket.own();
        own.has_left = true;
        let subscriptions = std::mem::take(&mut own.subscriptions);
        let (user, watching) = (own.user.take(), std::mem::take(&mut own.watching));
        drop(own);
        for channel in subscriptions {
            self.part(&channel, socket, |left| tell(channel.name(), left));
        }
        self.users.unwatch(socket, &watching);
        let user = user?;
        let appearance = self.users.leave(socket, &user);
        self.touch(|| Room::User(socket.app(), user), None);
        appearance
    }

    fn part(&self, channel: &Arc<Channel>, socket: &Socket, tell: impl FnOnce(&Left) -> Option<Published>) {
        let mut body = channel.body();
        let Some(subscriber) = channel.take(socket) else { return };
        body.subscriptions -= 1;
        self.shared.figures.subscriptions.fetch_sub(1, Ordering::Relaxed);
        let user = subscriber.member.as_ref().map(|member| member.user_id.as_str());
        self.touch(|| Room::Channel(channel.app(), channel.shared_name()), user);
        let gone = subscriber.member.as_ref().and_then(|member| body.vanish(member));
        let left = Left {
            subscriptions: body.total(),
            is_last: body.total() == 0,
            member_gone: gone.and_then(|(member, is_gone)| is_gone.then_some(member)),
        };
        let is_idle = body.subscriptions == 0;
        if let Some(others) = tell(&left) {
            self.publish_in(channel, &mut body, others);
        }
        drop(body);
        if is_idle {
            self.close_if_idle(channel);
        }
    }

    /// Publishes; whether anybody is there. Never blocks.
    pub fn publish(&self, app: App, channel: &str, published: Published) -> bool {
        loop {
            let found = self.channels.find(app, channel);
            let found = found.or_else(|| published.keep.map(|_| self.open(app, channel)));
            let Some(channel) = found else { return false };
            let mut body = channel.body();
            if body.is_gone {
                continue;
            }
            let is_occupied = body.subscriptions > 0;
            self.publish_in(&channel, &mut body, published);
            let is_idle = !is_occupied && body.kept.is_none() && body.far.is_none();
            drop(body);
            if is_idle {
                self.close_if_idle(&channel);
            }
            return is_occupied;
        }
    }

    /// Publishes to whoever subscribes, on all nodes; what the log tells every node tells by itself.
    pub fn publish_everywhere(&self, app: App, channel: &str, published: Published) {
        if let Some(nodes) = self.nodes() {
            nodes.publish(app, channel, &published);
        }
        self.publish(app, channel, published);
    }

    /// Publishes under the channel's lock.
    pub(super) fn publish_in(&self, channel: &Arc<Channel>, body: &mut Body, published: Published) {
        if let Some(keep) = published.keep {
            let now = Instant::now();
            let kept = Kept { frame: published.frame.clone(), at: now, until: now + keep };
            self.keep(body, kept);
        }
        body.sequence += 1;
        if body.subscriptions > 0 {
            self.lanes.push(channel, body.sequence, published);
        }
    }

    /// Keeps something in the place of what was kept; nothing, when all that is kept is too much.
    pub(super) fn keep(&self, body: &mut Body, kept: Kept) {
        self.drop_kept(body);
        let (bytes, max) = (&self.shared.figures.kept_bytes, self.shared.rules.kept_bytes_max);
        let more = weight(&kept.frame);
        if bytes.fetch_add(more, Ordering::Relaxed) + more > max {
            bytes.fetch_sub(more, Ordering::Relaxed);
        } else {
            body.kept = Some(Box::new(kept));
        }
    }

    fn drop_kept(&self, body: &mut Body) {
        if let Some(old) = body.kept.take() {
            self.shared.figures.kept_bytes.fetch_sub(weight(&old.frame), Ordering::Relaxed);
        }
    }

    /// Drops what has lapsed in one shard of the channels.
    pub(super) fn clear_kept(&self, shard: usize) {
        let now = Instant::now();
        for channel in self.channels.shard_of(shard) {
            let mut body = channel.body();
            if body.kept.as_ref().is_some_and(|kept| kept.until <= now) {
                self.drop_kept(&mut body);
                drop(body);
                self.close_if_idle(&channel);
            }
        }
    }

    pub(super) fn open(&self, app: App, name: &str) -> Arc<Channel> {
        self.channels.find_or_add(app, name, |name| {
            self.shared.figures.channels.fetch_add(1, Ordering::Relaxed);
            Channel::new(app, name, self.shared.rules.fanout_threads)
        })
    }

    pub(super) fn close_if_idle(&self, channel: &Channel) {
        self.channels.remove_if(channel, |body| {
            let is_idle = body.is_idle(Instant::now());
            if is_idle {
                self.drop_kept(body);
                self.shared.figures.channels.fetch_sub(1, Ordering::Relaxed);
            }
            is_idle
        });
    }

    /// Whether some subscription was authorised by that user.
    pub fn has_owner(&self, app: App, channel: &str, owner: UserId) -> bool {
        let channel = self.channels.find(app, channel);
        channel.is_some_and(|channel| channel.any(|subscriber| subscriber.owner == owner.0))
    }
}

/// Ends the holds of one connection's subscribers, each with its place among them, unless something is missing of one:
/// then it takes note of that, and holds on.
fn release(mut subscribers: Vec<(usize, &mut Subscriber)>, after: EventId) -> bool {
    let mut has_lapsed = false;
    for held in subscribers.iter_mut().filter_map(|(_, subscriber)| subscriber.held.as_mut()) {
        has_lapsed |= held.forgive();
    }
    if has_lapsed {
        return false;
    }
    let mut frames = Vec::new();
    for (at, subscriber) in &mut subscribers {
        let Some(mut held) = subscriber.held.take() else { continue };
        subscriber.floor = after;
        // What has no cursor keeps its place behind what it came after.
        let mut last = after;
        for (cursor, frame) in held.take(after).unwrap_or_default() {
            last = cursor.unwrap_or(last);
            frames.push(((last, *at), frame));
        }
    }
    frames.sort_by_key(|(place, _)| *place);
    if let Some((_, subscriber)) = subscribers.first() {
        for (_, frame) in frames {
            subscriber.socket.queue(frame);
        }
    }
    true
}
