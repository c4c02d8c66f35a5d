//! Users' tokens and one-time codes, and the installation's own secrets.

use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio_postgres::Row;

use super::accounts::{self, COLUMNS, WIDTH, abilities, from_row, joined};
use super::conn::{Conn, Tx};
use super::fail::Fail;
use super::rows;
use crate::domain::{Timestamp, TokenId, UserId};
use crate::store::{CodeCheck, NewToken, SESSIONS_MAX, StoredToken};

/// A token's columns, after its owner's.
const TOKEN: &str = "t.id, t.name, t.hash, t.abilities, t.created_at, t.expires_at";

fn stored(row: &Row) -> Result<StoredToken, Fail> {
    Ok(StoredToken {
        user: from_row(row)?,
        id: TokenId(row.try_get(WIDTH)?),
        name: row.try_get(WIDTH + 1)?,
        hash: rows::bytes(row, WIDTH + 2)?,
        abilities: abilities(row.try_get(WIDTH + 3)?),
        created_at: Timestamp(row.try_get(WIDTH + 4)?),
        expires_at: row.try_get::<_, Option<i64>>(WIDTH + 5)?.map(Timestamp),
    })
}

/// One at a time of a user, because others that are not committed yet would not be counted.
pub(super) async fn add(tx: &Tx, new: &NewToken) -> Result<TokenId, Fail> {
    accounts::lock(tx, new.user_id).await?;
    tx.execute("delete from tokens where user_id = $1 and expires_at <= $2", &[&new.user_id.0, &new.at.0]).await?;
    let added = tx
        .one(
            "insert into tokens (user_id, name, hash, abilities, created_at, expires_at) \
             values ($1, $2, $3, $4, $5, $6) returning id",
            &[
                &new.user_id.0,
                &new.name,
                &new.hash.as_slice(),
                &joined(&new.abilities),
                &new.at.0,
                &new.expires_at.map(|at| at.0),
            ],
        )
        .await?;
    if new.expires_at.is_some() {
        tx.execute(
            "delete from tokens where user_id = $1 and name = $2 and expires_at is not null and id <= ( \
               select id from tokens where user_id = $1 and name = $2 and expires_at is not null \
               order by id desc limit 1 offset $3)",
            &[&new.user_id.0, &new.name, &rows::limit(SESSIONS_MAX)],
        )
        .await?;
    }
    Ok(TokenId(added.try_get(0)?))
}

pub(super) async fn by_id(conn: &Conn, id: TokenId) -> Result<Option<StoredToken>, Fail> {
    let sql = format!("select {COLUMNS}, {TOKEN} from tokens t join users u on u.id = t.user_id where t.id = $1");
    conn.opt(&sql, &[&id.0]).await?.as_ref().map(stored).transpose()
}

pub(super) async fn of(conn: &Conn, user: UserId) -> Result<Vec<StoredToken>, Fail> {
    let sql = format!(
        "select {COLUMNS}, {TOKEN} from tokens t join users u on u.id = t.user_id where t.user_id = $1 order by t.id"
    );
    conn.rows(&sql, &[&user.0]).await?.iter().map(stored).collect()
}

pub(super) async fn revoke_one(tx: &Tx, id: TokenId) -> Result<bool, Fail> {
    Ok(tx.execute("delete from tokens where id = $1", &[&id.0]).await? == 1)
}

pub(super) async fn revoke(tx: &Tx, user: UserId, only: Option<TokenId>) -> Result<u64, Fail> {
    accounts::lock(tx, user).await?;
    let sql = "delete from tokens where user_id = $1 and ($2::bigint is null or id = $2)";
    tx.execute(sql, &[&user.0, &only.map(|id| id.0)]).await
}

/// One statement: who comes second waits, and its conditions look at what the first one set.
pub(super) async fn set_code(
    tx: &Tx,
    user: UserId,
    hash: [u8; 32],
    now: Timestamp,
    pause: Duration,
    expires_at: Timestamp,
) -> Result<bool, Fail> {
    let set = tx
        .execute(
            "insert into codes as c (user_id, hash, tries, set_at, expires_at) values ($1, $2, 0, $3, $4) \
             on conflict (user_id) do update set hash = excluded.hash, set_at = excluded.set_at, \
             tries = case when c.expires_at > excluded.set_at then c.tries else 0 end, \
             expires_at = excluded.expires_at where c.set_at <= $5",
            &[&user.0, &hash.as_slice(), &now.0, &expires_at.0, &now.minus(pause).0],
        )
        .await?;
    Ok(set == 1)
}

/// One at a time of a user: a guesser may not win tries by asking several nodes at once.
pub(super) async fn check_code(
    tx: &Tx,
    user: UserId,
    hash: &[u8; 32],
    tries_max: u32,
    now: Timestamp,
) -> Result<CodeCheck, Fail> {
    accounts::lock(tx, user).await?;
    // Locked as well: a new code that is set meanwhile would lose this try, or be spent in place of the old one.
    let sql = "select hash, tries, expires_at from codes where user_id = $1 for update";
    let Some(found) = tx.opt(sql, &[&user.0]).await? else { return Ok(CodeCheck::Refused) };
    let (stored, tries, expires_at): (_, _, i64) =
        (rows::bytes::<32>(&found, 0)?, rows::count(&found, 1)?, found.try_get(2)?);
    let valid = tries < u64::from(tries_max) && now.0 < expires_at && bool::from(stored.ct_eq(hash));
    if !valid {
        tx.execute("update codes set tries = tries + 1 where user_id = $1", &[&user.0]).await?;
        return Ok(CodeCheck::Refused);
    }
    tx.execute("delete from codes where user_id = $1", &[&user.0]).await?;
    tx.execute("update users set is_verified = true where id = $1", &[&user.0]).await?;
    Ok(CodeCheck::Verified)
}

pub(super) async fn reset_password(
    tx: &Tx,
    user: UserId,
    hash: &[u8; 32],
    tries_max: u32,
    password_hash: &str,
    now: Timestamp,
) -> Result<CodeCheck, Fail> {
    let check = check_code(tx, user, hash, tries_max, now).await?;
    if check == CodeCheck::Verified {
        let sql = "update users set password_hash = $2, updated_at = $3 where id = $1";
        tx.execute(sql, &[&user.0, &password_hash, &now.0]).await?;
        revoke(tx, user, None).await?;
    }
    Ok(check)
}

/// Who comes second waits for the first and reads what that one made.
pub(super) async fn secret(tx: &Tx, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], Fail> {
    let sql = "insert into secrets (name, value) values ($1, $2) on conflict do nothing";
    tx.execute(sql, &[&name, &fresh.as_slice()]).await?;
    rows::bytes(&tx.one("select value from secrets where name = $1", &[&name]).await?, 0)
}
