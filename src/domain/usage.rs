//! What an answer took: tokens, and money.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// An amount of money, in millionths of the currency that the operator's price table is in. A whole number, so that
/// sums come out the same in every order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(pub i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// What making an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens that the assistant was shown.
    pub prompt_tokens: u64,
    /// Tokens that it said.
    pub completion_tokens: u64,
    /// What they cost, by the operator's price table; nothing where that has no price.
    pub cost: Money,
    /// Whether the tokens were counted here, because the provider did not say.
    pub is_estimated: bool,
}

impl Usage {
    /// Both kinds of tokens.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}
