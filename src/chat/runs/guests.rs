//! The assistant in live chats: it answers guests whom no person has.

use std::sync::Arc;

use super::live::{Instead, Live};
use super::{Asking, Owner};
use crate::chat::Chat;
use crate::domain::{ConversationKind, EventId, INTEGER_MAX, Message, Role, RunReason, WhileAnswering};
use crate::error::Result;
use crate::realtime::Channel;
use crate::store::{Locator, MessageFilter};

impl Chat {
    /// Answers a guest, unless a person has the chat. While an answer is under way, further
    /// messages wait: the answer after it looks at all of them. Where they interrupt, the answer under way is
    /// stopped first.
    pub(in crate::chat) fn answer_guest(self: &Arc<Self>, channel: &Channel, message: &Arc<Message>) {
        let state = channel.state();
        let somebody_has_it = state.as_ref().is_some_and(|state| state.assigned.is_some());
        let Ok(provider) = self.must_have_provider() else { return };
        if somebody_has_it {
            return;
        }
        let asking = Asking { door: "guest", ..Asking::default() };
        let tenant = channel.place().and_then(|place| place.platform_id);
        let owner = Owner { conversation: Some(message.conversation_id), user: message.user_id, address: None, tenant };
        match self.runs.places.take(&owner, self.crowd()) {
            Ok(place) => {
                let live = Live::new(self.clock.uuid(), message, (asking, owner), Instead::default());
                if let Some(live) = self.runs.enter_alone(live) {
                    self.spawn(provider, &live, Vec::new(), place);
                    self.stop_if_taken(&live);
                } else if state.and_then(|state| state.while_answering) == Some(WhileAnswering::Interrupt) {
                    self.stop_answers(message.conversation_id, RunReason::Superseded);
                }
            }
            Err(error) => tracing::warn!(error = %error, "a guest gets no answer from the assistant"),
        }
    }

    /// Whether the assistant has said nothing since that message, and is not about to: a crash came
    /// between the guest's message and the beginning of its answer.
    pub(in crate::chat) async fn is_unanswered(&self, message: &Message) -> Result<bool> {
        let answered = MessageFilter {
            after: Some(message.id),
            role: Some(Role::Assistant),
            limit: 1,
            ..MessageFilter::default()
        };
        Ok(self.store.messages(message.conversation_id, answered).await?.is_empty())
    }

    /// In a live chat: answers the last thing that the guest said while this answer was made.
    pub(super) async fn answer_next(self: &Arc<Self>, live: &Live) -> Result<()> {
        let question = &live.question;
        if !self.rules.assistant_answers_guests {
            return Ok(());
        }
        let by_number = Locator::Id(question.conversation_id);
        if self.store.conversation(ConversationKind::LiveChat, by_number).await?.is_none() {
            return Ok(());
        }
        let newest = MessageFilter {
            before: Some(EventId(INTEGER_MAX)),
            role: Some(Role::User),
            limit: 1,
            ..MessageFilter::default()
        };
        let newest = self.store.messages(question.conversation_id, newest).await?.pop();
        if let Some(newest) = newest.filter(|newest| newest.id > question.id) {
            self.answer_guest(self.load(question.conversation_id).await?.as_ref(), &newest);
        }
        Ok(())
    }
}
