//! The accounts' methods: each hands owned arguments to the thread that does the work.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{SqliteStore, accounts, keys, platforms, tokens};
use crate::domain::{
    Email, Membership, MembershipStatus, Platform, PlatformId, PushDevice, Timestamp, TokenId, User, UserId,
};
use crate::error::Result;
use crate::store::{
    Accounts, CodeCheck, Idempotency, NewPlatform, NewPushDevice, NewToken, NewUser, Seen, StoredToken, UserEdit,
    UserFilter,
};

#[async_trait]
impl Accounts for SqliteStore {
    async fn add_platform(&self, new: NewPlatform) -> Result<Platform> {
        self.writer.call_guarded(move |tx| platforms::add(tx, &new)).await
    }

    async fn platform_by_key(&self, key: Uuid) -> Result<Option<Platform>> {
        self.readers.read(move |conn| platforms::by_key(conn, key)).await
    }

    async fn platform(&self, id: PlatformId) -> Result<Option<Platform>> {
        self.readers.read(move |conn| platforms::by_id(conn, id)).await
    }

    async fn platforms(&self) -> Result<Vec<Platform>> {
        self.readers.read(platforms::all).await
    }

    async fn add_user(&self, new: NewUser) -> Result<User> {
        self.writer.call_guarded(move |tx| accounts::add(tx, &new)).await
    }

    async fn user_by_email(
        &self,
        platform: Option<PlatformId>,
        email: &Email,
    ) -> Result<Option<(User, Option<String>)>> {
        let email = email.clone();
        self.readers.read(move |conn| accounts::by_email(conn, platform, &email)).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>> {
        self.readers.read(move |conn| accounts::by_id(conn, id)).await
    }

    async fn user_by_uuid(&self, platform: PlatformId, uuid: Uuid) -> Result<Option<User>> {
        self.readers.read(move |conn| accounts::by_uuid(conn, platform, uuid)).await
    }

    async fn users(&self, filter: UserFilter) -> Result<Vec<User>> {
        self.readers.read(move |conn| accounts::list(conn, filter)).await
    }

    async fn edit_user(&self, id: UserId, edit: UserEdit, at: Timestamp) -> Result<Option<User>> {
        self.writer.call_guarded(move |tx| accounts::edit(tx, id, &edit, at)).await
    }

    async fn set_active(&self, id: UserId, is_active: bool, at: Timestamp) -> Result<Option<User>> {
        self.writer.call_guarded(move |tx| accounts::set_active(tx, id, is_active, at)).await
    }

    async fn erase_user(&self, id: UserId, at: Timestamp) -> Result<bool> {
        self.writer.call_guarded(move |tx| accounts::erase(tx, id, at)).await
    }

    async fn note_seen(&self, users: Vec<UserId>, at: Timestamp) -> Result<()> {
        self.writer.call(move |tx| accounts::note_seen(tx, &users, at)).await
    }

    async fn seen(&self, platform: PlatformId, users: Vec<Uuid>) -> Result<Vec<Seen>> {
        self.readers.read(move |conn| accounts::seen(conn, platform, &users)).await
    }

    async fn set_membership(
        &self,
        user: UserId,
        role: String,
        status: MembershipStatus,
        at: Timestamp,
    ) -> Result<Membership> {
        self.writer.call_guarded(move |tx| platforms::set_membership(tx, user, &role, status, at)).await
    }

    async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.readers.read(move |conn| platforms::memberships(conn, user)).await
    }

    async fn add_push_device(&self, new: NewPushDevice) -> Result<PushDevice> {
        self.writer.call_guarded(move |tx| platforms::add_device(tx, &new)).await
    }

    async fn remove_push_device(&self, user: UserId, token: &str) -> Result<bool> {
        let token = token.to_owned();
        self.writer.call_guarded(move |tx| platforms::remove_device(tx, user, &token)).await
    }

    async fn claim_key(
        &self,
        user: UserId,
        scope: &'static str,
        idempotency: Idempotency,
        at: Timestamp,
    ) -> Result<bool> {
        self.writer.call_guarded(move |tx| keys::claim(tx, user, scope, &idempotency, at)).await
    }

    async fn push_devices(&self, user: UserId) -> Result<Vec<PushDevice>> {
        self.readers.read(move |conn| platforms::devices(conn, user)).await
    }

    async fn add_token(&self, new: NewToken) -> Result<TokenId> {
        self.writer.call_guarded(move |tx| tokens::add(tx, &new)).await
    }

    async fn token(&self, id: TokenId) -> Result<Option<StoredToken>> {
        self.readers.read(move |conn| tokens::by_id(conn, id)).await
    }

    async fn tokens(&self, user: UserId) -> Result<Vec<StoredToken>> {
        self.readers.read(move |conn| tokens::of(conn, user)).await
    }

    async fn revoke_token(&self, id: TokenId) -> Result<bool> {
        self.writer.call_guarded(move |tx| tokens::revoke_one(tx, id)).await
    }

    async fn revoke_tokens(&self, user: UserId, only: Option<TokenId>) -> Result<u64> {
        self.writer.call_guarded(move |tx| tokens::revoke(tx, user, only)).await
    }

    async fn set_code(
        &self,
        user: UserId,
        hash: [u8; 32],
        now: Timestamp,
        pause: Duration,
        expires_at: Timestamp,
    ) -> Result<bool> {
        self.writer.call_guarded(move |tx| tokens::set_code(tx, user, hash, now, pause, expires_at)).await
    }

    async fn check_code(&self, user: UserId, hash: [u8; 32], tries_max: u32, now: Timestamp) -> Result<CodeCheck> {
        self.writer.call_guarded(move |tx| tokens::check_code(tx, user, &hash, tries_max, now)).await
    }

    async fn reset_password(
        &self,
        user: UserId,
        hash: [u8; 32],
        tries_max: u32,
        password_hash: String,
        now: Timestamp,
    ) -> Result<CodeCheck> {
        self.writer
            .call_guarded(move |tx| tokens::reset_password(tx, user, &hash, tries_max, &password_hash, now))
            .await
    }
}
