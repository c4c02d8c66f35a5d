//! A run under way on this node: its text as it arrives, and as it may be shown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::attached::{Attached, Piece, Source, rest};
use super::{Asking, Ended, Owner};
use crate::domain::{Left, Message, MessageId, Run, RunReason, Timestamp};
use crate::store::NewRunText;

/// A run under way.
pub(in crate::chat) struct Live {
    /// Its public identifier.
    pub uuid: Uuid,
    pub question: Arc<Message>,
    pub asking: Asking,
    pub owner: Owner,
    /// What it is in the place of.
    pub instead: Instead,
    /// The run as the store knows it, once it does.
    pub run: OnceLock<Arc<Run>>,
    text: Mutex<Text>,
    /// How much of the text may be shown, and the end once there is one.
    progress: watch::Sender<Progress>,
    /// What is left of the budget, once that is known: `Some(None)` when nothing is to be said of it.
    left: watch::Sender<Option<Option<Left>>>,
    /// How long until there is more, if it was refused for want of it; said before what is left.
    pub refused: OnceLock<Option<Duration>>,
    stop: CancellationToken,
    why: OnceLock<RunReason>,
    /// Whether it waits for its turn.
    waits: AtomicBool,
    /// Whether the recorder has it in its queue.
    noted: AtomicBool,
    /// Whether what has arrived is wanted in the log at once.
    hurries: AtomicBool,
}

/// What a run is in the place of.
#[derive(Clone, Debug, Default)]
pub(in crate::chat) struct Instead {
    /// The message that its answer replaces.
    pub message: Option<MessageId>,
    /// What it begins with: the text of an answer that goes on.
    pub text: String,
}

#[derive(Default)]
struct Text {
    /// What has arrived.
    whole: String,
    /// Where each piece ends.
    ends: Vec<usize>,
    /// How much of it is in the log, and may be shown: who saw a piece finds it after a crash, too.
    told: usize,
    /// When that was told, for how often it is.
    told_at: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    bytes: usize,
    ended: Option<Ended>,
}

impl Live {
    pub fn new(uuid: Uuid, question: &Arc<Message>, (asking, owner): (Asking, Owner), instead: Instead) -> Self {
        let live = Self {
            uuid,
            question: Arc::clone(question),
            asking,
            owner,
            instead,
            run: OnceLock::new(),
            text: Mutex::default(),
            progress: watch::Sender::default(),
            left: watch::Sender::default(),
            refused: OnceLock::new(),
            stop: CancellationToken::new(),
            why: OnceLock::new(),
            waits: AtomicBool::new(false),
            noted: AtomicBool::new(false),
            hurries: AtomicBool::new(false),
        };
        live.push(&live.instead.text, usize::MAX);
        live
    }

    fn lock(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a piece, up to `bytes_max` in all; `false` when that was reached.
    pub fn push(&self, chunk: &str, bytes_max: usize) -> bool {
        let mut text = self.lock();
        let mut room = bytes_max.saturating_sub(text.whole.len()).min(chunk.len());
        while !chunk.is_char_boundary(room) {
            room -= 1;
        }
        if room > 0 {
            text.whole.push_str(&chunk[..room]);
            let bytes = text.whole.len();
            text.ends.push(bytes);
        }
        room == chunk.len()
    }

    /// All that has arrived.
    pub fn text(&self) -> String {
        self.lock().whole.clone()
    }

    /// What the log has not got yet, as it is to be told there; nothing before the store knows the run.
    pub fn untold(&self, at: Timestamp) -> Option<NewRunText> {
        let run = self.run.get()?;
        let text = self.lock();
        let more = &text.whole[text.told..];
        let start = text.told as u64;
        (!more.is_empty()).then(|| NewRunText { run: Arc::clone(run), start, text: more.into(), at })
    }

    /// When what has arrived may be told, if it is told no more often than `every`.
    pub fn due(&self, every: Duration) -> Option<Instant> {
        if self.hurries.load(Ordering::Acquire) {
            return None;
        }
        self.lock().told_at.map(|told| told + every)
    }

    /// The log has everything up to there: it may be shown.
    pub fn told(&self, end: u64) {
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        let mut text = self.lock();
        text.told = end.min(text.whole.len());
        text.told_at = Some(Instant::now());
        let bytes = text.told;
        drop(text);
        self.progress.send_modify(|progress| progress.bytes = bytes);
    }

    /// From here on what has arrived is wanted in the log at once.
    pub fn hurry(&self) {
        self.hurries.store(true, Ordering::Release);
    }

    /// Waits until everything that has arrived is in the log, or the log does not take it.
    pub async fn all_told(&self) {
        let arrived = self.lock().whole.len();
        let mut progress = self.progress.subscribe();
        let told = progress.wait_for(|progress| progress.bytes >= arrived || progress.ended.is_some());
        tokio::select! {
            _ = told => {}
            () = self.lost() => {}
        }
    }

    /// Notes that it is in the recorder's queue; `false` when it was there.
    pub fn enqueue(&self) -> bool {
        !self.noted.swap(true, Ordering::AcqRel)
    }

    /// Notes that the recorder took it out of its queue: what arrives from here on wants it in there again.
    pub fn dequeue(&self) {
        self.noted.store(false, Ordering::Release);
    }

    /// A piece after that place that may be shown.
    pub fn piece_after(&self, cursor: usize) -> Option<Piece> {
        let text = self.lock();
        let next = text.ends.partition_point(|end| *end <= cursor);
        let end = *text.ends.get(next)?;
        if end <= text.told { rest(&text.whole, end, cursor) } else { None }
    }

    /// Says whether it waits for its turn.
    pub fn waiting(&self, waits: bool) {
        self.waits.store(waits, Ordering::Release);
    }

    /// Whether it waits for its turn.
    pub fn is_waiting(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Says what is left of the budget; the first that is said counts.
    pub fn budgeted(&self, left: Option<Left>) {
        self.left.send_if_modified(|known| {
            let open = known.is_none();
            *known = known.or(Some(left));
            open
        });
    }

    /// Waits until it is known what is left of the budget.
    pub async fn left(&self) -> Option<Left> {
        let mut left = self.left.subscribe();
        // The sender lives as long as the run.
        let known = left.wait_for(Option::is_some).await;
        known.ok().and_then(|known| known.flatten())
    }

    /// Stops it, for that reason unless there is one already.
    pub fn stop(&self, why: RunReason) {
        // The first reason is the one that counts.
        let _ = self.why.set(why);
        self.stop.cancel();
    }

    /// Waits until it is stopped; says why.
    pub async fn stopped(&self) -> Option<RunReason> {
        self.stop.cancelled().await;
        self.why.get().copied()
    }

    /// The store says that the run has ended: another node took this one for dead.
    pub fn lose(&self) {
        self.stop.cancel();
    }

    async fn lost(&self) {
        self.stop.cancelled().await;
        if self.why.get().is_some() {
            std::future::pending::<()>().await;
        }
    }

    pub fn finish(&self, ended: Ended) {
        self.budgeted(None);
        self.progress.send_if_modified(|progress| {
            let open = progress.ended.is_none();
            if open {
                progress.ended = Some(ended);
            }
            open
        });
    }

    /// Waits for the end.
    pub async fn end(&self) {
        // The sender lives as long as the run.
        let _ = self.progress.subscribe().wait_for(|progress| progress.ended.is_some()).await;
    }

    /// Listens to it from that place on.
    pub fn attach(self: &Arc<Self>, cursor: usize) -> Attached {
        Attached { source: Source::Live(Arc::clone(self), Watch(self.progress.subscribe())), cursor }
    }
}

/// How somebody who listens hears that there is more.
pub(super) struct Watch(watch::Receiver<Progress>);

impl Watch {
    /// The end, if it has come. What is asked for after this is heard of by [`Self::changed`].
    pub fn ended(&mut self) -> Option<Ended> {
        self.0.borrow_and_update().ended.clone()
    }

    /// Waits for more, or the end; `false` when neither can come.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}
