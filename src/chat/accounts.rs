//! Registering, signing in, and what a credential stands for.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Chat;
use crate::domain::{Ability, Access, Email, Language, TokenId, User, UserId};
use crate::error::{Error, Refusal, Result, Rule};
use crate::store::{self, CodeCheck, NewUser};

/// What somebody who registers says.
#[derive(Clone, Debug)]
pub struct Registration {
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

/// A token that was just made: the only moment at which its secret is known.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whose.
    pub user: User,
    /// `<number>|<secret>`, as the client sends it.
    pub token: String,
}

/// Characters of a token's secret part: 48 of 62 letters are 285 bits.
const SECRET_CHARS: usize = 48;

/// The time between two letters to one account: whoever can ask for letters could otherwise fill
/// somebody's mailbox, and get fresh tries with each.
const CODE_PAUSE: Duration = Duration::from_secs(60);

/// What an unknown address's password is checked against, so that it takes as long as a known
/// one's: same algorithm, same cost, a hash that nothing matches.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$\
                      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Chat {
    /// Makes an account that has to prove its address, and mails the code for it.
    ///
    /// # Errors
    /// `Invalid` when the address has an account; `Upstream` when no mail can be sent.
    pub async fn register(&self, new: Registration) -> Result<User> {
        self.mailer.must_work()?;
        let password_hash = self.hash_password(new.password).await?;
        let new = NewUser {
            uuid: self.clock.uuid(),
            email: new.email,
            name: new.name,
            phone: new.phone,
            language: new.language,
            password_hash: Some(password_hash),
            is_staff: false,
            is_verified: false,
            abilities: vec![Ability::any()],
            at: self.clock.now(),
        };
        let user = self.store.add_user(new).await?;
        self.mail_code(&user).await?;
        Ok(user)
    }

    /// Proves an address with the code that was mailed to it.
    ///
    /// # Errors
    /// `Invalid` when the code is not right, or there is no such account: which of the two is not
    /// said.
    pub async fn verify(&self, email: &Email, code: &str) -> Result<User> {
        let wrong = || Error::field("otp", Rule::Valid);
        let (user, _) = self.store.user_by_email(email).await?.ok_or_else(wrong)?;
        let hash = self.code_hash(user.id, code);
        let now = self.clock.now();
        match self.store.check_code(user.id, hash, self.rules.code_tries_max, now).await? {
            CodeCheck::Verified => self.store.user(user.id).await?.ok_or_else(wrong),
            CodeCheck::Refused => Err(wrong()),
        }
    }

    /// Signs in by password. An account whose address is not proved gets a new code by mail.
    ///
    /// # Errors
    /// `Unauthenticated` for a wrong password and an unknown address alike;
    /// `Forbidden(AccountInactive)`, `Forbidden(AccountUnverified)`.
    pub async fn sign_in(&self, email: &Email, password: String, device: String) -> Result<NewToken> {
        let found = self.store.user_by_email(email).await?;
        let hash = found.as_ref().and_then(|(_, hash)| hash.clone());
        let right = self.check_password(password, hash).await?;
        let user = found.map(|(user, _)| user).filter(|_| right).ok_or(Error::Unauthenticated)?;
        if !user.is_active {
            return Err(Error::Forbidden(Refusal::AccountInactive));
        }
        if !user.is_verified {
            self.mail_code(&user).await?;
            return Err(Error::Forbidden(Refusal::AccountUnverified));
        }
        let abilities = user.abilities.clone();
        self.make_token(user, device, abilities).await
    }

    /// Makes a token for a user.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn make_token(&self, user: User, name: String, abilities: Vec<Ability>) -> Result<NewToken> {
        let secret = self.clock.secret_word(SECRET_CHARS);
        let hash = token_hash(&secret);
        let new = store::NewToken { user_id: user.id, name, hash, abilities, at: self.clock.now() };
        let id = self.store.add_token(new).await?;
        Ok(NewToken { user, token: format!("{id}|{secret}") })
    }

    /// Whom a bearer token stands for.
    ///
    /// # Errors
    /// `Unauthenticated` for anything but a valid token of an active user.
    pub async fn authenticate(&self, bearer: &str) -> Result<Access> {
        let (id, secret) = bearer.split_once('|').ok_or(Error::Unauthenticated)?;
        let id = id.parse().map(TokenId).map_err(|_| Error::Unauthenticated)?;
        let stored = self.store.token(id).await?.ok_or(Error::Unauthenticated)?;
        let right = bool::from(stored.hash.ct_eq(&token_hash(secret)));
        if !right || !stored.user.is_active {
            return Err(Error::Unauthenticated);
        }
        Ok(Access { user: stored.user, token_id: stored.id, abilities: stored.abilities })
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

    /// Makes an account as an operator does: no code, no mail.
    ///
    /// # Errors
    /// `Invalid` when the address has an account.
    pub async fn add_user(
        &self,
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

    /// The account of an address.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn user_by_email(&self, email: &Email) -> Result<Option<User>> {
        Ok(self.store.user_by_email(email).await?.map(|(user, _)| user))
    }

    async fn mail_code(&self, user: &User) -> Result<()> {
        let code = self.clock.secret_digits(6);
        let hash = self.code_hash(user.id, &code);
        let now = self.clock.now();
        let expires_at = now.plus(self.rules.code_lifetime);
        if !self.store.set_code(user.id, hash, now, CODE_PAUSE, expires_at).await? {
            // A letter with a code that still counts left a moment ago.
            return Ok(());
        }
        self.mailer.send_code(&user.email, &user.name, &code, self.rules.code_lifetime).await
    }

    /// Six digits are guessed from a plain hash in no time; with this installation's key they are not
    /// by whoever sees the hash alone, in a log or a query's result. The key lies in the same file,
    /// so against who has that there is only the code's short life.
    fn code_hash(&self, user: UserId, code: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.code_key).expect("an HMAC takes keys of any length");
        mac.update(&user.0.to_be_bytes());
        mac.update(code.as_bytes());
        mac.finalize().into_bytes().into()
    }

    async fn hash_password(&self, password: String) -> Result<String> {
        self.blocking(move || {
            Argon2::default()
                .hash_password(password.as_bytes())
                .map(|hash| hash.to_string())
                .map_err(|error| Error::internal(error.to_string()))
        })
        .await
    }

    async fn check_password(&self, password: String, hash: Option<String>) -> Result<bool> {
        self.blocking(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
            let parsed = PasswordHash::new(&hash).map_err(|error| Error::internal(error.to_string()))?;
            let right = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
            Ok(right && known)
        })
        .await
    }

    /// Runs what takes a core for a while away from the async threads, a few at a time.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.hashing).acquire_owned().await.map_err(Error::internal)?;
        // The permit goes along: a caller who hangs up does not stop the work, and must not make room
        // for more of it.
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
    }
}

fn token_hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_costs_what_somebody_costs() {
        let parsed = PasswordHash::new(NOBODY).unwrap();
        let real = Argon2::default().hash_password(b"a password").unwrap().to_string();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!((parsed.algorithm, parsed.version), (real.algorithm, real.version));
        assert_eq!(parsed.params, real.params);
        assert!(Argon2::default().verify_password(b"", &parsed).is_err());
    }
}
