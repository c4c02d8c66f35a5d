//! What nodes tell each other: topics, and messages that may be lost.
//!
//! Nothing rests on a message's coming: each carries numbers from the log, so that whoever hears it notices what it has
//! not heard, and whoever hears nothing reads the store now and then. The bus makes it quick, the store makes it right.

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// Between the nodes.
pub trait Bus: Send + Sync + fmt::Debug {
    /// Begins to hear a topic. Resolves to `true` when whatever any node publishes from then on is heard, and to `false`
    /// when the bus is away; the topic is then heard once it is back, which [`Ears::disturbed`] tells.
    fn subscribe(&self, topic: &str) -> BoxFuture<'static, bool>;

    /// Stops hearing a topic.
    fn unsubscribe(&self, topic: &str);

    /// Tells every node that hears the topic, this one too. Never waits: what finds no room, or cannot be sent, is
    /// lost, and all nodes are told by [`Ears::disturbed`] as soon as there is a way to tell them.
    fn publish(&self, topic: &str, message: Bytes);

    /// Whether messages come through, as far as is known.
    fn is_up(&self) -> bool;
}

/// What a node does with what it hears. Called on the bus's task, so it must be quick and must not block.
pub trait Ears: Send + Sync {
    /// A message was published on a topic that this node hears.
    fn heard(&self, topic: &str, message: &[u8]);

    /// Messages may have been lost: the bus was away, was emptied, or some node could not publish. Everything that is
    /// followed has to be compared with the store. Every topic that was asked for is heard again.
    fn disturbed(&self);

    /// The bus went away: nothing will be heard until [`Ears::disturbed`].
    fn away(&self);
}
