//! What a caller comes with: bearer tokens, and sealed sessions for browsers.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Chat;
use crate::domain::{Ability, Access, Email, Platform, TokenId, User, UserId};
use crate::error::{Error, Refusal, Result};
use crate::store::{self, StoredToken};

/// A token that was just made: the only moment at which its secret is known.
#[derive(Clone)]
pub struct NewToken {
    /// Whose.
    pub user: User,
    /// `<number>|<secret>`, as the client sends it.
    pub token: String,
}

/// Without the token.
impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Characters of a token's secret part: 48 of 62 letters are 285 bits.
const SECRET_CHARS: usize = 48;

/// What the tokens inside of sessions are called.
const SESSION: &str = "session";

/// How the secret of a token is stored. They differ, so that neither kind is good for the other, even
/// if the inside of a session became known.
#[derive(Clone, Copy)]
enum Kind {
    Bearer,
    Session,
}

impl Chat {
    /// Signs in by password: a bearer token with the account's abilities. An account whose address is
    /// not proved gets a new code by mail.
    ///
    /// # Errors
    /// As [`Chat::check_sign_in`].
    pub async fn sign_in(
        &self,
        platform: Option<&Platform>,
        email: &Email,
        password: String,
        device: String,
        from: IpAddr,
    ) -> Result<NewToken> {
        let user = self.check_sign_in(platform, email, password, from).await?;
        let abilities = user.abilities.clone();
        self.make_token(user, device, abilities, None).await
    }

    /// Whose address and password these are, if they may sign in: [`Chat::sign_in`] without its token.
    ///
    /// # Errors
    /// `Unauthenticated` for a wrong password and an unknown address alike; `TooMany` when a wait is due
    /// after wrong ones; `Forbidden(AccountInactive)`, `Forbidden(AccountUnverified)`.
    pub async fn check_sign_in(
        &self,
        platform: Option<&Platform>,
        email: &Email,
        password: String,
        from: IpAddr,
    ) -> Result<User> {
        let found = self.store.user_by_email(platform.map(|platform| platform.id), email).await?;
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
        let right = self.try_password(self.account_key(platform, email), from, password, hash).await?;
        let user = user.filter(|_| right).ok_or(Error::Unauthenticated)?;
        if !user.is_active {
            return Err(Error::Forbidden(Refusal::AccountInactive));
        }
        if !user.is_verified {
            self.mail_code(&user, super::codes::DIGITS).await?;
            return Err(Error::Forbidden(Refusal::AccountUnverified));
        }
        Ok(user)
    }

    /// Makes a token for a user, which ends by itself after `lifetime` if that is given.
    ///
    /// # Errors
    /// `Unauthenticated` when the account was changed since `user` was read.
    pub async fn make_token(
        &self,
        user: User,
        name: String,
        abilities: Vec<Ability>,
        lifetime: Option<Duration>,
    ) -> Result<NewToken> {
        let token = self.add_token(&user, name, abilities, lifetime, Kind::Bearer).await?;
        Ok(NewToken { user, token })
    }

    /// Whom a bearer token stands for.
    ///
    /// # Errors
    /// `Unauthenticated` for anything but a valid token of an active user.
    pub async fn authenticate(&self, bearer: &str) -> Result<Access> {
        self.access(bearer, Kind::Bearer).await
    }

    /// Whom a bearer token stands for, if it may do `ability`.
    ///
    /// # Errors
    /// As [`Chat::authenticate`]; `Forbidden(NotAble)`.
    pub async fn authorize(&self, bearer: &str, ability: &str) -> Result<Access> {
        let access = self.authenticate(bearer).await?;
        if access.can(ability) { Ok(access) } else { Err(Error::Forbidden(Refusal::NotAble)) }
    }

    /// Revokes the token that the caller came with, or all of the caller's.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn sign_out(&self, access: &Access, everywhere: bool) -> Result<u64> {
        let only = (!everywhere).then_some(access.token_id);
        self.store.revoke_tokens(access.user.id, only).await
    }

    /// A user's tokens, sessions too, the oldest first, as an operator sees them.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn tokens(&self, user: UserId) -> Result<Vec<StoredToken>> {
        self.store.tokens(user).await
    }

    /// Revokes a token, whoever's, as an operator does; `false` when there is none of that number.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn revoke_token(&self, id: TokenId) -> Result<bool> {
        self.store.revoke_token(id).await
    }

    /// Opens a session: what a browser keeps, opaque to it and revocable here. It may do what the user
    /// may and ends after the configured time, or when a hundred newer ones have been opened.
    ///
    /// # Errors
    /// As [`Chat::make_token`].
    pub async fn open_session(&self, user: &User) -> Result<String> {
        let (abilities, lifetime) = (user.abilities.clone(), Some(self.rules.sign_in_lifetime));
        let token = self.add_token(user, SESSION.to_owned(), abilities, lifetime, Kind::Session).await?;
        self.seal.close(&token, self.clock.secret()).ok_or_else(|| Error::internal("a session cannot be sealed"))
    }

    /// Whom a session stands for.
    ///
    /// # Errors
    /// `Unauthenticated` for anything but an open session of an active user; what this server did not
    /// seal is refused without a look at the store.
    pub async fn authenticate_session(&self, sealed: &str) -> Result<Access> {
        let token = self.seal.open(sealed).ok_or(Error::Unauthenticated)?;
        self.access(&token, Kind::Session).await
    }

    /// Closes a session; `false` when there was none to close.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn close_session(&self, sealed: &str) -> Result<bool> {
        match self.authenticate_session(sealed).await {
            Ok(access) => self.store.revoke_token(access.token_id).await,
            Err(Error::Unauthenticated) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn add_token(
        &self,
        user: &User,
        name: String,
        abilities: Vec<Ability>,
        lifetime: Option<Duration>,
        kind: Kind,
    ) -> Result<String> {
        let (secret, at) = (self.clock.secret_word(SECRET_CHARS), self.clock.now());
        let (hash, expires_at) = (kind.hash(&secret), lifetime.map(|lifetime| at.plus(lifetime)));
        let new = store::NewToken { user_id: user.id, name, hash, abilities, at, expires_at };
        let id = self.store.add_token(new).await?;
        // Who changes the password, or switches the account off, revokes the tokens that there are. One
        // that was being made meanwhile, for the old password, must not be left over.
        let as_now = self.store.user(user.id).await?;
        if as_now.is_none_or(|now| now.updated_at != user.updated_at) {
            self.store.revoke_token(id).await?;
            return Err(Error::Unauthenticated);
        }
        Ok(format!("{id}|{secret}"))
    }

    /// Whether a token of that user could still be used.
    pub(super) async fn is_valid(&self, token: TokenId, owner: UserId) -> Result<bool> {
        let stored = self.store.token(token).await?;
        let is_over = |stored: &StoredToken| stored.expires_at.is_some_and(|end| end <= self.clock.now());
        Ok(stored.is_some_and(|stored| stored.user.id == owner && stored.user.is_active && !is_over(&stored)))
    }

    async fn access(&self, token: &str, kind: Kind) -> Result<Access> {
        let (id, secret) = token.split_once('|').ok_or(Error::Unauthenticated)?;
        let id = id.parse().map(TokenId).map_err(|_| Error::Unauthenticated)?;
        let stored = self.store.token(id).await?.ok_or(Error::Unauthenticated)?;
        let right = bool::from(stored.hash.ct_eq(&kind.hash(secret)));
        let over = stored.expires_at.is_some_and(|end| end <= self.clock.now());
        if !right || over || !stored.user.is_active {
            return Err(Error::Unauthenticated);
        }
        Ok(Access { user: stored.user, token_id: stored.id, abilities: stored.abilities })
    }
}

impl Kind {
    fn hash(self, secret: &str) -> [u8; 32] {
        let hash = match self {
            Self::Bearer => Sha256::new(),
            Self::Session => Sha256::new_with_prefix("session\0"),
        };
        hash.chain_update(secret).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_secret_is_no_bearers() {
        assert_ne!(Kind::Session.hash("secret"), Kind::Bearer.hash("secret"));
        assert_eq!(Kind::Bearer.hash("secret"), <[u8; 32]>::from(Sha256::digest("secret")), "as it always was");
    }
}
