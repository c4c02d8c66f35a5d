//! Endpoints and deliveries as their rows hold them.

use tokio_postgres::Row;

use super::fail::Fail;
use super::rows;
use crate::domain::{
    Attempt, Content, ConversationId, Delivery, DeliveryId, DeliveryState, Disabled, EventId, HookForm, HookKey,
    HookKeys, PlatformId, Timestamp, Webhook, WebhookId,
};
use crate::error::Error;
use crate::store::content_row::ContentRow;

pub(super) const HOOK: &str = "w.id, w.platform_id, w.url, w.form, w.kinds, w.key, w.former_key, w.former_until, \
     w.cursor, w.open, w.failing_since, w.delivered_at, w.disabled_at, w.disabled_why, w.created_at, w.updated_at";

fn instant(row: &Row, column: usize) -> Result<Option<Timestamp>, Fail> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(Timestamp))
}

/// A column that holds a count which is never large.
fn small<T: TryFrom<i64>>(row: &Row, column: usize) -> Result<T, Fail> {
    let count: i64 = row.try_get(column)?;
    T::try_from(count).map_err(|_| Fail::Refused(Error::internal(format!("{count} in column {column}"))))
}

pub(super) fn hook(row: &Row) -> Result<Webhook, Fail> {
    let former = match instant(row, 7)? {
        Some(until) if row.try_get::<_, Option<&[u8]>>(6)?.is_some() => Some((HookKey(rows::bytes(row, 6)?), until)),
        _ => None,
    };
    let why = row.try_get::<_, Option<String>>(13)?.unwrap_or_default();
    Ok(Webhook {
        id: WebhookId(row.try_get(0)?),
        platform_id: row.try_get::<_, Option<i64>>(1)?.map(PlatformId),
        url: row.try_get(2)?,
        form: rows::word(row, 3, HookForm::parse)?,
        kinds: row.try_get::<_, &str>(4)?.split_whitespace().map(str::to_owned).collect(),
        keys: HookKeys { current: HookKey(rows::bytes(row, 5)?), former },
        cursor: EventId(row.try_get(8)?),
        open: rows::count(row, 9)?,
        failing_since: instant(row, 10)?,
        delivered_at: instant(row, 11)?,
        disabled: instant(row, 12)?.map(|at| Disabled { at, why }),
        created_at: Timestamp(row.try_get(14)?),
        updated_at: Timestamp(row.try_get(15)?),
    })
}

pub(super) const DELIVERY: &str = "d.id, d.webhook_id, d.kind, d.event_id, d.conversation_id, d.content, d.state, \
     d.attempts, d.tries, d.begun_at, d.due_at, d.last_status, d.last_error, d.created_at, d.ended_at";

pub(super) fn delivery(row: &Row) -> Result<Delivery, Fail> {
    Ok(Delivery {
        id: DeliveryId(row.try_get(0)?),
        webhook_id: WebhookId(row.try_get(1)?),
        kind: row.try_get(2)?,
        content: content(row)?,
        state: rows::word(row, 6, DeliveryState::parse)?,
        attempts: small(row, 7)?,
        tries: small(row, 8)?,
        begun_at: instant(row, 9)?,
        due_at: Timestamp(row.try_get(10)?),
        last_status: status(row, 11)?,
        last_error: row.try_get(12)?,
        created_at: Timestamp(row.try_get(13)?),
        ended_at: instant(row, 14)?,
    })
}

fn status(row: &Row, column: usize) -> Result<Option<u16>, Fail> {
    let is_there = row.try_get::<_, Option<i64>>(column)?.is_some();
    if is_there { small(row, column).map(Some) } else { Ok(None) }
}

fn content(row: &Row) -> Result<Content, Fail> {
    match (row.try_get::<_, Option<i64>>(3)?, row.try_get::<_, Option<i64>>(4)?) {
        (Some(id), Some(conversation)) => {
            Ok(Content::Event { id: EventId(id), conversation_id: ConversationId(conversation) })
        }
        _ => {
            let read: ContentRow =
                serde_json::from_str(row.try_get(5)?).map_err(|error| Fail::Refused(Error::internal(error)))?;
            Ok(read.into())
        }
    }
}

pub(super) fn attempt(row: &Row) -> Result<Attempt, Fail> {
    Ok(Attempt {
        at: Timestamp(row.try_get(0)?),
        took_ms: small(row, 1)?,
        status: status(row, 2)?,
        error: row.try_get(3)?,
    })
}
