//! Accounts: making one, changing it, giving it up.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::Chat;
use crate::domain::{Ability, Access, Email, Language, Platform, PlatformId, User, UserId};
use crate::error::{Error, Result, Rule, Subject};
use crate::store::{NewUser, UserEdit, UserFilter};

/// What somebody who registers says.
#[derive(Clone)]
pub struct Registration {
    /// The tenant at which they do; `None`: at a door that knows none.
    pub platform_id: Option<PlatformId>,
    /// Their address.
    pub email: Email,
    /// Their name.
    pub name: String,
    /// Their password.
    pub password: String,
    /// Their telephone number.
    pub phone: Option<String>,
    /// The language they want.
    pub language: Option<Language>,
}

/// Without the password, and without who it is.
impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("platform_id", &self.platform_id).finish_non_exhaustive()
    }
}

/// What somebody changes about their account: what is `Some`.
#[derive(Clone, Default)]
pub struct AccountEdit {
    /// Their name.
    pub name: Option<String>,
    /// Address of a picture; `Some(None)` takes it away.
    pub avatar: Option<Option<String>>,
    /// Their telephone number; `Some(None)` takes it away.
    pub phone: Option<Option<String>>,
    /// The language they want; `Some(None)`: whichever a client asks for.
    pub language: Option<Option<Language>>,
    /// Their address.
    pub email: Option<Email>,
    /// Their password.
    pub password: Option<String>,
}

/// Without the password, and without who it is.
impl fmt::Debug for AccountEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountEdit").finish_non_exhaustive()
    }
}

impl Chat {
    /// Makes an account that has to prove its address, and mails the code for it.
    ///
    /// # Errors
    /// `Invalid` when the address has an account; `Upstream` when no mail can be sent.
    pub async fn register(&self, new: Registration) -> Result<User> {
        self.mailer.must_work()?;
        let user = self.add_own_account(new, false).await?;
        self.mail_code(&user, super::codes::DIGITS).await?;
        Ok(user)
    }

    /// Makes an account that is usable at once.
    ///
    /// # Errors
    /// `Invalid` when the address has an account on that platform.
    pub async fn sign_up(&self, new: Registration) -> Result<User> {
        self.add_own_account(new, true).await
    }

    async fn add_own_account(&self, new: Registration, is_verified: bool) -> Result<User> {
        if new.platform_id.is_none() {
            self.must_be_free(&new.email).await?;
        }
        let password_hash = self.hash_password(new.password).await?;
        let new = NewUser {
            uuid: self.clock.uuid(),
            platform_id: new.platform_id,
            email: new.email,
            name: new.name,
            phone: new.phone,
            language: new.language,
            password_hash: Some(password_hash),
            is_staff: false,
            is_verified,
            abilities: Ability::of_people(),
            at: self.clock.now(),
        };
        self.store.add_user(new).await
    }

    /// Whether nobody at all has an address. An account of no platform takes an address before those of
    /// platforms at the doors that know none: a stranger who made one would stand in the way of whoever
    /// signs in there with theirs. They need no other, either: one account can use every door.
    ///
    /// # Errors
    /// `Invalid` (`email`, unique).
    async fn must_be_free(&self, email: &Email) -> Result<()> {
        let taken = self.store.user_by_email(None, email).await?.is_some();
        if taken { Err(Error::field("email", Rule::Unique)) } else { Ok(()) }
    }

    /// Makes an account as an operator does: no code, no mail.
    ///
    /// # Errors
    /// `Invalid` when the address has an account on that platform.
    pub async fn add_user(
        &self,
        platform: Option<&Platform>,
        email: Email,
        name: String,
        password: Option<String>,
        is_staff: bool,
        abilities: Vec<Ability>,
    ) -> Result<User> {
        let password_hash = match password {
            Some(password) => Some(self.hash_password(password).await?),
            None => None,
        };
        let new = NewUser {
            uuid: self.clock.uuid(),
            platform_id: platform.map(|platform| platform.id),
            email,
            name,
            phone: None,
            language: None,
            password_hash,
            is_staff,
            is_verified: true,
            abilities,
            at: self.clock.now(),
        };
        self.store.add_user(new).await
    }

    /// The account of an address: of that platform, or, without one, of none, else the oldest.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn user_by_email(&self, platform: Option<&Platform>, email: &Email) -> Result<Option<User>> {
        let platform = platform.map(|platform| platform.id);
        Ok(self.store.user_by_email(platform, email).await?.map(|(user, _)| user))
    }

    /// The account of a public identifier, if it is that platform's; also one that is switched off or
    /// given up, which [`User::is_active`] tells.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn user_by_uuid(&self, platform: &Platform, uuid: Uuid) -> Result<Option<User>> {
        self.store.user_by_uuid(platform.id, uuid).await
    }

    /// The account of a number. For what is known to be the caller's to see, such as who wrote a
    /// message that they may read.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn user(&self, id: UserId) -> Result<Option<User>> {
        self.store.user(id).await
    }

    /// A page of the accounts, as an operator sees them.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn users(&self, filter: UserFilter) -> Result<Vec<User>> {
        self.store.users(filter).await
    }

    /// Changes the caller's own account. A new password signs them out everywhere else.
    ///
    /// # Errors
    /// `Invalid` when the new address has an account on that platform; `NotFound(User)`.
    pub async fn edit_account(&self, access: &Access, edit: AccountEdit) -> Result<User> {
        if let (None, Some(email)) = (access.user.platform_id, &edit.email)
            && *email != access.user.email
        {
            self.must_be_free(email).await?;
        }
        let password_hash = match edit.password {
            Some(password) => Some(self.hash_password(password).await?),
            None => None,
        };
        let edit = UserEdit {
            name: edit.name,
            avatar: edit.avatar,
            phone: edit.phone,
            language: edit.language,
            email: edit.email,
            password_hash,
            keep: Some(access.token_id),
        };
        let edited = self.store.edit_user(access.user.id, edit, self.clock.now()).await?;
        edited.ok_or(Error::NotFound(Subject::User))
    }

    /// Gives the caller's own account up: nobody signs in to it any more, and what they wrote to
    /// others stands under no name. Their chats with the assistant are nobody else's, and go with it.
    ///
    /// # Errors
    /// `NotFound(User)`.
    pub async fn delete_account(self: &Arc<Self>, access: &Access) -> Result<()> {
        let (chat, user) = (Arc::clone(self), access.user.id);
        self.unbroken(async move {
            // Before, so that who is interrupted can still sign in and try again; and after, for what
            // another of their sessions made meanwhile.
            chat.remove_all_chats(user).await?;
            let erased = chat.store.erase_user(user, chat.clock.now()).await?;
            chat.remove_all_chats(user).await?;
            if erased { Ok(()) } else { Err(Error::NotFound(Subject::User)) }
        })
        .await
    }

    /// Switches an account on or off, as an operator does. With off, its tokens are gone.
    ///
    /// # Errors
    /// `NotFound(User)`.
    pub async fn set_active(&self, user: UserId, is_active: bool) -> Result<User> {
        let changed = self.store.set_active(user, is_active, self.clock.now()).await?;
        changed.ok_or(Error::NotFound(Subject::User))
    }
}
