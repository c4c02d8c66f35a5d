//! One-time codes by mail: to prove an address, and to get back in without the password.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tracing::Instrument;

use super::Chat;
use crate::domain::{Email, Platform, User, UserId};
use crate::error::{Error, Result, Rule};
use crate::store::CodeCheck;

/// Digits of a code that proves an address.
pub(super) const DIGITS: usize = 6;

/// The time between two letters to one account: whoever can ask for letters could otherwise fill
/// somebody's mailbox, and get fresh tries with each.
const CODE_PAUSE: Duration = Duration::from_secs(60);

/// Letters under way at once that nobody waits for.
pub(super) const LETTERS_MAX: usize = 64;

impl Chat {
    /// Proves an address with the code that was mailed to it.
    ///
    /// # Errors
    /// `Invalid` when the code is not right, or there is no such account: which of the two is not
    /// said.
    pub async fn verify(&self, platform: Option<&Platform>, email: &Email, code: &str) -> Result<User> {
        let wrong = || Error::field("otp", Rule::Valid);
        let (user, _) =
            self.store.user_by_email(platform.map(|platform| platform.id), email).await?.ok_or_else(wrong)?;
        let hash = self.code_hash(user.id, code);
        let now = self.clock.now();
        match self.store.check_code(user.id, hash, self.rules.code_tries_max, now).await? {
            CodeCheck::Verified => self.store.user(user.id).await?.ok_or_else(wrong),
            CodeCheck::Refused => Err(wrong()),
        }
    }

    /// Mails a code of that many digits to an address, if it has an account that is switched on. Who
    /// asks never learns whether: the letter leaves after the answer.
    ///
    /// # Errors
    /// `Upstream` when no mail can be sent at all; `Busy` when too many letters are under way.
    pub async fn send_code(self: &Arc<Self>, platform: Option<&Platform>, email: &Email, digits: usize) -> Result<()> {
        self.mailer.must_work()?;
        let place = Arc::clone(&self.letters).try_acquire_owned().map_err(|_| Error::Busy)?;
        let found = self.store.user_by_email(platform.map(|platform| platform.id), email).await?;
        let Some((user, _)) = found.filter(|(user, _)| user.is_active) else { return Ok(()) };
        let chat = Arc::clone(self);
        let letter = async move {
            let _place = place;
            if let Err(cause) = chat.mail_code(&user, digits).await {
                tracing::warn!(%cause, "a code could not be sent");
            }
        };
        self.run_tasks().spawn(letter.in_current_span());
        Ok(())
    }

    /// Sets a new password with a code that was mailed, and signs out everywhere; `false` when the code
    /// is not right, or there is no such account: which of the two is not said.
    ///
    /// # Errors
    /// `TooMany` when a wait is due after wrong codes or passwords.
    pub async fn reset_password(
        &self,
        platform: Option<&Platform>,
        email: &Email,
        code: &str,
        password: String,
        from: IpAddr,
    ) -> Result<bool> {
        let account = self.account_key(platform, email);
        self.must_not_wait(account, from).await?;
        // Hashed whatever comes of it, and looked up in the same place also for nobody, so that an
        // address without an account takes as long.
        let password_hash = self.hash_password(password).await?;
        let found = self.store.user_by_email(platform.map(|platform| platform.id), email).await?;
        let user = found.filter(|(user, _)| user.is_active).map_or(UserId(0), |(user, _)| user.id);
        let (hash, now) = (self.code_hash(user, code), self.clock.now());
        match self.store.reset_password(user, hash, self.rules.code_tries_max, password_hash, now).await? {
            CodeCheck::Verified => {
                self.attempts.succeeded(account).await;
                Ok(true)
            }
            CodeCheck::Refused => {
                self.attempts.failed(account, from, now).await;
                Ok(false)
            }
        }
    }

    /// Mails a fresh code, unless one left a moment ago.
    pub(super) async fn mail_code(&self, user: &User, digits: usize) -> Result<()> {
        let code = self.clock.secret_digits(digits);
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
}
