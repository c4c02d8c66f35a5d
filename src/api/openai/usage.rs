//! What an answer took, counted here.

use serde::Serialize;
use utoipa::ToSchema;

use crate::chat::Line;

/// What a completion took. Counted by the length of the texts: four letters a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = openai::CompletionUsage)]
pub struct Usage {
    /// Tokens that the assistant was shown.
    pub prompt_tokens: u64,
    /// Tokens that it said.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}

impl Usage {
    /// For an answer to these lines.
    pub fn of(lines: &[Line], answer: &str) -> Self {
        let prompt_tokens = lines.iter().map(|line| tokens(&line.text)).sum();
        let completion_tokens = tokens(answer);
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }
}

fn tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(4) as u64
}
