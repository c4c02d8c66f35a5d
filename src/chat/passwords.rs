//! Passwords: hashed slowly, a few at a time, and not tried without end.

use std::net::IpAddr;
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tracing::Instrument;

use super::Chat;
use crate::domain::{Email, Platform};
use crate::error::{Error, Result};
use crate::limits::AccountKey;

/// What an unknown address's password is checked against, so that it takes as long as a known
/// one's: same algorithm, same cost, a hash that nothing matches.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$\
                      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Chat {
    /// A password's PHC string.
    pub(super) async fn hash_password(&self, password: String) -> Result<String> {
        self.blocking(move || {
            Argon2::default()
                .hash_password(password.as_bytes())
                .map(|hash| hash.to_string())
                .map_err(|error| Error::internal(error.to_string()))
        })
        .await
    }

    /// Whether that is the password behind `hash`; with `None` it never is, and takes as long to say.
    /// A wrong one counts against `account` and against the address that it came from.
    ///
    /// # Errors
    /// `TooMany` when a wait is due, before anything is hashed.
    pub(super) async fn try_password(
        &self,
        account: AccountKey,
        from: IpAddr,
        password: String,
        hash: Option<String>,
    ) -> Result<bool> {
        self.must_not_wait(account, from).await?;
        let (attempts, clock) = (Arc::clone(&self.attempts), self.clock.clone());
        let permit = Arc::clone(&self.hashing).acquire_owned().await.map_err(Error::internal)?;
        // A task of its own, so that hanging up does not make a try uncounted.
        let tried = async move {
            // Once more: a thousand tries that came at once have waited for each other here, and were
            // all let in before the first of them failed. So the permit is kept until that is counted.
            if let Some(wait) = attempts.wait(account, from, clock.now()).await {
                return Err(Error::TooMany(wait));
            }
            let hashed = tokio::task::spawn_blocking(move || (is_right(&password, hash.as_deref()), permit));
            let (right, _permit) = hashed.await.map_err(Error::internal)?;
            let right = right?;
            if right {
                attempts.succeeded(account).await;
            } else {
                attempts.failed(account, from, clock.now()).await;
            }
            Ok(right)
        };
        tokio::spawn(tried.in_current_span()).await.map_err(Error::internal)?
    }

    /// Refuses who has to wait before another try.
    ///
    /// # Errors
    /// `TooMany` with the wait.
    pub(super) async fn must_not_wait(&self, account: AccountKey, from: IpAddr) -> Result<()> {
        self.attempts.wait(account, from, self.clock.now()).await.map_or(Ok(()), |wait| Err(Error::TooMany(wait)))
    }

    /// What tries at an account count against: the platform and the address as the caller names them,
    /// and not the account that they lead to, so that an address without one is counted alike and no
    /// door tells by its waits what another one knows.
    pub(super) fn account_key(&self, platform: Option<&Platform>, email: &Email) -> AccountKey {
        let platform = platform.map_or(0, |platform| platform.id.0);
        self.attempt_key("account", platform, email.as_str().as_bytes())
    }

    /// What tries at something else with a password count against.
    pub(super) fn attempt_key(&self, kind: &str, scope: i64, name: &[u8]) -> AccountKey {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.attempt_key).expect("an HMAC takes keys of any length");
        for part in [kind.as_bytes(), &[0], &scope.to_be_bytes(), name] {
            mac.update(part);
        }
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut key = [0; 16];
        key.copy_from_slice(&whole[..16]);
        key
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

fn is_right(password: &str, hash: Option<&str>) -> Result<bool> {
    let parsed = PasswordHash::new(hash.unwrap_or(NOBODY)).map_err(|error| Error::internal(error.to_string()))?;
    let right = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
    Ok(right && hash.is_some())
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
