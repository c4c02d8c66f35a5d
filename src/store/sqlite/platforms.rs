//! Tenants, what users are at theirs, and the devices on which they are reached.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::fail::{Fail, is_unique};
use super::rows;
use super::writer::Tx;
use crate::domain::{Json, Membership, MembershipStatus, Platform, PlatformId, PushDevice, PushOs, Timestamp, UserId};
use crate::error::{Error, Rule};
use crate::store::{NewPlatform, NewPushDevice, PUSH_DEVICES_MAX};

const COLUMNS: &str = "id, key, name, slug, secret, created_at";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Platform> {
    Ok(Platform {
        id: PlatformId(row.get(0)?),
        key: rows::uuid(row, 1)?,
        name: row.get(2)?,
        slug: row.get(3)?,
        secret: row.get(4)?,
        created_at: Timestamp(row.get(5)?),
    })
}

pub(super) fn by_id(conn: &Connection, id: PlatformId) -> Result<Option<Platform>, Fail> {
    let found = conn
        .prepare_cached(&format!("select {COLUMNS} from platforms where id = ?1"))?
        .query_row([id.0], from_row)
        .optional()?;
    Ok(found)
}

pub(super) fn by_key(conn: &Connection, key: Uuid) -> Result<Option<Platform>, Fail> {
    let found = conn
        .prepare_cached(&format!("select {COLUMNS} from platforms where key = ?1"))?
        .query_row([key.as_bytes()], from_row)
        .optional()?;
    Ok(found)
}

pub(super) fn all(conn: &Connection) -> Result<Vec<Platform>, Fail> {
    let mut statement = conn.prepare_cached(&format!("select {COLUMNS} from platforms order by id"))?;
    let found = statement.query_map([], from_row)?.collect::<Result<_, _>>()?;
    Ok(found)
}

pub(super) fn add(tx: &Tx<'_>, new: &NewPlatform) -> Result<Platform, Fail> {
    let inserted = tx
        .conn
        .prepare_cached("insert into platforms (key, name, slug, secret, created_at) values (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![new.key.as_bytes(), new.name, new.slug, new.secret, new.at.0]);
    match inserted {
        Err(error) if is_unique(&error) => return Err(Error::field("key", Rule::Unique).into()),
        other => other?,
    };
    let id = PlatformId(tx.conn.last_insert_rowid());
    by_id(tx.conn, id)?.ok_or_else(|| Error::internal("a new platform is not there").into())
}

fn membership(row: &Row<'_>) -> rusqlite::Result<Membership> {
    Ok(Membership {
        id: row.get(0)?,
        role: row.get(1)?,
        status: rows::word(row, 2, MembershipStatus::parse)?,
        created_at: Timestamp(row.get(3)?),
        updated_at: Timestamp(row.get(4)?),
    })
}

pub(super) fn set_membership(
    tx: &Tx<'_>,
    user: UserId,
    role: &str,
    status: MembershipStatus,
    at: Timestamp,
) -> Result<Membership, Fail> {
    let set = tx
        .conn
        .prepare_cached(
            "insert into user_roles (user_id, role, status, created_at, updated_at) values (?1, ?2, ?3, ?4, ?4) \
             on conflict (user_id, role) do update set status = excluded.status, updated_at = excluded.updated_at \
             returning id, role, status, created_at, updated_at",
        )?
        .query_row(params![user.0, role, status.as_str(), at.0], membership)?;
    Ok(set)
}

pub(super) fn memberships(conn: &Connection, user: UserId) -> Result<Vec<Membership>, Fail> {
    let mut statement = conn.prepare_cached(
        "select id, role, status, created_at, updated_at from user_roles where user_id = ?1 order by id",
    )?;
    let found = statement.query_map([user.0], membership)?.collect::<Result<_, _>>()?;
    Ok(found)
}

fn device(row: &Row<'_>) -> rusqlite::Result<PushDevice> {
    Ok(PushDevice {
        uuid: rows::uuid(row, 0)?,
        user_id: UserId(row.get(1)?),
        token: row.get(2)?,
        os: rows::word(row, 3, PushOs::parse)?,
        device: row.get::<_, Option<String>>(4)?.map(Json),
        created_at: Timestamp(row.get(5)?),
    })
}

pub(super) fn devices(conn: &Connection, user: UserId) -> Result<Vec<PushDevice>, Fail> {
    let mut statement = conn.prepare_cached(
        "select uuid, user_id, token, os, device, created_at from push_devices where user_id = ?1 order by id",
    )?;
    let found = statement.query_map([user.0], device)?.collect::<Result<_, _>>()?;
    Ok(found)
}

/// Deleted and inserted anew, so that the order of the numbers is the order of registering.
pub(super) fn add_device(tx: &Tx<'_>, new: &NewPushDevice) -> Result<PushDevice, Fail> {
    remove_device(tx, new.user_id, &new.token)?;
    let added = tx
        .conn
        .prepare_cached(
            "insert into push_devices (uuid, user_id, token, os, device, created_at) values (?1, ?2, ?3, ?4, ?5, ?6) \
             returning uuid, user_id, token, os, device, created_at",
        )?
        .query_row(
            params![
                new.uuid.as_bytes(),
                new.user_id.0,
                new.token,
                new.os.as_str(),
                new.device.as_ref().map(|device| &device.0),
                new.at.0
            ],
            device,
        )?;
    tx.conn
        .prepare_cached(
            "delete from push_devices where user_id = ?1 and id not in \
             (select id from push_devices where user_id = ?1 order by id desc limit ?2)",
        )?
        .execute(params![new.user_id.0, PUSH_DEVICES_MAX])?;
    Ok(added)
}

pub(super) fn remove_device(tx: &Tx<'_>, user: UserId, token: &str) -> Result<bool, Fail> {
    let gone = tx
        .conn
        .prepare_cached("delete from push_devices where user_id = ?1 and token = ?2")?
        .execute(params![user.0, token])?;
    Ok(gone > 0)
}
