//! Tenants, what users are at theirs, and the devices on which they are reached.

use tokio_postgres::Row;
use uuid::Uuid;

use super::accounts;
use super::conn::{Conn, Tx};
use super::fail::{Fail, is_unique};
use super::rows;
use crate::domain::{Json, Membership, MembershipStatus, Platform, PlatformId, PushDevice, PushOs, Timestamp, UserId};
use crate::error::{Error, Rule};
use crate::store::{NewPlatform, NewPushDevice, PUSH_DEVICES_MAX};

const COLUMNS: &str = "id, key, name, slug, secret, created_at";

fn from_row(row: &Row) -> Result<Platform, Fail> {
    Ok(Platform {
        id: PlatformId(row.try_get(0)?),
        key: row.try_get(1)?,
        name: row.try_get(2)?,
        slug: row.try_get(3)?,
        secret: row.try_get(4)?,
        created_at: Timestamp(row.try_get(5)?),
    })
}

pub(super) async fn by_id(conn: &Conn, id: PlatformId) -> Result<Option<Platform>, Fail> {
    let sql = format!("select {COLUMNS} from platforms where id = $1");
    conn.opt(&sql, &[&id.0]).await?.as_ref().map(from_row).transpose()
}

pub(super) async fn by_key(conn: &Conn, key: Uuid) -> Result<Option<Platform>, Fail> {
    let sql = format!("select {COLUMNS} from platforms where key = $1");
    conn.opt(&sql, &[&key]).await?.as_ref().map(from_row).transpose()
}

pub(super) async fn all(conn: &Conn) -> Result<Vec<Platform>, Fail> {
    let sql = format!("select {COLUMNS} from platforms order by id");
    conn.rows(&sql, &[]).await?.iter().map(from_row).collect()
}

pub(super) async fn add(tx: &Tx, new: &NewPlatform) -> Result<Platform, Fail> {
    let sql = format!(
        "insert into platforms (key, name, slug, secret, created_at) values ($1, $2, $3, $4, $5) returning {COLUMNS}"
    );
    match tx.one(&sql, &[&new.key, &new.name, &new.slug, &new.secret, &new.at.0]).await {
        Err(fail) if is_unique(&fail) => Err(Error::field("key", Rule::Unique).into()),
        added => from_row(&added?),
    }
}

fn membership(row: &Row) -> Result<Membership, Fail> {
    Ok(Membership {
        id: row.try_get(0)?,
        role: row.try_get(1)?,
        status: rows::word(row, 2, MembershipStatus::parse)?,
        created_at: Timestamp(row.try_get(3)?),
        updated_at: Timestamp(row.try_get(4)?),
    })
}

pub(super) async fn set_membership(
    tx: &Tx,
    user: UserId,
    role: &str,
    status: MembershipStatus,
    at: Timestamp,
) -> Result<Membership, Fail> {
    let set = tx
        .one(
            "insert into user_roles (user_id, role, status, created_at, updated_at) values ($1, $2, $3, $4, $4) \
             on conflict (user_id, role) do update set status = excluded.status, updated_at = excluded.updated_at \
             returning id, role, status, created_at, updated_at",
            &[&user.0, &role, &status.as_str(), &at.0],
        )
        .await?;
    membership(&set)
}

pub(super) async fn memberships(conn: &Conn, user: UserId) -> Result<Vec<Membership>, Fail> {
    let sql = "select id, role, status, created_at, updated_at from user_roles where user_id = $1 order by id";
    conn.rows(sql, &[&user.0]).await?.iter().map(membership).collect()
}

fn device(row: &Row) -> Result<PushDevice, Fail> {
    Ok(PushDevice {
        uuid: row.try_get(0)?,
        user_id: UserId(row.try_get(1)?),
        token: row.try_get(2)?,
        os: rows::word(row, 3, PushOs::parse)?,
        device: row.try_get::<_, Option<String>>(4)?.map(Json),
        created_at: Timestamp(row.try_get(5)?),
    })
}

pub(super) async fn devices(conn: &Conn, user: UserId) -> Result<Vec<PushDevice>, Fail> {
    let sql = "select uuid, user_id, token, os, device, created_at from push_devices where user_id = $1 order by id";
    conn.rows(sql, &[&user.0]).await?.iter().map(device).collect()
}

/// Deleted and inserted anew, so that the order of the numbers is the order of registering.
pub(super) async fn add_device(tx: &Tx, new: &NewPushDevice) -> Result<PushDevice, Fail> {
    accounts::lock(tx, new.user_id).await?;
    remove_device(tx, new.user_id, &new.token).await?;
    let added = tx
        .one(
            "insert into push_devices (uuid, user_id, token, os, device, created_at) values ($1, $2, $3, $4, $5, $6) \
             returning uuid, user_id, token, os, device, created_at",
            &[
                &new.uuid,
                &new.user_id.0,
                &new.token,
                &new.os.as_str(),
                &new.device.as_ref().map(|device| device.0.as_str()),
                &new.at.0,
            ],
        )
        .await?;
    tx.execute(
        "delete from push_devices where user_id = $1 and id not in \
         (select id from push_devices where user_id = $1 order by id desc limit $2)",
        &[&new.user_id.0, &rows::limit(PUSH_DEVICES_MAX)],
    )
    .await?;
    device(&added)
}

pub(super) async fn remove_device(tx: &Tx, user: UserId, token: &str) -> Result<bool, Fail> {
    Ok(tx.execute("delete from push_devices where user_id = $1 and token = $2", &[&user.0, &token]).await? > 0)
}
