//! A user's own chats with the assistant: their list, their messages, their files.

use std::sync::Arc;

use super::messages::fingerprint;
use super::{Chat, Draft};
use crate::domain::{
    Access, ChatFile, Conversation, ConversationId, ConversationKind, ConversationState, EventId, FileId, INTEGER_MAX,
    Message, MessageId, NewFile, Role, RunReason, Scope, Signal, UserId, WhileAnswering,
};
use crate::error::{Error, Result, Subject};
use crate::store::{
    Appended, ChatOrder, Idempotency, Locator, MessageFilter, NewConversation, NewMessage, StateChange, StateEdit,
};

/// Lists that are read and sent piece by piece are read in pieces of this many.
const PAGE: usize = 200;
const PAGE_BYTES: usize = 64 << 10;

/// How often the end of a chat is looked for again when others write to it meanwhile.
const TRIES: usize = 8;

/// What was taken off the end of a chat.
#[derive(Clone, Debug)]
pub struct Retracted {
    /// The messages of the user after the last answer, oldest first: there may be any number of them.
    pub trailing: Vec<MessageId>,
    /// The last exchange before them, when there was one.
    pub exchange: Option<[Arc<Message>; 2]>,
}

impl Chat {
    /// Makes a chat of the caller.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn create_chat(
        &self,
        access: &Access,
        title: String,
        model: String,
        while_answering: Option<WhileAnswering>,
    ) -> Result<Conversation> {
        let uuid = self.clock.uuid();
        let (title, model) = (Some(title), Some(model));
        let state = ConversationState { title, model, while_answering, ..ConversationState::open() };
        let new = NewConversation::new(uuid, ConversationKind::AssistantChat, uuid.to_string(), self.clock.now());
        let new = NewConversation { user_id: Some(access.user.id), state, ..new };
        let made = self.store.create_conversation(new).await?;
        self.tell_owner(access.user.id, Signal::Made(made.id));
        Ok(made)
    }

    /// Tells who follows a user's chats what the log does not hold.
    fn tell_owner(&self, user: UserId, signal: Signal) {
        self.signal(&[Scope::User(user, ConversationKind::AssistantChat)], signal);
    }

    /// A chat of the caller.
    ///
    /// # Errors
    /// `NotFound(Conversation)`, also when it is somebody else's.
    pub async fn chat_of(&self, access: &Access, id: ConversationId) -> Result<Conversation> {
        let found = self.store.conversation(ConversationKind::AssistantChat, Locator::Id(id)).await?;
        let found = found.filter(|chat| chat.user_id == Some(access.user.id));
        found.ok_or(Error::NotFound(Subject::Conversation))
    }

    /// The numbers of the caller's chats in that order; [`Chat::chats_page`] reads what they stand for.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn chat_numbers(&self, access: &Access, order: Vec<ChatOrder>) -> Result<Vec<ConversationId>> {
        self.store.chats_of(access.user.id, order).await
    }

    /// The first of those chats of a user, and the numbers that are left.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn chats_page(
        &self,
        user: UserId,
        mut numbers: Vec<ConversationId>,
    ) -> Result<(Vec<Conversation>, Option<Vec<ConversationId>>)> {
        let rest = numbers.split_off(numbers.len().min(PAGE));
        let chats = self.store.chats(user, numbers).await?;
        Ok((chats, (!rest.is_empty()).then_some(rest)))
    }

    /// A chat of the caller, and what the user said there in the message of that number.
    ///
    /// # Errors
    /// As [`Chat::chat_of`]; `NotFound(Message)`, also when it is an answer.
    pub async fn question_of(
        &self,
        access: &Access,
        id: ConversationId,
        message: MessageId,
    ) -> Result<(Conversation, Arc<Message>)> {
        let chat = self.chat_of(access, id).await?;
        let (after, before) = (Some(EventId(message.0 - 1)), Some(EventId(message.0 + 1)));
        let only = MessageFilter { after, before, role: Some(Role::User), limit: 1, ..MessageFilter::default() };
        let question = self.store.messages(id, only).await?.pop();
        Ok((chat, question.ok_or(Error::NotFound(Subject::Message))?))
    }

    /// Gives a chat of the caller another title, or has it do something else with messages that are sent while an answer
    /// is under way: what is `Some`.
    ///
    /// # Errors
    /// As [`Chat::chat_of`].
    pub async fn edit_chat(
        &self,
        access: &Access,
        id: ConversationId,
        title: Option<String>,
        while_answering: Option<Option<WhileAnswering>>,
    ) -> Result<Conversation> {
        self.chat_of(access, id).await?;
        let edit = StateEdit { title, while_answering, ..StateEdit::default() };
        let changed = self.store.change_state(id, StateChange::Edit(edit), self.clock.now()).await?;
        changed.ok_or(Error::NotFound(Subject::Conversation))
    }

    /// Removes chats of the caller with all that is in them: all of them or none. Answers under way are
    /// stopped.
    ///
    /// # Errors
    /// `NotFound(Conversation)` when one is not the caller's.
    pub async fn remove_chats(&self, access: &Access, ids: Vec<ConversationId>) -> Result<()> {
        let removed = self.store.remove_chats(access.user.id, ids.clone()).await?;
        if !removed {
            return Err(Error::NotFound(Subject::Conversation));
        }
        for id in ids {
            self.stop_answers(id, RunReason::Asked);
            self.tell_owner(access.user.id, Signal::Removed(id));
        }
        Ok(())
    }

    /// Removes all chats of a user, piece by piece: no bound holds for how many there are, but one for how
    /// long the store is held.
    ///
    /// # Errors
    /// What the store answers.
    pub(super) async fn remove_all_chats(&self, user: UserId) -> Result<()> {
        let mut left = self.store.chats_of(user, Vec::new()).await?;
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(PAGE));
            // One at a time where another request removed some of them meanwhile.
            if !self.store.remove_chats(user, left.clone()).await? {
                for id in &left {
                    self.store.remove_chats(user, vec![*id]).await?;
                }
            }
            left.into_iter().for_each(|id| self.stop_answers(id, RunReason::Asked));
            left = rest;
        }
        Ok(())
    }

    /// Adds messages to a chat of the caller, in this order and with consecutive numbers: all or none. The
    /// first draft's key is that of all of them: a retry returns the same messages.
    ///
    /// # Errors
    /// As [`Chat::chat_of`]; `Conflict(IdempotencyKeyReused)`.
    pub async fn add_messages(&self, access: &Access, id: ConversationId, drafts: Vec<Draft>) -> Result<Vec<Appended>> {
        self.chat_of(access, id).await?;
        let key = drafts.first().and_then(|draft| draft.key.clone());
        let mut new: Vec<NewMessage> = drafts
            .into_iter()
            .map(|draft| self.new_message(id, Draft { user_id: Some(access.user.id), key: None, ..draft }))
            .collect();
        if let Some(key) = key {
            // One for the whole batch: a retry has to say all of it again.
            let parts = new.iter().flat_map(|message| [message.role.as_str(), message.text.as_str()]);
            let fingerprint = fingerprint(parts);
            for (at, message) in new.iter_mut().enumerate() {
                // No client's key has a space in it.
                let key = if at == 0 { key.as_str().to_owned() } else { format!("{} {at}", key.as_str()) };
                message.idempotency = Some(Idempotency { key, fingerprint });
            }
        }
        self.store.append_all(new).await
    }

    /// Takes the last exchange off a chat of the caller: what they said since the last answer and, when at
    /// least two messages are left before that, the last two of those. An answer under way is stopped first,
    /// so that it does not appear behind its question's place.
    ///
    /// # Errors
    /// As [`Chat::chat_of`]; `NotFound(Message)` when there is none; `Busy` when others keep writing.
    pub async fn retract(&self, access: &Access, id: ConversationId) -> Result<Retracted> {
        self.chat_of(access, id).await?;
        self.end_answers(id).await;
        for _ in 0..TRIES {
            let chat = self.chat_of(access, id).await?;
            let retracted = self.last_exchange(&chat).await?;
            let exchange = retracted.exchange.iter().flatten().map(|message| message.id);
            let numbers: Vec<MessageId> = retracted.trailing.iter().copied().chain(exchange).collect();
            if numbers.is_empty() {
                // One message of somebody else's is no exchange, and stays.
                let is_empty = self.is_empty(chat.id).await?;
                return if is_empty { Err(Error::NotFound(Subject::Message)) } else { Ok(retracted) };
            }
            if self.take_off(id, &numbers, chat.head.seq).await? {
                return Ok(retracted);
            }
        }
        Err(Error::Busy)
    }

    /// Hides these messages if nothing came after the event of that number; in pieces, so that nobody's
    /// thousands hold the writer. Whether all of them are hidden.
    async fn take_off(&self, id: ConversationId, numbers: &[MessageId], mut seq: u64) -> Result<bool> {
        // From the end: whatever a message in between leaves is a chat that ends earlier.
        for piece in numbers.rchunks(PAGE) {
            if !self.store.delete_messages(id, piece.to_vec(), seq, self.clock.now()).await? {
                return Ok(false);
            }
            seq += piece.len() as u64;
        }
        Ok(true)
    }

    async fn is_empty(&self, id: ConversationId) -> Result<bool> {
        let newest = MessageFilter { before: Some(EventId(INTEGER_MAX)), limit: 1, ..MessageFilter::default() };
        Ok(self.store.messages(id, newest).await?.is_empty())
    }

    async fn last_exchange(&self, chat: &Conversation) -> Result<Retracted> {
        let mut trailing = Vec::new();
        let mut before = Vec::new();
        let mut cursor = EventId(INTEGER_MAX);
        // Newest first, until two messages from before what the user said last are found.
        while before.len() < 2 {
            let (limit, bytes_max) = (PAGE, Some(PAGE_BYTES));
            let filter = MessageFilter { before: Some(cursor), limit, bytes_max, ..MessageFilter::default() };
            let page = self.store.messages(chat.id, filter).await?;
            let Some(first) = page.first() else { break };
            cursor = first.id;
            for message in page.into_iter().rev() {
                if before.is_empty() && message.role == Role::User {
                    trailing.push(message.id);
                } else if before.len() < 2 {
                    before.push(message);
                }
            }
        }
        trailing.reverse();
        before.reverse();
        Ok(Retracted { trailing, exchange: <[_; 2]>::try_from(before).ok() })
    }

    /// Adds files to a message of a chat of the caller.
    ///
    /// # Errors
    /// As [`Chat::chat_of`]; `NotFound(Message)`.
    pub async fn add_files(
        &self,
        access: &Access,
        id: ConversationId,
        message: MessageId,
        files: Vec<NewFile>,
    ) -> Result<Vec<ChatFile>> {
        self.chat_of(access, id).await?;
        let added = self.store.add_files(id, message, access.user.id, files, self.clock.now()).await?;
        added.ok_or(Error::NotFound(Subject::Message))
    }

    /// A piece of the files of a chat, or of all chats of the caller, and after which the next begins.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn files_page(
        &self,
        user: UserId,
        id: Option<ConversationId>,
        after: FileId,
    ) -> Result<(Vec<ChatFile>, Option<FileId>)> {
        // A file may be as long as an answer, and every slow reader of a list holds a page in memory.
        const FILES: usize = 8;
        let files = match id {
            Some(id) => self.store.files(id, after, FILES).await?,
            None => self.store.files_of(user, after, FILES).await?,
        };
        let next = files.last().filter(|_| files.len() == FILES).map(|last| last.id);
        Ok((files, next))
    }
}
