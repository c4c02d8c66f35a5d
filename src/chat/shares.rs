//! Shares: a user shows one of their chats with the assistant to others.

use std::net::IpAddr;

use uuid::Uuid;

use super::Chat;
use crate::domain::{Access, ConversationId, Email, Share, ShareEntry, ShareId};
use crate::error::{Error, Refusal, Result, Subject};
use crate::store::NewShare;

/// A share as whoever has its link finds it.
#[derive(Debug)]
pub struct Opened {
    /// The share.
    pub share: Share,
    /// Whether only listed users may open it.
    pub has_list: bool,
    /// Why this caller may not: `Unauthenticated` without the right password or, where users are listed,
    /// without a session; `Forbidden(NotMember)` for who is not listed; `Forbidden(Inactive)` when the link
    /// is switched off; `TooMany` after wrong passwords.
    pub refusal: Option<Error>,
}

impl Chat {
    /// Shows a chat of the caller to whoever has the link; `None` when it is shown already. Of a password
    /// only a hash is stored.
    ///
    /// # Errors
    /// As [`Chat::chat_of`].
    pub async fn share_chat(
        &self,
        access: &Access,
        id: ConversationId,
        is_shared: bool,
        is_protected: bool,
        password: Option<String>,
    ) -> Result<Option<Share>> {
        self.chat_of(access, id).await?;
        let password_hash = match password {
            Some(password) => Some(self.hash_password(password).await?),
            None => None,
        };
        let at = self.clock.now();
        let uuid = self.clock.uuid();
        self.store.add_share(NewShare { uuid, conversation_id: id, is_shared, is_protected, password_hash, at }).await
    }

    /// The share of a chat of the caller.
    ///
    /// # Errors
    /// As [`Chat::chat_of`].
    pub async fn share_of(&self, access: &Access, id: ConversationId) -> Result<Option<Share>> {
        self.chat_of(access, id).await?;
        self.store.share_of(id).await
    }

    /// Lets the owners of these addresses, and the caller, open a chat's share; others than they cannot
    /// from then on. Addresses that nobody has are passed over; which were known the answer tells, as
    /// signing up does. An account is taken for its address's owner without a proof: see the door's page.
    ///
    /// # Errors
    /// As [`Chat::chat_of`]; `NotFound(Share)`.
    pub async fn list_in_share(
        &self,
        access: &Access,
        id: ConversationId,
        share: ShareId,
        emails: &[Email],
    ) -> Result<Vec<ShareEntry>> {
        let found = self.share_of(access, id).await?.filter(|found| found.id == share);
        let share = found.ok_or(Error::NotFound(Subject::Share))?;
        let mut users = vec![access.user.id];
        for email in emails {
            if let Some((user, _)) = self.store.user_by_email(access.user.platform_id, email).await?
                && !users.contains(&user.id)
            {
                users.push(user.id);
            }
        }
        self.store.add_share_entries(share.id, users, self.clock.now()).await
    }

    /// Opens a share by its link, with the password and as the caller that came with it.
    ///
    /// # Errors
    /// `NotFound(Share)`.
    pub async fn open_share(
        &self,
        link: Uuid,
        password: Option<String>,
        access: Option<&Access>,
        from: IpAddr,
    ) -> Result<Opened> {
        let (share, listed) = self.store.share(link).await?.ok_or(Error::NotFound(Subject::Share))?;
        let has_list = !listed.is_empty();
        let refusal = if !share.is_shared {
            Some(Error::Forbidden(Refusal::Inactive))
        } else if let Err(refused) = self.try_share(&share, password, from).await {
            Some(refused)
        } else {
            match access {
                _ if !has_list => None,
                None => Some(Error::Unauthenticated),
                Some(access) if listed.contains(&access.user.id) => None,
                Some(_) => Some(Error::Forbidden(Refusal::NotMember)),
            }
        };
        Ok(Opened { share, has_list, refusal })
    }

    async fn try_share(&self, share: &Share, password: Option<String>, from: IpAddr) -> Result<()> {
        if !share.is_protected {
            return Ok(());
        }
        let password = password.ok_or(Error::Unauthenticated)?;
        let key = self.attempt_key("share", share.id.0, &[]);
        // One that wants a password and has none opens to nobody.
        if self.try_password(key, from, password, share.password_hash.clone()).await? {
            Ok(())
        } else {
            Err(Error::Unauthenticated)
        }
    }
}
