//! Which answers are under way in a conversation: for whoever comes back and knows nothing but the conversation.

use std::sync::Arc;

use futures_util::FutureExt;

use super::Chat;
use crate::domain::{ConversationId, EventId, INTEGER_MAX, Message, OpenRun, Role};
use crate::error::Result;
use crate::store::MessageFilter;

impl Chat {
    /// The question that is being answered in that conversation, on whichever node; the newest, if there are several.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn answer_under_way(&self, id: ConversationId) -> Result<Option<Arc<Message>>> {
        if let Some(question) = self.runs.newest_in(id) {
            return Ok(Some(question));
        }
        let Some(question) = self.newest_question(id).await? else { return Ok(None) };
        // It may be stored and its answer about to begin, or be made by another node.
        let Some(mut answer) = self.attach_to(&question, usize::MAX).await? else { return Ok(None) };
        let is_over = answer.next().now_or_never().is_some();
        Ok((!is_over).then_some(question))
    }

    /// The answers that are made in that conversation or wait for their turn, on whichever node, in the order in which
    /// they were asked for, each with what was told of it.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn runs_of(&self, id: ConversationId) -> Result<Vec<OpenRun>> {
        self.store.runs_under_way(id).await
    }

    /// What the user said last in a conversation.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn newest_question(&self, id: ConversationId) -> Result<Option<Arc<Message>>> {
        let newest = MessageFilter {
            before: Some(EventId(INTEGER_MAX)),
            role: Some(Role::User),
            limit: 1,
            ..MessageFilter::default()
        };
        Ok(self.store.messages(id, newest).await?.pop())
    }
}
