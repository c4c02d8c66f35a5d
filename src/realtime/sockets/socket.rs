//! One connection's way out, and what it is woken for.
//!
//! Whoever has something to send writes it itself, without waiting; only when the kernel takes no
//! more is the connection's task woken, which goes on when there is room again.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::outbox::{Outbox, Reached, Written};
use super::own::Own;
use super::shared::{Shared, lock};
use super::{App, Frame, SocketId};

/// Nothing more is sent to it.
const CLOSING: u8 = 1;
/// The kernel takes no more for now.
const BLOCKED: u8 = 2;
/// It was not heard for a while.
const QUIET: u8 = 4;
/// There is no use in waiting for anything.
const OVER: u8 = 8;
/// It was asked for a sign of life, and has given none since.
const ASKED: u8 = 16;
/// Something that its session waits for is there.
const READY: u8 = 32;

/// Why a connection that does not read is closed. It is told to reconnect: 4100 is the code at which
/// stock clients pause before they do.
const SLOW: (u16, &str) = (4100, "too slow: reconnect and resume");

/// What authorised a connection does so no longer. It comes back, and has to be authorised again.
const REFUSED: (u16, &str) = (4100, "authorised no longer: reconnect");

/// One connection's way out. Cheap to clone.
#[derive(Clone)]
pub struct Socket(Arc<Inner>);

struct Inner {
    id: SocketId,
    app: App,
    /// The fan-out thread that it belongs to.
    lane: u8,
    state: AtomicU8,
    /// When it was last heard, and, once it is closing, until when that may take: seconds since the start.
    heard: AtomicU32,
    close_by: AtomicU32,
    stream: TcpStream,
    out: Mutex<Outbox>,
    /// Those who wait until less waits to be written.
    room: OnceLock<Box<Notify>>,
    waker: AtomicWaker,
    own: Mutex<Own>,
    shared: Arc<Shared>,
}

/// What a connection's task has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Something arrived: read.
    Readable,
    /// Nothing was heard for a while: ask for a sign of life.
    Quiet,
    /// Something that the session waits for is there.
    Ready,
    /// It is over: let go.
    Over,
}

impl Socket {
    pub(super) fn new(id: SocketId, app: App, stream: TcpStream, shared: Arc<Shared>) -> Self {
        let lane = (id.1 as usize % shared.rules.fanout_threads) as u8;
        Self(Arc::new(Inner {
            id,
            app,
            lane,
            state: AtomicU8::new(0),
            heard: AtomicU32::new(shared.seconds()),
            close_by: AtomicU32::new(u32::MAX),
            stream,
            out: Mutex::default(),
            room: OnceLock::new(),
            waker: AtomicWaker::new(),
            own: Mutex::default(),
            shared,
        }))
    }

    /// Its name.
    pub fn id(&self) -> SocketId {
        self.0.id
    }

    /// The app that it came to.
    pub fn app(&self) -> App {
        self.0.app
    }

    /// The address that the connection comes from: a proxy's, where there is one.
    pub fn peer(&self) -> Option<IpAddr> {
        self.0.stream.peer_addr().ok().map(|address| address.ip())
    }

    /// Sends, after everything that was sent before. Who does not read what is sent is closed as too slow.
    pub fn send(&self, frame: Frame) {
        self.queue(frame);
        self.flush();
    }

    /// Sends what is queued, then a close frame; nothing that is sent later goes out. The connection
    /// ends when the client has answered, or when that takes too long.
    pub fn close(&self, code: u16, reason: &str) {
        let mut out = self.out();
        if !out.is_ended {
            out.end((self.0.shared.rules.say_close)(code, reason));
            self.begin_close();
        }
        drop(out);
        self.flush();
        self.0.waker.wake();
    }

    /// Tells its session that something it waits for is there.
    pub fn ready(&self) {
        self.set(READY);
        self.0.waker.wake();
    }

    /// Closes it because what authorised it does so no longer.
    pub fn close_refused(&self) {
        self.close(REFUSED.0, REFUSED.1);
    }

    /// Whether nothing more is sent to it: it is being closed, or is gone.
    pub fn is_closing(&self) -> bool {
        self.has(CLOSING | OVER)
    }

    /// How much waits to be written, in bytes.
    pub fn waiting(&self) -> usize {
        self.out().weight()
    }

    /// Resolves when at most a quarter of what may wait does: whoever has much to send (what a client
    /// missed) sends it in pieces of at most a quarter of `sockets.outbox_bytes_max`, each after this.
    /// `false`: the connection is closing.
    pub async fn has_room(&self) -> bool {
        let room = self.0.room.get_or_init(Box::default);
        loop {
            let notified = room.notified();
            tokio::pin!(notified);
            // Asked for before the look, so that nothing between the two is missed.
            notified.as_mut().enable();
            if self.is_closing() {
                return false;
            }
            if self.waiting() <= self.0.shared.rules.outbox_bytes_max / 4 {
                return true;
            }
            notified.await;
        }
    }

    /// What the connection's task does next.
    pub async fn turn(&self) -> Turn {
        poll_fn(|cx| self.poll_turn(cx)).await
    }

    /// Reads what has arrived, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has, or whatever befell the connection.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.stream.try_read(buffer)
    }

    /// Notes that the client gave a sign of life.
    pub fn heard(&self) {
        self.0.heard.store(self.0.shared.seconds(), Ordering::Relaxed);
        self.clear(ASKED);
    }

    /// Whether everything that was sent is out.
    pub fn is_flushed(&self) -> bool {
        self.out().is_empty()
    }

    /// Ends it at once.
    pub(super) fn end(&self) {
        self.set(OVER);
        self.notify_room();
        self.0.waker.wake();
    }

    /// As [`Self::end`], and tells the client's system, also while somebody still holds this.
    pub(super) fn hang_up(&self) {
        self.end();
        // It may be gone already, which is as good.
        let _ = socket2::SockRef::from(&self.0.stream).shutdown(std::net::Shutdown::Both);
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn lane(&self) -> usize {
        usize::from(self.0.lane)
    }

    pub(super) fn own(&self) -> MutexGuard<'_, Own> {
        lock(&self.0.own)
    }

    /// Seconds since the start at which it was last heard.
    pub(super) fn heard_at(&self) -> u32 {
        self.0.heard.load(Ordering::Relaxed)
    }

    /// Seconds since the start until which a close may take.
    pub(super) fn close_by(&self) -> u32 {
        self.0.close_by.load(Ordering::Relaxed)
    }

    /// Asks its session to ask for a sign of life.
    pub(super) fn ask(&self) {
        self.set(QUIET | ASKED);
        self.0.waker.wake();
    }

    /// Whether it was asked and has not answered.
    pub(super) fn is_asked(&self) -> bool {
        self.has(ASKED)
    }

    /// Queues without writing. Whether the caller has to put it on its list of those to flush.
    pub(super) fn queue(&self, frame: Frame) -> bool {
        let mut out = self.out();
        if out.is_ended {
            return false;
        }
        out.push(frame);
        if out.weight() > self.0.shared.rules.outbox_bytes_max {
            self.close_slow(&mut out);
        }
        if out.is_touched || out.is_blocked {
            return false;
        }
        out.is_touched = true;
        true
    }

    /// Closes it because it missed something.
    pub(super) fn close_behind(&self) {
        let mut out = self.out();
        if !out.is_ended {
            self.close_slow(&mut out);
        }
        drop(out);
        self.flush();
    }

    fn close_slow(&self, out: &mut Outbox) {
        out.forget();
        out.end((self.0.shared.rules.say_close)(SLOW.0, SLOW.1));
        self.0.shared.figures.slow.fetch_add(1, Ordering::Relaxed);
        self.begin_close();
        self.0.waker.wake();
    }

    fn begin_close(&self) {
        let wait = self.0.shared.rules.pong_wait.as_secs() as u32;
        self.0.close_by.store(self.0.shared.seconds() + wait.max(1), Ordering::Relaxed);
        self.set(CLOSING);
        self.0.shared.wheel().put(self.0.id, wait.max(1));
        self.notify_room();
    }

    /// Writes what waits.
    pub(super) fn flush(&self) {
        let mut written = Written::default();
        self.flush_counted(&mut written);
        self.0.shared.figures.wrote(written);
    }

    /// As [`Self::flush`]; the caller counts.
    pub(super) fn flush_counted(&self, written: &mut Written) {
        let mut out = self.out();
        if !out.is_blocked {
            self.flush_out(&mut out, written);
        }
    }

    fn flush_out(&self, out: &mut Outbox, written: &mut Written) {
        let had = out.weight();
        out.is_touched = false;
        let reached = out.flush(written, |slices| self.0.stream.try_write_vectored(slices));
        out.is_blocked = reached == Reached::Full;
        match reached {
            Reached::End => self.clear(BLOCKED),
            Reached::Full => {
                self.set(BLOCKED);
                self.0.waker.wake();
            }
            Reached::Broken => {
                out.forget();
                self.end();
            }
        }
        if out.weight() < had {
            self.notify_room();
        }
    }

    fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.0.waker.register(cx.waker());
        loop {
            if self.has(OVER) {
                return Poll::Ready(Turn::Over);
            }
            if self.has(QUIET | READY) {
                let turn = if self.has(QUIET) { (QUIET, Turn::Quiet) } else { (READY, Turn::Ready) };
                self.clear(turn.0);
                return Poll::Ready(turn.1);
            }
            if !self.has(BLOCKED) {
                break;
            }
            match self.0.stream.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => self.go_on(),
                Poll::Ready(Err(_)) => return Poll::Ready(Turn::Over),
                Poll::Pending => break,
            }
        }
        let is_readable = ready!(self.0.stream.poll_read_ready(cx)).is_ok();
        Poll::Ready(if is_readable { Turn::Readable } else { Turn::Over })
    }

    /// Writes on, when the kernel may take something again.
    fn go_on(&self) {
        let mut written = Written::default();
        self.flush_out(&mut self.out(), &mut written);
        self.0.shared.figures.wrote(written);
    }

    fn notify_room(&self) {
        if let Some(room) = self.0.room.get() {
            room.notify_waiters();
        }
    }

    fn out(&self) -> MutexGuard<'_, Outbox> {
        lock(&self.0.out)
    }

    fn has(&self, flag: u8) -> bool {
        self.0.state.load(Ordering::Acquire) & flag != 0
    }

    fn set(&self, flag: u8) {
        self.0.state.fetch_or(flag, Ordering::AcqRel);
    }

    fn clear(&self, flag: u8) {
        if self.has(flag) {
            self.0.state.fetch_and(!flag, Ordering::AcqRel);
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.0.id)
    }
}

/// The size of what a connection has here, for the one who counts memory.
pub const SOCKET_BYTES: usize = size_of::<Inner>();
