//! Tenants, what users are at theirs, and the devices on which they are told.

use std::fmt;

use uuid::Uuid;

use super::Chat;
use super::staff::must_be_staff;
use crate::domain::{
    Access, Json, Membership, MembershipStatus, Platform, PlatformId, PushDevice, PushOs, UserId, clean_line,
};
use crate::error::{Error, Refusal, Result, Rule, Subject};
use crate::store::{NewPlatform, NewPushDevice};

/// A device that wants to be told.
#[derive(Clone)]
pub struct DeviceRegistration {
    /// What the push service calls it.
    pub token: String,
    /// Which push service.
    pub os: PushOs,
    /// What the client says of itself.
    pub device: Option<Json>,
}

/// Without the token: who has it can tell the device things.
impl fmt::Debug for DeviceRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceRegistration").field("os", &self.os).finish_non_exhaustive()
    }
}

/// Characters of the secret that signs a platform's subscriptions: 285 bits.
const SECRET_CHARS: usize = 48;

impl Chat {
    /// Makes a tenant, as an operator does.
    ///
    /// # Errors
    /// `Invalid` when the name is blank or longer than [`Platform::NAME_CHARS_MAX`].
    pub async fn add_platform(&self, name: &str) -> Result<Platform> {
        let name = clean_line(name);
        if name.is_empty() {
            return Err(Error::field("name", Rule::NotBlank));
        }
        if name.chars().count() > Platform::NAME_CHARS_MAX {
            return Err(Error::field("name", Rule::CharsMax(Platform::NAME_CHARS_MAX)));
        }
        let (key, secret) = (self.clock.uuid(), self.clock.secret_word(SECRET_CHARS));
        let new = NewPlatform { key, slug: Platform::slug_of(&name), name, secret, at: self.clock.now() };
        self.store.add_platform(new).await
    }

    /// The tenant of a public key.
    ///
    /// # Errors
    /// `Forbidden(UnknownPlatform)`.
    pub async fn platform(&self, key: Uuid) -> Result<Platform> {
        self.store.platform_by_key(key).await?.ok_or(Error::Forbidden(Refusal::UnknownPlatform))
    }

    /// The tenant of a number, as a user's account names it.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn platform_numbered(&self, id: PlatformId) -> Result<Option<Platform>> {
        self.store.platform(id).await
    }

    /// Every tenant, the oldest first, as an operator sees them.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn platforms(&self) -> Result<Vec<Platform>> {
        self.store.platforms().await
    }

    /// Says how far a user's membership in a role has come. Only staff of that platform decide it.
    ///
    /// # Errors
    /// `Forbidden(NotStaff)`; `Invalid` (`role`) for what is no role's name; `NotFound(User)` for who is
    /// not of that platform or not active.
    pub async fn set_membership(
        &self,
        access: &Access,
        platform: &Platform,
        user: Uuid,
        role: String,
        status: MembershipStatus,
    ) -> Result<Membership> {
        must_be_staff(access)?;
        if !access.belongs_to(platform) {
            return Err(Error::Forbidden(Refusal::NotStaff));
        }
        if !Membership::is_role(&role) {
            return Err(Error::field("role", Rule::Valid));
        }
        let user = self.store.user_by_uuid(platform.id, user).await?.filter(|user| user.is_active);
        let user = user.ok_or(Error::NotFound(Subject::User))?;
        self.store.set_membership(user.id, role, status, self.clock.now()).await
    }

    /// A user's memberships, in the order of being named.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.store.memberships(user).await
    }

    /// Registers one of the caller's devices for push; the same token again takes the place of the
    /// first.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn add_push_device(&self, access: &Access, new: DeviceRegistration) -> Result<PushDevice> {
        let new = NewPushDevice {
            uuid: self.clock.uuid(),
            user_id: access.user.id,
            token: new.token,
            os: new.os,
            device: new.device,
            at: self.clock.now(),
        };
        self.store.add_push_device(new).await
    }

    /// Removes one of the caller's devices; `false` when there is none with that token.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn remove_push_device(&self, access: &Access, token: &str) -> Result<bool> {
        self.store.remove_push_device(access.user.id, token).await
    }
}
