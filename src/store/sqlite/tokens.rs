//! Users' tokens and one-time codes, and the installation's own secrets.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use subtle::ConstantTimeEq;

use super::accounts::{COLUMNS, WIDTH, abilities, from_row, joined};
use super::fail::Fail;
use super::writer::Tx;
use crate::domain::{Timestamp, TokenId, UserId};
use crate::store::{CodeCheck, NewToken, SESSIONS_MAX, StoredToken};

/// A token's columns, after its owner's.
const TOKEN: &str = "t.id, t.name, t.hash, t.abilities, t.created_at, t.expires_at";

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredToken> {
    Ok(StoredToken {
        user: from_row(row)?,
        id: TokenId(row.get(WIDTH)?),
        name: row.get(WIDTH + 1)?,
        hash: row.get(WIDTH + 2)?,
        abilities: abilities(row.get_ref(WIDTH + 3)?.as_str()?),
        created_at: Timestamp(row.get(WIDTH + 4)?),
        expires_at: row.get::<_, Option<i64>>(WIDTH + 5)?.map(Timestamp),
    })
}

pub(super) fn add(tx: &Tx<'_>, new: &NewToken) -> Result<TokenId, Fail> {
    tx.conn
        .prepare_cached("delete from tokens where user_id = ?1 and expires_at <= ?2")?
        .execute(params![new.user_id.0, new.at.0])?;
    tx.conn
        .prepare_cached(
            "insert into tokens (user_id, name, hash, abilities, created_at, expires_at) \
             values (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            new.user_id.0,
            new.name,
            new.hash,
            joined(&new.abilities),
            new.at.0,
            new.expires_at.map(|at| at.0)
        ])?;
    let id = TokenId(tx.conn.last_insert_rowid());
    if new.expires_at.is_some() {
        tx.conn
            .prepare_cached(
                "delete from tokens where user_id = ?1 and name = ?2 and expires_at is not null and id <= ( \
                   select id from tokens where user_id = ?1 and name = ?2 and expires_at is not null \
                   order by id desc limit 1 offset ?3)",
            )?
            .execute(params![new.user_id.0, new.name, SESSIONS_MAX])?;
    }
    Ok(id)
}

pub(super) fn by_id(conn: &Connection, id: TokenId) -> Result<Option<StoredToken>, Fail> {
    let found = conn
        .prepare_cached(&format!(
            "select {COLUMNS}, {TOKEN} from tokens t join users u on u.id = t.user_id where t.id = ?1"
        ))?
        .query_row([id.0], stored)
        .optional()?;
    Ok(found)
}

pub(super) fn of(conn: &Connection, user: UserId) -> Result<Vec<StoredToken>, Fail> {
    let mut statement = conn.prepare_cached(&format!(
        "select {COLUMNS}, {TOKEN} from tokens t join users u on u.id = t.user_id where t.user_id = ?1 order by t.id"
    ))?;
    let found = statement.query_map([user.0], stored)?.collect::<Result<_, _>>()?;
    Ok(found)
}

pub(super) fn revoke_one(tx: &Tx<'_>, id: TokenId) -> Result<bool, Fail> {
    let gone = tx.conn.prepare_cached("delete from tokens where id = ?1")?.execute([id.0])?;
    Ok(gone == 1)
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

pub(super) fn reset_password(
    tx: &Tx<'_>,
    user: UserId,
    hash: &[u8; 32],
    tries_max: u32,
    password_hash: &str,
    now: Timestamp,
) -> Result<CodeCheck, Fail> {
    let check = check_code(tx, user, hash, tries_max, now)?;
    if check == CodeCheck::Verified {
        tx.conn
            .prepare_cached("update users set password_hash = ?2, updated_at = ?3 where id = ?1")?
            .execute(params![user.0, password_hash, now.0])?;
        revoke(tx, user, None)?;
    }
    Ok(check)
}

pub(super) fn secret(tx: &Tx<'_>, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], Fail> {
    tx.conn
        .prepare_cached("insert or ignore into secrets (name, value) values (?1, ?2)")?
        .execute(params![name, fresh])?;
    let kept =
        tx.conn.prepare_cached("select value from secrets where name = ?1")?.query_row([name], |row| row.get(0))?;
    Ok(kept)
}
