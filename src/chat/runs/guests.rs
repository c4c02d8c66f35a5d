//! The assistant in live chats: it answers guests whom no person has.

use std::net::IpAddr;
use std::sync::Arc;

use super::live::{Instead, Live};
use super::{Asking, Owner};
use crate::chat::Chat;
use crate::domain::{ConversationKind, EventId, INTEGER_MAX, Message, Role, RunReason, WhileAnswering};
use crate::error::Result;
use crate::realtime::Channel;
use crate::store::{Locator, MessageFilter};

impl Chat {
    /// Answers a guest who writes from that address, unless a person has the chat. While an answer is under way,
    /// further messages wait: the answer after it looks at all of them. Where they interrupt, the answer under way is
    /// stopped first.
    pub(in crate::chat) fn answer_guest(
        self: &Arc<Self>,
        channel: &Channel,
        message: &Arc<Message>,
        address: Option<IpAddr>,
    ) {
        let state = channel.state();
        let somebody_has_it = state.as_ref().is_some_and(|state| state.assigned.is_some());
        let Ok(provider) = self.must_have_provider() else { return };
        if somebody_has_it {
            return;
        }
        let id = message.conversation_id;
        let tenant = channel.place().and_then(|place| place.platform_id);
        let owner = Owner { conversation: Some(id), user: message.user_id, address, tenant };
        let asking = Asking { door: "guest", address, ..Asking::default() };
        // Whoever is under way there looks for further messages once it has left its place, and the registry.
        let live = match self.runs.newest_in(id) {
            Some(_) => None,
            None => match self.runs.places.take(&owner, self.crowd(WhileAnswering::Queue)) {
                Ok(place) => {
                    let live = Live::new(self.clock.uuid(), message, (asking, owner), Instead::default());
                    self.runs.enter_alone(live).map(|live| (live, place))
                }
                Err(error) => return tracing::warn!(error = %error, "a guest gets no answer from the assistant"),
            },
        };
        match live {
            Some((live, place)) => {
                self.spawn(provider, &live, Vec::new(), place);
                self.stop_if_taken(&live);
            }
            None => {
                let how = state.and_then(|state| state.while_answering).unwrap_or(self.rules.while_answering);
                if how == WhileAnswering::Interrupt {
                    self.stop_answers(id, RunReason::Superseded);
                }
            }
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
            let channel = self.load(question.conversation_id).await?;
            self.answer_guest(channel.as_ref(), &newest, live.owner.address);
        }
        Ok(())
    }
}
