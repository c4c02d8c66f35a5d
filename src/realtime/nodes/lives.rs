//! Which nodes live, and what becomes of those that do not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::future::join_all;

use super::{NodeId, Nodes, Room, lock};
use crate::realtime::roster::{Away, Beat, Tell};

/// How often everything that this node has is written again: the roster keeps a room for a day.
const RENEW_EVERY: std::time::Duration = std::time::Duration::from_secs(6 * 3600);

impl Nodes {
    /// Gives signs of life, and looks who else does, until the end.
    pub(super) async fn live(self: Arc<Self>) {
        join_all(self.listen()).await;
        self.stop.run_until_cancelled(self.beat_on()).await;
    }

    async fn beat_on(self: &Arc<Self>) {
        let mut renewed = tokio::time::Instant::now();
        loop {
            // What the roster holds lapses by itself, also of a room in which nothing changes.
            if renewed.elapsed() >= RENEW_EVERY {
                renewed = tokio::time::Instant::now();
                self.renew_all();
            }
            if let Ok(beat) = self.roster.beat(self.id, self.rules.lease).await {
                self.is_up.store(true, Ordering::Relaxed);
                if beat.was_gone {
                    // Nobody knows any more what this node has.
                    self.begin_again();
                }
                self.look(beat);
            } else {
                self.is_up.store(false, Ordering::Relaxed);
            }
            if self.has_settled() {
                // Once more: by now every node that lives has written what it has, and whoever swept one that was
                // thought dead has noticed.
                self.renew_all();
            }
            // Asked for early when the bus is back.
            let _ = tokio::time::timeout(self.rules.beat, self.beats.notified()).await;
        }
    }

    /// Whether the last disturbance is over since just now.
    fn has_settled(&self) -> bool {
        let mut disturbed = lock(&self.disturbed);
        let is_over = disturbed.is_some_and(|since| since.elapsed() >= self.rules.lease);
        if is_over {
            *disturbed = None;
        }
        is_over
    }

    /// Takes note of who lives. Who is named as dead is dead; who is not named at all may not have given a sign
    /// of life since all was forgotten, and has a lease's time for it.
    fn look(self: &Arc<Self>, beat: Beat) {
        let now = Instant::now();
        let mut living = lock(&self.living);
        living.extend(beat.living.iter().map(|node| (*node, now)));
        let is_dead = |node: &NodeId, seen: &Instant| beat.dead.contains(node) || now - *seen > self.rules.lease;
        let lost: Vec<_> = living.extract_if(.., |node, seen| is_dead(node, seen)).map(|(node, _)| node).collect();
        drop(living);
        if !lost.is_empty()
            && let Some(sockets) = self.sockets.upgrade()
        {
            tracing::info!(nodes = lost.len(), "nodes have gone silent; who was there is not there any more");
            sockets.lose_nodes(|node| lost.contains(&node), &*self.wording);
        }
        for node in beat.dead {
            self.sweep_soon(node);
        }
    }

    fn sweep_soon(self: &Arc<Self>, node: NodeId) {
        if !lock(&self.sweeping).insert(node) {
            return;
        }
        let nodes = Arc::clone(self);
        self.tasks.spawn(async move {
            // What could not be swept is found dead again.
            let _ = nodes.stop.clone().run_until_cancelled(nodes.sweep(node)).await;
            lock(&nodes.sweeping).remove(&node);
        });
    }

    /// Takes out what a dead node has in its rooms, and tells who wants to know. More than one may sweep at once.
    async fn sweep(&self, node: NodeId) -> Result<(), Away> {
        let mut from = 0;
        loop {
            let (next, rooms) = self.roster.listed(node, "", from).await?;
            for room in rooms {
                if lock(&self.living).contains_key(&node) {
                    // It was only frozen.
                    return Ok(());
                }
                self.sweep_room(node, &room).await?;
            }
            from = next;
            if from == 0 {
                break;
            }
        }
        self.roster.forget(node).await
    }

    async fn sweep_room(&self, node: NodeId, room: &Room) -> Result<(), Away> {
        let users = self.roster.erase(node, room).await?;
        match room {
            Room::Channel(app, _) if self.wants(*app) => self.turn(room, users, Tell::All).await?,
            Room::Account(user) => self.online.note(*user),
            _ => {}
        }
        self.roster.list(node, room, false).await
    }

    /// Those who live, with this one.
    pub(super) fn living_ids(&self) -> Vec<NodeId> {
        let living = lock(&self.living);
        let others = living.keys().copied().filter(|node| *node != self.id);
        std::iter::once(self.id).chain(others).collect()
    }
}
