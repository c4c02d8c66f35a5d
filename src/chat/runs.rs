//! Runs: an assistant's answer as a thing of its own, which outlives the connection that asked.
//!
//! A run collects the answer piece by piece. Whoever wants to see it attaches at any offset into
//! its text and gets the rest, as often as they like; nobody attached changes nothing. What has
//! arrived is stored every now and then, so that a crash keeps it, and the whole is stored as a
//! message at the end. The offset, in bytes of the answer's text, is the run's cursor: it means
//! the same while the run goes on, after it ended, and after a restart.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use super::words::Word;
use super::{Chat, Draft};
use crate::assistant::{Answer, Ask, Line, Part, Provider};
use crate::domain;
use crate::domain::{
    Conversation, ConversationId, ConversationKind, EventId, INTEGER_MAX, Json, Message, MessageId, MessageText, Role,
    RunId, RunOutcome, Timestamp, code_blocks,
};
use crate::error::{Cause, Error, Refusal, Result};
use crate::realtime::Channel;
use crate::store::{Locator, MessageFilter, NewMessage, SharedStore};

/// How often at most the store is looked at for what another node does.
const LOOK: Duration = Duration::from_millis(50);
/// How much later than it may take an answer of another node is given up.
const LATE: Duration = Duration::from_secs(60);
/// How long another node may take to stop an answer.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How.
    pub outcome: RunOutcome,
    /// The message that holds the answer; `None` when nothing had arrived, or it could not be
    /// stored.
    pub answer: Option<Arc<Message>>,
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    question: Arc<Message>,
    /// What the assistant is shown instead of the conversation's last messages.
    context: Option<Vec<Line>>,
    text: Mutex<Text>,
    /// How much text there is, and the end once there is one.
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Text {
    whole: String,
    /// Where each piece ends.
    ends: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    bytes: usize,
    ended: Option<Ended>,
}

/// One piece of an answer.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Text, and the cursor behind it.
    Text {
        /// The text.
        chunk: String,
        /// Bytes of the answer up to and with this chunk.
        cursor: usize,
    },
    /// The end.
    End(Ended),
}

/// A question that was put, with where its answer can be heard.
pub struct Asked {
    /// The question's message.
    pub question: Arc<Message>,
    /// Whether the question had been put before with the same key.
    pub replayed: bool,
    /// The answer.
    pub answer: Attached,
}

/// Somebody who listens to an answer.
pub struct Attached {
    source: Source,
    cursor: usize,
}

enum Source {
    Live(Arc<Run>, watch::Receiver<Progress>),
    Elsewhere(Elsewhere),
    Stored(Ended),
    Finished,
}

impl Attached {
    /// The next piece, as soon as there is one; `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Piece> {
        match &mut self.source {
            Source::Finished => None,
            Source::Stored(ended) => {
                let text = ended.answer.as_ref().map_or("", |message| message.text.as_str());
                if let Some(piece) = rest(text, text.len(), self.cursor) {
                    self.cursor = text.len();
                    return Some(piece);
                }
                let ended = ended.clone();
                self.source = Source::Finished;
                Some(Piece::End(ended))
            }
            Source::Elsewhere(run) => match run.after(self.cursor).await {
                Seen::More(piece, cursor) => {
                    self.cursor = cursor;
                    Some(piece)
                }
                Seen::End(ended) => {
                    self.source = Source::Stored(ended);
                    Box::pin(self.next()).await
                }
            },
            Source::Live(run, changed) => loop {
                let progress = changed.borrow_and_update().clone();
                if let Some(piece) = run.piece_after(self.cursor) {
                    if let Piece::Text { cursor, .. } = &piece {
                        self.cursor = *cursor;
                    }
                    return Some(piece);
                }
                if let Some(ended) = progress.ended {
                    self.source = Source::Finished;
                    return Some(Piece::End(ended));
                }
                // The run's task holds the sender until it has set the end.
                changed.changed().await.ok()?;
            },
        }
    }

    /// Waits for the end.
    pub async fn end(mut self) -> Option<Ended> {
        loop {
            match self.next().await? {
                Piece::Text { .. } => {}
                Piece::End(ended) => return Some(ended),
            }
        }
    }
}

/// A run under way on another node, as the store shows it: what has arrived is there soon after. That it is read
/// there and not told by the other node makes it outlive that one, too.
struct Elsewhere {
    store: SharedStore,
    question: (ConversationId, MessageId),
    every: Duration,
    deadline: Instant,
}

/// What the store shows of a run.
enum Seen {
    More(Piece, usize),
    End(Ended),
}

impl Elsewhere {
    async fn after(&self, cursor: usize) -> Seen {
        let (conversation, question) = self.question;
        while Instant::now() < self.deadline {
            match self.store.run_for(conversation, question).await {
                Ok(Some(domain::Run { outcome: Some(outcome), .. })) => {
                    if let Ok(answer) = self.store.answer_to(conversation, question).await {
                        return Seen::End(Ended { outcome, answer });
                    }
                }
                Ok(Some(run)) => {
                    if let Some(piece) = rest(&run.text, run.text.len(), cursor) {
                        return Seen::More(piece, run.text.len());
                    }
                }
                Ok(None) => break,
                Err(error) => tracing::warn!(error = %error, "an answer that another node makes is looked at later"),
            }
            tokio::time::sleep(self.every).await;
        }
        Seen::End(Ended { outcome: RunOutcome::Interrupted, answer: None })
    }
}

/// The text after `cursor` up to `end`; a cursor inside a character goes back to its beginning.
fn rest(text: &str, end: usize, cursor: usize) -> Option<Piece> {
    let mut start = cursor.min(end);
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    (start < end).then(|| Piece::Text { chunk: text[start..end].to_owned(), cursor: end })
}

impl Run {
    fn new(question: Arc<Message>, context: Option<Vec<Line>>) -> Self {
        Self {
            question,
            context,
            text: Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
            stop: CancellationToken::new(),
        }
    }

    fn piece_after(&self, cursor: usize) -> Option<Piece> {
        let text = lock(&self.text);
        let next = text.ends.partition_point(|end| *end <= cursor);
        let end = *text.ends.get(next)?;
        rest(&text.whole, end, cursor)
    }

    /// Adds a piece, up to `bytes_max` in all; `false` when that was reached.
    fn push(&self, chunk: &str, bytes_max: usize) -> bool {
        let mut text = lock(&self.text);
        let mut room = bytes_max.saturating_sub(text.whole.len()).min(chunk.len());
        while !chunk.is_char_boundary(room) {
            room -= 1;
        }
        if room > 0 {
            text.whole.push_str(&chunk[..room]);
            let bytes = text.whole.len();
            text.ends.push(bytes);
            drop(text);
            self.progress.send_modify(|progress| progress.bytes = bytes);
        }
        room == chunk.len()
    }

    fn text_from(&self, start: usize) -> String {
        lock(&self.text).whole[start..].to_owned()
    }

    fn finish(&self, ended: Ended) {
        self.progress.send_modify(|progress| progress.ended = Some(ended));
    }

    fn attach(self: &Arc<Self>, cursor: usize) -> Attached {
        Attached { source: Source::Live(Arc::clone(self), self.progress.subscribe()), cursor }
    }
}

/// The runs under way, by the message that they answer.
pub(super) struct Registry {
    places: Arc<Semaphore>,
    runs: Mutex<HashMap<MessageId, Arc<Run>>>,
    /// Questions that are being put. Who follows a conversation can see a question before its run
    /// is entered here, and has to be able to attach to its answer at once.
    putting: watch::Sender<HashSet<Uuid>>,
    tasks: TaskTracker,
}

impl Registry {
    pub fn new(max: usize) -> Self {
        let places = Arc::new(Semaphore::new(max));
        Self { places, runs: Mutex::default(), putting: watch::Sender::default(), tasks: TaskTracker::new() }
    }

    pub fn len(&self) -> usize {
        lock(&self.runs).len()
    }

    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Notes that a question is about to be stored and its run entered.
    fn put(&self, question: Uuid) -> Putting<'_> {
        self.putting.send_modify(|putting| {
            putting.insert(question);
        });
        Putting { registry: self, question }
    }

    /// Waits until a question is not being put any more.
    async fn settled(&self, question: Uuid) {
        // The sender lives as long as the registry.
        let _ = self.putting.subscribe().wait_for(|putting| !putting.contains(&question)).await;
    }

    fn get(&self, question: MessageId) -> Option<Arc<Run>> {
        lock(&self.runs).get(&question).cloned()
    }

    /// A place for one more answer. Taken before its question is stored: who is refused has asked
    /// nothing.
    fn place(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Error::Busy)
    }

    /// The run that answers `question`; `true` when it was made just now.
    fn enter(&self, question: &Arc<Message>, context: Option<Vec<Line>>) -> (Arc<Run>, bool) {
        let mut runs = lock(&self.runs);
        if let Some(run) = runs.get(&question.id) {
            return (Arc::clone(run), false);
        }
        let run = Arc::new(Run::new(Arc::clone(question), context));
        runs.insert(question.id, Arc::clone(&run));
        (run, true)
    }

    /// A run that answers `question`, unless its conversation has one already.
    fn enter_alone(&self, question: &Arc<Message>) -> Option<Arc<Run>> {
        let mut runs = lock(&self.runs);
        if runs.values().any(|run| run.question.conversation_id == question.conversation_id) {
            return None;
        }
        let run = Arc::new(Run::new(Arc::clone(question), None));
        runs.insert(question.id, Arc::clone(&run));
        Some(run)
    }

    fn leave(&self, question: MessageId) {
        lock(&self.runs).remove(&question);
    }

    /// Stops the answer to that question.
    pub fn stop(&self, question: MessageId) {
        if let Some(run) = self.get(question) {
            run.stop.cancel();
        }
    }

    /// Stops whatever answers in that conversation.
    pub fn stop_conversation(&self, id: ConversationId) {
        self.of(id).iter().for_each(|run| run.stop.cancel());
    }

    fn of(&self, id: ConversationId) -> Vec<Arc<Run>> {
        lock(&self.runs).values().filter(|run| run.question.conversation_id == id).cloned().collect()
    }

    /// The newest question that is being answered in that conversation.
    pub fn newest_in(&self, id: ConversationId) -> Option<Arc<Message>> {
        self.of(id).iter().map(|run| Arc::clone(&run.question)).max_by_key(|question| question.id)
    }

    fn stop_all(&self) {
        lock(&self.runs).values().for_each(|run| run.stop.cancel());
    }
}

/// A question that is being put, until this is dropped.
struct Putting<'a> {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Chat {
    /// Puts a question to the assistant: stores it and starts its answer. With a key that was used
    /// before, the first question's answer is heard again, from its beginning. The assistant is shown the
    /// conversation's last messages, or `context` instead.
    ///
    /// # Errors
    /// `Forbidden` when the session is over or a person has the chat; `Busy` when too many answers are
    /// under way; `Upstream` when no assistant is configured; and what the store answers.
    pub async fn ask(
        self: &Arc<Self>,
        conversation: &Conversation,
        draft: Draft,
        context: Option<Vec<Line>>,
    ) -> Result<Asked> {
        let provider = self.must_have_provider()?;
        let (chat, conversation) = (Arc::clone(self), conversation.clone());
        self.unbroken(async move { chat.put(provider, &conversation, draft, context).await }).await
    }

    /// The pieces of an answer that nothing is kept of: it ends with whoever listens.
    ///
    /// # Errors
    /// `Busy` when too many answers are under way; `Upstream` when no assistant is configured.
    pub fn ask_unkept(&self, context: Vec<Line>) -> Result<BoxStream<'static, Result<String, Cause>>> {
        let answer = self.must_have_provider()?.answer(Ask { lines: context, ..Ask::default() });
        let place = self.runs.place()?;
        let deadline = Instant::now() + self.rules.answer_timeout;
        let left = self.rules.answer_bytes_max;
        let pieces = stream::try_unfold((answer, left, place), move |(mut answer, left, place)| async move {
            loop {
                let next = timeout_at(deadline, answer.next()).await;
                match next.map_err(|_| "the assistant's provider took too long")? {
                    Some(Ok(Part::Text(piece))) => {
                        let left = left.checked_sub(piece.len()).ok_or("an answer was cut at its largest size")?;
                        return Ok(Some((piece, (answer, left, place))));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(failure)) => return Err(failure.cause),
                    None => return Ok(None),
                }
            }
        });
        Ok(Box::pin(pieces))
    }

    /// Finishes what was begun also when the caller goes away in its middle. A client that hangs up
    /// right after its question was committed would otherwise leave one that nobody answers, and a
    /// member of staff who does so after taking a chat would leave the assistant talking in it.
    pub(super) async fn unbroken<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.runs.tasks.spawn(work.in_current_span()).await.map_err(Error::internal)?
    }

    async fn put(
        self: &Arc<Self>,
        provider: Arc<dyn Provider>,
        conversation: &Conversation,
        draft: Draft,
        context: Option<Vec<Line>>,
    ) -> Result<Asked> {
        let place = self.runs.place()?;
        let new = self.new_message(conversation.id, draft);
        let _putting = self.runs.put(new.uuid);
        let refusal = match conversation.state.assigned {
            Some(_) => Some(Error::Forbidden(Refusal::Assigned)),
            None => self.may_write(conversation).err(),
        };
        let sent = self.append_unless(refusal, new).await?;
        let heard = if sent.replayed { self.attach_to(&sent.message, 0).await? } else { None };
        let answer = heard.unwrap_or_else(|| {
            let run = self.start(provider, &sent.message, context, place);
            self.stop_if_taken(&run);
            run.attach(0)
        });
        Ok(Asked { question: sent.message, replayed: sent.replayed, answer })
    }

    /// Listens to the answer of a question from an offset on, while it is made or afterwards;
    /// `None` when the question was never put to the assistant.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn attach_to(&self, question: &Arc<Message>, cursor: usize) -> Result<Option<Attached>> {
        self.runs.settled(question.uuid).await;
        // Between the look at the registry and the one at the store a run can begin, or end: whatever
        // the first round missed, the second one finds. A run that neither knows as under way nor as
        // ended could not store its end; it is as good as never made.
        for _ in 0..2 {
            if let Some(run) = self.runs.get(question.id) {
                return Ok(Some(run.attach(cursor)));
            }
            let Some(run) = self.store.run_for(question.conversation_id, question.id).await? else { return Ok(None) };
            if let Some(outcome) = run.outcome {
                let answer = self.store.answer_to(question.conversation_id, question.id).await?;
                return Ok(Some(Attached { source: Source::Stored(Ended { outcome, answer }), cursor }));
            }
        }
        Ok(self.rules.is_one_of_many.then(|| self.attach_elsewhere(question, cursor)))
    }

    fn attach_elsewhere(&self, question: &Message, cursor: usize) -> Attached {
        let run = Elsewhere {
            store: self.store.clone(),
            question: (question.conversation_id, question.id),
            every: self.rules.checkpoint_every.max(LOOK),
            // Whoever makes it stops by then, and when it is dead others end its answers.
            deadline: Instant::now() + self.rules.answer_timeout + LATE,
        };
        Attached { source: Source::Elsewhere(run), cursor }
    }

    /// Stops whatever answers in that conversation, on any node.
    pub(super) fn stop_answers(&self, id: ConversationId) {
        self.runs.stop_conversation(id);
        self.says(&Word::StopIn(id));
    }

    /// Stops the answer to a question; what had arrived is kept. Returns the end, and whether this
    /// call brought it about.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn stop_answer(&self, question: &Arc<Message>) -> Result<(bool, Option<Ended>)> {
        self.runs.settled(question.uuid).await;
        if let Some(run) = self.runs.get(question.id) {
            run.stop.cancel();
            let ended = run.attach(usize::MAX).end().await;
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

    /// Stops whatever answers in that conversation, and waits until what had arrived is stored.
    pub(super) async fn end_answers(&self, id: ConversationId) {
        let under_way = self.runs.of(id);
        under_way.iter().for_each(|run| run.stop.cancel());
        for run in under_way {
            run.attach(usize::MAX).end().await;
        }
        if self.says(&Word::StopIn(id)) {
            self.none_answers(id).await;
        }
    }

    /// Waits until no node answers in that conversation, but not for one that does not hear.
    async fn none_answers(&self, id: ConversationId) {
        let deadline = Instant::now() + STOP_WAIT;
        while Instant::now() < deadline {
            match self.store.open_runs(Timestamp(i64::MAX)).await {
                Ok(open) if open.iter().all(|run| run.conversation_id != id) => return,
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
        for run in &open {
            // A run that could not store its end may have been made again, to a whole answer.
            let is_answered = self.store.answer_to(run.conversation_id, run.question_id).await?.is_some();
            let answer = (!run.text.is_empty() && !is_answered)
                .then(|| self.answer_message(run.conversation_id, run.question_id, &run.text, RunOutcome::Interrupted));
            self.store.end_run(run.id, RunOutcome::Interrupted, answer).await?;
        }
        Ok(open.len())
    }

    /// Stops every answer under way: the last means of a drain whose time is up.
    pub fn stop_all_answers(&self) {
        self.runs.stop_all();
    }

    /// Answers a guest, unless a person has the chat. While an answer is under way, further
    /// messages wait: the answer after it looks at all of them.
    pub(super) fn answer_guest(self: &Arc<Self>, channel: &Channel, message: &Arc<Message>) {
        let somebody_has_it = channel.state().is_some_and(|state| state.assigned.is_some());
        let Ok(provider) = self.must_have_provider() else { return };
        if somebody_has_it {
            return;
        }
        match self.runs.place() {
            Ok(place) => {
                if let Some(run) = self.runs.enter_alone(message) {
                    self.spawn(provider, &run, place);
                    self.stop_if_taken(&run);
                }
            }
            Err(error) => tracing::warn!(error = %error, "a guest gets no answer from the assistant"),
        }
    }

    /// Whether the assistant has said nothing since that message, and is not about to: a crash came
    /// between the guest's message and the beginning of its answer.
    pub(super) async fn is_unanswered(&self, message: &Message) -> Result<bool> {
        let answered = MessageFilter {
            after: Some(message.id),
            role: Some(Role::Assistant),
            limit: 1,
            ..MessageFilter::default()
        };
        Ok(self.store.messages(message.conversation_id, answered).await?.is_empty())
    }

    /// Somebody may have taken the chat since it was looked at. Who takes it stops the runs that are
    /// there by then, so a second look once the run is there leaves no gap.
    fn stop_if_taken(&self, run: &Run) {
        let channel = self.hub.held(run.question.conversation_id);
        let state = channel.and_then(|channel| channel.state());
        if state.is_some_and(|state| state.assigned.is_some()) {
            run.stop.cancel();
        }
    }

    fn must_have_provider(&self) -> Result<Arc<dyn Provider>> {
        self.provider
            .clone()
            .ok_or_else(|| Error::Upstream("no assistant is configured: set assistant.provider".into()))
    }

    fn start(
        self: &Arc<Self>,
        provider: Arc<dyn Provider>,
        question: &Arc<Message>,
        context: Option<Vec<Line>>,
        place: OwnedSemaphorePermit,
    ) -> Arc<Run> {
        let (run, made) = self.runs.enter(question, context);
        if made {
            self.spawn(provider, &run, place);
        }
        run
    }

    fn spawn(self: &Arc<Self>, provider: Arc<dyn Provider>, run: &Arc<Run>, place: OwnedSemaphorePermit) {
        let (chat, task) = (Arc::clone(self), Arc::clone(run));
        self.runs.tasks.spawn(async move {
            let leaving = Leaving { chat: Arc::clone(&chat), run: Arc::clone(&task) };
            let ended = chat.make_answer(provider, &task).await.unwrap_or_else(|error| {
                tracing::error!(error = %error, "an answer could not be stored");
                Ended { outcome: RunOutcome::Failed, answer: None }
            });
            task.finish(ended);
            drop((leaving, place));
            if let Err(error) = chat.answer_next(&task).await {
                tracing::warn!(error = %error, "waiting messages could not be read");
            }
        });
    }

    async fn make_answer(&self, provider: Arc<dyn Provider>, run: &Run) -> Result<Ended> {
        let question = &run.question;
        if let Some(answer) = self.store.answer_to(question.conversation_id, question.id).await? {
            // Two retries met: the other's answer was finished before this one began.
            return Ok(Ended { outcome: RunOutcome::Done, answer: Some(answer) });
        }
        let id = self.store.begin_run(question.conversation_id, question.id, self.node, self.clock.now()).await?;
        let context = match &run.context {
            Some(context) => context.clone(),
            None => self.context(question).await?,
        };
        let outcome = self.collect(id, provider.answer(Ask { lines: context, ..Ask::default() }), run).await;
        let text = run.text_from(0);
        let answer =
            (!text.is_empty()).then(|| self.answer_message(question.conversation_id, question.id, &text, outcome));
        let answer = self.store.end_run(id, outcome, answer).await?;
        Ok(Ended { outcome, answer })
    }

    /// Takes pieces until the end, a stop, a failure or the time limit.
    async fn collect(&self, id: RunId, mut answer: Answer, run: &Run) -> RunOutcome {
        let deadline = Instant::now() + self.rules.answer_timeout;
        let mut stored = 0;
        let mut next_checkpoint = Instant::now() + self.rules.checkpoint_every;
        loop {
            let piece = tokio::select! {
                biased;
                () = run.stop.cancelled() => return RunOutcome::Stopped,
                piece = timeout_at(deadline, answer.next()) => piece,
            };
            match piece {
                Ok(Some(Ok(Part::Text(chunk)))) => {
                    if !run.push(&chunk, self.rules.answer_bytes_max) {
                        tracing::warn!("an answer was cut at its largest size");
                        return RunOutcome::Failed;
                    }
                }
                Ok(Some(Ok(_))) => continue,
                Ok(None) => return RunOutcome::Done,
                Ok(Some(Err(error))) => {
                    tracing::warn!(error = %error, "the assistant's provider failed");
                    return RunOutcome::Failed;
                }
                Err(_) => {
                    tracing::warn!("the assistant's provider took too long");
                    return RunOutcome::Failed;
                }
            }
            if Instant::now() >= next_checkpoint {
                let more = run.text_from(stored);
                stored += more.len();
                if let Err(error) = self.store.checkpoint_run(id, more).await {
                    tracing::warn!(error = %error, "what has arrived of an answer could not be stored yet");
                }
                next_checkpoint = Instant::now() + self.rules.checkpoint_every;
            }
        }
    }

    /// The last messages up to the question, oldest first.
    async fn context(&self, question: &Message) -> Result<Vec<Line>> {
        let filter = MessageFilter {
            before: Some(EventId(question.id.0 + 1)),
            limit: self.rules.context_messages.max(1),
            ..MessageFilter::default()
        };
        let messages = self.store.messages(question.conversation_id, filter).await?;
        let line = |message: &Arc<Message>| Line { role: message.role, text: message.text.clone() };
        let mut context: Vec<_> = messages.iter().map(line).collect();
        if messages.last().is_none_or(|last| last.id != question.id) {
            // The question was deleted while its answer was about to begin.
            context.push(Line { role: question.role, text: question.text.clone() });
        }
        Ok(context)
    }

    fn answer_message(
        &self,
        conversation_id: ConversationId,
        question: MessageId,
        text: &str,
        outcome: RunOutcome,
    ) -> NewMessage {
        let at = self.clock.now();
        let metadata =
            outcome.is_incomplete().then(|| Json(format!(r#"{{"incomplete":true,"outcome":"{}"}}"#, outcome.as_str())));
        NewMessage {
            conversation_id,
            uuid: self.clock.ordered_uuid(at),
            role: Role::Assistant,
            user_id: None,
            text: MessageText::verbatim(text.to_owned()),
            metadata,
            reply_to: Some(question),
            letter: None,
            files: code_blocks(text),
            idempotency: None,
            at,
        }
    }

    /// In a live chat: answers the last thing that the guest said while this answer was made.
    async fn answer_next(self: &Arc<Self>, run: &Run) -> Result<()> {
        let question = &run.question;
        if !self.rules.assistant_answers_guests {
            return Ok(());
        }
        let by_number = Locator::Id(question.conversation_id);
        if self.store.conversation(ConversationKind::LiveChat, by_number).await?.is_none() {
            return Ok(());
        }
        let newest = MessageFilter {
            before: Some(EventId(INTEGER_MAX)),
            role: Some(Role::User),
            limit: 1,
            ..MessageFilter::default()
        };
        let newest = self.store.messages(question.conversation_id, newest).await?.pop();
        if let Some(newest) = newest.filter(|newest| newest.id > question.id) {
            self.answer_guest(self.load(question.conversation_id).await?.as_ref(), &newest);
        }
        Ok(())
    }
}

/// Takes a run out of the registry when its task ends, also by a panic; who still listens is then
/// told that it failed.
struct Leaving {
    chat: Arc<Chat>,
    run: Arc<Run>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.chat.runs.leave(self.run.question.id);
        self.run.progress.send_if_modified(|progress| {
            let open = progress.ended.is_none();
            if open {
                progress.ended = Some(Ended { outcome: RunOutcome::Failed, answer: None });
            }
            open
        });
    }
}
