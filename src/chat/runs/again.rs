//! An answer again: another one instead of it, or the rest of one that was cut off.

use std::sync::Arc;

use super::live::{Instead, Live};
use super::{Asked, Asking, Owner};
use crate::chat::Chat;
use crate::domain::{Conversation, Message};
use crate::error::Result;

/// How a question is answered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Anew: the answer that is there is replaced once there is another.
    Anew,
    /// From where the answer that is there ends: what is replaced is the beginning of what replaces it.
    Onwards,
}

impl Chat {
    /// Answers a question again. While an answer to it is under way, that is heard instead; so it is with one that is to
    /// go on and lacks nothing.
    ///
    /// # Errors
    /// As [`Chat::ask`].
    pub async fn ask_again(
        self: &Arc<Self>,
        conversation: &Conversation,
        question: &Arc<Message>,
        how: Again,
        asking: Asking,
    ) -> Result<Asked> {
        let provider = self.must_have_provider()?;
        let (chat, conversation, question) = (Arc::clone(self), conversation.clone(), Arc::clone(question));
        self.unbroken(async move {
            if let Some(refusal) = chat.refusal(&conversation) {
                return Err(refusal);
            }
            chat.runs.settled(question.uuid).await;
            let last = chat.store.run_for(conversation.id, question.id).await?;
            let outcome = last.as_ref().and_then(|run| run.outcome());
            let is_whole = how == Again::Onwards && outcome.is_some_and(|outcome| !outcome.is_incomplete());
            let is_heard = (last.is_some() && outcome.is_none()) || is_whole;
            if is_heard && let Some(answer) = chat.attach_to(&question, 0).await? {
                return Ok(Asked { question, replayed: true, answer, budget: None });
            }
            let owner = Owner::of(&conversation, &asking);
            let place = chat.runs.places.take(&owner, chat.crowd(chat.while_answering(&conversation)))?;
            let there = chat.store.answer_to(conversation.id, question.id).await?;
            let text = there.as_ref().filter(|_| how == Again::Onwards).map(|answer| answer.text.clone());
            let instead = Instead { message: there.map(|answer| answer.id), text: text.unwrap_or_default() };
            let asking = (asking.within(&conversation), owner);
            let live = Live::new(chat.clock.uuid(), &question, asking, instead);
            let live = chat.start(provider, live, chat.while_answering(&conversation), place);
            let (answer, budget) = chat.begun(&live).await?;
            Ok(Asked { question, replayed: false, answer, budget })
        })
        .await
    }
}
