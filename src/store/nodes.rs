//! The servers over one store, as far as each has to know of the others: who is there, and who is not any more.

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{Node, Timestamp};
use crate::error::Result;

/// What every engine does for the servers over it.
///
/// A node says every few seconds that it is there. One that has not for long is taken for dead, and what it was making
/// is ended by another ([`Store::open_runs`](super::Store::open_runs)). Whether it really is dead nobody knows: a
/// frozen one may go on, and finds its runs ended.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Notes that a node is there, from the first time on. Its name is the last that it gave; the instant at which it was
    /// seen never goes back.
    async fn beat(&self, node: Uuid, name: String, at: Timestamp) -> Result<()>;

    /// Forgets a node: it is going away, or another that has ended its runs takes it for dead. Its runs that are open
    /// are nobody's from then on. Nothing happens when it is not there.
    async fn leave(&self, node: Uuid) -> Result<()>;

    /// The nodes that have not left, also those that may be dead, in the order in which they started.
    async fn nodes(&self) -> Result<Vec<Node>>;
}
