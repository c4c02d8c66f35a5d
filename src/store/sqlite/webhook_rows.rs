//! Endpoints and deliveries as their rows hold them.

use rusqlite::Row;
use rusqlite::types::Type;

use super::rows;
use crate::domain::{
    Attempt, Content, ConversationId, Delivery, DeliveryId, DeliveryState, Disabled, EventId, HookForm, HookKey,
    HookKeys, PlatformId, Timestamp, Webhook, WebhookId,
};
use crate::store::content_row::ContentRow;

pub(super) const HOOK: &str = "w.id, w.platform_id, w.url, w.form, w.kinds, w.key, w.former_key, w.former_until, \
     w.cursor, w.open, w.failing_since, w.delivered_at, w.disabled_at, w.disabled_why, w.created_at, w.updated_at";

pub(super) fn hook(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let instant = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp));
    let former = match (row.get::<_, Option<[u8; 32]>>(6)?, instant(7)?) {
        (Some(key), Some(until)) => Some((HookKey(key), until)),
        _ => None,
    };
    let why = row.get::<_, Option<String>>(13)?.unwrap_or_default();
    Ok(Webhook {
        id: WebhookId(row.get(0)?),
        platform_id: row.get::<_, Option<i64>>(1)?.map(PlatformId),
        url: row.get(2)?,
        form: rows::word(row, 3, HookForm::parse)?,
        kinds: row.get_ref(4)?.as_str()?.split_whitespace().map(str::to_owned).collect(),
        keys: HookKeys { current: HookKey(row.get(5)?), former },
        cursor: EventId(row.get(8)?),
        open: row.get(9)?,
        failing_since: instant(10)?,
        delivered_at: instant(11)?,
        disabled: instant(12)?.map(|at| Disabled { at, why }),
        created_at: Timestamp(row.get(14)?),
        updated_at: Timestamp(row.get(15)?),
    })
}

pub(super) const DELIVERY: &str = "d.id, d.webhook_id, d.kind, d.event_id, d.conversation_id, d.content, d.state, \
     d.attempts, d.tries, d.begun_at, d.due_at, d.last_status, d.last_error, d.created_at, d.ended_at";

pub(super) fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let instant = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp));
    Ok(Delivery {
        id: DeliveryId(row.get(0)?),
        webhook_id: WebhookId(row.get(1)?),
        kind: row.get(2)?,
        content: content(row)?,
        state: rows::word(row, 6, DeliveryState::parse)?,
        attempts: row.get(7)?,
        tries: row.get(8)?,
        begun_at: instant(9)?,
        due_at: Timestamp(row.get(10)?),
        last_status: row.get(11)?,
        last_error: row.get(12)?,
        created_at: Timestamp(row.get(13)?),
        ended_at: instant(14)?,
    })
}

fn content(row: &Row<'_>) -> rusqlite::Result<Content> {
    match (row.get::<_, Option<i64>>(3)?, row.get::<_, Option<i64>>(4)?) {
        (Some(id), Some(conversation)) => {
            Ok(Content::Event { id: EventId(id), conversation_id: ConversationId(conversation) })
        }
        _ => {
            let read: ContentRow = serde_json::from_str(row.get_ref(5)?.as_str()?)
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(5, Type::Text, Box::new(error)))?;
            Ok(read.into())
        }
    }
}

pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt { at: Timestamp(row.get(0)?), took_ms: row.get(1)?, status: row.get(2)?, error: row.get(3)? })
}
