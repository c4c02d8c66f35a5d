//! Saying that this node is there, and ending what dead ones were making.

use std::time::Duration;

use crate::chat::SharedChat;
use crate::config::Cluster;
use crate::domain::Timestamp;
use crate::error::Result;
use crate::limits::Shared;
use crate::store::SharedStore;

/// A node that was silent for so many leases is forgotten, after its runs were ended.
const FORGET_AFTER: u32 = 20;

/// This node among the others.
pub(super) struct Beat {
    chat: SharedChat,
    store: SharedStore,
    name: String,
    every: Duration,
    lease: Duration,
    limits: Option<Shared>,
}

impl Beat {
    /// Says for the first time that the node is there: before it begins anything that is to be its own.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn begin(
        options: &Cluster,
        address: &str,
        (chat, store): (&SharedChat, &SharedStore),
        limits: Option<Shared>,
    ) -> Result<Self> {
        let name = if options.node.is_empty() { address.to_owned() } else { options.node.clone() };
        let beat = Self {
            chat: chat.clone(),
            store: store.clone(),
            name,
            every: Duration::from_secs(options.beat_s.max(1)),
            lease: Duration::from_secs(options.lease_s.max(1)),
            limits,
        };
        beat.once().await?;
        Ok(beat)
    }

    /// Goes on saying so, for ever.
    pub async fn go_on(self) {
        loop {
            tokio::time::sleep(self.every).await;
            if let Err(error) = self.once().await {
                tracing::warn!(error = %error, "the other nodes may take this one for dead");
            }
        }
    }

    async fn once(&self) -> Result<()> {
        let now = self.chat.now();
        self.store.beat(self.chat.node(), self.name.clone(), now).await?;
        let ended = self.chat.close_interrupted_runs(before(now, self.lease)).await?;
        if ended > 0 {
            tracing::info!(ended, "answers of nodes that are not there any more were ended; their text is kept");
        }
        let nodes = self.store.nodes().await?;
        let alive = nodes.iter().filter(|node| node.seen_at >= before(now, self.lease)).count();
        if let Some(limits) = &self.limits {
            limits.saw_nodes(u32::try_from(alive).unwrap_or(u32::MAX));
        }
        let silent = before(now, self.lease * FORGET_AFTER);
        for node in nodes.iter().filter(|node| node.seen_at < silent) {
            self.store.leave(node.id).await?;
        }
        Ok(())
    }
}

fn before(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}
