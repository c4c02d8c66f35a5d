//! Looking at what is there, on all nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::rooms::AT_ONCE;
use super::{NodeId, Nodes, Room};
use crate::domain::UserId;
use crate::realtime::roster::{Away, Part, Tell};
use crate::realtime::sockets::{App, ChannelFigures, Frame};

impl Nodes {
    /// One channel that somebody subscribes to.
    pub async fn channel(&self, app: App, name: &str) -> Option<ChannelFigures> {
        let name: Arc<str> = name.into();
        let (parts, members) = self.members_of(&Room::Channel(app, Arc::clone(&name))).await?;
        let figures = ChannelFigures { name, subscriptions: parts, users: members.len() };
        (figures.subscriptions > 0).then_some(figures)
    }

    /// The ids of who is on a presence channel, in order.
    pub async fn members(&self, app: App, name: &str) -> Vec<String> {
        let found = self.members_of(&Room::Channel(app, name.into())).await;
        found.map(|(_, members)| members.into_iter().collect()).unwrap_or_default()
    }

    /// The app's channels to which somebody subscribes and whose names begin so; without figures, these are 0.
    pub async fn channels(&self, app: App, prefix: &str, with_figures: bool) -> Vec<ChannelFigures> {
        let Some(sockets) = self.sockets.upgrade() else { return Vec::new() };
        let here = sockets.channels(app, prefix);
        let mut names: BTreeSet<Arc<str>> = here.into_iter().map(|figures| figures.name).collect();
        let begin = format!("c/{}/{prefix}", app.0);
        for node in self.living_ids().into_iter().filter(|node| *node != self.id) {
            names.extend(self.listed(node, &begin).await);
        }
        let mut found = Vec::with_capacity(names.len());
        let names: Vec<_> = names.into_iter().collect();
        for some in names.chunks(AT_ONCE) {
            if with_figures {
                found.extend(join_all(some.iter().map(|name| self.channel(app, name))).await.into_iter().flatten());
            } else {
                let bare = |name: &Arc<str>| ChannelFigures { name: Arc::clone(name), subscriptions: 0, users: 0 };
                found.extend(some.iter().map(bare));
            }
        }
        found
    }

    async fn listed(&self, node: NodeId, prefix: &str) -> Vec<Arc<str>> {
        let (mut names, mut from) = (Vec::new(), 0);
        loop {
            // Of a node that cannot be asked about nothing is known.
            let Ok(Ok((next, rooms))) = timeout(self.rules.wait, self.roster.listed(node, prefix, from)).await else {
                return names;
            };
            names.extend(rooms.into_iter().filter_map(|room| match room {
                Room::Channel(_, name) => Some(name),
                _ => None,
            }));
            from = next;
            if from == 0 {
                return names;
            }
        }
    }

    /// Connections of that app.
    pub async fn connections(&self, app: App) -> usize {
        let room = Room::App(app);
        let here = self.sockets.upgrade().map_or(0, |sockets| sockets.connections(app));
        let elsewhere: u64 = self.elsewhere(&room).await.unwrap_or_default().iter().map(|(_, part)| part.count).sum();
        here + elsewhere as usize
    }

    /// Whether somebody is in these rooms, on any node.
    pub async fn are_occupied(&self, rooms: Vec<Room>) -> Vec<bool> {
        join_all(rooms.iter().map(|room| self.is_occupied(room))).await
    }

    async fn is_occupied(&self, room: &Room) -> bool {
        let here = match room {
            Room::Account(user) => self.online.has(*user),
            _ => self.sockets.upgrade().is_some_and(|sockets| sockets.own_part(room, Some(&[])).count > 0),
        };
        here || self.elsewhere(room).await.is_some_and(|parts| parts.iter().any(|(_, part)| part.count > 0))
    }

    /// Whether an account has come or left since that was last told: one node is answered `Some`.
    ///
    /// # Errors
    /// [`Away`] when it cannot be asked.
    pub async fn turn_account(&self, user: UserId) -> Result<Option<bool>, Away> {
        let turned = self.roster.turn(&Room::Account(user), self.living_ids(), Vec::new(), Tell::All);
        Ok(turned.await?.is_occupied)
    }

    /// Keeps something of a channel for those who subscribe later, on any node.
    pub async fn keep(&self, app: App, channel: &str, frame: Frame, until: Duration) {
        let room = Room::Channel(app, channel.into());
        // This node keeps it in any case.
        let _ = timeout(self.rules.wait, self.roster.keep(&room, frame, until)).await;
    }

    /// What is kept of a channel.
    pub async fn kept(&self, app: App, channel: &str) -> Option<Frame> {
        let read = timeout(self.rules.wait, self.roster.read(&Room::Channel(app, channel.into()))).await;
        match read {
            Ok(Ok(view)) => view.kept.map(|(frame, _)| frame),
            _ => self.sockets.upgrade()?.kept(app, channel),
        }
    }

    /// Subscriptions and members of a channel on all nodes.
    async fn members_of(&self, room: &Room) -> Option<(usize, BTreeSet<String>)> {
        let Room::Channel(app, name) = room else { return None };
        let sockets = self.sockets.upgrade()?;
        let Some(parts) = self.elsewhere(room).await else {
            // What was last known.
            let known = sockets.channel(*app, name)?;
            return Some((known.subscriptions, sockets.members(*app, name).into_iter().collect()));
        };
        let own = sockets.own_part(room, None);
        let elsewhere: BTreeMap<NodeId, Part> = parts.into_iter().collect();
        let count = own.count + elsewhere.values().map(|part| part.count).sum::<u64>();
        let members = own.came.into_iter().chain(elsewhere.into_values().flat_map(|part| part.members));
        Some((count as usize, members.map(|member| member.user_id).collect()))
    }

    /// What other nodes have in a room; `None` when there was no answer.
    async fn elsewhere(&self, room: &Room) -> Option<Vec<(NodeId, Part)>> {
        let view = timeout(self.rules.wait, self.roster.read(room)).await.ok()?.ok()?;
        Some(self.of_living(view.parts))
    }
}
