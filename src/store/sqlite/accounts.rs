//! Users.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::fail::{Fail, is_unique};
use super::rows;
use super::writer::Tx;
use crate::domain::{Ability, Email, Language, PlatformId, Timestamp, User, UserId};
use crate::error::{Error, Rule};
use crate::store::{NewUser, Seen, UserEdit, UserFilter};

/// A user's columns, read by [`from_row`]; the first [`WIDTH`] of a row.
pub(super) const COLUMNS: &str = "u.id, u.uuid, u.platform_id, u.email, u.name, u.phone, u.avatar, u.language, \
     u.is_staff, u.is_active, u.is_verified, u.abilities, u.created_at, u.updated_at";

/// How many they are.
pub(super) const WIDTH: usize = 14;

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(0)?),
        uuid: rows::uuid(row, 1)?,
        platform_id: row.get::<_, Option<i64>>(2)?.map(PlatformId),
        email: rows::word(row, 3, Email::parse)?,
        name: row.get(4)?,
        phone: row.get(5)?,
        avatar: row.get(6)?,
        language: row.get::<_, Option<String>>(7)?.and_then(|tag| Language::parse(&tag)),
        is_staff: row.get(8)?,
        is_active: row.get(9)?,
        is_verified: row.get(10)?,
        abilities: abilities(row.get_ref(11)?.as_str()?),
        created_at: Timestamp(row.get(12)?),
        updated_at: Timestamp(row.get(13)?),
    })
}

pub(super) fn abilities(list: &str) -> Vec<Ability> {
    list.split(' ').filter_map(Ability::parse).collect()
}

pub(super) fn joined(abilities: &[Ability]) -> String {
    abilities.iter().map(Ability::as_str).collect::<Vec<_>>().join(" ")
}

pub(super) fn by_id(conn: &Connection, id: UserId) -> Result<Option<User>, Fail> {
    let found = conn
        .prepare_cached(&format!("select {COLUMNS} from users u where u.id = ?1"))?
        .query_row([id.0], from_row)
        .optional()?;
    Ok(found)
}

pub(super) fn by_uuid(conn: &Connection, platform: PlatformId, uuid: Uuid) -> Result<Option<User>, Fail> {
    let found = conn
        .prepare_cached(&format!("select {COLUMNS} from users u where u.uuid = ?1 and u.platform_id = ?2"))?
        .query_row(params![uuid.as_bytes(), platform.0], from_row)
        .optional()?;
    Ok(found)
}

pub(super) fn by_email(
    conn: &Connection,
    platform: Option<PlatformId>,
    email: &Email,
) -> Result<Option<(User, Option<String>)>, Fail> {
    let found = conn
        .prepare_cached(&format!(
            "select {COLUMNS}, u.password_hash from users u \
             where u.email = ?1 and (?2 is null or coalesce(u.platform_id, 0) = ?2) \
             order by u.platform_id is not null, u.id limit 1"
        ))?
        .query_row(params![email.as_str(), platform.map(|id| id.0)], |row| Ok((from_row(row)?, row.get(WIDTH)?)))
        .optional()?;
    Ok(found)
}

pub(super) fn list(conn: &Connection, filter: UserFilter) -> Result<Vec<User>, Fail> {
    // Two statements, because one with "or" would walk all accounts to find a platform's few.
    let (scope, platform) = match filter.platform_id {
        Some(platform) => ("u.platform_id = ?1", platform.0),
        None => ("?1 = 0", 0),
    };
    let mut statement = conn
        .prepare_cached(&format!("select {COLUMNS} from users u where {scope} and u.id > ?2 order by u.id limit ?3"))?;
    let found = statement.query_map(params![platform, filter.after.0, filter.limit], from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Active, verified staff who have no active live chat.
pub(super) fn free_staff(conn: &Connection) -> Result<Vec<User>, Fail> {
    let mut statement = conn.prepare_cached(&format!(
        "select {COLUMNS} from users u \
         where u.is_staff = 1 and u.is_active = 1 and u.is_verified = 1 and not exists ( \
           select 1 from heads h where h.assigned_user_id = u.id and h.listed_at is not null) \
         order by u.id"
    ))?;
    let found = statement.query_map([], from_row)?.collect::<Result<_, _>>()?;
    Ok(found)
}

pub(super) fn add(tx: &Tx<'_>, new: &NewUser) -> Result<User, Fail> {
    let inserted = tx
        .conn
        .prepare_cached(
            "insert into users (uuid, email, name, phone, language, password_hash, is_staff, is_active, is_verified, \
             abilities, created_at, updated_at, platform_id) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9, ?10, ?10, ?11)",
        )?
        .execute(params![
            new.uuid.as_bytes(),
            new.email.as_str(),
            new.name,
            new.phone,
            new.language.map(Language::as_str),
            new.password_hash,
            new.is_staff,
            new.is_verified,
            joined(&new.abilities),
            new.at.0,
            new.platform_id.map(|id| id.0),
        ]);
    or_taken(inserted)?;
    let id = UserId(tx.conn.last_insert_rowid());
    by_id(tx.conn, id)?.ok_or_else(|| Fail::Refused(Error::internal("a new user is not there")))
}

/// A uuid is never given out twice, so what a unique index refuses is the address.
fn or_taken(written: rusqlite::Result<usize>) -> Result<usize, Fail> {
    written.map_err(|error| match error {
        error if is_unique(&error) => Error::field("email", Rule::Unique).into(),
        error => error.into(),
    })
}

pub(super) fn edit(tx: &Tx<'_>, id: UserId, edit: &UserEdit, at: Timestamp) -> Result<Option<User>, Fail> {
    let Some(old) = by_id(tx.conn, id)? else { return Ok(None) };
    let written = tx
        .conn
        .prepare_cached(
            "update users set name = ?2, avatar = ?3, phone = ?4, language = ?5, email = ?6, \
             password_hash = coalesce(?7, password_hash), updated_at = ?8 where id = ?1",
        )?
        .execute(params![
            id.0,
            edit.name.as_ref().unwrap_or(&old.name),
            edit.avatar.as_ref().unwrap_or(&old.avatar),
            edit.phone.as_ref().unwrap_or(&old.phone),
            edit.language.unwrap_or(old.language).map(Language::as_str),
            edit.email.as_ref().unwrap_or(&old.email).as_str(),
            edit.password_hash,
            at.0,
        ]);
    or_taken(written)?;
    if edit.password_hash.is_some() || edit.email.is_some() {
        // Void and not gone: when it was set holds the next letter back.
        tx.conn
            .prepare_cached("update codes set expires_at = ?2 where user_id = ?1 and expires_at > ?2")?
            .execute(params![id.0, at.0])?;
    }
    if edit.password_hash.is_some() {
        tx.conn
            .prepare_cached("delete from tokens where user_id = ?1 and id is not ?2")?
            .execute(params![id.0, edit.keep.map(|token| token.0)])?;
    }
    by_id(tx.conn, id)
}

pub(super) fn set_active(tx: &Tx<'_>, id: UserId, is_active: bool, at: Timestamp) -> Result<Option<User>, Fail> {
    tx.conn
        .prepare_cached("update users set is_active = ?2, updated_at = ?3 where id = ?1 and is_active <> ?2")?
        .execute(params![id.0, is_active, at.0])?;
    if !is_active {
        tx.conn.prepare_cached("delete from tokens where user_id = ?1")?.execute([id.0])?;
    }
    by_id(tx.conn, id)
}

pub(super) fn note_seen(tx: &Tx<'_>, users: &[UserId], at: Timestamp) -> Result<(), Fail> {
    let mut note =
        tx.conn.prepare_cached("update users set last_seen_at = max(coalesce(last_seen_at, 0), ?2) where id = ?1")?;
    for user in users {
        note.execute(params![user.0, at.0])?;
    }
    Ok(())
}

pub(super) fn seen(conn: &Connection, platform: PlatformId, users: &[Uuid]) -> Result<Vec<Seen>, Fail> {
    let mut look = conn.prepare_cached("select id, last_seen_at from users where platform_id = ?1 and uuid = ?2")?;
    let mut seen = Vec::with_capacity(users.len());
    for uuid in users {
        let found = look
            .query_row(params![platform.0, uuid.as_bytes()], |row| {
                Ok(Seen { id: UserId(row.get(0)?), uuid: *uuid, at: row.get::<_, Option<i64>>(1)?.map(Timestamp) })
            })
            .optional()?;
        seen.extend(found);
    }
    Ok(seen)
}

/// The address that takes the place of the old one cannot exist (RFC 6761) and is nobody else's: with a
/// capital letter, which no address has that somebody registers.
pub(super) fn erase(tx: &Tx<'_>, id: UserId, at: Timestamp) -> Result<bool, Fail> {
    for table in ["tokens", "codes", "push_devices", "user_roles"] {
        tx.conn.prepare_cached(&format!("delete from {table} where user_id = ?1"))?.execute([id.0])?;
    }
    let erased = tx
        .conn
        .prepare_cached(
            "update users set name = 'Deleted user', email = 'Deleted-' || id || '@invalid.invalid', phone = null, \
             avatar = null, language = null, password_hash = null, is_staff = 0, is_active = 0, is_verified = 0, \
             abilities = '', last_seen_at = null, updated_at = ?2 where id = ?1",
        )?
        .execute(params![id.0, at.0])?;
    Ok(erased == 1)
}
