//! Conversations, their heads and who takes part.

use tokio_postgres::Row;

use super::conn::{Conn, Tx, Values};
use super::fail::Fail;
use super::rows;
use crate::domain::{
    Assignment, Contact, Conversation, ConversationId, ConversationKind, ConversationState, EventId, Head, Json,
    ParticipantKind, PlatformId, Tag, Timestamp, UserId,
};

pub(super) const COLUMNS: &str = "c.id, c.uuid, c.kind, c.key, c.user_id, c.external_user_id, c.contact_name, \
     c.contact_email, c.contact_phone, c.metadata, c.expires_at, c.created_at, \
     h.seq, h.event_id, h.message_id, h.message_at, h.is_active, h.assigned_user_id, h.assigned_at, \
     h.last_activity_at, h.updated_at, c.platform_id, c.tag_kind, c.tag_id, c.title, c.model, c.is_archived, c.edited_at";
/// The tables that they are in.
pub(super) const TABLES: &str = "conversations c join heads h on h.conversation_id = c.id";
/// Where columns that follow them begin.
pub(super) const MORE: usize = 28;

pub(super) fn from_row(row: &Row) -> Result<Conversation, Fail> {
    let assigned = match (row.try_get(17)?, row.try_get(18)?) {
        (Some(user), Some(at)) => Some(Assignment { user_id: UserId(user), at: Timestamp(at) }),
        _ => None,
    };
    let created_at = row.try_get(11)?;
    Ok(Conversation {
        id: ConversationId(row.try_get(0)?),
        uuid: row.try_get(1)?,
        kind: rows::word(row, 2, ConversationKind::parse)?,
        key: row.try_get(3)?,
        platform_id: row.try_get::<_, Option<i64>>(21)?.map(PlatformId),
        user_id: row.try_get::<_, Option<i64>>(4)?.map(UserId),
        tag: Tag { kind: row.try_get(22)?, id: row.try_get(23)? },
        state: ConversationState {
            is_active: row.try_get(16)?,
            assigned,
            expires_at: row.try_get::<_, Option<i64>>(10)?.map(Timestamp),
            external_user_id: row.try_get(5)?,
            contact: Contact { name: row.try_get(6)?, email: row.try_get(7)?, phone: row.try_get(8)? },
            metadata: Json(row.try_get(9)?),
            title: row.try_get(24)?,
            model: row.try_get(25)?,
            is_archived: row.try_get(26)?,
        },
        head: Head {
            seq: rows::count(row, 12)?,
            event_id: EventId(row.try_get(13)?),
            message_id: EventId(row.try_get(14)?),
            message_at: row.try_get::<_, Option<i64>>(15)?.map(Timestamp),
        },
        last_activity_at: Timestamp(row.try_get(19)?),
        created_at: Timestamp(created_at),
        edited_at: Timestamp(row.try_get::<_, Option<i64>>(27)?.unwrap_or(created_at)),
        updated_at: Timestamp(row.try_get(20)?),
    })
}

pub(super) async fn one(conn: &Conn, condition: &str, values: Values<'_>) -> Result<Option<Conversation>, Fail> {
    let sql = format!("select {COLUMNS} from {TABLES} where {condition}");
    conn.opt(&sql, values).await?.as_ref().map(from_row).transpose()
}

pub(super) async fn by_id(conn: &Conn, id: ConversationId) -> Result<Option<Conversation>, Fail> {
    one(conn, "c.id = $1", &[&id.0]).await
}

/// The conversation, with its head locked until the transaction ends: whoever writes to its log begins with this.
///
/// Two statements, because one would see the conversation's other row as it was before it waited for the lock. They go
/// out together.
pub(super) async fn lock(tx: &Tx, id: ConversationId) -> Result<Option<Conversation>, Fail> {
    let values: Values<'_> = &[&id.0];
    let locked = tx.rows("select 1 from heads where conversation_id = $1 for update", values);
    let (_, found) = tokio::try_join!(locked, by_id(tx, id))?;
    Ok(found)
}

/// What the desk lists are ordered by: see the migration.
pub(super) fn listed_at(kind: ConversationKind, is_active: bool, at: Timestamp) -> Option<i64> {
    const STEP_MICROS: i64 = 16_000_000;
    (is_active && kind == ConversationKind::LiveChat).then(|| at.0.div_euclid(STEP_MICROS))
}

pub(super) async fn join(
    tx: &Tx,
    id: ConversationId,
    kind: ParticipantKind,
    user: Option<UserId>,
    at: Timestamp,
) -> Result<(), Fail> {
    tx.execute(
        "insert into participants (conversation_id, kind, user_id, joined_at) values ($1, $2, $3, $4) \
         on conflict do nothing",
        &[&id.0, &kind.as_str(), &user.map_or(0, |user| user.0), &at.0],
    )
    .await?;
    Ok(())
}
