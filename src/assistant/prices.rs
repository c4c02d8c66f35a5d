//! What tokens cost, by the operator's table.

use std::collections::BTreeMap;

use crate::config::Price;
use crate::domain::{Money, Usage};

/// The table, by the model as the provider calls it.
#[derive(Clone, Debug, Default)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// A table; its amounts are for a million tokens.
    pub fn new(table: BTreeMap<String, Price>) -> Self {
        Self(table)
    }

    /// The same usage with what it costs, of a model without a price nothing.
    pub fn priced(&self, model: &str, usage: Usage) -> Usage {
        let cost = self.0.get(model).map_or(Money::ZERO, |price| cost(price, &usage));
        Usage { cost, ..usage }
    }
}

/// A millionth of the amount for a million tokens is what one costs: the numbers are the same. Parts of a millionth are
/// rounded up.
fn cost(price: &Price, usage: &Usage) -> Money {
    #[expect(clippy::cast_precision_loss, reason = "no answer has 2^53 tokens")]
    let millionths = usage.prompt_tokens as f64 * price.prompt + usage.completion_tokens as f64 * price.completion;
    // A sum of decimal fractions may come out a trifle above the whole number that it is.
    let whole = (millionths - 1e-6).ceil().max(0.0);
    #[expect(clippy::cast_possible_truncation, reason = "a number too large becomes the largest one")]
    Money(whole as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost_of(prompt_tokens: u64, completion_tokens: u64) -> i64 {
        let price = Price { prompt: 0.15, completion: 0.6 };
        let usage = Usage { prompt_tokens, completion_tokens, ..Usage::default() };
        Prices::new(BTreeMap::from([("m".to_owned(), price)])).priced("m", usage).cost.0
    }

    #[test]
    fn a_cost_is_whole_and_never_too_small() {
        assert_eq!(cost_of(1_000_000, 1_000_000), 750_000);
        assert_eq!((cost_of(1000, 100), cost_of(1, 0), cost_of(0, 0)), (210, 1, 0));
        assert_eq!(cost_of(u64::MAX, u64::MAX), i64::MAX);
        let usage = Usage { prompt_tokens: 5, ..Usage::default() };
        assert_eq!(Prices::default().priced("m", usage), usage);
    }
}
