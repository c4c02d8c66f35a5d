//! Stopping answers, and closing those that nobody makes any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attached::Source;
use super::live::Live;
use super::make::metadata;
use super::{Ended, LOOK};
use crate::chat::Chat;
use crate::chat::words::Word;
use crate::domain::{ConversationId, Message, RunOutcome, RunReason, Timestamp, Usage};
use crate::error::Result;
use crate::store::RunEnd;

/// How long another node may take to stop an answer.
const STOP_WAIT: Duration = Duration::from_secs(5);

impl Chat {
    /// Stops whatever answers in that conversation, on any node.
    pub(in crate::chat) fn stop_answers(&self, id: ConversationId, why: RunReason) {
        self.runs.stop_conversation(id, why);
        self.says(&Word::StopIn(id, why));
    }

    /// Stops the answer to a question; what had arrived is kept. Returns the end, and whether this
    /// call brought it about.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn stop_answer(&self, question: &Arc<Message>) -> Result<(bool, Option<Ended>)> {
        self.runs.settled(question.uuid).await;
        if let Some(live) = self.runs.get(question.id) {
            live.stop(RunReason::Asked);
            let ended = live.attach(usize::MAX).end().await;
            let stopped = ended.as_ref().is_some_and(|ended| ended.outcome == RunOutcome::Stopped);
            return Ok((stopped, ended));
        }
        let Some(attached) = self.attach_to(question, usize::MAX).await? else { return Ok((false, None)) };
        let is_elsewhere = matches!(attached.source, Source::Elsewhere(_));
        if is_elsewhere {
            self.says(&Word::Stop(question.id));
        }
        let ended = attached.end().await;
        let stopped = ended.as_ref().is_some_and(|ended| is_elsewhere && ended.outcome == RunOutcome::Stopped);
        Ok((stopped, ended))
    }

    /// Stops whatever answers in that conversation, and what waits for its turn there. Says whether anything was stopped,
    /// and which message holds what had arrived of the newest that had begun.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn stop_answering(self: &Arc<Self>, id: ConversationId) -> Result<(bool, Option<Arc<Message>>)> {
        let (mut stopped, mut kept) = (false, None);
        let under_way = self.runs.of(id);
        if under_way.is_empty()
            && let Some(question) = self.answer_under_way(id).await?
        {
            let (was_stopped, ended) = self.stop_answer(&question).await?;
            (stopped, kept) = (was_stopped, ended.and_then(|ended| ended.answer));
        }
        // All at once: of those that wait none may begin when the one before it ends.
        self.stop_answers(id, RunReason::Asked);
        for live in under_way {
            let Some(ended) = live.attach(usize::MAX).end().await else { continue };
            stopped |= ended.outcome == RunOutcome::Stopped;
            kept = ended.answer.or(kept);
        }
        Ok((stopped, kept))
    }

    /// Stops whatever answers in that conversation, and waits until what had arrived is stored.
    pub(in crate::chat) async fn end_answers(&self, id: ConversationId) {
        let under_way = self.runs.of(id);
        under_way.iter().for_each(|live| live.stop(RunReason::Asked));
        for live in under_way {
            live.end().await;
        }
        if self.says(&Word::StopIn(id, RunReason::Asked)) {
            self.none_answers(id).await;
        }
    }

    /// Waits until no node answers in that conversation, but not for one that does not hear.
    async fn none_answers(&self, id: ConversationId) {
        let deadline = Instant::now() + STOP_WAIT;
        while Instant::now() < deadline {
            match self.store.runs_under_way(id).await {
                Ok(open) if open.is_empty() => return,
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Ends the runs that a crash cut off, keeping their text: those of nodes that were not seen since that instant, and
    /// of such as are not known.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn close_interrupted_runs(&self, seen_before: Timestamp) -> Result<usize> {
        let open = self.store.open_runs(seen_before).await?;
        for cut in &open {
            let run = &cut.run;
            // A run that could not store its end may have been made again, to a whole answer.
            let answered = self.store.answer_to(run.conversation_id, run.question_id).await?;
            let outcome = RunOutcome::Interrupted;
            let answer = (!cut.text.is_empty() && answered.is_none())
                .then(|| self.answer_message(run, &cut.text, metadata(outcome, None, &[])));
            let (usage, at) = (Usage::default(), self.clock.now());
            let end = RunEnd { outcome, reason: None, by: None, usage, answer, replaces: None, at };
            self.store.end_run(run.id, end).await?;
        }
        Ok(open.len())
    }

    /// Stops every answer under way: the last means of a drain whose time is up.
    pub fn stop_all_answers(&self) {
        self.runs.stop_all(RunReason::Draining);
    }

    /// Somebody may have taken the chat since it was looked at. Who takes it stops the runs that are
    /// there by then, so a second look once the run is there leaves no gap.
    pub(super) fn stop_if_taken(&self, live: &Live) {
        let channel = self.hub.held(live.question.conversation_id);
        let state = channel.and_then(|channel| channel.state());
        if state.is_some_and(|state| state.assigned.is_some()) {
            live.stop(RunReason::TakenOver);
        }
    }
}
