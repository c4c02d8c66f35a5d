//! Looking at what is there.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::channel::Channel;
use super::socket::Socket;
use super::{App, ChannelFigures, Frame, Member, SocketStats, Sockets};

impl Sockets {
    /// Whether anybody subscribes.
    pub fn has_subscribers(&self, app: App, channel: &str) -> bool {
        self.channels.find(app, channel).is_some_and(|channel| channel.body().subscriptions > 0)
    }

    /// Whether that connection subscribes.
    pub fn is_subscribed(&self, socket: &Socket, channel: &str) -> bool {
        socket.own().subscription(channel).is_some()
    }

    /// As whom that connection is on that presence channel.
    pub fn member(&self, socket: &Socket, channel: &str) -> Option<Member> {
        let channel = socket.own().subscription(channel).cloned()?;
        let member = channel.with(socket, |subscriber| subscriber.member.clone())??;
        Some(Member::clone(&member))
    }

    /// The app's occupied channels whose names begin like that, by name.
    pub fn channels(&self, app: App, prefix: &str) -> Vec<ChannelFigures> {
        let mut all: Vec<_> = self.channels.of(app, prefix).iter().filter_map(|channel| figures(channel)).collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// One occupied channel.
    pub fn channel(&self, app: App, name: &str) -> Option<ChannelFigures> {
        figures(&*self.channels.find(app, name)?)
    }

    /// The ids of who is on a presence channel.
    pub fn members(&self, app: App, name: &str) -> Vec<String> {
        let Some(channel) = self.channels.find(app, name) else { return Vec::new() };
        let body = channel.body();
        body.members.iter().flat_map(|members| members.keys()).map(|id| String::from(&**id)).collect()
    }

    /// What is kept for those who subscribe.
    pub fn kept(&self, app: App, name: &str) -> Option<Frame> {
        self.channels.find(app, name)?.body().kept(Instant::now())
    }

    /// Connections of that app.
    pub fn connections(&self, app: App) -> usize {
        self.places.of(app)
    }

    /// The counts.
    pub fn stats(&self) -> SocketStats {
        let figures = &self.shared.figures;
        let written = figures.written();
        SocketStats {
            connections: self.places.total(),
            channels: figures.channels.load(Ordering::Relaxed),
            subscriptions: figures.subscriptions.load(Ordering::Relaxed),
            fanout_bytes: self.lanes.waiting(),
            kept_bytes: figures.kept_bytes.load(Ordering::Relaxed),
            inbound_bytes: figures.inbound_bytes.load(Ordering::Relaxed),
            frames_total: written.frames,
            bytes_total: written.bytes,
            writes_total: written.writes,
            slow_total: figures.slow.load(Ordering::Relaxed),
            refused_total: self.places.refused(),
            left_total: self.shared.figures.left.load(Ordering::Relaxed),
        }
    }
}

fn figures(channel: &Channel) -> Option<ChannelFigures> {
    let body = channel.body();
    let (subscriptions, users) = (body.subscriptions, body.users());
    (subscriptions > 0).then(|| ChannelFigures { name: channel.shared_name(), subscriptions, users })
}
