//! What the events of one answer come to, whatever dialect they are in.

use std::collections::VecDeque;

use super::{Finish, Part};
use crate::domain::Usage;

/// The parts of an answer that were heard and not told yet, and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Heard {
    parts: VecDeque<Part>,
    finish: Option<Finish>,
    usage: Option<Usage>,
    is_over: bool,
}

impl Heard {
    /// More text; the first chunk of many providers has none.
    pub fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.parts.push_back(Part::Text(text.to_owned()));
        }
    }

    /// Why no more is said; the first reason counts.
    pub fn finish(&mut self, finish: Finish) {
        if self.finish.is_none() {
            self.finish = Some(finish);
            self.parts.push_back(Part::Finish(finish));
        }
    }

    /// Tokens, as far as they are told: each of the two replaces what was told before.
    pub fn usage(&mut self, prompt: Option<u64>, completion: Option<u64>) {
        let usage = self.usage.get_or_insert_default();
        usage.prompt_tokens = prompt.unwrap_or(usage.prompt_tokens);
        usage.completion_tokens = completion.unwrap_or(usage.completion_tokens);
    }

    /// The answer is complete.
    pub fn end(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.parts.extend(self.usage.map(Part::Usage));
        }
    }

    /// Whether nothing more has to come: it is complete, or at least said why no more is said. Many providers leave
    /// out the end, or what stands between the two.
    pub fn is_whole(&self) -> bool {
        self.is_over || self.finish.is_some()
    }

    /// Whether the answer is complete.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next part.
    pub fn next(&mut self) -> Option<Part> {
        self.parts.pop_front()
    }
}
