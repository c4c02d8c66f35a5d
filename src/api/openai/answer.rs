//! An answer that is heard: kept and made to its end, or kept nowhere and gone with whoever listens.

use uuid::Uuid;

use super::asked::Asked;
use super::context::Ctx;
use super::envelope::Failure;
use super::usage::Usage;
use super::wire::Named;
use crate::chat::{Asking, Attached, Draft, Ended, Line, Piece, Unkept, chat_name};
use crate::domain::{Conversation, Json, Role, RunOutcome, RunReason, Timestamp};
use crate::error::{Error, Result, Shortage};

/// An answer that is on its way.
pub struct Begun {
    /// What its identifier is made of.
    pub question: Uuid,
    /// When it was asked for.
    pub at: Timestamp,
    /// Where it is stored, if anywhere.
    pub conversation: Option<Named>,
    /// Whether the question had been put before.
    pub replayed: bool,
    /// What the assistant was shown.
    pub lines: Vec<Line>,
    /// What the client attached.
    pub metadata: Option<Json>,
    /// What is left of the budget.
    pub budget: Option<String>,
    /// The answer.
    pub hearing: Hearing,
}

/// What is heard next.
#[derive(Debug)]
pub enum Heard {
    /// More text, and how many bytes of it there are up to its end.
    Text(String, usize),
    /// The end.
    End(End),
}

/// How an answer ended.
#[derive(Debug)]
pub struct End {
    /// How.
    pub outcome: RunOutcome,
    /// Why, where the outcome does not say all.
    pub reason: Option<RunReason>,
    /// The whole text.
    pub text: String,
    /// What it took, where that was recorded.
    pub usage: Option<Usage>,
}

impl End {
    fn of(outcome: RunOutcome, text: String) -> Self {
        Self { outcome, reason: None, text, usage: None }
    }

    fn unkept(outcome: RunOutcome, answer: &Unkept, text: String) -> Self {
        let usage = (answer.usage.tokens() > 0).then(|| Usage::from(answer.usage));
        Self { outcome, reason: answer.reason, text, usage }
    }

    /// What is answered where nothing was sent before it; whether the question is kept.
    pub fn refusal(&self, is_kept: bool) -> Failure {
        match (self.outcome, self.reason) {
            (RunOutcome::Failed, Some(RunReason::Budget)) => Error::OverBudget(Shortage::default()).into(),
            (outcome, reason) => Failure::NoAnswer(outcome, reason, is_kept),
        }
    }

    /// What it took: as it was recorded, else counted.
    pub fn took(&self, lines: &[Line]) -> Usage {
        self.usage.unwrap_or_else(|| Usage::of(lines, &self.text))
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        let text = ended.answer.map(|message| message.text.clone()).unwrap_or_default();
        let usage = (ended.usage.tokens() > 0).then(|| Usage::from(ended.usage));
        Self { outcome: ended.outcome, reason: ended.reason, text, usage }
    }
}

/// Hears an answer.
pub struct Hearing {
    source: Source,
    cursor: usize,
}

enum Source {
    Kept(Attached),
    Unkept(Box<Unkept>, String),
    Over,
}

impl Hearing {
    /// Of an answer that is kept.
    pub fn kept(answer: Attached) -> Self {
        Self { source: Source::Kept(answer), cursor: 0 }
    }

    /// Nothing.
    pub fn over() -> Self {
        Self { source: Source::Over, cursor: 0 }
    }

    fn unkept(pieces: Unkept) -> Self {
        Self { source: Source::Unkept(Box::new(pieces), String::new()), cursor: 0 }
    }

    /// What comes next, as soon as it is there; `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Heard> {
        let heard = match &mut self.source {
            Source::Over => return None,
            Source::Kept(answer) => match answer.next().await? {
                Piece::Text { chunk, cursor } => Heard::Text(chunk, cursor),
                Piece::End(ended) => Heard::End(ended.into()),
            },
            Source::Unkept(pieces, whole) => match pieces.next().await {
                Some(Ok(piece)) => {
                    whole.push_str(&piece);
                    Heard::Text(piece, whole.len())
                }
                Some(Err(cause)) => {
                    tracing::warn!(cause = %cause, "an answer could not be finished");
                    Heard::End(End::unkept(RunOutcome::Failed, pieces, std::mem::take(whole)))
                }
                None => {
                    // What a provider withholds, it says at the end.
                    let withheld = pieces.reason == Some(RunReason::ContentFilter);
                    let outcome = if withheld { RunOutcome::Failed } else { RunOutcome::Completed };
                    Heard::End(End::unkept(outcome, pieces, std::mem::take(whole)))
                }
            },
        };
        match &heard {
            Heard::Text(_, cursor) => self.cursor = *cursor,
            Heard::End(..) => self.source = Source::Over,
        }
        Some(heard)
    }

    /// Whether the answer waits for its turn.
    pub fn is_queued(&self) -> bool {
        matches!(&self.source, Source::Kept(answer) if answer.is_queued())
    }

    /// How many bytes of the answer were heard.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// How it ends.
    pub async fn end(mut self) -> End {
        while let Some(heard) = self.next().await {
            if let Heard::End(end) = heard {
                return end;
            }
        }
        End::of(RunOutcome::Failed, String::new())
    }
}

/// How the answer is wanted.
fn asking(ctx: &Ctx, asked: &Asked) -> Asking {
    Asking {
        context: Some(asked.lines.clone()),
        model: asked.model_named(),
        tokens_max: asked.tokens_max,
        tenant: ctx.access().user.platform_id,
        address: Some(ctx.address()),
        door: "openai",
        language: None,
    }
}

/// Asks, and keeps nothing.
pub async fn ask_unkept(ctx: &Ctx, asked: Asked) -> Result<Begun, Failure> {
    let pieces = ctx.chat().ask_unkept(ctx.access(), asking(ctx, &asked)).await?;
    Ok(Begun {
        question: ctx.web().clock.uuid(),
        at: ctx.chat().now(),
        conversation: None,
        replayed: false,
        lines: asked.lines,
        metadata: asked.metadata,
        budget: pieces.budget.clone(),
        hearing: Hearing::unkept(pieces),
    })
}

/// Asks in a conversation, with what the assistant is shown. The last line is stored, and the answer to it.
pub async fn ask(ctx: &Ctx, chat: &Conversation, mut asked: Asked, field: &'static str) -> Result<Begun, Failure> {
    let text = asked.question(field, ctx.door().message_chars_max)?;
    if let Some(question) = asked.lines.last_mut() {
        text.as_str().clone_into(&mut question.text);
    }
    let (user_id, key) = (Some(ctx.access().user.id), ctx.idempotency_key()?);
    let asking = asking(ctx, &asked);
    let draft = Draft { role: Role::User, user_id, text, metadata: asked.metadata, letter: None, key };
    let put = ctx.chat().ask(chat, draft, asking).await?;
    Ok(Begun {
        question: put.question.uuid,
        at: put.question.created_at,
        conversation: Some(Named { id: chat_name(chat) }),
        replayed: put.replayed,
        lines: asked.lines,
        metadata: put.question.metadata.clone(),
        budget: put.budget,
        hearing: Hearing::kept(put.answer),
    })
}

/// Puts what was said in a conversation before what is said now, but behind what the assistant is told.
pub async fn after_history(ctx: &Ctx, chat: &Conversation, asked: &mut Asked) -> Result<()> {
    let history = ctx.chat().history(chat.id).await?;
    let told = asked.lines.iter().take_while(|line| line.role == Role::System).count();
    asked.lines.splice(told..told, history);
    Ok(())
}
