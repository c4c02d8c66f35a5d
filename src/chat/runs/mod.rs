//! Runs: an assistant's answer as a thing of its own, which outlives the connection that asked.
//!
//! A run collects the answer piece by piece. Each piece goes into the conversation's log, and only then it is shown: so
//! every transport follows an answer like anything else, and what somebody saw is there after a crash. Whoever wants to
//! see one answer attaches at any offset into its text and gets the rest, as often as they like; nobody attached
//! changes nothing. The offset, in bytes of the answer's text, is the run's cursor: it means the same while the run
//! goes on, after it ended, after a restart, and on every node. The whole is stored as a message in the transaction
//! that ends the run.

mod again;
mod attached;
mod guests;
mod live;
mod make;
mod places;
mod recorder;
mod registry;
mod scene;
mod stop;
mod unkept;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;

use self::attached::{Elsewhere, Source};
use self::live::{Instead, Live};
use self::places::{Crowd, Place};
use super::budgets::Payer;
use super::words::Word;
use super::{Chat, Draft};
use crate::assistant::{Line, Provider};
use crate::domain::{
    Conversation, ConversationId, Message, PlatformId, RunOutcome, RunReason, RunState, Usage, UserId, WhileAnswering,
};
use crate::error::{Error, Refusal, Result, Shortage};
use crate::store::NewMessage;

pub use self::again::Again;
pub use self::attached::{Attached, Piece};
pub(super) use self::registry::Registry;
pub use self::unkept::Unkept;

/// How often at most the store is looked at for what another node does.
const LOOK: Duration = Duration::from_millis(100);
/// How much later than it may take an answer of another node is given up.
const LATE: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How.
    pub outcome: RunOutcome,
    /// Why, where the outcome does not say all.
    pub reason: Option<RunReason>,
    /// The message that holds the answer; `None` when nothing had arrived, or it could not be
    /// stored.
    pub answer: Option<Arc<Message>>,
    /// What it took.
    pub usage: Usage,
}

impl Ended {
    /// Whether there was nothing left to spend on it.
    pub fn is_over_budget(&self) -> bool {
        (self.outcome, self.reason) == (RunOutcome::Failed, Some(RunReason::Budget))
    }
}

/// How an answer is wanted.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// What the assistant is shown instead of the conversation's last messages.
    pub context: Option<Vec<Line>>,
    /// The model, by the name that clients know; `None`: the conversation's, or the default one.
    pub model: Option<Arc<str>>,
    /// At most this many tokens; `None`: as many as the configuration allows.
    pub tokens_max: Option<u32>,
    /// The tenant of whoever asks, where the conversation has none.
    pub tenant: Option<PlatformId>,
    /// Where the question comes from, for limits and budgets.
    pub address: Option<IpAddr>,
    /// The door that it comes by, as the configuration names it.
    pub door: &'static str,
    /// The language that its answer is read in, if that is known.
    pub language: Option<&'static str>,
}

impl Asking {
    /// The same in that conversation, whose model answers unless another is asked for.
    fn within(self, conversation: &Conversation) -> Self {
        let model = self.model.or_else(|| conversation.state.model.as_deref().map(Arc::from));
        Self { model, ..self }
    }
}

/// Whose a run is, for limits and budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub conversation: Option<ConversationId>,
    pub user: Option<UserId>,
    pub address: Option<IpAddr>,
    pub tenant: Option<PlatformId>,
}

impl Owner {
    fn of(conversation: &Conversation, asking: &Asking) -> Self {
        let (id, user) = (conversation.id, conversation.user_id);
        let tenant = conversation.platform_id.or(asking.tenant);
        Self { conversation: Some(id), user, address: asking.address, tenant }
    }

    fn payer(&self) -> Payer {
        Payer { tenant: self.tenant, user: self.user, session: self.conversation, address: self.address }
    }
}

/// A question that was put, with where its answer can be heard.
pub struct Asked {
    /// The question's message.
    pub question: Arc<Message>,
    /// Whether the question had been put before with the same key.
    pub replayed: bool,
    /// The answer.
    pub answer: Attached,
    /// What is left of the budget, for `X-Budget-Remaining`.
    pub budget: Option<String>,
}

impl Chat {
    /// Puts a question to the assistant: stores it and starts its answer. With a key that was used
    /// before, the first question's answer is heard again, from its beginning. While another answer is under way in
    /// the conversation, this one waits for it, stops it, or is made beside it, as the conversation has it.
    ///
    /// # Errors
    /// `Forbidden` when the session is over or a person has the chat; `Busy` when too many answers are
    /// under way; `Upstream` when no assistant is configured; `OverBudget` when there is nothing left to spend and the
    /// operator wants that refused; and what the store answers.
    pub async fn ask(self: &Arc<Self>, conversation: &Conversation, draft: Draft, asking: Asking) -> Result<Asked> {
        let provider = self.must_have_provider()?;
        let (chat, conversation) = (Arc::clone(self), conversation.clone());
        self.unbroken(async move { chat.put(provider, &conversation, draft, asking).await }).await
    }

    /// Finishes what was begun also when the caller goes away in its middle. A client that hangs up
    /// right after its question was committed would otherwise leave one that nobody answers, and a
    /// member of staff who does so after taking a chat would leave the assistant talking in it.
    pub(super) async fn unbroken<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.runs.tasks().spawn(work.in_current_span()).await.map_err(Error::internal)?
    }

    async fn put(
        self: &Arc<Self>,
        provider: Arc<dyn Provider>,
        conversation: &Conversation,
        draft: Draft,
        asking: Asking,
    ) -> Result<Asked> {
        let owner = Owner::of(conversation, &asking);
        let new = self.new_message(conversation.id, draft);
        let how = self.while_answering(conversation);
        let place = match self.runs.places.take(&owner, self.crowd(how)) {
            Ok(place) => place,
            // Who asked before and comes back needs no place.
            Err(busy) => return self.heard_before(new).await?.ok_or(busy),
        };
        let _putting = self.runs.put(new.uuid);
        let sent = self.append_unless(self.refusal(conversation), new).await?;
        let heard = if sent.replayed { self.attach_to(&sent.message, 0).await? } else { None };
        // Who was told to come back when there is more is not told so again.
        let heard = heard.filter(|answer| !answer.was_refused());
        let (answer, budget) = match heard {
            Some(answer) => (answer, None),
            None => {
                let asking = (asking.within(conversation), owner);
                let live = Live::new(self.clock.uuid(), &sent.message, asking, Instead::default());
                self.begun(&self.start(provider, live, how, place)).await?
            }
        };
        Ok(Asked { question: sent.message, replayed: sent.replayed, answer, budget })
    }

    /// The answer to a question that was put before with the same key.
    async fn heard_before(&self, new: NewMessage) -> Result<Option<Asked>> {
        let Some(question) = self.store.sent_before(new).await? else { return Ok(None) };
        let answer = self.attach_to(&question, 0).await?.filter(|answer| !answer.was_refused());
        Ok(answer.map(|answer| Asked { question, replayed: true, answer, budget: None }))
    }

    /// Where a run that was started can be heard, and what is left of the budget.
    ///
    /// # Errors
    /// `OverBudget` when it was refused.
    async fn begun(&self, live: &Arc<Live>) -> Result<(Attached, Option<String>)> {
        let left = live.left().await.and_then(|left| self.budget_told(left));
        let Some(full_in) = live.refused.get().copied() else { return Ok((live.attach(0), left)) };
        // Whoever hears of it may ask again at once.
        live.end().await;
        Err(Error::OverBudget(Shortage { left, full_in }))
    }

    /// Why nobody may ask the assistant there.
    fn refusal(&self, conversation: &Conversation) -> Option<Error> {
        match conversation.state.assigned {
            Some(_) => Some(Error::Forbidden(Refusal::Assigned)),
            None => self.may_write(conversation).err(),
        }
    }

    /// How many answers there may be, if a further one does that with those before it.
    fn crowd(&self, how: WhileAnswering) -> Crowd {
        let rules = &self.rules;
        // Those that are interrupted give their places back shortly after this one took its own.
        let times = if how == WhileAnswering::Interrupt { 2 } else { 1 };
        Crowd {
            everybody: rules.runs_max,
            conversation: rules.runs_per_conversation_max.saturating_mul(times),
            user: rules.runs_per_user_max,
            tenant: rules.runs_per_tenant_max,
        }
    }

    /// What becomes of a message in that conversation while an answer is under way.
    fn while_answering(&self, conversation: &Conversation) -> WhileAnswering {
        conversation.state.while_answering.unwrap_or(self.rules.while_answering)
    }

    /// Enters a run and starts it. Those before it in the conversation are waited for, or stopped.
    fn start(
        self: &Arc<Self>,
        provider: Arc<dyn Provider>,
        live: Live,
        how: WhileAnswering,
        place: Place,
    ) -> Arc<Live> {
        let (live, others) = self.runs.enter(live);
        let Some(mut before) = others else { return live };
        match how {
            WhileAnswering::Parallel => before.clear(),
            WhileAnswering::Queue => {}
            WhileAnswering::Interrupt => {
                before.iter().for_each(|other| other.stop(RunReason::Superseded));
                self.says(&Word::StopBefore(live.question.conversation_id, live.question.id));
            }
        }
        live.waiting(!before.is_empty());
        self.spawn(provider, &live, before, place);
        self.stop_if_taken(&live);
        live
    }

    /// Listens to the answer of a question from an offset on, while it is made or afterwards;
    /// `None` when the question was never put to the assistant.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn attach_to(&self, question: &Arc<Message>, cursor: usize) -> Result<Option<Attached>> {
        self.runs.settled(question.uuid).await;
        let mut open = None;
        // Between the look at the registry and the one at the store a run can begin, or end: whatever
        // the first round missed, the second one finds. A run that neither knows as under way nor as
        // ended could not store its end; it is as good as never made.
        for _ in 0..2 {
            if let Some(live) = self.runs.get(question.id) {
                return Ok(Some(live.attach(cursor)));
            }
            let Some(run) = self.store.run_for(question.conversation_id, question.id).await? else { return Ok(None) };
            if let Some(outcome) = run.outcome() {
                let answer = self.store.answer_to(question.conversation_id, question.id).await?;
                let ended = Ended { outcome, reason: run.reason, answer, usage: run.usage };
                return Ok(Some(Attached { source: Source::Stored(ended), cursor }));
            }
            open = Some(run);
        }
        let Some(run) = open.filter(|_| self.rules.is_one_of_many) else { return Ok(None) };
        // From its beginning, whatever the cursor: that counts bytes of the answer, and not events.
        let elsewhere = Elsewhere {
            store: self.store.clone(),
            read: run.event_id,
            conversation: question.conversation_id,
            question: question.id,
            run: run.uuid,
            is_queued: run.state == RunState::Queued,
            deadline: Instant::now() + self.rules.answer_timeout + LATE,
            heard: std::collections::VecDeque::new(),
        };
        Ok(Some(Attached { source: Source::Elsewhere(Box::new(elsewhere)), cursor }))
    }

    fn must_have_provider(&self) -> Result<Arc<dyn Provider>> {
        self.provider
            .clone()
            .ok_or_else(|| Error::Upstream("no assistant is configured: set assistant.provider".into()))
    }
}
