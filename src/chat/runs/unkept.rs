//! Answers that nothing is kept of: they end with whoever listens.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::make::finished;
use super::places::Place;
use super::scene::estimate;
use super::{Asking, Owner};
use crate::assistant::{Answer, By, Line, Part, Provider};
use crate::chat::Chat;
use crate::chat::budgets::{Budgeted, Instead};
use crate::domain::{Access, RunReason, Usage, WhileAnswering};
use crate::error::{Cause, Error, Result, Shortage};

/// An answer that nothing is kept of.
pub struct Unkept {
    /// What is left of the budget, for `X-Budget-Remaining`.
    pub budget: Option<String>,
    /// What it took, once it has ended.
    pub usage: Usage,
    /// Why it ended as it did, once it has, where that is not because all was said.
    pub reason: Option<RunReason>,
    source: Source,
}

enum Source {
    Provider(Box<Asked>),
    /// There is nothing left to spend: this is said instead.
    Over(Arc<str>),
    Ended,
}

struct Asked {
    chat: Arc<Chat>,
    run: Uuid,
    provider: Arc<dyn Provider>,
    lines: Vec<Line>,
    answer: Answer,
    text: String,
    by: Option<By>,
    usage: Usage,
    reason: Option<RunReason>,
    deadline: Instant,
    _place: Place,
}

impl Chat {
    /// Asks the assistant and keeps nothing. It is shown the context and no more; dropping the answer ends it.
    ///
    /// # Errors
    /// `Busy` when too many answers are under way; `Upstream` when no assistant is configured; `OverBudget` when there is
    /// nothing left to spend and the operator wants that refused; and what the store answers.
    pub async fn ask_unkept(self: &Arc<Self>, access: &Access, asking: Asking) -> Result<Unkept> {
        let provider = self.must_have_provider()?;
        let (user, tenant) = (Some(access.user.id), access.user.platform_id);
        let owner = Owner { conversation: None, user, address: asking.address, tenant };
        let place = self.runs.places.take(&owner, self.crowd(WhileAnswering::Parallel))?;
        let run = self.clock.uuid();
        let mut ask = self.asked_of(&asking, &owner, None, asking.context.clone().unwrap_or_default()).await?;
        let granted = match self.reserve_budget(&owner.payer(), estimate(provider.as_ref(), &ask), run).await? {
            Budgeted::Granted(granted) => granted,
            Budgeted::Over(over) => {
                let left = self.budget_told(over.left);
                return match over.instead {
                    Instead::Answer(text) | Instead::Person(text) => Ok(Unkept::new(left, Source::Over(text))),
                    Instead::Refuse => Err(Error::OverBudget(Shortage { left, full_in: over.full_in })),
                };
            }
        };
        if granted.is_cheaper {
            ask.model = provider.cheaper();
        }
        let asked = Asked {
            chat: Arc::clone(self),
            run,
            lines: ask.lines.clone(),
            answer: provider.answer(ask),
            provider,
            text: String::new(),
            by: None,
            usage: Usage::default(),
            reason: None,
            deadline: Instant::now() + self.rules.answer_timeout,
            _place: place,
        };
        Ok(Unkept::new(self.budget_told(granted.left), Source::Provider(Box::new(asked))))
    }
}

impl Unkept {
    fn new(budget: Option<String>, source: Source) -> Self {
        Self { budget, usage: Usage::default(), reason: None, source }
    }

    /// The next piece; `None` after the end.
    ///
    /// # Errors
    /// Why there is no more, for the operator.
    pub async fn next(&mut self) -> Option<Result<String, Cause>> {
        let next = match &mut self.source {
            Source::Ended => None,
            Source::Over(text) => {
                let said = text.to_string();
                (self.source, self.reason) = (Source::Ended, Some(RunReason::Budget));
                return Some(Ok(said));
            }
            Source::Provider(asked) => {
                let next = asked.next().await;
                (self.usage, self.reason) = (asked.usage, asked.reason);
                next
            }
        };
        if !matches!(next, Some(Ok(_))) {
            self.source = Source::Ended;
        }
        next
    }
}

impl Asked {
    async fn next(&mut self) -> Option<Result<String, Cause>> {
        loop {
            match timeout_at(self.deadline, self.answer.next()).await {
                Err(_) => return Some(Err("the assistant's provider took too long".into())),
                Ok(None) => return None,
                Ok(Some(Err(failure))) => return Some(Err(failure.cause)),
                Ok(Some(Ok(Part::Text(piece)))) => {
                    if self.text.len() + piece.len() > self.chat.rules.answer_bytes_max {
                        return Some(Err("an answer was cut at its largest size".into()));
                    }
                    self.text.push_str(&piece);
                    return Some(Ok(piece));
                }
                Ok(Some(Ok(Part::Usage(usage)))) => self.usage = usage,
                Ok(Some(Ok(Part::By(by)))) => self.by = Some(by),
                Ok(Some(Ok(Part::Finish(finish)))) => (_, self.reason) = finished(finish, self.text.is_empty()),
            }
        }
    }
}

/// What it took is settled however it ends, also when nobody listens any more.
impl Drop for Asked {
    fn drop(&mut self) {
        let mut usage = self.usage;
        if usage == Usage::default() {
            usage = self.provider.spent(self.by.as_ref(), &self.lines, &self.text);
        }
        let (chat, run) = (Arc::clone(&self.chat), self.run);
        self.chat.runs.tasks().spawn(async move { chat.settle(run, usage).await });
    }
}
