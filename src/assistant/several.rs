//! Several providers as one: a model's name leads to the one that has it; one that cannot begin to answer is asked again
//! and then the next one is; what an answer took is counted and priced. After its first token an answer stays with
//! whoever began it: two halves by two minds are no answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::count::{self, Counter};
use super::prices::Prices;
use super::{Answer, Ask, By, Failure, FailureKind, Line, Part, Provider};
use crate::domain::Usage;

/// How often, and after how long, a provider is asked again.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// How often after the first time.
    pub times: u32,
    /// How long the first wait is; each further one is twice as long.
    pub first: Duration,
    /// The longest wait. A provider that asks for a longer one is not waited for.
    pub longest: Duration,
}

/// A provider and one of its models.
#[derive(Clone)]
pub struct Target {
    /// Who answers.
    pub by: By,
    /// The same.
    pub provider: Arc<dyn Provider>,
}

/// Who answers what.
pub struct Plan {
    /// Who answers, unless a name says otherwise; and who is asked next, and next.
    pub line_up: Vec<Target>,
    /// Who has the models that clients know by name.
    pub models: BTreeMap<Arc<str>, Target>,
    /// The name of the one for whoever is over budget.
    pub cheaper: Option<Arc<str>>,
    /// What tokens cost.
    pub prices: Prices,
    /// The longest answer, in tokens.
    pub tokens_max: u32,
    /// How failures are borne.
    pub retries: Retries,
}

/// The providers of a plan.
pub struct Several {
    name: Arc<str>,
    shared: Arc<Shared>,
}

struct Shared {
    plan: Plan,
    /// Waits so far. Of many answers that are refused at once, each waits a little longer or shorter than the others.
    waits: AtomicU32,
}

impl Several {
    /// The providers of a plan, whose line-up has to have somebody.
    pub fn new(plan: Plan) -> Self {
        let name = plan.line_up.first().map_or_else(|| "none".into(), |target| Arc::clone(&target.by.provider));
        Self { name, shared: Arc::new(Shared { plan, waits: AtomicU32::new(0) }) }
    }
}

impl Shared {
    /// Who is asked for a model, in order: each provider once.
    fn line_up(&self, model: Option<&Arc<str>>) -> VecDeque<Target> {
        let own = model.and_then(|model| self.plan.models.get(model));
        let mut line_up: VecDeque<Target> = VecDeque::new();
        // Whoever is first in the list is asked for what it has the name of; the rest of the list may stand in.
        let skipped = usize::from(own.is_some());
        for target in own.into_iter().chain(self.plan.line_up.iter().skip(skipped)) {
            if line_up.iter().all(|other| other.by.provider != target.by.provider) {
                line_up.push_back(target.clone());
            }
        }
        line_up
    }

    fn allowed(&self, ask: &Ask) -> u32 {
        ask.tokens_max.map_or(self.plan.tokens_max, |max| max.min(self.plan.tokens_max))
    }

    /// How long the wait before a retry is: between a half and the whole of what doubles.
    fn pause(&self, tries: u32) -> Duration {
        let retries = self.plan.retries;
        let whole = retries.first.saturating_mul(1 << tries.min(16)).min(retries.longest);
        // Multiples of the golden ratio lie evenly between 0 and 1, however many there are.
        let share = self.waits.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9);
        whole.mul_f64(0.5 + f64::from(share) / f64::from(u32::MAX) / 2.0)
    }

    /// How long to wait before the same provider is asked again; `None` when it is not to be.
    fn again(&self, kind: FailureKind, tries: u32) -> Option<Duration> {
        let Retries { times, longest, .. } = self.plan.retries;
        let pause = match kind {
            FailureKind::RateLimited(Some(wait)) if wait > longest => return None,
            FailureKind::RateLimited(Some(wait)) => wait + self.pause(tries).min(wait / 4),
            FailureKind::RateLimited(None) | FailureKind::Unavailable | FailureKind::Broken => self.pause(tries),
            // Asking again is of no use, or takes as long as the next one may.
            FailureKind::Rejected | FailureKind::Unauthorized | FailureKind::Silent => return None,
        };
        (tries < times).then_some(pause)
    }
}

impl Provider for Several {
    fn name(&self) -> &str {
        &self.name
    }

    fn answer(&self, ask: Ask) -> Answer {
        let shared = Arc::clone(&self.shared);
        let line_up = shared.line_up(ask.model.as_ref());
        let ask = Ask { tokens_max: Some(shared.allowed(&ask)), ..ask };
        let shown = count::prompt(&ask.lines);
        let telling = Telling {
            shared,
            ask,
            line_up,
            now: None,
            tries: 0,
            shown,
            said: None,
            usage: None,
            failure: None,
            ready: VecDeque::new(),
        };
        Box::pin(stream::try_unfold(Box::new(telling.begun()), Telling::next))
    }

    fn models(&self) -> Vec<String> {
        let plan = &self.shared.plan;
        if plan.models.is_empty() {
            return plan.line_up.iter().take(1).map(|target| target.by.model.to_string()).collect();
        }
        plan.models.keys().map(|name| name.to_string()).collect()
    }

    fn estimate(&self, ask: &Ask) -> Usage {
        let (plan, line_up) = (&self.shared.plan, self.shared.line_up(ask.model.as_ref()));
        let tokens = Usage {
            prompt_tokens: count::prompt_at_most(&ask.lines),
            completion_tokens: self.shared.allowed(ask).into(),
            is_estimated: true,
            ..Usage::default()
        };
        let each = line_up.iter().map(|target| plan.prices.priced(&target.by.model, tokens));
        each.max_by_key(|usage| usage.cost).unwrap_or(tokens)
    }

    fn spent(&self, by: Option<&By>, lines: &[Line], text: &str) -> Usage {
        let usage = Usage {
            prompt_tokens: count::prompt(lines),
            completion_tokens: count::tokens(text),
            is_estimated: true,
            ..Usage::default()
        };
        by.map_or(usage, |by| self.shared.plan.prices.priced(&by.model, usage))
    }

    fn cheaper(&self) -> Option<Arc<str>> {
        self.shared.plan.cheaper.clone()
    }
}

/// An answer under way.
struct Telling {
    shared: Arc<Shared>,
    ask: Ask,
    /// Who is asked next.
    line_up: VecDeque<Target>,
    now: Option<(Target, Answer)>,
    /// How often the one that is asked now was asked before.
    tries: u32,
    /// Tokens that it is shown, counted.
    shown: u64,
    /// What was said, counted; `None` before the first token.
    said: Option<Counter>,
    /// What it took, as the provider says.
    usage: Option<Usage>,
    failure: Option<Failure>,
    /// What is to be told next.
    ready: VecDeque<Part>,
}

impl Telling {
    /// With the first one asked.
    fn begun(mut self) -> Self {
        self.ask_next();
        self
    }

    /// Asks the next in the line-up; `false` when there is none.
    fn ask_next(&mut self) -> bool {
        let Some(target) = self.line_up.pop_front() else { return false };
        self.tries = 0;
        self.ready.push_back(Part::By(target.by.clone()));
        self.ask(target);
        true
    }

    fn ask(&mut self, target: Target) {
        let ask = Ask { model: Some(Arc::clone(&target.by.model)), ..self.ask.clone() };
        let answer = target.provider.answer(ask);
        self.usage = None;
        self.now = Some((target, answer));
    }

    async fn next(mut self: Box<Self>) -> Result<Option<(Part, Box<Self>)>, Failure> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some((part, self)));
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            let Some((_, answer)) = &mut self.now else { return Ok(None) };
            match answer.next().await {
                Some(Ok(part)) => self.take(part),
                Some(Err(failure)) => self.bear(failure).await,
                None => self.end(),
            }
        }
    }

    fn take(&mut self, part: Part) {
        match part {
            Part::Text(text) => {
                if self.said.is_none() {
                    // Nobody else is asked any more: what was shown need not be kept as long as the answer takes.
                    self.ask.lines = Vec::new();
                }
                self.said.get_or_insert_default().add(&text);
                self.ready.push_back(Part::Text(text));
            }
            Part::Usage(usage) => self.usage = Some(usage),
            Part::Finish(finish) => self.ready.push_back(Part::Finish(finish)),
            Part::By(_) => {}
        }
    }

    /// The answer is over: says what it took.
    fn end(&mut self) {
        let Some((target, _)) = self.now.take() else { return };
        let usage = self.usage.unwrap_or_else(|| Usage {
            prompt_tokens: self.shown,
            completion_tokens: self.said.unwrap_or_default().tokens(),
            is_estimated: true,
            ..Usage::default()
        });
        self.ready.push_back(Part::Usage(self.shared.plan.prices.priced(&target.by.model, usage)));
    }

    /// Asks again, or the next one, unless the answer has begun.
    async fn bear(&mut self, failure: Failure) {
        if self.said.is_some() {
            self.end();
            self.failure = Some(failure);
            return;
        }
        // The connection is given back before anything is waited for.
        let Some((target, _)) = self.now.take() else { return };
        let again = self.shared.again(failure.kind, self.tries);
        tracing::warn!(
            provider = &*target.by.provider,
            model = &*target.by.model,
            error = %failure,
            asked_again = again.is_some(),
            "the provider did not begin to answer"
        );
        if let Some(pause) = again {
            tokio::time::sleep(pause).await;
            self.tries += 1;
            self.ask(target);
        } else if !self.ask_next() {
            self.failure = Some(failure);
        }
    }
}
