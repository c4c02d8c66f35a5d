//! Who may follow what: the rule behind every subscription, whatever carries it.

use uuid::Uuid;

use super::Chat;
use crate::domain::{Access, Membership, MembershipStatus};
use crate::error::{Error, Refusal, Result};

/// What can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// What happens in a conversation of two users.
    Conversation(Uuid),
    /// What happens to a user.
    User(Uuid),
    /// What happens on a platform, by its public key.
    Platform(Uuid),
    /// What happens in the back office of the caller's platform.
    Backoffice,
}

/// The role whose holders follow the back office. Staff hold it without being named.
pub const BACKOFFICE: &str = "backoffice";

impl Chat {
    /// Whether the caller may follow that. Conversations are their users' alone.
    ///
    /// # Errors
    /// `NotFound(Conversation)`, also when it is another platform's; `Forbidden(NotMember)` for somebody
    /// else's conversation or news, another platform, and the back office without the role.
    pub async fn may_follow(&self, access: &Access, topic: Topic) -> Result<()> {
        let allowed = match topic {
            Topic::Conversation(uuid) => return self.direct(access, uuid).await.map(|_| ()),
            Topic::User(uuid) => access.user.uuid == uuid,
            Topic::Platform(key) => match access.user.platform_id {
                Some(id) => self.store.platform(id).await?.is_some_and(|platform| platform.key == key),
                None => false,
            },
            Topic::Backoffice => access.is_staff() || self.is_backoffice(access).await?,
        };
        if allowed { Ok(()) } else { Err(Error::Forbidden(Refusal::NotMember)) }
    }

    async fn is_backoffice(&self, access: &Access) -> Result<bool> {
        let holds = |held: &Membership| held.role == BACKOFFICE && held.status == MembershipStatus::Approved;
        Ok(self.store.memberships(access.user.id).await?.iter().any(holds))
    }
}
