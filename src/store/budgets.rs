//! What answers cost, and what they may cost: what the store keeps of purses.

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{Allowance, Day, Left, OverBudget, Purse, Spend, Timestamp};
use crate::error::Result;

/// How many reservations lapse in one call, and how many rows one call removes, at the most: a bound on how long it
/// holds the writer.
pub const BUDGETS_AT_ONCE: usize = 1000;

/// What an answer wants to put aside before it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Its run, which names the reservation.
    pub run: Uuid,
    /// The purses that pay, each with what it gives a day; each one once.
    pub purses: Vec<(Purse, Allowance)>,
    /// The most that the answer may take, from each of them.
    pub amount: Spend,
    /// The day that it is paid on, also when the answer ends on the next.
    pub day: Day,
    /// From when on it lapses, unless it is settled before.
    pub lapses_at: Timestamp,
}

/// What became of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// All purses had room. What is left after it: of each kind the smallest.
    Granted(Left),
    /// One had none, and nothing was put aside in any. What is left is told in the same form.
    Over(OverBudget),
}

/// What a purse has given on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// What answers took.
    pub spent: Spend,
    /// What is put aside for answers under way.
    pub reserved: Spend,
}

/// What every engine keeps of budgets.
///
/// Something is put aside before a provider is asked and settled when its answer has ended, so that no number of
/// callers at once can spend more than a purse gives: whoever finds no room is told so before anything was asked.
#[async_trait]
pub trait Budgets: Send + Sync {
    /// Puts an amount aside in all purses, or in none. One that is there already, under way or lapsed, is granted
    /// again and changes nothing.
    async fn reserve_budget(&self, reservation: Reservation) -> Result<Reserved>;

    /// Ends a run's reservation: what the answer took is spent, on the day of the reservation, also when that is more
    /// than was put aside. Corrects one that has lapsed. `false` when there is none: then nothing happens, so that
    /// settling twice is harmless.
    async fn settle_budget(&self, run: Uuid, actual: Spend) -> Result<bool>;

    /// Lets reservations lapse whose time came before that instant, the oldest first, at most [`BUDGETS_AT_ONCE`]; how
    /// many. Nobody is there any more who knows what their answers took, and the provider may have charged for all of
    /// it: so all of it counts as spent. To forget it would let whoever can crash a node ask for nothing.
    async fn lapse_budgets(&self, before: Timestamp) -> Result<usize>;

    /// What a purse has given on a day.
    async fn budget_spent(&self, purse: Purse, day: Day) -> Result<Spent>;

    /// Removes what is known of days before that one, but for reservations that have not lapsed; at most
    /// [`BUDGETS_AT_ONCE`] rows of each kind; how many.
    async fn prune_budgets(&self, before: Day) -> Result<usize>;
}

impl Spent {
    /// All that is given out.
    pub fn given(self) -> Spend {
        self.spent.plus(self.reserved)
    }

    fn with_reserved(self, amount: Spend) -> Self {
        Self { reserved: self.reserved.plus(amount), ..self }
    }

    /// What it is once a reservation has ended.
    pub(super) fn settled(self, held: &Held, actual: Spend) -> Self {
        if held.has_lapsed {
            return Self { spent: self.spent.minus(held.amount).plus(actual), ..self };
        }
        Self { spent: self.spent.plus(actual), reserved: self.reserved.minus(held.amount) }
    }
}

/// A reservation as it is stored.
pub(super) struct Held {
    pub day: Day,
    /// Names of purses.
    pub purses: Vec<String>,
    pub amount: Spend,
    pub has_lapsed: bool,
}

impl Held {
    /// The column of the purses, taken apart.
    pub fn purses(column: &str) -> Vec<String> {
        column.split_whitespace().map(str::to_owned).collect()
    }
}

impl Reservation {
    /// The column of the purses.
    pub(super) fn names(&self) -> String {
        self.purses.iter().map(|(purse, _)| purse.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// Given what each purse has given, in the order of the purses: what becomes of it, and of them if it is granted.
    pub(super) fn decide(&self, given: &[Spent]) -> (Reserved, Vec<Spent>) {
        let both = || self.purses.iter().zip(given);
        if let Some(((purse, _), _)) = both().find(|((_, limit), s)| !limit.has_room(s.given(), self.amount)) {
            let over = OverBudget { whose: purse.kind(), left: self.left(given) };
            return (Reserved::Over(over), given.to_vec());
        }
        let after: Vec<_> = given.iter().map(|spent| spent.with_reserved(self.amount)).collect();
        (Reserved::Granted(self.left(&after)), after)
    }

    /// What is left, given what each purse has given.
    pub(super) fn left(&self, given: &[Spent]) -> Left {
        let each = self.purses.iter().zip(given).map(|((_, limit), spent)| limit.left(spent.given()));
        each.fold(Left::default(), Left::smaller)
    }
}
