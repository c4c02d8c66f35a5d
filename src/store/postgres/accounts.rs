//! Users.
//!
//! What of a user has to be looked at before it is written is done by one transaction at a time: each begins with
//! [`lock`].

use tokio_postgres::Row;
use uuid::Uuid;

use super::conn::{Conn, Tx};
use super::fail::{Fail, is_unique};
use super::rows;
use crate::domain::{Ability, Email, Language, PlatformId, Timestamp, User, UserId};
use crate::error::{Error, Rule};
use crate::store::{NewUser, Seen, UserEdit, UserFilter};

/// A user's columns, read by [`from_row`]; the first [`WIDTH`] of a row.
pub(super) const COLUMNS: &str = "u.id, u.uuid, u.platform_id, u.email, u.name, u.phone, u.avatar, u.language, \
     u.is_staff, u.is_active, u.is_verified, u.abilities, u.created_at, u.updated_at";

/// How many they are.
pub(super) const WIDTH: usize = 14;

pub(super) fn from_row(row: &Row) -> Result<User, Fail> {
    Ok(User {
        id: UserId(row.try_get(0)?),
        uuid: row.try_get(1)?,
        platform_id: row.try_get::<_, Option<i64>>(2)?.map(PlatformId),
        email: rows::word(row, 3, Email::parse)?,
        name: row.try_get(4)?,
        phone: row.try_get(5)?,
        avatar: row.try_get(6)?,
        language: row.try_get::<_, Option<&str>>(7)?.and_then(Language::parse),
        is_staff: row.try_get(8)?,
        is_active: row.try_get(9)?,
        is_verified: row.try_get(10)?,
        abilities: abilities(row.try_get(11)?),
        created_at: Timestamp(row.try_get(12)?),
        updated_at: Timestamp(row.try_get(13)?),
    })
}

pub(super) fn abilities(list: &str) -> Vec<Ability> {
    list.split(' ').filter_map(Ability::parse).collect()
}

pub(super) fn joined(abilities: &[Ability]) -> String {
    abilities.iter().map(Ability::as_str).collect::<Vec<_>>().join(" ")
}

/// Keeps others out who change something of this user until the transaction ends; whether there is one. The next
/// statement sees what they did. Rows that refer to the user can be made meanwhile.
pub(super) async fn lock(tx: &Tx, id: UserId) -> Result<bool, Fail> {
    Ok(tx.opt("select 1 from users where id = $1 for no key update", &[&id.0]).await?.is_some())
}

pub(super) async fn by_id(conn: &Conn, id: UserId) -> Result<Option<User>, Fail> {
    let sql = format!("select {COLUMNS} from users u where u.id = $1");
    conn.opt(&sql, &[&id.0]).await?.as_ref().map(from_row).transpose()
}

pub(super) async fn by_uuid(conn: &Conn, platform: PlatformId, uuid: Uuid) -> Result<Option<User>, Fail> {
    let sql = format!("select {COLUMNS} from users u where u.uuid = $1 and u.platform_id = $2");
    conn.opt(&sql, &[&uuid, &platform.0]).await?.as_ref().map(from_row).transpose()
}

pub(super) async fn by_email(
    conn: &Conn,
    platform: Option<PlatformId>,
    email: &Email,
) -> Result<Option<(User, Option<String>)>, Fail> {
    let sql = format!(
        "select {COLUMNS}, u.password_hash from users u \
         where u.email = $1 and ($2::bigint is null or coalesce(u.platform_id, 0) = $2) \
         order by u.platform_id is not null, u.id limit 1"
    );
    let found = conn.opt(&sql, &[&email.as_str(), &platform.map(|id| id.0)]).await?;
    found.map(|row| Ok((from_row(&row)?, row.try_get(WIDTH)?))).transpose()
}

pub(super) async fn list(conn: &Conn, filter: UserFilter) -> Result<Vec<User>, Fail> {
    // Two statements, because one with "or" would walk all accounts to find a platform's few.
    let (scope, platform) = match filter.platform_id {
        Some(platform) => ("u.platform_id = $1", platform.0),
        None => ("$1::bigint = 0", 0),
    };
    let sql = format!("select {COLUMNS} from users u where {scope} and u.id > $2 order by u.id limit $3");
    let found = conn.rows(&sql, &[&platform, &filter.after.0, &rows::limit(filter.limit)]).await?;
    found.iter().map(from_row).collect()
}

/// Active, verified staff who have no active live chat.
pub(super) async fn free_staff(conn: &Conn) -> Result<Vec<User>, Fail> {
    let sql = format!(
        "select {COLUMNS} from users u where u.is_staff and u.is_active and u.is_verified and not exists ( \
           select 1 from heads h where h.assigned_user_id = u.id and h.listed_at is not null) \
         order by u.id"
    );
    conn.rows(&sql, &[]).await?.iter().map(from_row).collect()
}

pub(super) async fn add(tx: &Tx, new: &NewUser) -> Result<User, Fail> {
    let sql = format!(
        "insert into users as u (uuid, email, name, phone, language, password_hash, is_staff, is_active, is_verified, \
         abilities, created_at, updated_at, platform_id) \
         values ($1, $2, $3, $4, $5, $6, $7, true, $8, $9, $10, $10, $11) returning {COLUMNS}"
    );
    let inserted = tx
        .one(
            &sql,
            &[
                &new.uuid,
                &new.email.as_str(),
                &new.name,
                &new.phone,
                &new.language.map(Language::as_str),
                &new.password_hash,
                &new.is_staff,
                &new.is_verified,
                &joined(&new.abilities),
                &new.at.0,
                &new.platform_id.map(|id| id.0),
            ],
        )
        .await;
    from_row(&or_taken(inserted)?)
}

/// A uuid is never given out twice, so what a unique index refuses is the address.
fn or_taken<T>(written: Result<T, Fail>) -> Result<T, Fail> {
    written.map_err(|fail| match fail {
        fail if is_unique(&fail) => Error::field("email", Rule::Unique).into(),
        fail => fail,
    })
}

pub(super) async fn edit(tx: &Tx, id: UserId, edit: &UserEdit, at: Timestamp) -> Result<Option<User>, Fail> {
    lock(tx, id).await?;
    let Some(old) = by_id(tx, id).await? else { return Ok(None) };
    let written = tx
        .execute(
            "update users set name = $2, avatar = $3, phone = $4, language = $5, email = $6, \
             password_hash = coalesce($7, password_hash), updated_at = $8 where id = $1",
            &[
                &id.0,
                edit.name.as_ref().unwrap_or(&old.name),
                edit.avatar.as_ref().unwrap_or(&old.avatar),
                edit.phone.as_ref().unwrap_or(&old.phone),
                &edit.language.unwrap_or(old.language).map(Language::as_str),
                &edit.email.as_ref().unwrap_or(&old.email).as_str(),
                &edit.password_hash,
                &at.0,
            ],
        )
        .await;
    or_taken(written)?;
    if edit.password_hash.is_some() || edit.email.is_some() {
        // Void and not gone: when it was set holds the next letter back.
        tx.execute("update codes set expires_at = $2 where user_id = $1 and expires_at > $2", &[&id.0, &at.0]).await?;
    }
    if edit.password_hash.is_some() {
        let keep = edit.keep.map(|token| token.0);
        tx.execute("delete from tokens where user_id = $1 and id is distinct from $2", &[&id.0, &keep]).await?;
    }
    by_id(tx, id).await
}

pub(super) async fn set_active(tx: &Tx, id: UserId, is_active: bool, at: Timestamp) -> Result<Option<User>, Fail> {
    lock(tx, id).await?;
    tx.execute(
        "update users set is_active = $2, updated_at = $3 where id = $1 and is_active <> $2",
        &[&id.0, &is_active, &at.0],
    )
    .await?;
    if !is_active {
        tx.execute("delete from tokens where user_id = $1", &[&id.0]).await?;
    }
    by_id(tx, id).await
}

/// Locks the rows in one order, so that two nodes that saw the same users wait and do not deadlock.
pub(super) async fn note_seen(tx: &Tx, users: &[UserId], at: Timestamp) -> Result<(), Fail> {
    let ids: Vec<i64> = users.iter().map(|user| user.0).collect();
    tx.execute("select 1 from users where id = any($1) order by id for no key update", &[&ids]).await?;
    tx.execute(
        "update users set last_seen_at = $2 where id = any($1) and (last_seen_at is null or last_seen_at < $2)",
        &[&ids, &at.0],
    )
    .await?;
    Ok(())
}

pub(super) async fn seen(conn: &Conn, platform: PlatformId, users: &[Uuid]) -> Result<Vec<Seen>, Fail> {
    let found = conn
        .rows(
            "select id, uuid, last_seen_at from users where platform_id = $1 and uuid = any($2)",
            &[&platform.0, &users],
        )
        .await?;
    let seen = |row: &Row| {
        let at = row.try_get::<_, Option<i64>>(2)?.map(Timestamp);
        Ok(Seen { id: UserId(row.try_get(0)?), uuid: row.try_get(1)?, at })
    };
    found.iter().map(seen).collect()
}

/// The address that takes the place of the old one cannot exist (RFC 6761) and is nobody else's: with a
/// capital letter, which no address has that somebody registers.
pub(super) async fn erase(tx: &Tx, id: UserId, at: Timestamp) -> Result<bool, Fail> {
    lock(tx, id).await?;
    for table in ["tokens", "codes", "push_devices", "user_roles"] {
        tx.execute(&format!("delete from {table} where user_id = $1"), &[&id.0]).await?;
    }
    let erased = tx
        .execute(
            "update users set name = 'Deleted user', email = 'Deleted-' || id || '@invalid.invalid', phone = null, \
             avatar = null, language = null, password_hash = null, is_staff = false, is_active = false, \
             is_verified = false, abilities = '', last_seen_at = null, updated_at = $2 where id = $1",
            &[&id.0, &at.0],
        )
        .await?;
    Ok(erased == 1)
}
