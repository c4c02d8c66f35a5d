//! What nodes write down for each other: who is where, what a channel keeps, which nodes live.
//!
//! All of it is a copy of what some node has in memory: it may be lost at any time, and is then written again.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::nodes::{NodeId, Room};
use super::sockets::Member;

/// There was no answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// What comes of a question.
pub type Answered<T> = BoxFuture<'static, Result<T, Away>>;

/// A sign of life, answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Whether this node was not among the living before: it is new, was silent for too long, or all was forgotten.
    pub was_gone: bool,
    /// Nodes that live, with this one.
    pub living: Vec<NodeId>,
    /// Nodes that were silent for too long, and whose parts may still be there.
    pub dead: Vec<NodeId>,
}

/// What a node writes of a room.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The number of this part.
    pub version: u64,
    /// Subscriptions, or connections; 0 when the node has nothing there.
    pub count: u64,
    /// Whether everything else that the node has written of the room is wrong.
    pub is_whole: bool,
    /// Members who are there.
    pub came: Vec<Member>,
    /// Members who are not.
    pub left: Vec<String>,
}

/// What a node has in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The number of this part.
    pub version: u64,
    /// Subscriptions, or connections.
    pub count: u64,
    /// Members, in no order.
    pub members: Vec<Member>,
}

/// A room as it was written down, with the parts of dead nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// By node.
    pub parts: Vec<(NodeId, Part)>,
    /// What is kept for those who subscribe, and for how long still.
    pub kept: Option<(Bytes, Duration)>,
}

/// What others have to be told of a room: how it differs from what was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// Whether somebody is there now, when that has changed.
    pub is_occupied: Option<bool>,
    /// Who is there now.
    pub came: Vec<String>,
    /// Who is not any more.
    pub left: Vec<String>,
}

/// What of a change is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Nothing: when it is not known any more what was told, what is there is taken for told.
    Nothing,
    /// Only who came.
    Comings,
    /// All that changed.
    All,
}

/// Where it is written. Every answer comes within a time limit.
pub trait Roster: Send + Sync {
    /// This node lives, and will for so long without another sign.
    fn beat(&self, node: NodeId, lease: Duration) -> Answered<Beat>;

    /// A node is gone, and nothing of it is left.
    fn forget(&self, node: NodeId) -> Answered<()>;

    /// Notes that a node has something in a room, or has not any more.
    fn list(&self, node: NodeId, room: &Room, is_there: bool) -> Answered<()>;

    /// Some of the rooms that a node has something in whose names begin so, from a place on (0 at first), and the
    /// next place (0 at the end). A room may come twice.
    fn listed(&self, node: NodeId, prefix: &str, from: u64) -> Answered<(u64, Vec<Room>)>;

    /// Writes what a node has in a room.
    fn write(&self, node: NodeId, room: &Room, written: Written) -> Answered<()>;

    /// Reads a room.
    fn read(&self, room: &Room) -> Answered<View>;

    /// Takes out what a node has in a room; the members whom it had there.
    fn erase(&self, node: NodeId, room: &Room) -> Answered<Vec<String>>;

    /// Keeps something of a channel for those who subscribe later.
    fn keep(&self, room: &Room, frame: Bytes, until: Duration) -> Answered<()>;

    /// Compares what is there, by those who live, with what was told last, and notes that it is told: one node is
    /// answered each change.
    fn turn(&self, room: &Room, living: Vec<NodeId>, users: Vec<String>, tell: Tell) -> Answered<Turned>;
}
