//! Real providers: what they are asked, what they send on bad days, and what becomes of it for clients.

mod anthropic;
mod bad_days;
mod independent;
mod leaving;
mod openai;
mod several;

use futures_util::StreamExt;
use roost::assistant::{Ask, Failure, Line, Part, Provider};
use roost::domain::Role;

/// All that a provider tells of an answer, and how it failed if it did.
pub async fn told(provider: &dyn Provider, ask: Ask) -> (Vec<Part>, Option<Failure>) {
    let (mut parts, mut answer) = (Vec::new(), provider.answer(ask));
    while let Some(part) = answer.next().await {
        match part {
            Ok(part) => parts.push(part),
            Err(failure) => {
                assert!(answer.next().await.is_none(), "nothing follows a failure");
                return (parts, Some(failure));
            }
        }
    }
    (parts, None)
}

/// A question of one line.
pub fn question(text: &str) -> Ask {
    Ask { lines: vec![Line { role: Role::User, text: text.to_owned() }], ..Ask::default() }
}

/// What was said, joined.
pub fn said(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None });
    texts.collect()
}
