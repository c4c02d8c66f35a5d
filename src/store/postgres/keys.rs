//! Idempotency keys of what is no message.

use super::accounts;
use super::conn::Tx;
use super::fail::Fail;
use super::rows;
use crate::domain::{Timestamp, UserId};
use crate::error::{Conflict, Error};
use crate::store::{Idempotency, KEYS_MAX};

/// One at a time of a user: of two that come at once, one is the repetition.
pub(super) async fn claim(
    tx: &Tx,
    user: UserId,
    scope: &str,
    idempotency: &Idempotency,
    at: Timestamp,
) -> Result<bool, Fail> {
    accounts::lock(tx, user).await?;
    let sql = "select fingerprint from idempotency_keys where user_id = $1 and scope = $2 and key = $3";
    if let Some(found) = tx.opt(sql, &[&user.0, &scope, &idempotency.key]).await? {
        let is_same = rows::bytes::<16>(&found, 0)? == idempotency.fingerprint;
        let reused = Fail::Refused(Error::Conflict(Conflict::IdempotencyKeyReused));
        return if is_same { Ok(true) } else { Err(reused) };
    }
    tx.execute(
        "insert into idempotency_keys (user_id, scope, key, fingerprint, created_at) values ($1, $2, $3, $4, $5)",
        &[&user.0, &scope, &idempotency.key, &idempotency.fingerprint.as_slice(), &at.0],
    )
    .await?;
    // A user's in the order of their numbers: these are drawn under the lock.
    tx.execute(
        "delete from idempotency_keys where user_id = $1 and scope = $2 and id <= \
         (select id from idempotency_keys where user_id = $1 and scope = $2 order by id desc limit 1 offset $3)",
        &[&user.0, &scope, &rows::limit(KEYS_MAX)],
    )
    .await?;
    Ok(false)
}
