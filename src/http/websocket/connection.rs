//! The task of a connection: waits, reads, decodes, and hands what arrives to a session.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::codec::{Decoder, Incoming};
use super::frame;
use crate::config;
use crate::realtime::sockets::{Place, Socket, Sockets, Turn};

/// Bytes read at once, on the stack: a connection that is idle has no buffer.
const READ: usize = 8 << 10;

/// Bytes that a client may still send after it was told that the connection closes.
const AFTER_CLOSE_MAX: usize = 256 << 10;

/// More messages than a client may send. 4100 is the code at which stock clients pause before they
/// come back.
const FLOOD: (u16, &str) = (4100, "too many messages");

/// All that clients have begun to say is too much; the connection that made it so has to go.
const CROWDED: (u16, &str) = (4100, "too much is under way: reconnect and resume");

/// What happens on one connection. Everything here runs on the connection's task, one call after
/// another, and must not block; what it says it says through its [`Socket`], and what takes longer it
/// spawns. Pings of the WebSocket level and the closing handshake are not its affair.
pub trait Session: Send + 'static {
    /// The connection is open: the first call, before anything that arrives.
    fn opened(&mut self);

    /// A text message arrived. None is given after the socket was closed.
    fn text(&mut self, text: &str);

    /// Something that the session waits for is there. Only who asks for that is told.
    fn ready(&mut self) {}

    /// Nothing was heard for a while: ask for a sign of life. When none comes, the connection is closed.
    fn quiet(&mut self);

    /// The connection is gone: the last call. It calls [`Sockets::leave`].
    fn closed(self);
}

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one message.
    pub message_bytes_max: usize,
    /// Frames in a second, in the long run.
    pub messages_per_second: u32,
    /// Frames at once.
    pub messages_burst: u32,
}

impl Limits {
    /// As an operator has set them.
    pub fn new(options: &config::Sockets) -> Self {
        Self {
            message_bytes_max: options.message_bytes_max,
            messages_per_second: options.messages_per_second,
            messages_burst: options.messages_burst,
        }
    }
}

/// Gives everything of a connection back, however its task ends.
pub(super) struct Entered {
    sockets: Arc<Sockets>,
    socket: Socket,
    /// How much is kept of a message that is not complete.
    inbound: usize,
    _place: Place,
}

impl Entered {
    pub fn new(sockets: Arc<Sockets>, socket: Socket, place: Place) -> Self {
        Self { sockets, socket, inbound: 0, _place: place }
    }

    /// Counts what is kept of a message; whether there is room for it.
    fn keeps(&mut self, inbound: usize) -> bool {
        let before = std::mem::replace(&mut self.inbound, inbound);
        if inbound > before {
            return self.sockets.keep_inbound(inbound - before);
        }
        if inbound < before {
            self.sockets.drop_inbound(before - inbound);
        }
        true
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.sockets.drop_inbound(self.inbound);
        self.sockets.forget(&self.socket);
    }
}

/// Drives a connection to its end. `ahead` is what was read of it with the handshake.
pub(super) async fn run<S: Session>(mut entered: Entered, mut session: S, limits: Limits, ahead: Vec<u8>) {
    session.opened();
    let mut reader = Reader::new(limits);
    let mut goes_on = reader.take(&mut { ahead }, &mut entered, &mut session);
    while goes_on {
        goes_on = match entered.socket.turn().await {
            Turn::Readable => reader.read(&mut entered, &mut session),
            Turn::Quiet => {
                session.quiet();
                true
            }
            Turn::Ready => {
                session.ready();
                true
            }
            Turn::Over => false,
        };
    }
    session.closed();
}

/// The reading half.
struct Reader {
    decoder: Decoder,
    rate: Rate,
    after_close: usize,
}

impl Reader {
    fn new(limits: Limits) -> Self {
        let rate = Rate {
            tokens: limits.messages_burst as f32,
            burst: limits.messages_burst as f32,
            per_second: limits.messages_per_second as f32,
            at: Instant::now(),
        };
        Self { decoder: Decoder::new(limits.message_bytes_max), rate, after_close: 0 }
    }

    /// Reads once; whether the connection goes on.
    fn read<S: Session>(&mut self, entered: &mut Entered, session: &mut S) -> bool {
        let mut buffer = [0; READ];
        match entered.socket.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => self.take(&mut buffer[..count], entered, session),
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    fn take<S: Session>(&mut self, bytes: &mut [u8], entered: &mut Entered, session: &mut S) -> bool {
        let socket = &entered.socket;
        socket.heard();
        if socket.is_closing() {
            self.after_close += bytes.len();
            if self.after_close > AFTER_CLOSE_MAX {
                return false;
            }
        }
        let Self { decoder, rate, .. } = self;
        let mut has_client_closed = false;
        let fed = decoder.feed(bytes, &mut |incoming| {
            if let Incoming::Close(code) = incoming {
                // Section 5.5.1: a close is answered with the code that it gave.
                socket.close(code.unwrap_or(1000), "");
                has_client_closed = true;
            } else if socket.is_closing() {
                // Read on: the client's answer to the close is still to come.
            } else if !rate.allows() {
                socket.close(FLOOD.0, FLOOD.1);
            } else {
                receive(incoming, socket, session);
            }
            ControlFlow::Continue(())
        });
        if let Err(violation) = fed {
            socket.close(violation.code, violation.reason);
        }
        if !entered.keeps(self.decoder.kept()) {
            entered.socket.close(CROWDED.0, CROWDED.1);
            self.decoder.end();
            entered.keeps(0);
        }
        !has_client_closed
    }
}

fn receive<S: Session>(incoming: Incoming<'_>, socket: &Socket, session: &mut S) {
    match incoming {
        Incoming::Text(text) => session.text(text),
        Incoming::Binary(_) => socket.close(1003, "text only"),
        Incoming::Ping(payload) => socket.send(frame::pong(payload)),
        Incoming::Pong | Incoming::Part | Incoming::Close(_) => {}
    }
}

/// So many at once, and so many a second in the long run.
struct Rate {
    tokens: f32,
    burst: f32,
    per_second: f32,
    at: Instant,
}

impl Rate {
    fn allows(&mut self) -> bool {
        if self.tokens < 1.0 {
            let now = Instant::now();
            let earned = (now - self.at).as_secs_f32() * self.per_second;
            self.tokens = (self.tokens + earned).min(self.burst);
            self.at = now;
        }
        let allows = self.tokens >= 1.0;
        self.tokens -= f32::from(u8::from(allows));
        allows
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::PlatformId;
    use crate::realtime::sockets::{SOCKET_BYTES, SocketRules};

    struct Silent;

    impl Session for Silent {
        fn opened(&mut self) {}
        fn text(&mut self, _: &str) {}
        fn quiet(&mut self) {}
        fn closed(self) {}
    }

    /// What there is for each connection, besides the allocator's rounding, the runtime's registration
    /// and the session.
    #[tokio::test]
    async fn an_idle_connection_is_small() {
        let rules = SocketRules::new(&config::Sockets::default(), frame::close, Box::new(|| [1; 8]));
        let sockets = Sockets::start(rules).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
        let (_client, accepted) = tokio::join!(client, listener.accept());
        let place = sockets.admit(PlatformId(1), [127, 0, 0, 1].into()).unwrap();
        let socket = sockets.enter(&place, accepted.unwrap().0);
        let entered = Entered::new(Arc::clone(&sockets), socket, place);
        let task = run(entered, Silent, Limits::new(&config::Sockets::default()), Vec::new());
        let sizes = (size_of_val(&task), SOCKET_BYTES);
        assert!(sizes.0 <= 512 && sizes.1 <= 384, "{sizes:?} bytes for the task and the socket");
        drop(task);
        assert!(sockets.is_empty());
    }

    #[test]
    fn a_rate_earns_what_was_spent() {
        let mut rate = Rate { tokens: 2.0, burst: 2.0, per_second: 1.0, at: Instant::now() };
        assert_eq!([rate.allows(), rate.allows(), rate.allows()], [true, true, false]);
        rate.at -= Duration::from_secs(100);
        assert_eq!([rate.allows(), rate.allows(), rate.allows()], [true, true, false]);
    }
}
