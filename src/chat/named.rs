//! Conversations with the assistant that a client names itself, made when they are not there, and what is found
//! again by the identifier of what was asked in them.

use std::sync::Arc;

use uuid::Uuid;

use super::{Chat, Key, Line};
use crate::domain::{
    Access, Conversation, ConversationId, ConversationKind, ConversationState, EventId, INTEGER_MAX, Message, Scope,
    Signal,
};
use crate::error::{Error, Result, Subject};
use crate::store::{Locator, MessageFilter, NewConversation};

/// What stands between a user's number and the name that they gave a chat. Names are unique among the chats of
/// one user, keys among all of them.
const NAMED: char = '/';
/// What stands between a user's number and the key of the request that a chat was made for. No key has one.
const KEYED: char = ' ';

impl Chat {
    /// The caller's chat of that name, or that has it as its identifier; made when it is not there, with that model.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn named_chat(&self, access: &Access, name: &str, model: &str) -> Result<Conversation> {
        if let Ok(uuid) = Uuid::try_parse(name)
            && let Some(own) = self.own_chat(access, Locator::Uuid(uuid)).await?
        {
            return Ok(own);
        }
        let key = format!("{}{NAMED}{name}", access.user.id);
        self.keyed_chat(access, key, name.to_owned(), model).await
    }

    /// A new chat of the caller; the same again for a retry with the same key.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn chat_for(
        &self,
        access: &Access,
        key: Option<&Key>,
        title: String,
        model: &str,
    ) -> Result<Conversation> {
        let Some(key) = key else { return self.create_chat(access, title, model.to_owned(), None).await };
        let key = format!("{}{KEYED}{}", access.user.id, key.as_str());
        self.keyed_chat(access, key, title, model).await
    }

    async fn keyed_chat(&self, access: &Access, key: String, title: String, model: &str) -> Result<Conversation> {
        // To open what is there would write that it was opened.
        if let Some(found) = self.own_chat(access, Locator::Key(&key)).await? {
            return Ok(found);
        }
        let state =
            ConversationState { title: Some(title), model: Some(model.to_owned()), ..ConversationState::open() };
        let new = NewConversation::new(self.clock.uuid(), ConversationKind::AssistantChat, key, self.clock.now());
        let new = NewConversation { user_id: Some(access.user.id), state, ..new };
        let (chat, is_new) = self.store.open_conversation(new).await?;
        if is_new {
            let scope = Scope::User(access.user.id, ConversationKind::AssistantChat);
            self.signal(&[scope], Signal::Made(chat.id));
        }
        Ok(chat)
    }

    async fn own_chat(&self, access: &Access, name: Locator<'_>) -> Result<Option<Conversation>> {
        let found = self.store.conversation(ConversationKind::AssistantChat, name).await?;
        Ok(found.filter(|chat| chat.user_id == Some(access.user.id)))
    }

    /// A message in a chat of the caller, with the chat.
    ///
    /// # Errors
    /// `NotFound(Message)`, also when it is somebody else's.
    pub async fn own_message(&self, access: &Access, uuid: Uuid) -> Result<(Arc<Message>, Conversation)> {
        let found = self.store.message(ConversationKind::AssistantChat, uuid).await?;
        let found = found.filter(|(_, chat)| chat.user_id == Some(access.user.id));
        found.ok_or(Error::NotFound(Subject::Message))
    }

    /// What was said last in a conversation, oldest first: as much as an assistant is shown before a question.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn history(&self, id: ConversationId) -> Result<Vec<Line>> {
        let limit = self.rules.context_messages.saturating_sub(1);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let newest = MessageFilter { before: Some(EventId(INTEGER_MAX)), limit, ..MessageFilter::default() };
        let messages = self.store.messages(id, newest).await?;
        Ok(messages.iter().map(|message| Line { role: message.role, text: message.text.clone() }).collect())
    }

    /// The assistant session of that name (identifier or key), made under it as its key when it is not there.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn named_session(&self, name: &str) -> Result<Conversation> {
        let kind = ConversationKind::AssistantSession;
        if let Some(found) = self.store.conversation(kind, Locator::Name(name)).await? {
            return Ok(found);
        }
        let at = self.clock.now();
        let state =
            ConversationState { expires_at: Some(at.plus(self.rules.session_lifetime)), ..ConversationState::open() };
        let new = NewConversation::new(self.clock.uuid(), kind, name.to_owned(), at);
        Ok(self.store.open_conversation(NewConversation { state, ..new }).await?.0)
    }
}

/// What a client calls a chat of its own: the name that it was opened under, else its identifier.
pub fn chat_name(chat: &Conversation) -> String {
    let owner = chat.user_id.map(|user| format!("{user}{NAMED}"));
    let name = owner.and_then(|owner| chat.key.strip_prefix(&owner));
    name.map_or_else(|| chat.uuid.to_string(), str::to_owned)
}
