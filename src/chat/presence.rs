//! Who is there, and who was when.

use uuid::Uuid;

use super::Chat;
use crate::domain::{Platform, Timestamp, User, UserId};
use crate::error::Result;
use crate::realtime::nodes::Room;

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
        let named: Vec<_> = seen.iter().map(|seen| (seen.id, seen.uuid)).collect();
        let there = self.have_connections(platform, &named).await;
        Ok(seen.into_iter().zip(there).map(|(seen, is_there)| (seen.uuid, is_there, seen.at)).collect())
    }

    /// Whether that user of a tenant has a connection with a subscription that they were authorised for, or
    /// that is signed in as them.
    pub async fn is_online(&self, platform: &Platform, user: &User) -> bool {
        self.have_connections(platform, &[(user.id, user.uuid)]).await.contains(&true)
    }

    async fn have_connections(&self, platform: &Platform, users: &[(UserId, Uuid)]) -> Vec<bool> {
        let Some(nodes) = self.sockets.nodes() else {
            return users.iter().map(|(id, uuid)| self.has_connection(platform, *id, *uuid)).collect();
        };
        let accounts = users.iter().map(|(id, _)| Room::Account(*id));
        let signed_in = users.iter().map(|(_, uuid)| Room::User(platform.id, uuid.to_string().into()));
        let there = nodes.are_occupied(accounts.chain(signed_in).collect()).await;
        let (accounts, signed_in) = there.split_at(users.len());
        accounts.iter().zip(signed_in).map(|(account, signed_in)| *account || *signed_in).collect()
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
