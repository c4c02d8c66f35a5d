//! The staff side of live chats: whose is it, hand it over, close it.

use std::sync::Arc;

use super::{Chat, Draft};
use crate::domain::{Access, Conversation, ConversationKind, Role, RunReason, User};
use crate::error::{Error, Refusal, Result, Subject};
use crate::realtime::Channel;
use crate::store::{Appended, Desk, StateChange};

impl Chat {
    /// The active live chats of a desk, the most recently active first.
    ///
    /// # Errors
    /// `Forbidden(NotStaff)`.
    pub async fn desk(&self, access: &Access, desk: Desk, limit: usize) -> Result<Vec<Conversation>> {
        must_be_staff(access)?;
        self.store.desk(desk, limit).await
    }

    /// Hands a live chat to a member of staff who is free; `None` when nobody is. An answer of the
    /// assistant that is under way stops: from here on a person speaks.
    ///
    /// # Errors
    /// `NotFound(Conversation)`.
    pub async fn transfer_to_staff(self: &Arc<Self>, channel: &Channel) -> Result<Option<User>> {
        let (chat, id) = (Arc::clone(self), channel.id());
        let at = self.clock.now();
        let dice = u64::from_le_bytes(self.clock.secret());
        let greeting = |name: &str| format!("{name} has joined the conversation");
        let line = self.clock.ordered_uuid(at);
        self.unbroken(async move {
            let taken = chat.store.transfer(id, dice, greeting, line, at).await?;
            if taken.is_some() {
                chat.stop_answers(id, RunReason::TakenOver);
            }
            Ok(taken)
        })
        .await
    }

    /// Takes a live chat, unless another member of staff has it; returns it as it then stands.
    ///
    /// # Errors
    /// `Forbidden(NotStaff)`; `NotFound(Conversation)`.
    pub async fn assign(self: &Arc<Self>, access: &Access, channel: &Channel) -> Result<Conversation> {
        must_be_staff(access)?;
        self.change_and_stop(channel, StateChange::Assign(access.user.id)).await
    }

    /// Closes a live chat that one has. The guest's next message reopens it.
    ///
    /// # Errors
    /// `Forbidden(NotStaff)`, `Forbidden(NotAssigned)`; `NotFound(Conversation)`.
    pub async fn close(self: &Arc<Self>, access: &Access, channel: &Channel) -> Result<Conversation> {
        self.must_have(access, channel).await?;
        self.change_and_stop(channel, StateChange::Close).await
    }

    /// Hands a live chat back that one has: from here on nobody has it, and where the assistant answers guests it answers
    /// the next message.
    ///
    /// # Errors
    /// `Forbidden(NotStaff)`, `Forbidden(NotAssigned)`; `NotFound(Conversation)`.
    pub async fn hand_back(self: &Arc<Self>, access: &Access, channel: &Channel) -> Result<Conversation> {
        self.must_have(access, channel).await?;
        let release = StateChange::Release(access.user.id);
        let changed = self.store.change_state(channel.id(), release, self.clock.now()).await?;
        changed.ok_or(Error::NotFound(Subject::Conversation))
    }

    async fn change_and_stop(self: &Arc<Self>, channel: &Channel, change: StateChange) -> Result<Conversation> {
        let (chat, id) = (Arc::clone(self), channel.id());
        self.unbroken(async move {
            let changed = chat.store.change_state(id, change, chat.clock.now()).await?;
            chat.stop_answers(id, RunReason::TakenOver);
            changed.ok_or(Error::NotFound(Subject::Conversation))
        })
        .await
    }

    /// Whether the caller may read a live chat as staff: any member of staff may look at one that
    /// nobody has, or that they have.
    ///
    /// # Errors
    /// `Forbidden(NotStaff)`, `Forbidden(NotAssigned)`.
    pub async fn must_have(&self, access: &Access, channel: &Channel) -> Result<()> {
        must_be_staff(access)?;
        let conversation = self.conversation(ConversationKind::LiveChat, channel.id()).await?;
        if conversation.is_assigned_to(access.user.id) { Ok(()) } else { Err(Error::Forbidden(Refusal::NotAssigned)) }
    }

    /// Says something as the member of staff who has the chat.
    ///
    /// # Errors
    /// `Forbidden(NotStaff)`, `Forbidden(NotAssigned)`, and as [`Chat::send`].
    pub async fn send_as_staff(&self, access: &Access, channel: &Channel, mut draft: Draft) -> Result<Appended> {
        self.must_have(access, channel).await?;
        draft.role = Role::Staff;
        draft.user_id = Some(access.user.id);
        self.append(channel.id(), draft).await
    }

    /// Says something in a chat that is free, which takes it, or that one has.
    ///
    /// # Errors
    /// As [`Chat::send_as_staff`].
    pub async fn take_and_send(self: &Arc<Self>, access: &Access, channel: &Channel, draft: Draft) -> Result<Appended> {
        self.assign(access, channel).await?;
        self.send_as_staff(access, channel, draft).await
    }
}

/// Whether the caller is staff and came with a credential for it.
pub(super) fn must_be_staff(access: &Access) -> Result<()> {
    if access.is_staff() { Ok(()) } else { Err(Error::Forbidden(Refusal::NotStaff)) }
}
