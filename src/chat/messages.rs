//! Sending, reading and deleting messages.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Chat;
use crate::domain::{
    Conversation, ConversationId, ConversationKind, ConversationState, EventId, Json, Message, MessageText, Role,
    UserId,
};
use crate::error::{Error, Refusal, Result, Subject};
use crate::realtime::Channel;
use crate::store::{Appended, Idempotency, MessageFilter, NewLetter, NewMessage};

/// A page of a list that is read and sent piece by piece ends with the message that fills one of
/// these. Every slow reader of such a list holds a page in memory.
const PAGE_MESSAGES: usize = 500;
const PAGE_BYTES: usize = 64 << 10;
/// A page that a client asked for is sent whole, so that its addresses can stand in the head. It
/// ends with the message that fills this, however many were asked for.
const ASKED_PAGE_BYTES: usize = 512 << 10;

/// A piece of a conversation.
#[derive(Clone, Debug)]
pub struct MessagePage {
    /// The messages, oldest first.
    pub messages: Vec<Arc<Message>>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<EventId>,
}

/// An idempotency key as the client sent it: 1 to 255 visible characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// At most this many characters.
    pub const CHARS_MAX: usize = 255;

    /// Parses a key; `None` when it is empty, too long or not printable ASCII.
    pub fn parse(raw: &str) -> Option<Self> {
        let ok = (1..=Self::CHARS_MAX).contains(&raw.len()) && raw.bytes().all(|b| (0x21..=0x7e).contains(&b));
        ok.then(|| Self(raw.to_owned()))
    }

    /// The key as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

/// A message that somebody wants to send.
#[derive(Clone, Debug)]
pub struct Draft {
    /// In which role.
    pub role: Role,
    /// The signed-in author.
    pub user_id: Option<UserId>,
    /// What is said.
    pub text: MessageText,
    /// What the client attaches.
    pub metadata: Option<Json>,
    /// What makes it a letter.
    pub letter: Option<NewLetter>,
    /// Makes a retry harmless.
    pub key: Option<Key>,
}

impl Draft {
    /// What the key stands for: a retry has to say the same thing.
    fn fingerprint(&self) -> [u8; 16] {
        let metadata = self.metadata.as_ref().map_or("", |json| json.0.as_str());
        let letter = self
            .letter
            .as_ref()
            .map(|letter| [letter.kind.as_str(), letter.attachments.0.as_str(), letter.device.details.0.as_str()]);
        let parts = [self.role.as_str(), self.text.as_str(), metadata].into_iter().chain(letter.into_iter().flatten());
        fingerprint(parts)
    }
}

/// A short hash of what was sent, for the key that it came with. Each part with its length before it: no
/// two lists of parts look alike.
pub(super) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&hash.finalize()[..16]);
    fingerprint
}

impl Chat {
    /// Sends a message into a live chat, from that address. When nobody of the staff has the chat and the assistant
    /// answers guests, a guest's message starts its answer.
    ///
    /// # Errors
    /// `NotFound(Conversation)`, `Conflict(IdempotencyKeyReused)`, and what the store answers.
    pub async fn send(self: &Arc<Self>, channel: &Channel, draft: Draft, address: IpAddr) -> Result<Appended> {
        if draft.role != Role::User || !self.rules.assistant_answers_guests {
            return self.append(channel.id(), draft).await;
        }
        let (chat, channel) = (Arc::clone(self), self.hub.enter(channel.id()));
        self.unbroken(async move {
            let sent = chat.append(channel.id(), draft).await?;
            if !sent.replayed || chat.is_unanswered(&sent.message).await? {
                chat.answer_guest(&channel, &sent.message, Some(address));
            }
            Ok(sent)
        })
        .await
    }

    /// Adds a message to an assistant session without asking for an answer.
    ///
    /// # Errors
    /// As [`Chat::send`], and `Forbidden` when the session is over.
    pub async fn add_message(&self, session: &Conversation, draft: Draft) -> Result<Appended> {
        self.append_unless(self.may_write(session).err(), self.new_message(session.id, draft)).await
    }

    /// Appends, unless that is refused. A retry of what was sent before it was gets its message all
    /// the same: the client has to learn that it was sent.
    pub(super) async fn append_unless(&self, refusal: Option<Error>, new: NewMessage) -> Result<Appended> {
        let Some(refusal) = refusal else { return self.store.append(new).await };
        let message = self.store.sent_before(new).await?.ok_or(refusal)?;
        Ok(Appended { message, replayed: true })
    }

    pub(super) async fn append(&self, id: ConversationId, draft: Draft) -> Result<Appended> {
        self.store.append(self.new_message(id, draft)).await
    }

    pub(super) fn new_message(&self, id: ConversationId, draft: Draft) -> NewMessage {
        let at = self.clock.now();
        let fingerprint = draft.key.is_some().then(|| draft.fingerprint());
        let idempotency = draft.key.zip(fingerprint).map(|(Key(key), fingerprint)| Idempotency { key, fingerprint });
        NewMessage {
            conversation_id: id,
            uuid: self.clock.ordered_uuid(at),
            role: draft.role,
            user_id: draft.user_id,
            text: draft.text,
            metadata: draft.metadata,
            reply_to: None,
            letter: draft.letter,
            files: Vec::new(),
            idempotency,
            at,
        }
    }

    /// Whether a conversation takes messages. A closed live chat does: they reopen it.
    pub(super) fn may_write(&self, session: &Conversation) -> Result<()> {
        if !self.rules.enforce_expiry || session.kind == ConversationKind::LiveChat {
            return Ok(());
        }
        let ConversationState { is_active, .. } = session.state;
        if session.is_expired(self.clock.now()) {
            return Err(Error::Forbidden(Refusal::Expired));
        }
        if is_active { Ok(()) } else { Err(Error::Forbidden(Refusal::Inactive)) }
    }

    /// A page of the messages after a cursor, from memory where it knows them, and the cursor to go
    /// on from if there may be more.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn messages_after(&self, channel: &Channel, cursor: EventId) -> Result<MessagePage> {
        if let Some(messages) = channel.messages_since(cursor) {
            return Ok(MessagePage { messages, next: None });
        }
        self.message_page(channel.id(), MessageFilter { after: Some(cursor), ..MessageFilter::default() }).await
    }

    /// A page of the messages of a conversation that match, oldest first, and the cursor to go on
    /// from if there may be more. The page's size is decided here.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn message_page(&self, id: ConversationId, filter: MessageFilter) -> Result<MessagePage> {
        let filter = MessageFilter { limit: PAGE_MESSAGES, bytes_max: Some(PAGE_BYTES), ..filter };
        let messages = self.store.messages(id, filter).await?;
        let bytes: usize = messages.iter().map(|message| message.bytes()).sum();
        let is_full = messages.len() >= PAGE_MESSAGES || bytes >= PAGE_BYTES;
        let next = messages.last().filter(|_| is_full).map(|last| last.id);
        Ok(MessagePage { messages, next })
    }

    /// The messages of a conversation that match.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn messages(&self, id: ConversationId, filter: MessageFilter) -> Result<Vec<Arc<Message>>> {
        self.store.messages(id, filter).await
    }

    /// At most `limit` of the messages that match, oldest first, and whether there may be more of
    /// them beyond: before the first one when they are read backwards, from `before` on, else after
    /// the last.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn messages_at_most(
        &self,
        id: ConversationId,
        filter: MessageFilter,
        limit: usize,
    ) -> Result<(Vec<Arc<Message>>, bool)> {
        let backwards = filter.before.is_some() && filter.after.is_none();
        let filter = MessageFilter { limit: limit + 1, bytes_max: Some(ASKED_PAGE_BYTES), ..filter };
        let mut messages = self.store.messages(id, filter).await?;
        let bytes: usize = messages.iter().map(|message| message.bytes()).sum();
        let is_over = messages.len() > limit;
        if is_over && backwards {
            messages.remove(0);
        }
        messages.truncate(limit);
        Ok((messages, is_over || bytes >= ASKED_PAGE_BYTES))
    }

    /// Waits until there is a message after the cursor, but no longer than `wait`.
    pub async fn wait_for_message(&self, channel: &Channel, cursor: EventId, wait: Duration) {
        let mut changed = channel.listen();
        let arrived = async {
            loop {
                changed.borrow_and_update();
                // Not loaded counts as arrived: the store has to be asked anyway.
                if channel.has_message_after(cursor) != Some(false) || changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(wait, arrived).await;
    }

    /// The place of a message in a session's log, also when the message was deleted.
    ///
    /// # Errors
    /// `NotFound(Message)`.
    pub async fn place_of(&self, session: &Conversation, uuid: Uuid) -> Result<EventId> {
        let found = self.store.message_id(session.id, uuid).await?;
        found.ok_or(Error::NotFound(Subject::Message))
    }

    /// One message of that session.
    ///
    /// # Errors
    /// `NotFound(Message)`, also when it is another session's.
    pub async fn message_of(&self, session: &Conversation, uuid: Uuid) -> Result<Arc<Message>> {
        let (message, its_session) = self.message(uuid).await?;
        if its_session.id == session.id { Ok(message) } else { Err(Error::NotFound(Subject::Message)) }
    }

    /// One message of an assistant session, with the session.
    ///
    /// # Errors
    /// `NotFound(Message)`.
    pub async fn message(&self, uuid: Uuid) -> Result<(Arc<Message>, Conversation)> {
        let found = self.store.message(ConversationKind::AssistantSession, uuid).await?;
        found.ok_or(Error::NotFound(Subject::Message))
    }

    /// Hides a message of an assistant session.
    ///
    /// # Errors
    /// `NotFound(Message)`, also the second time.
    pub async fn delete_message(&self, uuid: Uuid) -> Result<()> {
        let (message, session) = self.message(uuid).await?;
        let deleted = self.store.delete_message(session.id, message.id, self.clock.now()).await?;
        if deleted { Ok(()) } else { Err(Error::NotFound(Subject::Message)) }
    }
}
