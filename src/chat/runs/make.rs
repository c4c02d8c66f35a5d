//! Making an answer: it waits for its turn, asks, collects, and ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::Ended;
use super::live::Live;
use super::places::Place;
use super::scene::estimate;
use crate::assistant::{Answer, By, FailureKind, Finish, Line, Part, Provider};
use crate::chat::Chat;
use crate::chat::budgets::{Budgeted, Instead as OverInstead};
use crate::domain::{
    ConversationKind, EventId, Json, Message, MessageText, Role, Run, RunOutcome, RunReason, Source, Usage, code_blocks,
};
use crate::error::Result;
use crate::knowledge::prompt::{fence, frozen};
use crate::store::{Locator, MessageFilter, NewMessage, NewRun, RunEnd};

/// How long the end of an answer waits for its last piece to be in the log. It is in the message anyway.
const TELL_WAIT: Duration = Duration::from_secs(5);

/// How long a store that does not take the end of an answer is asked again, and how often.
const END_WAIT: Duration = Duration::from_secs(30);
const END_AGAIN: Duration = Duration::from_millis(500);

/// What came of asking.
struct Said {
    outcome: RunOutcome,
    reason: Option<RunReason>,
    by: Option<(Arc<str>, Arc<str>)>,
    usage: Usage,
    /// The documents that the answer rests on.
    sources: Vec<Source>,
}

impl Said {
    fn nothing(outcome: RunOutcome, reason: Option<RunReason>) -> Self {
        Self { outcome, reason, by: None, usage: Usage::default(), sources: Vec::new() }
    }
}

impl Chat {
    /// Makes an answer in a task of its own, after those before it.
    pub(super) fn spawn(
        self: &Arc<Self>,
        provider: Arc<dyn Provider>,
        live: &Arc<Live>,
        before: Vec<Arc<Live>>,
        place: Place,
    ) {
        let (chat, live) = (Arc::clone(self), Arc::clone(live));
        self.runs.tasks().spawn(async move {
            let leaving = Leaving { chat: Arc::clone(&chat), live: Arc::clone(&live) };
            let ended = chat.make_answer(provider, &live, before).await.unwrap_or_else(|error| {
                tracing::error!(error = %error, "an answer could not be stored");
                Ended::failed()
            });
            // Whoever hears of the end may ask again at once.
            drop(place);
            live.finish(ended);
            drop(leaving);
            if let Err(error) = chat.answer_next(&live).await {
                tracing::warn!(error = %error, "waiting messages could not be read");
            }
        });
    }

    async fn make_answer(
        self: &Arc<Self>,
        provider: Arc<dyn Provider>,
        live: &Arc<Live>,
        before: Vec<Arc<Live>>,
    ) -> Result<Ended> {
        let question = &live.question;
        let id = question.conversation_id;
        if live.instead.message.is_none()
            && let Some(answer) = self.store.answer_to(id, question.id).await?
        {
            // Two retries met: the other's answer was finished before this one began.
            let usage = Usage::default();
            return Ok(Ended { outcome: RunOutcome::Completed, reason: None, answer: Some(answer), usage });
        }
        let is_queued = !before.is_empty();
        if is_queued {
            live.budgeted(None);
        }
        let new = NewRun {
            uuid: live.uuid,
            conversation_id: id,
            question: question.id,
            node: self.node,
            is_queued,
            at: self.clock.now(),
        };
        let run = Arc::new(self.store.begin_run(new).await?);
        // Nobody else sets it.
        let _ = live.run.set(Arc::clone(&run));
        let said = self.said(provider.as_ref(), live, &run, before).await.unwrap_or_else(|error| {
            tracing::error!(error = %error, "an answer cannot go on");
            Said::nothing(RunOutcome::Failed, Some(RunReason::Storage))
        });
        live.budgeted(None);
        live.hurry();
        self.record(live);
        if timeout(TELL_WAIT, live.all_told()).await.is_err() {
            tracing::warn!("the last piece of an answer is in its message only");
        }
        self.end(live, &run, said).await
    }

    /// What comes of a run that the store knows.
    async fn said(
        self: &Arc<Self>,
        provider: &dyn Provider,
        live: &Arc<Live>,
        run: &Run,
        before: Vec<Arc<Live>>,
    ) -> Result<Said> {
        if let Some(said) = self.turn(live, run, before).await? {
            return Ok(said);
        }
        self.record(live);
        self.say(provider, live).await
    }

    /// Asks the provider, within what may be spent.
    async fn say(self: &Arc<Self>, provider: &dyn Provider, live: &Arc<Live>) -> Result<Said> {
        let sources = self.sources_of(&live.asking, &live.owner, &live.question.text).await;
        let more = Some(fence(&sources)).filter(|fenced| !fenced.is_empty());
        let mut ask = self.asked_of(&live.asking, &live.owner, more, self.lines_of(live).await?).await?;
        match self.reserve_budget(&live.owner.payer(), estimate(provider, &ask), live.uuid).await? {
            Budgeted::Over(over) => {
                if over.instead == OverInstead::Refuse {
                    // Nobody else sets it.
                    let _ = live.refused.set(over.full_in);
                }
                live.budgeted(Some(over.left));
                return self.say_instead(live, over.instead).await;
            }
            Budgeted::Granted(granted) => {
                live.budgeted(Some(granted.left));
                if granted.is_cheaper {
                    ask.model = provider.cheaper();
                }
            }
        }
        let lines = ask.lines.clone();
        let mut said = self.collect(provider.answer(ask), live).await;
        if said.usage == Usage::default() {
            // It was cut off, or its provider does not say.
            let by = said.by.clone().map(|(provider, model)| By { provider, model });
            said.usage = provider.spent(by.as_ref(), &lines, &live.text()[live.instead.text.len()..]);
        }
        self.settle(live.uuid, said.usage).await;
        said.sources = sources;
        Ok(said)
    }

    /// Notes what an answer took.
    pub(super) async fn settle(&self, run: Uuid, usage: Usage) {
        if let Err(error) = self.settle_budget(run, usage).await {
            tracing::warn!(error = %error, "what an answer took counts as what was put aside for it");
        }
    }

    /// What is said where there is nothing left to spend.
    async fn say_instead(self: &Arc<Self>, live: &Live, instead: OverInstead) -> Result<Said> {
        let id = live.question.conversation_id;
        let text = match instead {
            OverInstead::Refuse => return Ok(Said::nothing(RunOutcome::Failed, Some(RunReason::Budget))),
            OverInstead::Answer(text) => text,
            OverInstead::Person(text) => {
                let chat = self.store.conversation(ConversationKind::LiveChat, Locator::Id(id)).await?;
                if chat.is_some() && self.transfer_to_staff(self.load(id).await?.as_ref()).await?.is_some() {
                    return Ok(Said::nothing(RunOutcome::Stopped, Some(RunReason::TakenOver)));
                }
                text
            }
        };
        live.push(&text, self.rules.answer_bytes_max);
        Ok(Said::nothing(RunOutcome::Completed, Some(RunReason::Budget)))
    }

    /// Waits for those before it; what it ends with when it is stopped meanwhile.
    async fn turn(&self, live: &Live, run: &Run, before: Vec<Arc<Live>>) -> Result<Option<Said>> {
        if before.is_empty() {
            return Ok(None);
        }
        let all = async {
            for other in &before {
                other.end().await;
            }
        };
        tokio::select! {
            biased;
            why = live.stopped() => return Ok(Some(Said::nothing(stopped(why), why))),
            () = all => {}
        }
        let started = self.store.start_run(run.id, self.clock.now()).await?;
        live.waiting(false);
        Ok(started.is_none().then(|| Said::nothing(RunOutcome::Interrupted, None)))
    }

    async fn end(&self, live: &Live, run: &Run, said: Said) -> Result<Ended> {
        let text = live.text();
        let Said { outcome, reason, by, usage, sources } = said;
        let metadata = metadata(outcome, reason, &sources);
        let answer = (!text.is_empty()).then(|| self.answer_message(run, &text, metadata));
        let (replaces, at) = (live.instead.message, self.clock.now());
        let end = RunEnd { outcome, reason, by, usage, answer, replaces, at };
        let answer = self.stored_end(run, end).await?;
        Ok(Ended { outcome, reason, answer, usage })
    }

    /// Ends a run in the store. One that does not take it now, for it is restarted or full, is asked again for a while:
    /// what was not stored would be cut off where the log has it, and only at the next start.
    async fn stored_end(&self, run: &Run, end: RunEnd) -> Result<Option<Arc<Message>>> {
        let deadline = Instant::now() + END_WAIT;
        loop {
            match self.store.end_run(run.id, end.clone()).await {
                Err(error) if error.may_pass() && Instant::now() < deadline => {
                    tracing::warn!(error = %error, "the end of an answer is stored later");
                    sleep(END_AGAIN).await;
                }
                other => return other,
            }
        }
    }

    /// Takes parts until the end, a stop, a failure or a limit.
    async fn collect(self: &Arc<Self>, mut answer: Answer, live: &Arc<Live>) -> Said {
        let mut said = Said::nothing(RunOutcome::Completed, None);
        // Once for all pieces: to wait anew for each of them costs more than to take it.
        let (mut stop, mut time_up) = (pin!(live.stopped()), pin!(sleep(self.rules.answer_timeout)));
        loop {
            let part = tokio::select! {
                biased;
                why = &mut stop => return Said { outcome: stopped(why), reason: why, ..said },
                () = &mut time_up => Err(()),
                part = answer.next() => Ok(part),
            };
            let failed = |reason| (RunOutcome::Failed, Some(reason));
            (said.outcome, said.reason) = match part {
                Ok(Some(Ok(Part::Text(chunk)))) => {
                    let fits = live.push(&chunk, self.rules.answer_bytes_max);
                    self.record(live);
                    if fits {
                        continue;
                    }
                    tracing::warn!("an answer was cut at its largest size");
                    failed(RunReason::Length)
                }
                Ok(Some(Ok(Part::By(by)))) => {
                    said.by = Some((by.provider, by.model));
                    continue;
                }
                Ok(Some(Ok(Part::Usage(usage)))) => {
                    said.usage = usage;
                    continue;
                }
                Ok(Some(Ok(Part::Finish(finish)))) => {
                    (said.outcome, said.reason) = finished(finish, live.text().is_empty());
                    continue;
                }
                Ok(None) => return said,
                Ok(Some(Err(failure))) => {
                    tracing::warn!(error = %failure, kind = ?failure.kind, "the assistant's provider failed");
                    let silent = failure.kind == FailureKind::Silent;
                    failed(if silent { RunReason::Silent } else { RunReason::Provider })
                }
                Err(()) => {
                    tracing::warn!("the assistant's provider took too long");
                    failed(RunReason::TimedOut)
                }
            };
            return said;
        }
    }

    /// What was said, and what of the answer is there already.
    async fn lines_of(&self, live: &Live) -> Result<Vec<Line>> {
        let mut lines = match &live.asking.context {
            Some(context) => context.clone(),
            None => self.context(live).await?,
        };
        if !live.instead.text.is_empty() {
            lines.push(Line { role: Role::Assistant, text: live.instead.text.clone() });
        }
        Ok(lines)
    }

    /// The last messages up to the question, oldest first.
    async fn context(&self, live: &Live) -> Result<Vec<Line>> {
        let question = &live.question;
        let filter = MessageFilter {
            before: Some(EventId(question.id.0 + 1)),
            limit: self.rules.context_messages.max(1),
            ..MessageFilter::default()
        };
        let messages = self.store.messages(question.conversation_id, filter).await?;
        let mut context: Vec<_> =
            messages.iter().map(|message| Line { role: message.role, text: message.text.clone() }).collect();
        if messages.last().is_none_or(|last| last.id != question.id) {
            // The question was deleted while its answer was about to begin.
            context.push(Line { role: question.role, text: question.text.clone() });
        }
        Ok(context)
    }

    pub(super) fn answer_message(&self, run: &Run, text: &str, metadata: Option<Json>) -> NewMessage {
        let at = self.clock.now();
        NewMessage {
            conversation_id: run.conversation_id,
            uuid: self.clock.ordered_uuid(at),
            role: Role::Assistant,
            user_id: None,
            text: MessageText::verbatim(text.to_owned()),
            metadata,
            reply_to: Some(run.question_id),
            letter: None,
            files: code_blocks(text),
            idempotency: None,
            at,
        }
    }
}

/// What the metadata of an answer says: how it ended when it lacks its end, and what it rests on.
pub(super) fn metadata(outcome: RunOutcome, reason: Option<RunReason>, sources: &[Source]) -> Option<Json> {
    let mut members = Vec::new();
    if outcome.is_incomplete() {
        members.push(format!(r#""incomplete":true,"outcome":"{}""#, outcome.as_str()));
        members.extend(reason.map(|reason| format!(r#""reason":"{}""#, reason.as_str())));
    }
    if !sources.is_empty() {
        members.push(frozen(sources));
    }
    (!members.is_empty()).then(|| Json(format!("{{{}}}", members.join(","))))
}

/// How an answer ended that its provider ended.
pub(super) fn finished(finish: Finish, is_empty: bool) -> (RunOutcome, Option<RunReason>) {
    match finish {
        Finish::Stop => (RunOutcome::Completed, None),
        Finish::Length => (RunOutcome::Completed, Some(RunReason::Length)),
        Finish::ContentFilter => (RunOutcome::Failed, Some(RunReason::ContentFilter)),
        Finish::ToolCalls if is_empty => (RunOutcome::Failed, Some(RunReason::ToolCalls)),
        Finish::ToolCalls => (RunOutcome::Completed, Some(RunReason::ToolCalls)),
    }
}

/// How a run ended that was stopped, for a reason or because it had ended elsewhere.
fn stopped(why: Option<RunReason>) -> RunOutcome {
    if why.is_some() { RunOutcome::Stopped } else { RunOutcome::Interrupted }
}

impl Ended {
    fn failed() -> Self {
        let (outcome, reason) = (RunOutcome::Failed, Some(RunReason::Storage));
        Self { outcome, reason, answer: None, usage: Usage::default() }
    }
}

/// Takes a run out of the registry when its task ends, also by a panic; who still listens is then
/// told that it failed.
struct Leaving {
    chat: Arc<Chat>,
    live: Arc<Live>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.chat.runs.leave(self.live.question.id);
        self.live.finish(Ended::failed());
    }
}
