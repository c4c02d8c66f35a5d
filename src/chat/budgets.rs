//! What answers may cost: put aside before an assistant is asked, settled when it has answered.
//!
//! Whoever wants an answer has up to four purses: their tenant's, their own, their session's and their address's. Each
//! gives so much a day. Before anything is asked the most that the answer may take is put aside in all of them, in one
//! transaction; so many may come at once as like, they cannot spend more than there is by a single call.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::Chat;
use crate::clock::Clock;
use crate::domain::{
    Allowance, ConversationId, Day, Left, Money, OverBudget, PlatformId, Purse, PurseKind, Spend, Timestamp, Usage,
    UserId,
};
use crate::error::Result;
use crate::store::SharedStore;
use crate::store::budgets::{BUDGETS_AT_ONCE, Reservation, Reserved};

/// How long after the end that an answer has at the latest its reservation lapses. Its node had so long to settle it;
/// one that comes later still corrects it.
const LAPSES_AFTER: Duration = Duration::from_secs(15 * 60);

/// What each kind of purse gives a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowances {
    /// A tenant's.
    pub tenant: Allowance,
    /// A user's.
    pub user: Allowance,
    /// A session's.
    pub session: Allowance,
    /// An address's.
    pub address: Allowance,
}

impl Allowances {
    fn of(&self, kind: PurseKind) -> Allowance {
        match kind {
            PurseKind::Tenant => self.tenant,
            PurseKind::User => self.user,
            PurseKind::Session => self.session,
            PurseKind::Address => self.address,
        }
    }

    fn is_limit(&self) -> bool {
        [self.tenant, self.user, self.session, self.address].into_iter().any(Allowance::is_limit)
    }
}

/// What becomes of an answer for which there is no room, as the operator set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenOver {
    /// A cheaper model answers, if there is room for that; else the fixed text does.
    Cheaper,
    /// A fixed text is the answer.
    #[default]
    Answer,
    /// A person is asked for; where there is none, a fixed text is the answer.
    Person,
    /// There is no answer.
    Refuse,
}

/// What the operator set.
#[derive(Clone, Debug, Default)]
pub struct BudgetRules {
    /// What purses give.
    pub everybody: Allowances,
    /// What they give at some tenants, by the tenant's public key or by its slug.
    pub tenants: HashMap<String, Allowances>,
    /// What becomes of answers for which there is no room.
    pub over: WhenOver,
    /// The fixed text.
    pub answer: Arc<str>,
    /// The currency of the price table; may be empty.
    pub currency: Arc<str>,
    /// For how many days is kept what was spent.
    pub keep_days: u64,
}

/// Who pays for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payer {
    /// Their tenant; `None`: the default one.
    pub tenant: Option<PlatformId>,
    /// Who asks, when that is a user.
    pub user: Option<UserId>,
    /// The conversation, when the answer is of one.
    pub session: Option<ConversationId>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
}

/// The most that an answer may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// By the model that was asked for.
    pub asked: Usage,
    /// By the cheaper one, when there is one.
    pub cheaper: Option<Usage>,
}

impl From<Usage> for Estimate {
    fn from(asked: Usage) -> Self {
        Self { asked, cheaper: None }
    }
}

/// Whether an answer may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Budgeted {
    /// It may.
    Granted(Granted),
    /// It may not.
    Over(Over),
}

/// There is room for an answer, and it is put aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// What is left once the answer has taken the most that it may; of several purses the smallest.
    pub left: Left,
    /// Whether only the cheaper model may be asked.
    pub is_cheaper: bool,
}

/// There is no room for an answer: no provider is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// Whose purse has none.
    pub whose: PurseKind,
    /// What is left; of several purses the smallest.
    pub left: Left,
    /// How long until all of them are full again; `None` when there would be no room then, either.
    pub full_in: Option<Duration>,
    /// What is to be done.
    pub instead: Instead,
}

/// What is to be done where there is no room for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// This text is the answer.
    Answer(Arc<str>),
    /// A person is asked for; at doors without, and when nobody is free, this text is the answer.
    Person(Arc<str>),
    /// The request is refused.
    Refuse,
}

/// What this process saw of budgets since it started.
#[derive(Debug, Default)]
pub struct BudgetStats {
    /// Tokens that answers took.
    pub tokens: AtomicU64,
    /// Money that they cost, in millionths.
    pub money: AtomicU64,
    /// Answers that a cheaper model gave, because there was no room for the other.
    pub cheaper: AtomicU64,
    /// Answers for which there was no room.
    pub refused: AtomicU64,
    /// Reservations that lapsed.
    pub lapsed: AtomicU64,
}

/// What the use-cases keep of budgets.
pub(super) struct Budgets {
    address_key: [u8; 32],
    is_limited: bool,
    stats: BudgetStats,
}

impl Budgets {
    /// # Errors
    /// When the store cannot keep this installation's secrets.
    pub async fn open(store: &SharedStore, clock: &Clock, rules: &BudgetRules) -> Result<Self> {
        let is_limited = rules.everybody.is_limit() || rules.tenants.values().any(Allowances::is_limit);
        let address_key = store.secret("budget-addresses", clock.secret()).await?;
        Ok(Self { address_key, is_limited, stats: BudgetStats::default() })
    }
}

impl Chat {
    /// Puts aside what an answer may take, before its provider is asked. Without limits nothing is written.
    ///
    /// Each run is settled afterwards by [`Chat::settle_budget`], with nothing if the provider was never asked.
    ///
    /// # Errors
    /// What the store answers: then nothing may be asked, either.
    pub async fn reserve_budget(&self, payer: &Payer, estimate: impl Into<Estimate>, run: Uuid) -> Result<Budgeted> {
        if !self.budgets.is_limited {
            return Ok(Budgeted::Granted(Granted::default()));
        }
        let estimate = estimate.into();
        let amount = estimate.asked.into();
        let over = match self.put_aside(payer, amount, run).await? {
            Reserved::Granted(left) => return Ok(Budgeted::Granted(Granted { left, is_cheaper: false })),
            Reserved::Over(over) => over,
        };
        if let Some(cheaper) = estimate.cheaper.filter(|_| self.rules.budgets.over == WhenOver::Cheaper)
            && let Reserved::Granted(left) = self.put_aside(payer, cheaper.into(), run).await?
        {
            self.budgets.stats.cheaper.fetch_add(1, Ordering::Relaxed);
            return Ok(Budgeted::Granted(Granted { left, is_cheaper: true }));
        }
        self.budgets.stats.refused.fetch_add(1, Ordering::Relaxed);
        Ok(Budgeted::Over(self.over(over, self.room_in(payer, amount).await?)))
    }

    /// Notes what a run's answer took, also when it was cut off. A second time it does nothing.
    ///
    /// # Errors
    /// What the store answers. What was put aside then lapses, and counts as spent.
    pub async fn settle_budget(&self, run: Uuid, actual: Usage) -> Result<()> {
        let actual = Spend::from(actual);
        if !self.budgets.is_limited || self.store.settle_budget(run, actual).await? {
            let stats = &self.budgets.stats;
            stats.tokens.fetch_add(actual.tokens, Ordering::Relaxed);
            stats.money.fetch_add(u64::try_from(actual.money.0).unwrap_or(0), Ordering::Relaxed);
        }
        Ok(())
    }

    /// What is left, for `X-Budget-Remaining`; `None` when nothing is bounded.
    pub fn budget_told(&self, left: Left) -> Option<String> {
        left.told(&self.rules.budgets.currency)
    }

    /// What this process saw of budgets.
    pub fn budget_stats(&self) -> &BudgetStats {
        &self.budgets.stats
    }

    /// Lets reservations lapse whose node died, and removes what is known of days long past. To be called every now
    /// and then.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn tend_budgets(&self) -> Result<()> {
        let now = self.clock.now();
        self.lapse_budgets(now).await?;
        let before = Day::of(now).minus(self.rules.budgets.keep_days);
        while self.store.prune_budgets(before).await? >= BUDGETS_AT_ONCE {}
        Ok(())
    }

    /// Lets reservations lapse that would do so before that instant; how many. On a store that this process has to
    /// itself, all of them when it starts: whoever made them is not there any more.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn lapse_budgets(&self, before: Timestamp) -> Result<usize> {
        let mut lapsed = 0;
        loop {
            let some = self.store.lapse_budgets(before).await?;
            lapsed += some;
            self.budgets.stats.lapsed.fetch_add(some as u64, Ordering::Relaxed);
            if some < BUDGETS_AT_ONCE {
                return Ok(lapsed);
            }
        }
    }

    async fn put_aside(&self, payer: &Payer, amount: Spend, run: Uuid) -> Result<Reserved> {
        let now = self.clock.now();
        let day = Day::of(now);
        let allowances = self.allowances(payer.tenant).await?;
        let purses = self.purses(payer, day).map(|purse| (purse, allowances.of(purse.kind())));
        let purses: Vec<_> = purses.filter(|(_, allowance)| allowance.is_limit()).collect();
        if purses.is_empty() {
            return Ok(Reserved::Granted(Left::default()));
        }
        let lapses_at = now.plus(self.rules.answer_timeout + LAPSES_AFTER);
        self.store.reserve_budget(Reservation { run, purses, amount, day, lapses_at }).await
    }

    /// How long until there is room for that much: until the next day, unless no day gives so much.
    async fn room_in(&self, payer: &Payer, amount: Spend) -> Result<Option<Duration>> {
        let now = self.clock.now();
        let allowances = self.allowances(payer.tenant).await?;
        let mut purses = self.purses(payer, Day::of(now));
        let fits = purses.all(|purse| allowances.of(purse.kind()).has_room(Spend::NOTHING, amount));
        Ok(fits.then(|| Day::rest(now)))
    }

    fn purses(&self, payer: &Payer, day: Day) -> impl Iterator<Item = Purse> {
        let address = payer.address.map(|address| Purse::Address(hashed(&self.budgets.address_key, address, day)));
        let own = payer.user.map(Purse::User).into_iter().chain(payer.session.map(Purse::Session));
        [Purse::Tenant(payer.tenant)].into_iter().chain(own).chain(address)
    }

    /// What purses give at that tenant.
    async fn allowances(&self, tenant: Option<PlatformId>) -> Result<Allowances> {
        let rules = &self.rules.budgets;
        let Some(id) = tenant.filter(|_| !rules.tenants.is_empty()) else { return Ok(rules.everybody) };
        let Some(platform) = self.store.platform(id).await? else { return Ok(rules.everybody) };
        let own = rules.tenants.get(&platform.key.to_string()).or_else(|| rules.tenants.get(&platform.slug));
        Ok(own.copied().unwrap_or(rules.everybody))
    }

    fn over(&self, over: OverBudget, full_in: Option<Duration>) -> Over {
        let text = || Arc::clone(&self.rules.budgets.answer);
        let instead = match self.rules.budgets.over {
            WhenOver::Cheaper | WhenOver::Answer => Instead::Answer(text()),
            WhenOver::Person => Instead::Person(text()),
            WhenOver::Refuse => Instead::Refuse,
        };
        Over { whose: over.whose, left: over.left, full_in, instead }
    }
}

/// What an address is called on a day. Keyed, so that the store does not tell who was there, and another name each day,
/// so that it does not tell that it was the same. Of IPv6, providers give a customer 64 bits or more.
fn hashed(key: &[u8; 32], address: IpAddr, day: Day) -> [u8; 16] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("an HMAC takes keys of any length");
    mac.update(&day.0.to_be_bytes());
    match address.to_canonical() {
        IpAddr::V4(address) => mac.update(&address.octets()),
        IpAddr::V6(address) => mac.update(&address.octets()[..8]),
    }
    let whole: [u8; 32] = mac.finalize().into_bytes().into();
    let mut hash = [0; 16];
    hash.copy_from_slice(&whole[..16]);
    hash
}

/// A limit as the configuration has it; 0 is none.
impl Allowances {
    /// One kind's, of tokens and of units of the currency.
    pub fn one(tokens: u64, money: f64) -> Allowance {
        let millionths = (money * 1e6).round() as i64;
        Allowance { tokens: (tokens > 0).then_some(tokens), money: (millionths > 0).then_some(Money(millionths)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_name_a_day() {
        let name = |address: &str, day| hashed(&[7; 32], address.parse().unwrap(), Day(day));
        assert_eq!(name("192.0.2.1", 1), name("::ffff:192.0.2.1", 1));
        assert_ne!(name("192.0.2.1", 1), name("192.0.2.2", 1));
        assert_ne!(name("192.0.2.1", 1), name("192.0.2.1", 2));
        assert_eq!(name("2001:db8:1:2::1", 1), name("2001:db8:1:2:ffff::9", 1), "one customer");
        assert_ne!(name("2001:db8:1:2::1", 1), name("2001:db8:1:3::1", 1));
        assert_ne!(name("192.0.2.1", 1), hashed(&[8; 32], "192.0.2.1".parse().unwrap(), Day(1)));
    }

    #[test]
    fn nothing_is_no_limit() {
        assert!(!Allowances::one(0, 0.0).is_limit());
        assert_eq!(Allowances::one(5, 0.35), Allowance { tokens: Some(5), money: Some(Money(350_000)) });
    }
}
