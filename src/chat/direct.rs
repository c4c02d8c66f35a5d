//! What two users of a platform do with each other: open a conversation, write letters, and tell what
//! became of them.

use std::sync::Arc;

use uuid::Uuid;

use super::messages::{MessagePage, fingerprint};
use super::{Chat, Deed, Draft, Key};
use crate::domain::{
    Access, ConversationId, ConversationKind, DeviceKind, EventId, INTEGER_MAX, Message, MessageId, MessageText,
    PlatformId, Reach, Receipt, Tag, User, UserId,
};
use crate::error::{Error, Refusal, Result, Rule, Subject};
use crate::realtime::sockets::SocketId;
use crate::store::{
    Appended, Direct, Found, Idempotency, InboxEntry, InboxFilter, InboxPlace, MARKS_MAX, Mark, Member, MessageFilter,
    NewConversation, NewReaction, StateChange, StateEdit,
};

/// A list of conversations that is read and sent piece by piece is read in pieces of this many.
const PAGE_ENTRIES: usize = 100;

/// How many words of a search count.
const WORDS_MAX: usize = 16;

impl Direct {
    /// The caller's side of it.
    ///
    /// # Errors
    /// `Forbidden(NotMember)`.
    pub fn member(&self, user: UserId) -> Result<&Member> {
        let member = self.members.iter().find(|member| member.user.id == user);
        member.ok_or(Error::Forbidden(Refusal::NotMember))
    }

    /// The number of the other user, if that is who `uuid` names.
    ///
    /// # Errors
    /// `Forbidden(NotMember)` when the caller takes no part; `NotFound(User)` for anybody else.
    pub fn other(&self, user: UserId, uuid: Uuid) -> Result<UserId> {
        self.member(user)?;
        let other = self.members.iter().map(|member| &member.user).find(|other| other.uuid == uuid && other.id != user);
        other.map(|other| other.id).ok_or(Error::NotFound(Subject::User))
    }

    /// Where the conversation stands in its users' inboxes.
    pub fn place(&self) -> InboxPlace {
        InboxPlace { message_id: self.conversation.head.message_id, conversation_id: self.conversation.id }
    }

    /// The member with that number, who may have left.
    pub fn user(&self, user: UserId) -> Option<&Member> {
        self.members.iter().find(|member| member.user.id == user)
    }
}

impl Chat {
    /// Opens the caller's conversation with another user of their platform about that, or a new one;
    /// `true` when it is new. Whoever of the two opens it, there is one of each tag.
    ///
    /// # Errors
    /// `Forbidden(NoPlatform)`; `Invalid` (`participant_uuid`) when there is no such user on the platform, or
    /// it is the caller.
    pub async fn open_direct(&self, access: &Access, peer: Uuid, tag: Tag) -> Result<(Direct, bool)> {
        let platform = platform_of(access)?;
        let peer = self.peer(access, peer).await?;
        let (me, at) = (access.user.id, self.clock.now());
        let new = NewConversation {
            platform_id: Some(platform),
            user_id: Some(me),
            peer_id: Some(peer.id),
            tag: tag.clone(),
            ..NewConversation::new(self.clock.uuid(), ConversationKind::Direct, pair_key(me, peer.id, &tag), at)
        };
        let (conversation, is_new) = self.store.open_conversation(new).await?;
        let opened = self.store.direct(platform, conversation.uuid).await?;
        Ok((opened.ok_or(Error::NotFound(Subject::Conversation))?, is_new))
    }

    /// As [`Chat::open_direct`], with a key that stands for one peer and tag; `true` when the caller has
    /// sent it before. To open it again is harmless, so that the key does no more than tell.
    ///
    /// # Errors
    /// As [`Chat::open_direct`]; `Conflict(IdempotencyKeyReused)`.
    pub async fn open_direct_once(&self, access: &Access, peer: Uuid, tag: Tag, key: Key) -> Result<(Direct, bool)> {
        let (me, other) = (access.user.id, self.peer(access, peer).await?.id);
        let fingerprint = fingerprint([pair_key(me, other, &tag).as_str()]);
        let idempotency = Idempotency { key: key.into(), fingerprint };
        let replayed = self.store.claim_key(me, "conversations", idempotency, self.clock.now()).await?;
        let (direct, _) = self.open_direct(access, peer, tag).await?;
        Ok((direct, replayed))
    }

    /// Another user of the caller's platform.
    async fn peer(&self, access: &Access, uuid: Uuid) -> Result<User> {
        let found = self.store.user_by_uuid(platform_of(access)?, uuid).await?;
        let found = found.filter(|user| user.is_active && user.id != access.user.id);
        found.ok_or_else(|| Error::field("participant_uuid", Rule::Exists))
    }

    /// A conversation that the caller takes part in.
    ///
    /// # Errors
    /// `NotFound(Conversation)`, also when it is another platform's; `Forbidden(NotMember)`.
    pub async fn direct(&self, access: &Access, uuid: Uuid) -> Result<Direct> {
        let found = self.store.direct(platform_of(access)?, uuid).await?;
        let direct = found.ok_or(Error::NotFound(Subject::Conversation))?;
        direct.member(access.user.id)?;
        Ok(direct)
    }

    /// A conversation of that platform, for telling its users what happened in it.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn direct_at(&self, platform: PlatformId, uuid: Uuid) -> Result<Option<Direct>> {
        self.store.direct(platform, uuid).await
    }

    /// Those of the named conversations that are direct ones, in no order, for telling their users what happened in
    /// them.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn directs(&self, ids: Vec<ConversationId>) -> Result<Vec<Direct>> {
        self.store.directs(ids).await
    }

    /// Notes that a letter has reached a user, because their own connection was sent it. While the store
    /// cannot be written that is left for the next time they list the conversation.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn reached(&self, conversation: ConversationId, user: UserId, letter: MessageId) -> Result<usize> {
        let at = self.clock.now();
        let mark = Mark { reader: user, receipt: Receipt::Delivered, reach: Reach::One(letter), at };
        match self.store.mark(conversation, mark).await {
            Err(Error::Busy | Error::StorageFull | Error::StorageReadOnly) => Ok(0),
            marked => marked,
        }
    }

    /// At most `filter.limit` of the caller's conversations, the newest message first.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn inbox(&self, access: &Access, filter: InboxFilter) -> Result<Vec<InboxEntry>> {
        self.store.inbox(access.user.id, filter).await
    }

    /// The numbers of the caller's conversations, the newest message first; [`Chat::inbox_page`] reads what
    /// they stand for. A conversation that gets a message meanwhile moves in the inbox, but not in these.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn inbox_numbers(&self, access: &Access) -> Result<Vec<ConversationId>> {
        self.store.inbox_numbers(access.user.id).await
    }

    /// The first of those conversations of a user, and the numbers that are left.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn inbox_page(
        &self,
        user: UserId,
        mut numbers: Vec<ConversationId>,
    ) -> Result<(Vec<InboxEntry>, Option<Vec<ConversationId>>)> {
        let rest = numbers.split_off(numbers.len().min(PAGE_ENTRIES));
        let entries = self.store.inbox_entries(user, numbers).await?;
        Ok((entries, (!rest.is_empty()).then_some(rest)))
    }

    /// How many conversations the caller has.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn inbox_total(&self, access: &Access) -> Result<u64> {
        self.store.inbox_total(access.user.id).await
    }

    /// Puts a conversation away, or takes it out again, for both of its users.
    ///
    /// # Errors
    /// As [`Chat::direct`].
    pub async fn archive(&self, access: &Access, uuid: Uuid, is_archived: bool) -> Result<Direct> {
        let direct = self.direct(access, uuid).await?;
        let edit = StateEdit { is_archived: Some(is_archived), ..StateEdit::default() };
        let changed =
            self.store.change_state(direct.conversation.id, StateChange::Edit(edit), self.clock.now()).await?;
        let conversation = changed.ok_or(Error::NotFound(Subject::Conversation))?;
        Ok(Direct { conversation, ..direct })
    }

    /// Sends a letter to the other user of a conversation. The draft's author is the caller; `origin` is
    /// their connection that is spared the echo.
    ///
    /// # Errors
    /// As [`Chat::direct`]; `NotFound(User)` when the receiver is not the other user, or cannot sign in any
    /// more (a retry of what was sent before is told so all the same); `Conflict(IdempotencyKeyReused)`;
    /// `Invalid` (`attachments`) for an upload that is not the caller's.
    pub async fn send_letter(
        &self,
        access: &Access,
        direct: &Direct,
        mut draft: Draft,
        origin: Option<SocketId>,
    ) -> Result<Appended> {
        direct.member(access.user.id)?;
        let nobody = || Error::NotFound(Subject::User);
        let receiver = draft.letter.as_ref().map(|letter| letter.receiver_id).filter(|id| *id != access.user.id);
        let receiver = receiver.and_then(|id| direct.user(id)).ok_or_else(nobody)?;
        let refusal = (!receiver.user.is_active).then(nobody);
        draft.user_id = Some(access.user.id);
        let message = self.new_message(direct.conversation.id, draft);
        self.note_origin(Deed::Sent(message.uuid), origin);
        self.append_unless(refusal, message).await
    }

    /// A letter that the caller may see.
    ///
    /// # Errors
    /// `NotFound(Message)`; `Forbidden(NotMember)`.
    pub async fn letter(&self, access: &Access, message: MessageId) -> Result<(Arc<Message>, Direct)> {
        let found = self.store.letter(platform_of(access)?, message).await?;
        let (message, direct) = found.ok_or(Error::NotFound(Subject::Message))?;
        direct.member(access.user.id)?;
        Ok((message, direct))
    }

    /// At most `limit` of a conversation's letters, oldest first: those before one, those after one, or the
    /// newest; and whether there are more of them beyond, as in [`Chat::messages_at_most`].
    ///
    /// # Errors
    /// What the store answers.
    pub async fn letters(
        &self,
        direct: &Direct,
        before: Option<MessageId>,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<(Vec<Arc<Message>>, bool)> {
        let newest = before.is_none() && after.is_none();
        let before = before.or_else(|| newest.then_some(EventId(INTEGER_MAX)));
        let filter = MessageFilter { before, after, ..MessageFilter::default() };
        self.messages_at_most(direct.conversation.id, filter, limit).await
    }

    /// How many letters a conversation has, and the place behind which those begin that so many stand
    /// before, oldest first.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn letters_from(&self, direct: &Direct, offset: u64) -> Result<(u64, EventId)> {
        let (total, first) = self.store.letter_at(direct.conversation.id, offset).await?;
        Ok((total, EventId(first.map_or(INTEGER_MAX, |first| first.0 - 1))))
    }

    /// A piece of a conversation's letters, oldest first, and where the next begins.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn letter_page(&self, direct: &Direct, after: EventId) -> Result<MessagePage> {
        let filter = MessageFilter { after: Some(after), ..MessageFilter::default() };
        self.message_page(direct.conversation.id, filter).await
    }

    /// A conversation's last visible letter.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn last_letter(&self, direct: &Direct) -> Result<Option<Arc<Message>>> {
        Ok(self.last_letters(vec![direct.conversation.id]).await?.pop())
    }

    /// The last visible letters of the named conversations, in no order.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn last_letters(&self, ids: Vec<ConversationId>) -> Result<Vec<Arc<Message>>> {
        if ids.is_empty() { Ok(Vec::new()) } else { self.store.last_letters(ids).await }
    }

    /// Notes that everything in a conversation has reached the caller. While the store cannot be written
    /// that is left for the next time: who reads goes on reading.
    ///
    /// # Errors
    /// `Forbidden(NotMember)`, and what the store answers.
    pub async fn deliver(&self, access: &Access, direct: &Direct) -> Result<usize> {
        // What was not delivered was not read either, so that most lists cost no write.
        if direct.member(access.user.id)?.unread == 0 {
            return Ok(0);
        }
        let last = direct.conversation.head.message_id;
        match self.mark_all(direct.conversation.id, access.user.id, Receipt::Delivered, last).await {
            Err(Error::Busy | Error::StorageFull | Error::StorageReadOnly) => Ok(0),
            marked => marked,
        }
    }

    /// Marks a letter as read by its receiver, who is the caller.
    ///
    /// # Errors
    /// As [`Chat::letter`]; `Forbidden(NotTheirs)` when it was sent to somebody else.
    pub async fn read_letter(&self, access: &Access, message: MessageId) -> Result<()> {
        let (message, direct) = self.letter(access, message).await?;
        let is_theirs = message.letter.as_ref().is_some_and(|letter| letter.receiver_id == access.user.id);
        if !is_theirs {
            return Err(Error::Forbidden(Refusal::NotTheirs));
        }
        let reach = Reach::One(message.id);
        let mark = Mark { reader: access.user.id, receipt: Receipt::Read, reach, at: self.clock.now() };
        self.store.mark(direct.conversation.id, mark).await?;
        Ok(())
    }

    /// Marks every letter to the caller as read, up to that one; how many there were.
    ///
    /// # Errors
    /// As [`Chat::direct`].
    pub async fn read_through(&self, access: &Access, direct: &Direct, last: MessageId) -> Result<usize> {
        direct.member(access.user.id)?;
        self.mark_all(direct.conversation.id, access.user.id, Receipt::Read, last).await
    }

    /// Marks in steps, so that a conversation that nobody looked into for years does not hold the
    /// writer while it is marked.
    async fn mark_all(&self, id: ConversationId, reader: UserId, receipt: Receipt, last: MessageId) -> Result<usize> {
        let mut marked = 0;
        loop {
            let mark = Mark { reader, receipt, reach: Reach::Through(last), at: self.clock.now() };
            let some = self.store.mark(id, mark).await?;
            marked += some;
            if some < MARKS_MAX {
                return Ok(marked);
            }
        }
    }

    /// Puts a reaction to a letter, or takes it away; whether that changed anything.
    ///
    /// # Errors
    /// As [`Chat::letter`]; `Invalid` (`emoji`) when the caller has put too many there.
    pub async fn react(&self, access: &Access, message: MessageId, emoji: String, removed: bool) -> Result<bool> {
        let (message, direct) = self.letter(access, message).await?;
        let reaction =
            NewReaction { message_id: message.id, user_id: access.user.id, emoji, removed, at: self.clock.now() };
        self.store.react(direct.conversation.id, reaction).await
    }

    /// Replaces the text of the caller's letter.
    ///
    /// # Errors
    /// As [`Chat::letter`]; `Forbidden(NotTheirs)`.
    pub async fn edit_letter(
        &self,
        access: &Access,
        message: MessageId,
        text: MessageText,
    ) -> Result<(Arc<Message>, Direct)> {
        let (message, direct) = self.own_letter(access, message).await?;
        let at = self.clock.now();
        let edited = self.store.edit_message(direct.conversation.id, message.id, access.user.id, text, at).await?;
        Ok((edited.ok_or(Error::NotFound(Subject::Message))?, direct))
    }

    /// Hides the caller's letter from both users.
    ///
    /// # Errors
    /// As [`Chat::edit_letter`].
    pub async fn delete_letter(&self, access: &Access, message: MessageId) -> Result<()> {
        let (message, direct) = self.own_letter(access, message).await?;
        let deleted = self.store.delete_message(direct.conversation.id, message.id, self.clock.now()).await?;
        if deleted { Ok(()) } else { Err(Error::NotFound(Subject::Message)) }
    }

    async fn own_letter(&self, access: &Access, message: MessageId) -> Result<(Arc<Message>, Direct)> {
        let (message, direct) = self.letter(access, message).await?;
        if message.user_id == Some(access.user.id) {
            Ok((message, direct))
        } else {
            Err(Error::Forbidden(Refusal::NotTheirs))
        }
    }

    /// The caller's letters, sent or got, that hold all of the words, the newest first.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn search_letters(
        &self,
        access: &Access,
        words: &str,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Found>> {
        let is_word = |word: &&str| word.chars().any(char::is_alphanumeric);
        let words: Vec<_> = words.split_whitespace().filter(is_word).take(WORDS_MAX).map(str::to_owned).collect();
        if words.is_empty() {
            return Ok(Vec::new());
        }
        self.store.search_letters(access.user.id, words, before, limit).await
    }

    /// How many letters there are in the caller's conversations, by the sender's kind of device.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn letter_devices(&self, access: &Access) -> Result<Vec<(DeviceKind, u64)>> {
        self.store.letter_devices(access.user.id).await
    }
}

/// The platform on which the caller acts.
///
/// # Errors
/// `Forbidden(NoPlatform)`.
pub(super) fn platform_of(access: &Access) -> Result<PlatformId> {
    access.user.platform_id.ok_or(Error::Forbidden(Refusal::NoPlatform))
}

/// One key for both users' conversation about something: whoever begins it.
fn pair_key(one: UserId, other: UserId, tag: &Tag) -> String {
    let (low, high) = (one.0.min(other.0), one.0.max(other.0));
    // The number comes before the words, which may hold anything.
    let id = tag.id.map_or_else(String::new, |id| id.to_string());
    format!("{low}/{high}/{id}/{}", tag.kind.as_ref().map_or_else(String::new, |kind| format!("={kind}")))
}
