//! The log: writing the events that are no messages, and reading all of them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Row as SqlRow;
use uuid::Uuid;

use super::conn::{Conn, Tx};
use super::conversations::{self, listed_at};
use super::fail::Fail;
use super::messages::{COLUMNS, MORE, TABLES, from_row};
use super::{feed, place, rows, runs};
use crate::domain::{
    Change, Conversation, ConversationId, Event, EventBody, EventId, Head, Message, MessageId, Reach, Reaction,
    Receipt, Run, RunId, Timestamp, UserId,
};
use crate::store::state_row::StateRow;
use crate::store::{EVENT_BYTES_MAX, Tail};

/// What the row of an event holds beside its place in the log, where the event is about what somebody said. (A change
/// of the state has a row of its own making: it writes the conversation too.)
#[derive(Default)]
pub(super) struct EventRow<'a> {
    pub kind: &'a str,
    pub message: Option<MessageId>,
    pub uuid: Option<Uuid>,
    pub user: Option<UserId>,
    pub emoji: Option<&'a str>,
    pub run: Option<RunId>,
}

/// Writes an event at the end of a conversation's log, moves its head, and announces it; returns its number. The
/// conversation is as [`conversations::lock`] found it.
pub(super) async fn record(
    tx: &mut Tx,
    conversation: &Conversation,
    at: Timestamp,
    row: &EventRow<'_>,
    body: EventBody,
) -> Result<EventId, Fail> {
    let (id, seq) = (tx.next_event_id().await?, conversation.head.seq + 1);
    let listed_at = listed_at(conversation.kind, conversation.state.is_active, at);
    let (written, moved) = (
        "insert into events (id, conversation_id, seq, kind, message_id, message_uuid, user_id, emoji, at, run_id) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        "update heads set seq = $2, event_id = $3, last_activity_at = $4, updated_at = $4, listed_at = $5 \
         where conversation_id = $1",
    );
    let (message, user) = (row.message.map(|message| message.0), row.user.map(|user| user.0));
    let run = row.run.map(|run| run.0);
    let seq_value = seq.cast_signed();
    let values: super::conn::Values<'_> =
        &[&id.0, &conversation.id.0, &seq_value, &row.kind, &message, &row.uuid, &user, &row.emoji, &at.0, &run];
    let head: super::conn::Values<'_> = &[&conversation.id.0, &seq_value, &id.0, &at.0, &listed_at];
    tokio::try_join!(tx.execute(written, values), tx.execute(moved, head))?;
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

pub(super) async fn events(conn: &Conn, id: ConversationId, after: EventId, limit: usize) -> Result<Vec<Event>, Fail> {
    let rows = feed::of_conversation(conn, id, after, limit).await?;
    Ok(read_bounded(conn, &rows).await?.0)
}

/// The events of those rows, in their order, up to the one with which they hold [`EVENT_BYTES_MAX`]; whether that is
/// all of them. Read in pieces, because what the server sends is in memory before it is looked at.
pub(super) async fn read_bounded(conn: &Conn, rows: &[Row]) -> Result<(Vec<Event>, bool), Fail> {
    const FIRST: usize = 16;
    let (mut events, mut bytes, mut rest) = (Vec::with_capacity(rows.len()), 0, rows);
    while !rest.is_empty() {
        // As many as fill the rest, when they are like those before them.
        let piece = (EVENT_BYTES_MAX - bytes).checked_div(bytes / events.len().max(1)).unwrap_or(rest.len());
        let piece = if events.is_empty() { FIRST } else { piece.max(1) }.min(rest.len());
        let (now, later) = rest.split_at(piece);
        let read = read(conn, now).await?;
        let count = read.len();
        for (at, event) in read.into_iter().enumerate() {
            bytes += event.bytes();
            events.push(event);
            if bytes >= EVENT_BYTES_MAX {
                return Ok((events, at + 1 == count && later.is_empty()));
            }
        }
        rest = later;
    }
    Ok((events, true))
}

pub(super) async fn tail(conn: &Conn, id: ConversationId, count: usize) -> Result<Option<Tail>, Fail> {
    // One more than asked for: whether there is one decides where the tail's knowledge begins. One statement, so that
    // the conversation and the end of its log are as of one commit.
    let limit = rows::limit(count.saturating_add(1));
    let sql = format!(
        "select {}, array(select x.id * 2 + x.added from ( \
             select * from (select id, 1 as added from messages where conversation_id = $1 order by id desc limit $2) a \
             union all \
             select * from (select id, 0 from events where conversation_id = $1 order by id desc limit $2) b \
             order by id desc limit $2) x order by x.id) \
         from {} where c.id = $1",
        conversations::COLUMNS,
        conversations::TABLES
    );
    let Some(row) = conn.opt(&sql, &[&id.0, &limit]).await? else { return Ok(None) };
    let conversation = conversations::from_row(&row)?;
    let listed: Vec<i64> = row.try_get(conversations::MORE)?;
    let rows: Vec<_> =
        listed.into_iter().map(|one| Row { id: EventId(one / 2), added: one % 2 == 1, conversation_id: id }).collect();
    let (events, place) = tokio::try_join!(read(conn, &rows), place::find(conn, id))?;
    let mut events = events;
    let complete_after = if events.len() > count { events.remove(0).id } else { EventId::START };
    let Some(place) = place else { return Ok(None) };
    Ok(Some(Tail { conversation, place: Arc::new(place), events, complete_after }))
}

/// The ends of the logs of those conversations that are there.
pub(super) async fn heads(conn: &Conn, ids: &[ConversationId]) -> Result<Vec<(ConversationId, Head)>, Fail> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let sql =
        "select conversation_id, seq, event_id, message_id, message_at from heads where conversation_id = any($1)";
    let found = conn.rows(sql, &[&ids]).await?;
    let head = |row: &SqlRow| {
        let head = Head {
            seq: rows::count(row, 1)?,
            event_id: EventId(row.try_get(2)?),
            message_id: EventId(row.try_get(3)?),
            message_at: row.try_get::<_, Option<i64>>(4)?.map(Timestamp),
        };
        Ok((ConversationId(row.try_get(0)?), head))
    };
    found.iter().map(head).collect()
}

/// The events of those rows, in their order; without those whose conversation was removed meanwhile.
pub(super) async fn read(conn: &Conn, rows: &[Row]) -> Result<Vec<Event>, Fail> {
    let (said, other): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.added);
    let (said, other) = tokio::try_join!(added_events(conn, &said), other_events(conn, &other))?;
    let mut events = said;
    events.extend(other);
    events.sort_unstable_by_key(|event| event.id);
    Ok(events)
}

fn keys(rows: &[&Row]) -> (Vec<i64>, Vec<i64>) {
    rows.iter().map(|row| (row.conversation_id.0, row.id.0)).unzip()
}

async fn added_events(conn: &Conn, rows: &[&Row]) -> Result<Vec<Event>, Fail> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let (conversations, ids) = keys(rows);
    let sql = format!(
        "select {COLUMNS}, m.deleted_at is not null from unnest($1::bigint[], $2::bigint[]) x (conversation_id, id) \
         join {TABLES} on true where m.conversation_id = x.conversation_id and m.id = x.id"
    );
    let found = conn.rows(&sql, &[&conversations, &ids]).await?;
    found.iter().map(added_event).collect()
}

fn added_event(row: &SqlRow) -> Result<Event, Fail> {
    let message = from_row(row)?;
    Ok(Event {
        id: message.id,
        conversation_id: message.conversation_id,
        seq: message.seq,
        at: message.created_at,
        body: if row.try_get(MORE)? { EventBody::MessageGone } else { EventBody::MessageAdded(message) },
    })
}

async fn other_events(conn: &Conn, rows: &[&Row]) -> Result<Vec<Event>, Fail> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let (conversations, ids) = keys(rows);
    let found = conn
        .rows(
            "select e.id, e.conversation_id, e.seq, e.at, e.kind, e.message_id, e.message_uuid, e.state, e.user_id, \
             e.emoji, e.run_id, e.start, e.text from unnest($1::bigint[], $2::bigint[]) x (conversation_id, id) \
             join events e on e.conversation_id = x.conversation_id and e.id = x.id",
            &[&conversations, &ids],
        )
        .await?;
    let named = Named { edited: edited(conn, &found).await?, runs: runs_of(conn, &found).await? };
    found.iter().map(|row| other_event(row, &named)).collect()
}

/// What events are about that are told as they stand by now.
struct Named {
    edited: HashMap<i64, Arc<Message>>,
    runs: HashMap<i64, Arc<Run>>,
}

/// The runs that events are about.
async fn runs_of(conn: &Conn, rows: &[SqlRow]) -> Result<HashMap<i64, Arc<Run>>, Fail> {
    let (mut conversations, mut ids) = (Vec::new(), Vec::new());
    for row in rows {
        if let Some(run) = row.try_get::<_, Option<i64>>(10)? {
            conversations.push(row.try_get::<_, i64>(1)?);
            ids.push(run);
        }
    }
    runs::named(conn, &conversations, &ids).await
}

/// The messages that edits are about, as they stand by now.
async fn edited(conn: &Conn, rows: &[SqlRow]) -> Result<HashMap<i64, Arc<Message>>, Fail> {
    let (mut conversations, mut ids) = (Vec::new(), Vec::new());
    for row in rows {
        if row.try_get::<_, &str>(4)? == "message_edited" {
            conversations.push(row.try_get::<_, i64>(1)?);
            ids.push(row.try_get::<_, i64>(5)?);
        }
    }
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "select {COLUMNS} from (select distinct * from unnest($1::bigint[], $2::bigint[]) y (conversation_id, id)) x \
         join {TABLES} on true where m.conversation_id = x.conversation_id and m.id = x.id and m.deleted_at is null"
    );
    let found = conn.rows(&sql, &[&conversations, &ids]).await?;
    found.iter().map(|row| from_row(row).map(|message| (message.id.0, message))).collect()
}

fn other_event(row: &SqlRow, named: &Named) -> Result<Event, Fail> {
    Ok(Event {
        id: EventId(row.try_get(0)?),
        conversation_id: ConversationId(row.try_get(1)?),
        seq: rows::count(row, 2)?,
        at: Timestamp(row.try_get(3)?),
        body: body(row, named)?,
    })
}

fn body(row: &SqlRow, named: &Named) -> Result<EventBody, Fail> {
    let message = || row.try_get(5).map(EventId);
    let user = || row.try_get(8).map(UserId);
    let received = |receipt, reach: fn(MessageId) -> Reach| {
        Ok(EventBody::Received { reader: user()?, receipt, reach: reach(message()?) })
    };
    match row.try_get(4)? {
        "message_deleted" => Ok(EventBody::MessageDeleted { message_id: message()?, uuid: row.try_get(6)? }),
        // As it is told later: with the message as it stands by then.
        "message_edited" => {
            let edited = named.edited.get(&row.try_get(5)?);
            Ok(edited.map_or(EventBody::Void, |held| EventBody::MessageEdited(Arc::clone(held))))
        }
        kind @ ("reaction_added" | "reaction_removed") => Ok(EventBody::Reacted {
            message_id: message()?,
            reaction: Reaction { user_id: user()?, emoji: row.try_get(9)?, at: Timestamp(row.try_get(3)?) },
            removed: kind == "reaction_removed",
        }),
        "delivered" => received(Receipt::Delivered, Reach::One),
        "delivered_through" => received(Receipt::Delivered, Reach::Through),
        "read" => received(Receipt::Read, Reach::One),
        "read_through" => received(Receipt::Read, Reach::Through),
        kind if kind.starts_with("run_") => {
            let start = row.try_get::<_, Option<i64>>(11)?.map(i64::cast_unsigned);
            // Without a text: its answer was deleted.
            let text: Option<&str> = row.try_get(12)?;
            Ok(runs::body(kind, named.runs.get(&row.try_get(10)?), (start.unwrap_or(0), text.unwrap_or_default())))
        }
        _ => Ok(EventBody::StateChanged {
            change: rows::word(row, 4, Change::parse)?,
            state: Arc::new(StateRow::parse(row.try_get(7)?)?),
        }),
    }
}
