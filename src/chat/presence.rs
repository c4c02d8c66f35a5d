//! Who is there, and who was when.

use uuid::Uuid;

use super::Chat;
use crate::domain::{Platform, Timestamp, User, UserId};
use crate::error::Result;
use crate::store::Seen;

/// Users noted in one write.
const NOTED_AT_ONCE: usize = 1000;

impl Chat {
    /// Those of a platform's users who are named: whether they have a connection, and when they were last
    /// seen.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn presence(
        &self,
        platform: &Platform,
        users: Vec<Uuid>,
    ) -> Result<Vec<(Uuid, bool, Option<Timestamp>)>> {
        let seen = self.store.seen(platform.id, users).await?;
        let shown = |seen: Seen| (seen.uuid, self.has_connection(platform, seen.id, seen.uuid), seen.at);
        Ok(seen.into_iter().map(shown).collect())
    }

    /// Whether that user of a tenant has a connection with a subscription that they were authorised for, or
    /// that is signed in as them.
    pub fn is_online(&self, platform: &Platform, user: &User) -> bool {
        self.has_connection(platform, user.id, user.uuid)
    }

    fn has_connection(&self, platform: &Platform, id: UserId, uuid: Uuid) -> bool {
        self.online.has(id) || self.sockets.is_signed_in(platform.id, &uuid.to_string())
    }

    /// Notes that these users were seen just now.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn note_seen(&self, users: &[UserId]) -> Result<()> {
        for some in users.chunks(NOTED_AT_ONCE) {
            self.store.note_seen(some.to_vec(), self.clock.now()).await?;
        }
        Ok(())
    }

    /// A user and their platform; `None` for who is on none.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn user_with_platform(&self, id: UserId) -> Result<Option<(User, Platform)>> {
        let Some(user) = self.store.user(id).await? else { return Ok(None) };
        let Some(platform) = user.platform_id else { return Ok(None) };
        Ok(self.store.platform(platform).await?.map(|platform| (user, platform)))
    }
}
