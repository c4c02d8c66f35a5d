//! The task of a connection: reads, decodes, and hands what arrives to a session.

/// What happens on one connection. Everything here runs on the connection's task, one call after
/// another, and must not block; what it says it says through its [`Socket`](crate::realtime::sockets::Socket),
/// and what takes longer it spawns.
pub trait Session: Send + 'static {
    /// The connection is open: the first call, before anything that arrives.
    fn opened(&mut self);

    /// A text message arrived.
    fn text(&mut self, text: &str);

    /// A binary message arrived. The connection is closed with 1003 unless this is overridden.
    fn binary(&mut self) -> Result<(), (u16, &'static str)> {
        Err((1003, "text only"))
    }

    /// Nothing was heard for a while: ask for a sign of life. When none comes, the connection is closed.
    fn quiet(&mut self);

    /// The connection is gone: the last call. It has to call [`Sockets::leave`](crate::realtime::sockets::Sockets::leave).
    fn closed(self);
}
