//! What answers may cost: who pays for them, how much a day, and what of that is left.

use std::fmt;
use std::time::Duration;

use super::{ConversationId, Money, PlatformId, Timestamp, Usage, UserId};

/// A day of UTC, as its number from 1970-01-01 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    const MICROS: i64 = 86_400_000_000;

    /// The day of an instant.
    pub fn of(at: Timestamp) -> Self {
        Self(at.0.div_euclid(Self::MICROS))
    }

    /// How long it is from an instant to the next day.
    pub fn rest(at: Timestamp) -> Duration {
        Duration::from_micros((Self::MICROS - at.0.rem_euclid(Self::MICROS)).unsigned_abs())
    }

    /// So many days earlier.
    pub fn minus(self, days: u64) -> Self {
        Self(self.0.saturating_sub(i64::try_from(days).unwrap_or(i64::MAX)))
    }
}

/// What kind of payer has a purse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PurseKind {
    /// A tenant; who belongs to none is of the default one.
    Tenant,
    /// A user.
    User,
    /// A conversation.
    Session,
    /// The address that somebody comes from.
    Address,
}

impl PurseKind {
    /// Its name in the store, in logs and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::User => "user",
            Self::Session => "session",
            Self::Address => "address",
        }
    }
}

/// A payer. An answer is paid from up to four: of its tenant, user, session and address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purse {
    /// A tenant's; `None`: of all who belong to none.
    Tenant(Option<PlatformId>),
    /// A user's.
    User(UserId),
    /// A conversation's.
    Session(ConversationId),
    /// An address's, which is only known as a keyed hash.
    Address([u8; 16]),
}

impl Purse {
    /// Whose it is.
    pub fn kind(self) -> PurseKind {
        match self {
            Self::Tenant(_) => PurseKind::Tenant,
            Self::User(_) => PurseKind::User,
            Self::Session(_) => PurseKind::Session,
            Self::Address(_) => PurseKind::Address,
        }
    }
}

/// Its name in the store: the kind, a colon, and which of them. Without a blank.
impl fmt::Display for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind().as_str())?;
        match self {
            // No platform has the number 0.
            Self::Tenant(id) => id.map_or(0, |id| id.0).fmt(f),
            Self::User(id) => id.fmt(f),
            Self::Session(id) => id.fmt(f),
            Self::Address(hash) => hash.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// An amount that is spent, or put aside for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// Tokens, of questions and of answers.
    pub tokens: u64,
    /// Money.
    pub money: Money,
}

impl Spend {
    /// Nothing.
    pub const NOTHING: Self = Self { tokens: 0, money: Money::ZERO };

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(other.tokens), money: self.money + other.money }
    }

    /// What remains without the other; nothing less than nothing.
    pub fn minus(self, other: Self) -> Self {
        let money = Money(self.money.0.saturating_sub(other.money.0).max(0));
        Self { tokens: self.tokens.saturating_sub(other.tokens), money }
    }
}

/// Money that came back is not counted as earned.
impl From<Usage> for Spend {
    fn from(usage: Usage) -> Self {
        Self { tokens: usage.tokens(), money: usage.cost.max(Money::ZERO) }
    }
}

/// What a purse gives a day. `None`: as much as anybody likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Tokens.
    pub tokens: Option<u64>,
    /// Money.
    pub money: Option<Money>,
}

impl Allowance {
    /// Whether it bounds anything.
    pub fn is_limit(self) -> bool {
        self.tokens.is_some() || self.money.is_some()
    }

    /// Whether there is room for `amount` beside what is given out. What takes nothing of a kind always has room in
    /// that: a model without a price can be asked when the money is gone.
    pub fn has_room(self, given: Spend, amount: Spend) -> bool {
        let after = given.plus(amount);
        let tokens = amount.tokens == 0 || self.tokens.is_none_or(|limit| after.tokens <= limit);
        let money = amount.money <= Money::ZERO || self.money.is_none_or(|limit| after.money <= limit);
        tokens && money
    }

    /// What can still be given out.
    pub fn left(self, given: Spend) -> Left {
        let whole = Spend { tokens: self.tokens.unwrap_or(0), money: self.money.unwrap_or(Money::ZERO) };
        let rest = whole.minus(given);
        Left { tokens: self.tokens.map(|_| rest.tokens), money: self.money.map(|_| rest.money) }
    }
}

/// What is left for a day. `None`: nothing bounds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Tokens.
    pub tokens: Option<u64>,
    /// Money.
    pub money: Option<Money>,
}

impl Left {
    /// What is left of both: of each kind the smaller.
    pub fn smaller(self, other: Self) -> Self {
        Self { tokens: smaller(self.tokens, other.tokens), money: smaller(self.money, other.money) }
    }

    /// For `X-Budget-Remaining`, as a dictionary of RFC 9651: `tokens=1200, money=0.35;currency=EUR`. Money is rounded
    /// down to a thousandth, which is the most that such a number has. `None` when nothing is bounded.
    pub fn told(self, currency: &str) -> Option<String> {
        let tokens = self.tokens.map(|tokens| format!("tokens={}", tokens.min(INTEGER_MAX)));
        let unit = if currency.is_empty() { String::new() } else { format!(";currency={currency}") };
        let money = self.money.map(|money| format!("money={}{unit}", decimal(money)));
        let both: Vec<_> = tokens.into_iter().chain(money).collect();
        (!both.is_empty()).then(|| both.join(", "))
    }
}

/// The largest integer of a structured field (RFC 9651, 3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

fn smaller<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A decimal with one to three digits behind its point.
fn decimal(money: Money) -> String {
    let thousandths = (money.0.max(0) / 1000).min(999_999_999_999_999);
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    let digits = text.trim_end_matches('0');
    if digits.ends_with('.') { format!("{digits}0") } else { digits.to_owned() }
}

/// There is no room in a purse for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget {
    /// Whose: of several the first that was asked.
    pub whose: PurseKind,
    /// What is left in all purses: of each kind the smallest.
    pub left: Left,
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn spend(tokens: u64, money: i64) -> Spend {
        Spend { tokens, money: Money(money) }
    }

    #[test]
    fn a_day_begins_at_midnight_of_utc() {
        let day = |text: &str| Day::of(Timestamp::parse(text).unwrap());
        assert_eq!(day("1970-01-01T23:59:59.999999Z"), Day(0));
        assert_eq!(day("1970-01-02T00:00:00Z"), Day(1));
        assert_eq!(day("1969-12-31T23:59:59Z"), Day(-1));
        assert_eq!(day("2026-01-02T01:00:00+02:00"), day("2026-01-01T00:00:00Z"));
        assert_eq!(Day(3).minus(5), Day(-2));
        let rest = |text: &str| Day::rest(Timestamp::parse(text).unwrap());
        assert_eq!(rest("2026-01-01T23:59:58.5Z"), Duration::from_millis(1500));
        assert_eq!(rest("2026-01-01T00:00:00Z"), Duration::from_secs(24 * 3600));
        assert_eq!(rest("1969-12-31T23:59:59Z"), Duration::from_secs(1));
    }

    #[test]
    fn purses_have_different_names() {
        let hash = [0xab; 16];
        let named: Vec<_> = [
            Purse::Tenant(None),
            Purse::Tenant(Some(PlatformId(7))),
            Purse::User(UserId(7)),
            Purse::Session(ConversationId(7)),
            Purse::Address(hash),
        ]
        .iter()
        .map(Purse::to_string)
        .collect();
        let address = format!("address:{}", "ab".repeat(16));
        assert_eq!(named, ["tenant:0", "tenant:7", "user:7", "session:7", &address]);
    }

    #[test]
    fn room_is_up_to_the_limit_and_not_past_it() {
        let limit = Allowance { tokens: Some(100), money: Some(Money(50)) };
        assert!(limit.has_room(spend(60, 20), spend(40, 30)));
        assert!(!limit.has_room(spend(60, 20), spend(41, 30)));
        assert!(!limit.has_room(spend(60, 20), spend(40, 31)));
        assert!(Allowance::default().has_room(spend(u64::MAX, i64::MAX), spend(u64::MAX, i64::MAX)));
        let spent = spend(0, 90);
        assert!(limit.has_room(spent, spend(100, 0)), "it costs no money");
        assert!(!limit.has_room(spent, spend(100, 1)));
    }

    #[test]
    fn what_is_left_is_never_less_than_nothing() {
        let limit = Allowance { tokens: Some(100), money: None };
        assert_eq!(limit.left(spend(30, 5)), Left { tokens: Some(70), money: None });
        assert_eq!(limit.left(spend(101, 5)), Left { tokens: Some(0), money: None });
        let other = Allowance { tokens: Some(40), money: Some(Money(9)) };
        let both = limit.left(spend(30, 5)).smaller(other.left(spend(0, 10)));
        assert_eq!(both, Left { tokens: Some(40), money: Some(Money(0)) });
    }

    #[test]
    fn what_is_left_is_told_in_one_line() {
        let told = |tokens, money: Option<i64>, currency| Left { tokens, money: money.map(Money) }.told(currency);
        assert_eq!(told(None, None, "EUR"), None);
        assert_eq!(told(Some(1200), Some(350_000), "").as_deref(), Some("tokens=1200, money=0.35"));
        assert_eq!(told(None, Some(12_000_999), "EUR").as_deref(), Some("money=12.0;currency=EUR"));
        assert_eq!(told(None, Some(1_999_999), "").as_deref(), Some("money=1.999"));
        assert_eq!(told(Some(u64::MAX), None, "").as_deref(), Some("tokens=999999999999999"));
    }
}
