//! Nodes: the servers that run over one store.

use uuid::Uuid;

use super::Timestamp;

/// A server over the store, for as long as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its identifier: a fresh one each time it starts.
    pub id: Uuid,
    /// What its operator calls it; several may have the same name.
    pub name: String,
    /// When it was first seen.
    pub started_at: Timestamp,
    /// When it was last seen.
    pub seen_at: Timestamp,
}
