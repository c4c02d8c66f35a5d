//! Users, their tokens and one-time codes.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use subtle::ConstantTimeEq;

use super::fail::{Fail, is_unique};
use super::rows;
use super::writer::Tx;
use crate::domain::{Ability, Email, Language, Timestamp, TokenId, User, UserId};
use crate::error::{Error, Rule};
use crate::store::{CodeCheck, NewToken, NewUser, StoredToken};

pub(super) const COLUMNS: &str = "u.id, u.uuid, u.email, u.name, u.phone, u.avatar, u.language, u.is_staff, u.is_active, \
     u.is_verified, u.abilities, u.created_at";
/// Where columns that follow them begin.
pub(super) const MORE: usize = 12;

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(0)?),
        uuid: rows::uuid(row, 1)?,
        email: rows::word(row, 2, Email::parse)?,
        name: row.get(3)?,
        phone: row.get(4)?,
        avatar: row.get(5)?,
        language: row.get::<_, Option<String>>(6)?.and_then(|tag| Language::parse(&tag)),
        is_staff: row.get(7)?,
        is_active: row.get(8)?,
        is_verified: row.get(9)?,
        abilities: abilities(row.get_ref(10)?.as_str()?),
        created_at: Timestamp(row.get(11)?),
    })
}

fn abilities(list: &str) -> Vec<Ability> {
    list.split(' ').filter_map(Ability::parse).collect()
}

fn joined(abilities: &[Ability]) -> String {
    abilities.iter().map(Ability::as_str).collect::<Vec<_>>().join(" ")
}

pub(super) fn by_id(conn: &Connection, id: UserId) -> Result<Option<User>, Fail> {
    let found = conn
        .prepare_cached(&format!("select {COLUMNS} from users u where u.id = ?1"))?
        .query_row([id.0], from_row)
        .optional()?;
    Ok(found)
}

pub(super) fn by_email(conn: &Connection, email: &Email) -> Result<Option<(User, Option<String>)>, Fail> {
    let found = conn
        .prepare_cached(&format!("select {COLUMNS}, u.password_hash from users u where u.email = ?1"))?
        .query_row([email.as_str()], |row| Ok((from_row(row)?, row.get(12)?)))
        .optional()?;
    Ok(found)
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
             abilities, created_at, updated_at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9, ?10, ?10)",
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
        ]);
    match inserted {
        Err(error) if is_unique(&error) => return Err(Fail::Refused(Error::field("email", Rule::Unique))),
        other => other?,
    };
    let id = UserId(tx.conn.last_insert_rowid());
    by_id(tx.conn, id)?.ok_or_else(|| Fail::Refused(Error::internal("a new user is not there")))
}

pub(super) fn add_token(tx: &Tx<'_>, new: &NewToken) -> Result<TokenId, Fail> {
    tx.conn
        .prepare_cached("insert into tokens (user_id, name, hash, abilities, created_at) values (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![new.user_id.0, new.name, new.hash, joined(&new.abilities), new.at.0])?;
    Ok(TokenId(tx.conn.last_insert_rowid()))
}

pub(super) fn token(conn: &Connection, id: TokenId) -> Result<Option<StoredToken>, Fail> {
    let found = conn
        .prepare_cached(&format!(
            "select {COLUMNS}, t.id, t.hash, t.abilities from tokens t join users u on u.id = t.user_id where t.id = ?1"
        ))?
        .query_row([id.0], |row| {
            Ok(StoredToken {
                id: TokenId(row.get(12)?),
                user: from_row(row)?,
                hash: row.get(13)?,
                abilities: abilities(row.get_ref(14)?.as_str()?),
            })
        })
        .optional()?;
    Ok(found)
}

pub(super) fn revoke(tx: &Tx<'_>, user: UserId, only: Option<TokenId>) -> Result<u64, Fail> {
    let gone = tx
        .conn
        .prepare_cached("delete from tokens where user_id = ?1 and (?2 is null or id = ?2)")?
        .execute(params![user.0, only.map(|id| id.0)])?;
    Ok(gone as u64)
}

pub(super) fn set_code(
    tx: &Tx<'_>,
    user: UserId,
    hash: [u8; 32],
    now: Timestamp,
    pause: Duration,
    expires_at: Timestamp,
) -> Result<bool, Fail> {
    let set = tx
        .conn
        .prepare_cached(
            "insert into codes (user_id, hash, tries, set_at, expires_at) values (?1, ?2, 0, ?3, ?4) \
             on conflict (user_id) do update set hash = excluded.hash, set_at = excluded.set_at, \
             tries = case when expires_at > excluded.set_at then tries else 0 end, expires_at = excluded.expires_at \
             where set_at <= ?5",
        )?
        .execute(params![user.0, hash, now.0, expires_at.0, now.minus(pause).0])?;
    Ok(set == 1)
}

pub(super) fn check_code(
    tx: &Tx<'_>,
    user: UserId,
    hash: &[u8; 32],
    tries_max: u32,
    now: Timestamp,
) -> Result<CodeCheck, Fail> {
    let found: Option<([u8; 32], u32, i64)> = tx
        .conn
        .prepare_cached("select hash, tries, expires_at from codes where user_id = ?1")?
        .query_row([user.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((stored, tries, expires_at)) = found else { return Ok(CodeCheck::Refused) };
    let valid = tries < tries_max && now.0 < expires_at && bool::from(stored.ct_eq(hash));
    if !valid {
        tx.conn.prepare_cached("update codes set tries = tries + 1 where user_id = ?1")?.execute([user.0])?;
        return Ok(CodeCheck::Refused);
    }
    tx.conn.prepare_cached("delete from codes where user_id = ?1")?.execute([user.0])?;
    tx.conn.prepare_cached("update users set is_verified = 1 where id = ?1")?.execute([user.0])?;
    Ok(CodeCheck::Verified)
}

pub(super) fn secret(tx: &Tx<'_>, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], Fail> {
    tx.conn
        .prepare_cached("insert or ignore into secrets (name, value) values (?1, ?2)")?
        .execute(params![name, fresh])?;
    let kept =
        tx.conn.prepare_cached("select value from secrets where name = ?1")?.query_row([name], |row| row.get(0))?;
    Ok(kept)
}
