//! Opening, finding, editing and removing conversations.

use std::sync::Arc;

use crate::domain::{
    Contact, Conversation, ConversationId, ConversationKind, ConversationState, Json, RunReason, Scope, Signal,
    Timestamp, UserId, WhileAnswering,
};
use crate::error::{Error, Result, Subject};
use crate::realtime::Channel;
use crate::store::{ConversationFilter, Locator, NewConversation, Page, StateChange, StateEdit};

use super::Chat;

/// An assistant session to be made; what is `None` gets its default.
#[derive(Clone, Debug, Default)]
pub struct NewSession {
    /// The client's name for it; a random one otherwise.
    pub key: Option<String>,
    /// The integrator's id for the visitor.
    pub external_user_id: Option<String>,
    /// What the client attaches.
    pub metadata: Option<Json>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether it takes messages.
    pub is_active: Option<bool>,
    /// What becomes of a message that is sent while an answer is under way.
    pub while_answering: Option<WhileAnswering>,
}

/// What to change about an assistant session.
pub type SessionEdit = StateEdit;

impl Chat {
    /// Opens the live chat with that key, or a new one under a random key; `true` when it is new.
    /// What is said of the contact is added to what is known.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn open_live_chat(
        &self,
        key: Option<String>,
        contact: Contact,
        user: Option<UserId>,
    ) -> Result<(Conversation, bool)> {
        let key = key.unwrap_or_else(|| self.clock.uuid().to_string());
        let new = NewConversation {
            user_id: user,
            state: ConversationState { contact, ..ConversationState::open() },
            ..NewConversation::new(self.clock.uuid(), ConversationKind::LiveChat, key, self.clock.now())
        };
        let (conversation, is_new) = self.store.open_conversation(new).await?;
        if is_new {
            self.signal(&[Scope::Kind(ConversationKind::LiveChat)], Signal::Made(conversation.id));
        }
        Ok((conversation, is_new))
    }

    /// The channel of the live chat with that key, loaded. Costs no look at the store when the
    /// conversation is in the head table.
    ///
    /// # Errors
    /// `NotFound(Conversation)`.
    pub async fn live_chat(&self, key: &str) -> Result<Arc<Channel>> {
        if let Some(channel) = self.hub.find(ConversationKind::LiveChat, key)
            && channel.head().is_some()
        {
            return Ok(channel);
        }
        let found = self.store.conversation(ConversationKind::LiveChat, Locator::Key(key)).await?;
        let conversation = found.ok_or(Error::NotFound(Subject::Conversation))?;
        self.load(conversation.id).await
    }

    /// The live chat of that number.
    ///
    /// # Errors
    /// `NotFound(Conversation)`.
    pub async fn live_chat_numbered(&self, id: ConversationId) -> Result<Arc<Channel>> {
        let found = self.store.conversation(ConversationKind::LiveChat, Locator::Id(id)).await?;
        let conversation = found.ok_or(Error::NotFound(Subject::Conversation))?;
        self.load(conversation.id).await
    }

    /// The conversation of a channel as of the last commit, its clocks included.
    ///
    /// # Errors
    /// `NotFound(Conversation)` when it was removed meanwhile.
    pub async fn conversation(&self, kind: ConversationKind, id: ConversationId) -> Result<Conversation> {
        let found = self.store.conversation(kind, Locator::Id(id)).await?;
        found.ok_or(Error::NotFound(Subject::Conversation))
    }

    /// Makes a channel know its conversation. The channel hears of commits before the store is
    /// read, so nothing falls between.
    pub(super) async fn load(&self, id: ConversationId) -> Result<Arc<Channel>> {
        let channel = self.hub.enter(id);
        if !channel.is_loaded() {
            let tail = self.store.tail(id, self.hub.events_max()).await?;
            let tail = tail.ok_or(Error::NotFound(Subject::Conversation))?;
            self.hub.name(&tail.conversation);
            channel.load(tail.conversation, tail.place, tail.events, tail.complete_after);
        }
        Ok(channel)
    }

    /// Makes an assistant session.
    ///
    /// # Errors
    /// `Invalid` when the key is taken.
    pub async fn create_session(&self, new: NewSession) -> Result<Conversation> {
        let at = self.clock.now();
        let key = new.key.unwrap_or_else(|| self.clock.uuid().to_string());
        let state = ConversationState {
            is_active: new.is_active.unwrap_or(true),
            expires_at: Some(new.expires_at.unwrap_or_else(|| at.plus(self.rules.session_lifetime))),
            external_user_id: new.external_user_id,
            metadata: new.metadata.unwrap_or_else(Json::empty_object),
            while_answering: new.while_answering,
            ..ConversationState::open()
        };
        let new = NewConversation::new(self.clock.uuid(), ConversationKind::AssistantSession, key, at);
        self.store.create_conversation(NewConversation { state, ..new }).await
    }

    /// The assistant session of that name (identifier or key).
    ///
    /// # Errors
    /// `NotFound(Conversation)`.
    pub async fn session(&self, name: Locator<'_>) -> Result<Conversation> {
        let found = self.store.conversation(ConversationKind::AssistantSession, name).await?;
        found.ok_or(Error::NotFound(Subject::Conversation))
    }

    /// The assistant session of that number.
    ///
    /// # Errors
    /// `NotFound(Conversation)`.
    pub async fn session_numbered(&self, id: ConversationId) -> Result<Conversation> {
        self.session(Locator::Id(id)).await
    }

    /// A page of the assistant sessions.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn sessions(&self, filter: ConversationFilter) -> Result<Page<Conversation>> {
        self.store.conversations(ConversationKind::AssistantSession, filter).await
    }

    /// Edits an assistant session.
    ///
    /// # Errors
    /// `NotFound(Conversation)`; `Invalid` when the new key is taken.
    pub async fn edit_session(&self, id: ConversationId, edit: SessionEdit) -> Result<Conversation> {
        let changed = self.store.change_state(id, StateChange::Edit(edit), self.clock.now()).await?;
        changed.ok_or(Error::NotFound(Subject::Conversation))
    }

    /// Removes an assistant session with all its messages. An answer under way is stopped.
    ///
    /// # Errors
    /// `NotFound(Conversation)`.
    pub async fn remove_session(&self, id: ConversationId) -> Result<()> {
        self.stop_answers(id, RunReason::Asked);
        let removed = self.store.remove_conversation(id).await?;
        if removed { Ok(()) } else { Err(Error::NotFound(Subject::Conversation)) }
    }
}
