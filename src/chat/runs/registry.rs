//! The runs under way on this node, and the questions that are being put.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::live::Live;
use super::places::Places;
use super::recorder::Recorder;
use crate::domain::{ConversationId, Message, MessageId, RunReason};

/// The runs under way, by the message that they answer.
pub(in crate::chat) struct Registry {
    pub(super) places: Places,
    runs: Mutex<HashMap<MessageId, Arc<Live>>>,
    /// Questions that are being put. Who follows a conversation can see a question before its run
    /// is entered here, and has to be able to attach to its answer at once.
    putting: watch::Sender<HashSet<Uuid>>,
    tasks: TaskTracker,
    pub(super) recorder: Recorder,
}

impl Registry {
    pub fn new() -> Self {
        Self {
            places: Places::default(),
            runs: Mutex::default(),
            putting: watch::Sender::default(),
            tasks: TaskTracker::new(),
            recorder: Recorder::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MessageId, Arc<Live>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a question is about to be stored and its run entered.
    pub(super) fn put(&self, question: Uuid) -> Putting<'_> {
        self.putting.send_modify(|putting| {
            putting.insert(question);
        });
        Putting { registry: self, question }
    }

    /// Waits until a question is not being put any more.
    pub(super) async fn settled(&self, question: Uuid) {
        // The sender lives as long as the registry.
        let _ = self.putting.subscribe().wait_for(|putting| !putting.contains(&question)).await;
    }

    pub(super) fn get(&self, question: MessageId) -> Option<Arc<Live>> {
        self.lock().get(&question).cloned()
    }

    /// Enters a run, unless its question has one; the one that is there then, and, if it is this, the others of its
    /// conversation.
    pub(super) fn enter(&self, live: Live) -> (Arc<Live>, Option<Vec<Arc<Live>>>) {
        let mut runs = self.lock();
        if let Some(there) = runs.get(&live.question.id) {
            return (Arc::clone(there), None);
        }
        let id = live.question.conversation_id;
        let others = runs.values().filter(|other| other.question.conversation_id == id).cloned().collect();
        let live = Arc::new(live);
        runs.insert(live.question.id, Arc::clone(&live));
        (live, Some(others))
    }

    /// Enters a run, unless its conversation has one.
    pub(super) fn enter_alone(&self, live: Live) -> Option<Arc<Live>> {
        let mut runs = self.lock();
        if runs.values().any(|there| there.question.conversation_id == live.question.conversation_id) {
            return None;
        }
        let live = Arc::new(live);
        runs.insert(live.question.id, Arc::clone(&live));
        Some(live)
    }

    pub(super) fn leave(&self, question: MessageId) {
        self.lock().remove(&question);
    }

    /// Stops the answer to that question.
    pub fn stop(&self, question: MessageId, why: RunReason) {
        if let Some(live) = self.get(question) {
            live.stop(why);
        }
    }

    /// Stops whatever answers in that conversation.
    pub fn stop_conversation(&self, id: ConversationId, why: RunReason) {
        self.of(id).iter().for_each(|live| live.stop(why));
    }

    /// Stops what answers questions of that conversation from before that one, which takes their place.
    pub fn stop_before(&self, id: ConversationId, question: MessageId) {
        let older = |live: &&Arc<Live>| live.question.id < question;
        self.of(id).iter().filter(older).for_each(|live| live.stop(RunReason::Superseded));
    }

    /// What answers in that conversation, the oldest question first.
    pub(super) fn of(&self, id: ConversationId) -> Vec<Arc<Live>> {
        let mut found: Vec<_> =
            self.lock().values().filter(|live| live.question.conversation_id == id).cloned().collect();
        found.sort_unstable_by_key(|live| live.question.id);
        found
    }

    /// The newest question that is being answered in that conversation, or waits for its answer.
    pub fn newest_in(&self, id: ConversationId) -> Option<Arc<Message>> {
        self.of(id).pop().map(|live| Arc::clone(&live.question))
    }

    pub(super) fn stop_all(&self, why: RunReason) {
        self.lock().values().for_each(|live| live.stop(why));
    }
}

/// A question that is being put, until this is dropped.
pub(super) struct Putting<'a> {
    registry: &'a Registry,
    question: Uuid,
}

impl Drop for Putting<'_> {
    fn drop(&mut self) {
        self.registry.putting.send_modify(|putting| {
            putting.remove(&self.question);
        });
    }
}
