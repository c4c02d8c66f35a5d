//! What an answer took, counted here.

use serde::Serialize;
use utoipa::ToSchema;

use crate::chat::Line;
use crate::domain;

/// What a completion took. Where that is not known, it is counted by the length of the texts: four letters a token.
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

impl From<domain::Usage> for Usage {
    fn from(usage: domain::Usage) -> Self {
        let (prompt_tokens, completion_tokens) = (usage.prompt_tokens, usage.completion_tokens);
        Self { prompt_tokens, completion_tokens, total_tokens: usage.tokens() }
    }
}

fn tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(4) as u64
}
