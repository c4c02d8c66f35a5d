//! The accounts' methods: each hands owned arguments to the task that does the work.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{PostgresStore, accounts, keys, platforms, tokens};
use crate::domain::{
    Email, Membership, MembershipStatus, Platform, PlatformId, PushDevice, Timestamp, TokenId, User, UserId,
};
use crate::error::Result;
use crate::store::{
    Accounts, CodeCheck, Idempotency, NewPlatform, NewPushDevice, NewToken, NewUser, Seen, StoredToken, UserEdit,
    UserFilter,
};

#[async_trait]
impl Accounts for PostgresStore {
    async fn add_platform(&self, new: NewPlatform) -> Result<Platform> {
        transact!(self, tx => platforms::add(tx, &new))
    }

    async fn platform_by_key(&self, key: Uuid) -> Result<Option<Platform>> {
        fetch!(self, conn => platforms::by_key(conn, key))
    }

    async fn platform(&self, id: PlatformId) -> Result<Option<Platform>> {
        fetch!(self, conn => platforms::by_id(conn, id))
    }

    async fn platforms(&self) -> Result<Vec<Platform>> {
        fetch!(self, conn => platforms::all(conn))
    }

    async fn add_user(&self, new: NewUser) -> Result<User> {
        transact!(self, tx => accounts::add(tx, &new))
    }

    async fn user_by_email(
        &self,
        platform: Option<PlatformId>,
        email: &Email,
    ) -> Result<Option<(User, Option<String>)>> {
        let email = email.clone();
        fetch!(self, conn => accounts::by_email(conn, platform, &email))
    }

    async fn user(&self, id: UserId) -> Result<Option<User>> {
        fetch!(self, conn => accounts::by_id(conn, id))
    }

    async fn user_by_uuid(&self, platform: PlatformId, uuid: Uuid) -> Result<Option<User>> {
        fetch!(self, conn => accounts::by_uuid(conn, platform, uuid))
    }

    async fn users(&self, filter: UserFilter) -> Result<Vec<User>> {
        fetch!(self, conn => accounts::list(conn, filter))
    }

    async fn edit_user(&self, id: UserId, edit: UserEdit, at: Timestamp) -> Result<Option<User>> {
        transact!(self, tx => accounts::edit(tx, id, &edit, at))
    }

    async fn set_active(&self, id: UserId, is_active: bool, at: Timestamp) -> Result<Option<User>> {
        transact!(self, tx => accounts::set_active(tx, id, is_active, at))
    }

    async fn erase_user(&self, id: UserId, at: Timestamp) -> Result<bool> {
        transact!(self, tx => accounts::erase(tx, id, at))
    }

    async fn note_seen(&self, users: Vec<UserId>, at: Timestamp) -> Result<()> {
        transact!(self, tx => accounts::note_seen(tx, &users, at))
    }

    async fn seen(&self, platform: PlatformId, users: Vec<Uuid>) -> Result<Vec<Seen>> {
        fetch!(self, conn => accounts::seen(conn, platform, &users))
    }

    async fn set_membership(
        &self,
        user: UserId,
        role: String,
        status: MembershipStatus,
        at: Timestamp,
    ) -> Result<Membership> {
        transact!(self, tx => platforms::set_membership(tx, user, &role, status, at))
    }

    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        fetch!(self, conn => platforms::memberships(conn, user))
    }

    async fn add_push_device(&self, new: NewPushDevice) -> Result<PushDevice> {
        transact!(self, tx => platforms::add_device(tx, &new))
    }

    async fn remove_push_device(&self, user: UserId, token: &str) -> Result<bool> {
        let token = token.to_owned();
        transact!(self, tx => platforms::remove_device(tx, user, &token))
    }

    async fn claim_key(
        &self,
        user: UserId,
        scope: &'static str,
        idempotency: Idempotency,
        at: Timestamp,
    ) -> Result<bool> {
        transact!(self, tx => keys::claim(tx, user, scope, &idempotency, at))
    }

    async fn push_devices(&self, user: UserId) -> Result<Vec<PushDevice>> {
        fetch!(self, conn => platforms::devices(conn, user))
    }

    async fn add_token(&self, new: NewToken) -> Result<TokenId> {
        transact!(self, tx => tokens::add(tx, &new))
    }

    async fn token(&self, id: TokenId) -> Result<Option<StoredToken>> {
        fetch!(self, conn => tokens::by_id(conn, id))
    }

    async fn tokens(&self, user: UserId) -> Result<Vec<StoredToken>> {
        fetch!(self, conn => tokens::of(conn, user))
    }

    async fn revoke_token(&self, id: TokenId) -> Result<bool> {
        transact!(self, tx => tokens::revoke_one(tx, id))
    }

    async fn revoke_tokens(&self, user: UserId, only: Option<TokenId>) -> Result<u64> {
        transact!(self, tx => tokens::revoke(tx, user, only))
    }

    async fn set_code(
        &self,
        user: UserId,
        hash: [u8; 32],
        now: Timestamp,
        pause: Duration,
        expires_at: Timestamp,
    ) -> Result<bool> {
        transact!(self, tx => tokens::set_code(tx, user, hash, now, pause, expires_at))
    }

    async fn check_code(&self, user: UserId, hash: [u8; 32], tries_max: u32, now: Timestamp) -> Result<CodeCheck> {
        transact!(self, tx => tokens::check_code(tx, user, &hash, tries_max, now))
    }

    async fn reset_password(
        &self,
        user: UserId,
        hash: [u8; 32],
        tries_max: u32,
        password_hash: String,
        now: Timestamp,
    ) -> Result<CodeCheck> {
        transact!(self, tx => tokens::reset_password(tx, user, &hash, tries_max, &password_hash, now))
    }
}
