//! What arrives of answers goes into the log, and only then it is shown.
//!
//! One task writes for all runs of the node, for as long as there is something to write: whatever has arrived of any of
//! them goes into one transaction, so that a thousand answers cost few commits. A run is written no more often than
//! [`Rules::tell_every`](crate::chat::Rules); the first piece of a run, and the last, do not wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::live::Live;
use crate::chat::Chat;
use crate::store::NewRunText;

/// Pieces in one transaction at the most.
const TEXTS_MAX: usize = 1024;
/// How soon the store is tried again when it did not take them.
const AGAIN: Duration = Duration::from_millis(200);

/// The runs of which something has arrived.
#[derive(Default)]
pub(in crate::chat) struct Recorder {
    queue: Mutex<Queue>,
    bell: Notify,
}

#[derive(Default)]
struct Queue {
    runs: Vec<Arc<Live>>,
    /// Whether there is a task that writes.
    is_worked: bool,
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a run into the queue; whether a task has to be started that works it off.
    fn note(&self, live: &Arc<Live>) -> bool {
        if !live.enqueue() {
            self.bell.notify_one();
            return false;
        }
        let mut queue = self.lock();
        queue.runs.push(Arc::clone(live));
        let is_worked = std::mem::replace(&mut queue.is_worked, true);
        drop(queue);
        self.bell.notify_one();
        !is_worked
    }

    /// Takes what is due, and says when the next will be; `None` when nothing is there, and the task is to end.
    fn due(&self, now: Instant, every: Duration) -> Option<(Vec<Arc<Live>>, Option<Instant>)> {
        let mut queue = self.lock();
        if queue.runs.is_empty() {
            queue.is_worked = false;
            return None;
        }
        let (mut due, mut next) = (Vec::new(), None);
        queue.runs.retain(|live| match live.due(every).filter(|due| *due > now) {
            None if due.len() < TEXTS_MAX => {
                due.push(Arc::clone(live));
                false
            }
            None => {
                next = Some(now);
                true
            }
            Some(later) => {
                next = Some(next.map_or(later, |next: Instant| next.min(later)));
                true
            }
        });
        Some((due, next))
    }
}

impl Chat {
    /// Something of a run has arrived.
    pub(super) fn record(self: &Arc<Self>, live: &Arc<Live>) {
        if self.runs.recorder.note(live) {
            let chat = Arc::clone(self);
            self.runs.tasks().spawn(async move { chat.record_all().await });
        }
    }

    async fn record_all(&self) {
        let (recorder, every) = (&self.runs.recorder, self.rules.tell_every);
        // Commits are a little apart, so that each holds more than one piece when there are many.
        let pace = every / 4;
        while let Some((due, next)) = recorder.due(Instant::now(), every) {
            if due.is_empty() {
                let next = next.unwrap_or_else(Instant::now);
                tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = recorder.bell.notified() => {}
                }
                continue;
            }
            let began = Instant::now();
            self.tell(due).await;
            tokio::time::sleep_until(began + pace).await;
        }
    }

    /// Writes what has arrived of these runs, and shows it.
    async fn tell(&self, due: Vec<Arc<Live>>) {
        let at = self.clock.now();
        due.iter().for_each(|live| live.dequeue());
        let told: Vec<_> = due.into_iter().filter_map(|live| live.untold(at).map(|text| (live, text))).collect();
        let texts: Vec<NewRunText> = told.iter().map(|(_, text)| text.clone()).collect();
        if texts.is_empty() {
            return;
        }
        match self.store.tell_runs(texts).await {
            Ok(open) => {
                for ((live, text), is_open) in told.iter().zip(open) {
                    if is_open { live.told(text.start + text.text.len() as u64) } else { live.lose() }
                }
            }
            Err(error) => {
                tracing::warn!(error = %error, runs = told.len(), "what has arrived of answers is stored later");
                tokio::time::sleep(AGAIN).await;
                let mut queue = self.runs.recorder.lock();
                queue.runs.extend(told.into_iter().map(|(live, _)| live).filter(|live| live.enqueue()));
            }
        }
    }
}
