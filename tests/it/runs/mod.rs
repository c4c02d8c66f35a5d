//! What is promised of an assistant's answers whichever provider makes them: what a crash leaves, what they may cost, what
//! the provider is shown, how many there may be at once.

mod budgets;
mod doors;
mod guests;
mod kill;
mod limits;
mod nodes;
mod page;
mod prompts;
mod refusals;

use roost::config::{Config, Price};
use roost::local::scripted::{Script, Seen, done, events, finish, text, usage};
use serde_json::Value;

use crate::support::provider::asked;

/// The lines that a provider was shown, with who said them.
fn shown(seen: &Seen) -> Vec<(String, String)> {
    let body = asked(seen);
    let lines = body["messages"].as_array().expect("lines");
    let word = |value: &Value| value.as_str().expect("text").to_owned();
    lines.iter().map(|line| (word(&line["role"]), word(&line["content"]))).collect()
}

/// The last thing that a provider was shown: the question.
fn question_of(seen: &Seen) -> String {
    shown(seen).pop().expect("a question").1
}

/// What an answer takes at the most, in tokens of the answer, and what [`costly`] takes.
const TOKENS: u32 = 10;

/// An answer that takes as much as it may.
fn costly(said: &str) -> Script {
    Script(vec![events(), text(said), finish("stop"), usage(7, TOKENS as usize), done()])
}

/// An answer costs 0.01, as it was put aside for it: a thousandth each token, and nothing for the question.
fn a_cent_each(config: &mut Config) {
    config.assistant.tokens_max = TOKENS;
    let price = Price { prompt: 0.0, completion: 1000.0 };
    config.assistant.prices.insert("scripted".to_owned(), price);
}
