//! The log: writing the events that are no messages, and reading all of them.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::conversations::{self, listed_at};
use super::fail::Fail;
use super::feed;
use super::messages::{COLUMNS, MORE, TABLES, from_row, kind_of, source};
use super::writer::Tx;
use super::{rows, runs};
use crate::domain::{
    Change, Conversation, ConversationId, ConversationKind, ConversationState, Event, EventBody, EventId, Head,
    MessageId, Reach, Reaction, Receipt, RunId, Timestamp, UserId,
};
use crate::store::state_row::StateRow;
use crate::store::{EVENT_BYTES_MAX, Tail};

/// What the row of an event holds beside its place in the log, where the event is about what somebody
/// said. (A change of the state has a row of its own making: it writes the conversation too.)
#[derive(Default)]
pub(super) struct EventRow<'a> {
    pub kind: &'a str,
    pub message: Option<MessageId>,
    pub uuid: Option<Uuid>,
    pub user: Option<UserId>,
    pub emoji: Option<&'a str>,
    pub run: Option<RunId>,
}

/// Writes an event at the end of a conversation's log, moves its head, and announces it; returns its
/// number.
pub(super) fn record(
    tx: &mut Tx<'_>,
    conversation: &Conversation,
    at: Timestamp,
    row: &EventRow<'_>,
    body: EventBody,
) -> Result<EventId, Fail> {
    let (id, seq) = (tx.next_event_id(), conversation.head.seq + 1);
    tx.conn
        .prepare_cached(
            "insert into events (id, conversation_id, seq, kind, message_id, message_uuid, user_id, emoji, at, run_id) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            id.0,
            conversation.id.0,
            seq,
            row.kind,
            row.message.map(|message| message.0),
            row.uuid.map(Uuid::into_bytes),
            row.user.map(|user| user.0),
            row.emoji,
            at.0,
            row.run.map(|run| run.0),
        ])?;
    tx.conn
        .prepare_cached(
            "update heads set seq = ?2, event_id = ?3, last_activity_at = ?4, updated_at = ?4, listed_at = ?5 \
             where conversation_id = ?1",
        )?
        .execute(params![
            conversation.id.0,
            seq,
            id.0,
            at.0,
            listed_at(conversation.kind, conversation.state.is_active, at)
        ])?;
    tx.announce(Event { id, conversation_id: conversation.id, seq, at, body });
    Ok(id)
}

/// A row of the log: a message's, or another event's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub id: EventId,
    /// Whether it is a message's.
    pub added: bool,
    pub conversation_id: ConversationId,
}

pub(super) fn events(conn: &Connection, id: ConversationId, after: EventId, limit: usize) -> Result<Vec<Event>, Fail> {
    ordered_events(conn, id, &feed::of_conversation(conn, id, after, limit)?, EVENT_BYTES_MAX)
}

pub(super) fn tail(conn: &Connection, id: ConversationId, count: usize) -> Result<Option<Tail>, Fail> {
    let Some(conversation) = conversations::by_id(conn, id)? else { return Ok(None) };
    // One more than asked for: whether there is one decides where the tail's knowledge begins.
    let limit = i64::try_from(count.saturating_add(1)).unwrap_or(i64::MAX);
    let rows: Vec<Row> = conn
        .prepare_cached(
            "select * from ( \
               select * from (select id, 1 as added from messages where conversation_id = ?1 order by id desc limit ?2) \
               union all \
               select * from (select id, 0 from events where conversation_id = ?1 order by id desc limit ?2) \
               order by id desc limit ?2) order by id",
        )?
        .query_map(params![id.0, limit], |row| {
            Ok(Row { id: EventId(row.get(0)?), added: row.get(1)?, conversation_id: id })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut events = ordered_events(conn, id, &rows, usize::MAX)?;
    let complete_after = if events.len() > count { events.remove(0).id } else { EventId::START };
    let Some(place) = feed::find(conn, id)? else { return Ok(None) };
    Ok(Some(Tail { conversation, place: Arc::new(place), events, complete_after }))
}

/// The ends of the logs of those conversations that are there.
pub(super) fn heads(conn: &Connection, ids: &[ConversationId]) -> Result<Vec<(ConversationId, Head)>, Fail> {
    let mut statement =
        conn.prepare_cached("select seq, event_id, message_id, message_at from heads where conversation_id = ?1")?;
    let mut heads = Vec::with_capacity(ids.len());
    for id in ids {
        let head = statement.query_row([id.0], |row| {
            Ok(Head {
                seq: row.get(0)?,
                event_id: EventId(row.get(1)?),
                message_id: EventId(row.get(2)?),
                message_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            })
        });
        heads.extend(head.optional()?.map(|head| (*id, head)));
    }
    Ok(heads)
}

/// Reads the events of those rows, up to the one with which they hold `bytes_max`.
fn ordered_events(conn: &Connection, id: ConversationId, rows: &[Row], bytes_max: usize) -> Result<Vec<Event>, Fail> {
    let Some(kind) = kind_of(conn, id)? else { return Ok(Vec::new()) };
    let (mut events, mut bytes) = (Vec::with_capacity(rows.len()), 0);
    for row in rows {
        let event = read(conn, row, kind)?;
        bytes += event.bytes();
        events.push(event);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(events)
}

/// The event of a row, in a conversation of that kind.
pub(super) fn read(conn: &Connection, row: &Row, kind: ConversationKind) -> Result<Event, Fail> {
    if !row.added {
        return other_event(conn, row.id.0);
    }
    let (columns, tables) = source(kind);
    added_event(conn, &format!("select {columns}, m.deleted_at is not null from {tables} where m.id = ?1"), row.id.0)
}

fn added_event(conn: &Connection, message: &str, id: i64) -> Result<Event, Fail> {
    let event = conn.prepare_cached(message)?.query_row([id], |row| {
        let message = from_row(conn, row)?;
        Ok(Event {
            id: message.id,
            conversation_id: message.conversation_id,
            seq: message.seq,
            at: message.created_at,
            body: if row.get(MORE)? { EventBody::MessageGone } else { EventBody::MessageAdded(message) },
        })
    })?;
    Ok(event)
}

fn other_event(conn: &Connection, id: i64) -> Result<Event, Fail> {
    let event = conn
        .prepare_cached(
            "select id, conversation_id, seq, at, kind, message_id, message_uuid, state, user_id, emoji, \
             run_id, start, text from events where id = ?1",
        )?
        .query_row([id], |row| {
            Ok(Event {
                id: EventId(row.get(0)?),
                conversation_id: ConversationId(row.get(1)?),
                seq: row.get(2)?,
                at: Timestamp(row.get(3)?),
                body: body(conn, row)?,
            })
        })?;
    Ok(event)
}

fn body(conn: &Connection, row: &rusqlite::Row<'_>) -> rusqlite::Result<EventBody> {
    let message = || row.get(5).map(EventId);
    let user = || row.get(8).map(UserId);
    let received = |receipt, reach: fn(MessageId) -> Reach| {
        Ok(EventBody::Received { reader: user()?, receipt, reach: reach(message()?) })
    };
    match row.get_ref(4)?.as_str()? {
        "message_deleted" => Ok(EventBody::MessageDeleted { message_id: message()?, uuid: rows::uuid(row, 6)? }),
        "message_edited" => edited(conn, message()?),
        kind @ ("reaction_added" | "reaction_removed") => Ok(EventBody::Reacted {
            message_id: message()?,
            reaction: Reaction { user_id: user()?, emoji: row.get(9)?, at: Timestamp(row.get(3)?) },
            removed: kind == "reaction_removed",
        }),
        "delivered" => received(Receipt::Delivered, Reach::One),
        "delivered_through" => received(Receipt::Delivered, Reach::Through),
        "read" => received(Receipt::Read, Reach::One),
        "read_through" => received(Receipt::Read, Reach::Through),
        kind if kind.starts_with("run_") => {
            // Without a text: its answer was deleted.
            let text = (row.get::<_, Option<_>>(11)?.unwrap_or(0), row.get_ref(12)?.as_str_or_null()?);
            runs::body(conn, kind, RunId(row.get(10)?), (text.0, text.1.unwrap_or_default()))
        }
        _ => Ok(EventBody::StateChanged { change: rows::word(row, 4, Change::parse)?, state: Arc::new(state(row)?) }),
    }
}

/// The state that a change's row holds.
fn state(row: &rusqlite::Row<'_>) -> rusqlite::Result<ConversationState> {
    let read = StateRow::parse(row.get_ref(7)?.as_str()?);
    read.map_err(|error| rusqlite::Error::FromSqlConversionFailure(7, Type::Text, error.to_string().into()))
}

/// An edit as it is told later: with the message as it stands by then.
fn edited(conn: &Connection, message: MessageId) -> rusqlite::Result<EventBody> {
    let found = conn
        .prepare_cached(&format!("select {COLUMNS} from {TABLES} where m.id = ?1 and m.deleted_at is null"))?
        .query_row([message.0], |row| from_row(conn, row))
        .optional()?;
    Ok(found.map_or(EventBody::Void, EventBody::MessageEdited))
}
