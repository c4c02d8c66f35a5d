//! Idempotency keys of what is no message.

use rusqlite::{OptionalExtension, params};

use super::fail::Fail;
use super::writer::Tx;
use crate::domain::{Timestamp, UserId};
use crate::error::{Conflict, Error};
use crate::store::{Idempotency, KEYS_MAX};

pub(super) fn claim(
    tx: &Tx<'_>,
    user: UserId,
    scope: &str,
    idempotency: &Idempotency,
    at: Timestamp,
) -> Result<bool, Fail> {
    let found = tx
        .conn
        .prepare_cached("select fingerprint from idempotency_keys where user_id = ?1 and scope = ?2 and key = ?3")?
        .query_row(params![user.0, scope, idempotency.key], |row| row.get::<_, [u8; 16]>(0))
        .optional()?;
    match found {
        Some(fingerprint) if fingerprint == idempotency.fingerprint => return Ok(true),
        Some(_) => return Err(Fail::Refused(Error::Conflict(Conflict::IdempotencyKeyReused))),
        None => {}
    }
    tx.conn
        .prepare_cached(
            "insert into idempotency_keys (user_id, scope, key, fingerprint, created_at) values (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![user.0, scope, idempotency.key, idempotency.fingerprint.as_slice(), at.0])?;
    tx.conn
        .prepare_cached(
            "delete from idempotency_keys where user_id = ?1 and scope = ?2 and id <= \
             (select id from idempotency_keys where user_id = ?1 and scope = ?2 order by id desc limit 1 offset ?3)",
        )?
        .execute(params![user.0, scope, KEYS_MAX])?;
    Ok(false)
}
