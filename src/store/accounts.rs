//! The accounts' part of the persistence contract: tenants, users, what they may do, where they are
//! reached, and what they sign in with. What [`super`] says of every method holds here too.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::Idempotency;
use crate::domain::{
    Ability, Email, Json, Language, Membership, MembershipStatus, Platform, PlatformId, PushDevice, PushOs, Timestamp,
    TokenId, User, UserId,
};
use crate::error::Result;

/// Devices that one user is reached on at the most: the one registered longest ago makes room.
pub const PUSH_DEVICES_MAX: usize = 32;

/// Idempotency keys of one user and scope that are remembered at the most: the oldest makes room.
pub const KEYS_MAX: usize = 1000;

/// A tenant to be made.
#[derive(Clone)]
pub struct NewPlatform {
    /// Its public key.
    pub key: Uuid,
    /// What it is called.
    pub name: String,
    /// Its name in an address.
    pub slug: String,
    /// Signs what its sockets may subscribe to.
    pub secret: String,
    /// When.
    pub at: Timestamp,
}

/// An account to be made.
#[derive(Clone)]
pub struct NewUser {
    /// Its public identifier.
    pub uuid: Uuid,
    /// The tenant it belongs to.
    pub platform_id: Option<PlatformId>,
    /// Its address, unique on the platform.
    pub email: Email,
    /// Its name.
    pub name: String,
    /// Its telephone number.
    pub phone: Option<String>,
    /// The language asked for.
    pub language: Option<Language>,
    /// A PHC string, if it can sign in by password.
    pub password_hash: Option<String>,
    /// Answers guests.
    pub is_staff: bool,
    /// Needs no proof of the address.
    pub is_verified: bool,
    /// What a token made by signing in may do.
    pub abilities: Vec<Ability>,
    /// When.
    pub at: Timestamp,
}

/// Without the password's hash, and without who it is.
impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser")
            .field("uuid", &self.uuid)
            .field("platform_id", &self.platform_id)
            .finish_non_exhaustive()
    }
}

/// Which parts of an account to replace: what is `Some`.
#[derive(Clone, Default)]
pub struct UserEdit {
    /// Its name.
    pub name: Option<String>,
    /// Address of a picture.
    pub avatar: Option<Option<String>>,
    /// Its telephone number.
    pub phone: Option<Option<String>>,
    /// The language asked for.
    pub language: Option<Option<Language>>,
    /// Its address.
    pub email: Option<Email>,
    /// A PHC string. With a new password the user's tokens are revoked, but for `keep`.
    pub password_hash: Option<String>,
    /// The token that outlives a new password: the one that the edit came with.
    pub keep: Option<TokenId>,
}

/// Without the password's hash, and without who it is.
impl fmt::Debug for UserEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserEdit").field("keep", &self.keep).finish_non_exhaustive()
    }
}

/// When somebody was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whose.
    pub id: UserId,
    /// Their public identifier.
    pub uuid: Uuid,
    /// When; `None` for who never had a connection.
    pub at: Option<Timestamp>,
}

/// Which accounts to list.
#[derive(Clone, Copy, Debug)]
pub struct UserFilter {
    /// Only this platform's; `None`: everybody's.
    pub platform_id: Option<PlatformId>,
    /// Only numbers after this one.
    pub after: UserId,
    /// At most this many.
    pub limit: usize,
}

/// A device to be registered for push.
#[derive(Clone)]
pub struct NewPushDevice {
    /// Its public identifier.
    pub uuid: Uuid,
    /// Whose.
    pub user_id: UserId,
    /// What the push service calls it.
    pub token: String,
    /// Which push service.
    pub os: PushOs,
    /// What the client says of itself.
    pub device: Option<Json>,
    /// When.
    pub at: Timestamp,
}

/// Without the token: who has it can tell the device things.
impl fmt::Debug for NewPushDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPushDevice")
            .field("uuid", &self.uuid)
            .field("user_id", &self.user_id)
            .field("os", &self.os)
            .finish_non_exhaustive()
    }
}

/// A user's sessions: of more than this many the oldest end.
pub const SESSIONS_MAX: usize = 100;

/// A bearer token to be stored. The secret itself is never stored.
#[derive(Clone)]
pub struct NewToken {
    /// Whose.
    pub user_id: UserId,
    /// What it is called.
    pub name: String,
    /// SHA-256 of the secret part.
    pub hash: [u8; 32],
    /// What it may do.
    pub abilities: Vec<Ability>,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself; `None`: never. The store does not look at this but to clear away: who
    /// asks for a token compares it with the clock.
    pub expires_at: Option<Timestamp>,
}

/// Without the secret's hash.
impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken")
            .field("user_id", &self.user_id)
            .field("name", &self.name)
            .field("abilities", &self.abilities)
            .finish_non_exhaustive()
    }
}

/// A stored bearer token with its owner.
#[derive(Clone)]
pub struct StoredToken {
    /// Its number.
    pub id: TokenId,
    /// Its owner.
    pub user: User,
    /// What it is called.
    pub name: String,
    /// SHA-256 of the secret part.
    pub hash: [u8; 32],
    /// What it may do.
    pub abilities: Vec<Ability>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Without the secret's hash.
impl fmt::Debug for StoredToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredToken")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("name", &self.name)
            .field("abilities", &self.abilities)
            .finish_non_exhaustive()
    }
}

/// How the check of a one-time code came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeCheck {
    /// It was right; the account is verified from here on and the code is spent.
    Verified,
    /// It was wrong, expired, spent or tried too often.
    Refused,
}

/// What every engine does for accounts.
#[async_trait]
pub trait Accounts: Send + Sync {
    // --- platforms ---

    /// Makes a tenant.
    ///
    /// # Errors
    /// `Invalid` (`key`, unique) when another one has that key.
    async fn add_platform(&self, new: NewPlatform) -> Result<Platform>;

    /// The tenant of that public key.
    async fn platform_by_key(&self, key: Uuid) -> Result<Option<Platform>>;

    /// The tenant of that number.
    async fn platform(&self, id: PlatformId) -> Result<Option<Platform>>;

    /// Every tenant, the oldest first.
    async fn platforms(&self) -> Result<Vec<Platform>>;

    // --- users ---

    /// Makes an account.
    ///
    /// # Errors
    /// `Invalid` (`email`, unique) when the address has one on that platform, or among the accounts
    /// of none.
    async fn add_user(&self, new: NewUser) -> Result<User>;

    /// The account of an address, with its password's PHC string. With a platform only that
    /// platform's. Without one, for doors that know no tenant: the account of no platform, else the
    /// oldest with that address, so that somebody who has an account anywhere can sign in there, and
    /// always to the same one.
    async fn user_by_email(
        &self,
        platform: Option<PlatformId>,
        email: &Email,
    ) -> Result<Option<(User, Option<String>)>>;

    /// The account of that number.
    async fn user(&self, id: UserId) -> Result<Option<User>>;

    /// The account of that public identifier, if it is that platform's. Those that are switched off
    /// or erased are found too: they still stand beside what they wrote.
    async fn user_by_uuid(&self, platform: PlatformId, uuid: Uuid) -> Result<Option<User>>;

    /// A page of the accounts, by number.
    async fn users(&self, filter: UserFilter) -> Result<Vec<User>>;

    /// Changes an account and returns it as it then stands. With a new address or password the one-time
    /// code is void: it was mailed to whom the account may have been taken from.
    ///
    /// # Errors
    /// `Invalid` (`email`, unique) as [`Accounts::add_user`]; nothing is changed then.
    async fn edit_user(&self, id: UserId, edit: UserEdit, at: Timestamp) -> Result<Option<User>>;

    /// Switches an account on or off. With off, all its tokens are revoked, and while it is off the
    /// links to its chats lead nowhere.
    async fn set_active(&self, id: UserId, is_active: bool, at: Timestamp) -> Result<Option<User>>;

    /// Forgets who somebody was: tokens, code, devices, roles, name, address and password are gone,
    /// and nobody signs in to the account any more. The row stays, because messages refer to it.
    /// `false` when there is none.
    async fn erase_user(&self, id: UserId, at: Timestamp) -> Result<bool>;

    /// Notes that these users were seen. An instant before the one that is noted changes nothing.
    async fn note_seen(&self, users: Vec<UserId>, at: Timestamp) -> Result<()>;

    /// Those of a platform's users who are named, in no order, with when they were last seen.
    async fn seen(&self, platform: PlatformId, users: Vec<Uuid>) -> Result<Vec<Seen>>;

    // --- roles and devices ---

    /// Says how far a user's membership in a role has come; the first time makes it.
    async fn set_membership(
        &self,
        user: UserId,
        role: String,
        status: MembershipStatus,
        at: Timestamp,
    ) -> Result<Membership>;

    /// A user's memberships, in the order of being named.
    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>>;

    /// Registers a device for push. The same token of the same user is replaced. Of more than
    /// [`PUSH_DEVICES_MAX`] the oldest goes.
    async fn add_push_device(&self, new: NewPushDevice) -> Result<PushDevice>;

    /// Removes a device of that user; `false` when there is none with that token.
    async fn remove_push_device(&self, user: UserId, token: &str) -> Result<bool>;

    /// A user's devices, in the order of being registered.
    async fn push_devices(&self, user: UserId) -> Result<Vec<PushDevice>>;

    /// Remembers that a user sent that key with that scope; `true` when they had before, with the same
    /// fingerprint. Of more than [`KEYS_MAX`] the oldest goes.
    ///
    /// # Errors
    /// `Conflict(IdempotencyKeyReused)` when it had another fingerprint.
    async fn claim_key(
        &self,
        user: UserId,
        scope: &'static str,
        idempotency: Idempotency,
        at: Timestamp,
    ) -> Result<bool>;

    // --- tokens and codes ---

    /// Stores a token and returns its number. Tokens of the same user that have ended by `at` are
    /// cleared away, so that somebody who signs in every day leaves no pile; and of those of one name
    /// that end by themselves only the [`SESSIONS_MAX`] newest stay.
    async fn add_token(&self, new: NewToken) -> Result<TokenId>;

    /// The token of that number with its owner, also one that has ended.
    async fn token(&self, id: TokenId) -> Result<Option<StoredToken>>;

    /// A user's tokens, the oldest first.
    async fn tokens(&self, user: UserId) -> Result<Vec<StoredToken>>;

    /// Revokes one token, whoever's; `false` when there is none.
    async fn revoke_token(&self, id: TokenId) -> Result<bool>;

    /// Revokes one token of that user, or all of them; returns how many.
    async fn revoke_tokens(&self, user: UserId, only: Option<TokenId>) -> Result<u64>;

    /// Sets the user's one-time code, unless the last one was set less than `pause` ago: then it stays,
    /// and the answer is `false`. An older code is void, but while it would still be good its wrong
    /// tries count for the new one too.
    async fn set_code(
        &self,
        user: UserId,
        hash: [u8; 32],
        now: Timestamp,
        pause: Duration,
        expires_at: Timestamp,
    ) -> Result<bool>;

    /// Checks a one-time code. A wrong try is counted; after `tries_max` the code is void.
    async fn check_code(&self, user: UserId, hash: [u8; 32], tries_max: u32, now: Timestamp) -> Result<CodeCheck>;

    /// Checks a one-time code as [`Accounts::check_code`] does, and with a right one sets the password
    /// and revokes all the user's tokens: who resets a password may do so because somebody else has
    /// got in.
    async fn reset_password(
        &self,
        user: UserId,
        hash: [u8; 32],
        tries_max: u32,
        password_hash: String,
        now: Timestamp,
    ) -> Result<CodeCheck>;
}
