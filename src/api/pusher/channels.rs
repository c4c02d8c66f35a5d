//! What a channel's subscribers are told when one comes or leaves, and what its app's backend is.
//!
//! All of it is said while nothing else can be published to the channel, so that nobody hears of a member
//! before the list that the member is not in.

use std::time::Duration;

use super::session::Entry;
use super::{Parts, frame};
use crate::domain::{EventId, Happened, PlatformId};
use crate::realtime::sockets::{Answer, Frame, Joined, Left, Published};

/// For how long a channel that keeps its last event keeps it, by the protocol.
pub const KEPT_FOR: Duration = Duration::from_secs(30 * 60);

/// Somebody subscribed, who has everything of the log up to that cursor.
pub fn joined(door: &Parts, app: PlatformId, entry: &Entry, joined: &Joined, cursor: Option<EventId>) -> Answer {
    let channel = entry.channel.as_str();
    let mut answer = Answer { joiner: vec![welcome(entry, joined, cursor)], others: None };
    note_joined(door, app, entry, joined);
    if entry.kind.keeps {
        answer.joiner.push(joined.kept.clone().unwrap_or_else(|| frame::cache_miss(channel)));
    }
    if let Some(member) = entry.member.as_ref().filter(|_| joined.is_new_member) {
        answer.others = Some(plain(frame::member_added(channel, &member.user_id, member.info.as_deref())));
    } else if door.counts && !entry.kind.is_presence() {
        let count = frame::subscription_count(channel, joined.subscriptions);
        answer.joiner.push(count.clone());
        answer.others = Some(plain(count));
    }
    answer
}

fn welcome(entry: &Entry, joined: &Joined, cursor: Option<EventId>) -> Frame {
    if entry.kind.is_presence() {
        let members = joined.members.iter().map(|member| (member.user_id.as_str(), member.info.as_deref()));
        frame::subscribed_with(&entry.channel, members)
    } else {
        cursor.map_or_else(
            || frame::subscribed(&entry.channel),
            |cursor| frame::subscribed_since(&entry.channel, cursor.0),
        )
    }
}

fn note_joined(door: &Parts, app: PlatformId, entry: &Entry, joined: &Joined) {
    if !door.happenings.wanted(app) {
        return;
    }
    // Of many nodes, only all together know who is the first and the last.
    if door.sockets().nodes().is_none() {
        note_coming(door, app, entry, joined);
    }
    if entry.kind.keeps && joined.kept.is_none() {
        door.happenings.note(app, Happened::CacheMiss { channel: entry.channel.clone() });
    }
}

fn note_coming(door: &Parts, app: PlatformId, entry: &Entry, joined: &Joined) {
    let channel = || entry.channel.clone();
    if joined.is_first {
        door.happenings.note(app, Happened::ChannelOccupied { channel: channel() });
    }
    match &entry.member {
        Some(member) if joined.is_new_member => {
            let user_id = member.user_id.clone();
            door.happenings.note(app, Happened::MemberAdded { channel: channel(), user_id });
        }
        Some(_) => {}
        None if door.counts => {
            door.happenings.note(app, Happened::SubscriptionCount { channel: channel(), count: joined.subscriptions });
        }
        None => {}
    }
}

/// Somebody left.
pub fn left(door: &Parts, app: PlatformId, channel: &str, left: &Left) -> Option<Published> {
    note_left(door, app, channel, left);
    if let Some(member) = &left.member_gone {
        return Some(plain(frame::member_removed(channel, &member.user_id)));
    }
    let is_counted = door.counts && left.subscriptions > 0 && !super::names::Kind::of(channel).is_presence();
    is_counted.then(|| plain(frame::subscription_count(channel, left.subscriptions)))
}

fn note_left(door: &Parts, app: PlatformId, channel: &str, left: &Left) {
    if door.sockets().nodes().is_some() || !door.happenings.wanted(app) {
        return;
    }
    let name = || channel.to_owned();
    if let Some(member) = &left.member_gone {
        let user_id = member.user_id.clone();
        door.happenings.note(app, Happened::MemberRemoved { channel: name(), user_id });
    } else if door.counts && !super::names::Kind::of(channel).is_presence() {
        door.happenings.note(app, Happened::SubscriptionCount { channel: name(), count: left.subscriptions });
    }
    if left.is_last {
        door.happenings.note(app, Happened::ChannelVacated { channel: name() });
    }
}

fn plain(frame: Frame) -> Published {
    Published { frame, ..Published::default() }
}
