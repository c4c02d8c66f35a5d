//! How many tokens a text has, where no provider says so: an estimate, and a bound.
//!
//! Every provider cuts text in its own way, by a table of some megabytes. What they have in common is enough for an
//! estimate: about four letters of English make a token, fewer of other languages, and no token is less than a byte. The
//! shares below are within a fifth of what OpenAI's tokenizers count (`o200k_base`, `cl100k_base`) for English and code;
//! for other languages, of which the newer of the two makes up to three times fewer tokens than the older one, they lie
//! between the two, or near the newer one.

use super::Line;

/// Tokens that a line takes besides its text, and that a conversation takes besides its lines, in the templates of chat
/// models. OpenAI's take three each; the bound leaves room for larger ones.
const LINE: u64 = 4;
const CONVERSATION: u64 = 3;
const LINE_MAX: u64 = 16;
const CONVERSATION_MAX: u64 = 64;

/// Shares of a token that are counted in.
const SHARES: u64 = 20;

/// Counts a text that arrives in pieces; roughly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    shares: u64,
}

impl Counter {
    /// More text.
    pub fn add(&mut self, text: &str) {
        self.shares = text.chars().map(shares).fold(self.shares, u64::saturating_add);
    }

    /// Tokens so far.
    pub fn tokens(&self) -> u64 {
        self.shares.div_ceil(SHARES)
    }
}

/// How much of a token a character makes.
fn shares(char: char) -> u64 {
    match char {
        'a'..='z' | 'A'..='Z' | ' ' => 4,
        '0'..='9' => 8,
        '\0'..='\x7F' => 12,
        // Latin with marks, Greek, Cyrillic, Hebrew, Arabic: a few letters a token.
        '\u{80}'..='\u{7FF}' | '\u{1E00}'..='\u{1FFF}' => 8,
        // Other scripts, mostly those of Asia.
        '\u{800}'..='\u{FFFF}' => 16,
        _ => 2 * SHARES,
    }
}

/// Tokens of a text, roughly.
pub fn tokens(text: &str) -> u64 {
    let mut counter = Counter::default();
    counter.add(text);
    counter.tokens()
}

/// Tokens of a line with what surrounds it, roughly.
pub fn line(line: &Line) -> u64 {
    tokens(&line.text).saturating_add(LINE)
}

/// Tokens of what an assistant is shown, roughly.
pub fn prompt(lines: &[Line]) -> u64 {
    lines.iter().map(line).fold(CONVERSATION, u64::saturating_add)
}

/// What it is shown has no more tokens than that, whoever counts: none is less than a byte.
pub fn prompt_at_most(lines: &[Line]) -> u64 {
    let bytes = lines.iter().map(|line| (line.text.len() as u64).saturating_add(LINE_MAX));
    bytes.fold(CONVERSATION_MAX, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Role;

    proptest! {
        #[test]
        fn pieces_count_as_the_whole(pieces in proptest::collection::vec(any::<String>(), 0..8)) {
            let mut counter = Counter::default();
            pieces.iter().for_each(|piece| counter.add(piece));
            prop_assert_eq!(counter.tokens(), tokens(&pieces.concat()));
        }

        #[test]
        fn an_estimate_is_within_the_bound(texts in proptest::collection::vec(any::<String>(), 0..8)) {
            let lines: Vec<_> = texts.into_iter().map(|text| Line { role: Role::User, text }).collect();
            prop_assert!(prompt(&lines) <= prompt_at_most(&lines));
        }
    }
}
