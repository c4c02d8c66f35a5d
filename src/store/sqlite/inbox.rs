//! Direct conversations as their users see them: with each other, and in their order.

use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use uuid::Uuid;

use super::accounts;
use super::conversations::{self, COLUMNS, MORE, one};
use super::fail::Fail;
use super::messages;
use crate::domain::{Conversation, ConversationId, ConversationKind, EventId, Message, PlatformId, Timestamp, UserId};
use crate::store::{Direct, InboxEntry, InboxFilter, InboxPlace, Member};

pub(super) fn direct(conn: &Connection, platform: PlatformId, uuid: Uuid) -> Result<Option<Direct>, Fail> {
    let kind = ConversationKind::Direct.as_str();
    let found =
        one(conn, "c.uuid = ?2 and c.kind = ?1 and c.platform_id = ?3", params![kind, uuid.as_bytes(), platform.0])?;
    found.map(|conversation| with_members(conn, conversation)).transpose()
}

pub(super) fn directs(conn: &Connection, ids: &[ConversationId]) -> Result<Vec<Direct>, Fail> {
    let kind = ConversationKind::Direct.as_str();
    let mut directs = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(conversation) = one(conn, "c.id = ?2 and c.kind = ?1", params![kind, id.0])? {
            directs.push(with_members(conn, conversation)?);
        }
    }
    Ok(directs)
}

/// A conversation with its users.
pub(super) fn with_members(conn: &Connection, conversation: Conversation) -> Result<Direct, Fail> {
    let sql = format!(
        "select {}, p.unread, p.last_read_at, p.joined_at from participants p join users u on u.id = p.user_id \
         where p.conversation_id = ?1 and p.kind = 'user' order by p.id",
        accounts::COLUMNS
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let members = statement.query_map([conversation.id.0], |row| {
        Ok(Member {
            user: accounts::from_row(row)?,
            unread: row.get(accounts::WIDTH)?,
            last_read_at: row.get::<_, Option<i64>>(accounts::WIDTH + 1)?.map(Timestamp),
            joined_at: Timestamp(row.get(accounts::WIDTH + 2)?),
        })
    })?;
    let members = members.collect::<Result<_, _>>()?;
    Ok(Direct { conversation, members })
}

/// The beginning of a statement that reads entries.
fn listed() -> String {
    format!(
        "select {COLUMNS}, p.listed_id from participants p \
         join conversations c on c.id = p.conversation_id join heads h on h.conversation_id = c.id \
         where p.user_id = ? and p.listed_id is not null"
    )
}

pub(super) fn page(conn: &Connection, user: UserId, filter: InboxFilter) -> Result<Vec<InboxEntry>, Fail> {
    let place = "(p.listed_id, p.conversation_id)";
    let below = if filter.below.is_some() { format!("and {place} < (?, ?)") } else { String::new() };
    let above = if filter.above.is_some() { format!("and {place} > (?, ?)") } else { String::new() };
    let order = if filter.above.is_some() && filter.below.is_none() { "asc" } else { "desc" };
    let sql = format!(
        "{} {below} {above} order by p.listed_id {order}, p.conversation_id {order} limit ? offset ?",
        listed()
    );
    let mut values = vec![Value::from(user.0)];
    let places = filter.below.into_iter().chain(filter.above);
    values.extend(places.flat_map(|place| [place.message_id.0, place.conversation_id.0]).map(Value::from));
    values.push(Value::from(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
    values.push(Value::from(i64::try_from(filter.offset).unwrap_or(i64::MAX)));
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(conn, row)?);
    }
    if order == "asc" {
        entries.reverse();
    }
    Ok(entries)
}

fn entry(conn: &Connection, row: &Row<'_>) -> Result<InboxEntry, Fail> {
    let conversation = conversations::from_row(row)?;
    let place = InboxPlace { message_id: EventId(row.get(MORE)?), conversation_id: conversation.id };
    let last = last_visible(conn, conversation.id)?;
    Ok(InboxEntry { direct: with_members(conn, conversation)?, last, place })
}

pub(super) fn numbers(conn: &Connection, user: UserId) -> Result<Vec<ConversationId>, Fail> {
    let mut statement = conn.prepare_cached(
        "select conversation_id from participants where user_id = ?1 and listed_id is not null \
         order by listed_id desc, conversation_id desc",
    )?;
    let found = statement.query_map([user.0], |row| row.get(0).map(ConversationId))?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn entries(conn: &Connection, user: UserId, ids: &[ConversationId]) -> Result<Vec<InboxEntry>, Fail> {
    let mut statement = conn.prepare_cached(&format!("{} and p.conversation_id = ?", listed()))?;
    let mut entries = Vec::with_capacity(ids.len());
    for id in ids {
        let mut rows = statement.query(params![user.0, id.0])?;
        if let Some(row) = rows.next()? {
            entries.push(entry(conn, row)?);
        }
    }
    Ok(entries)
}

pub(super) fn last_letters(conn: &Connection, ids: &[ConversationId]) -> Result<Vec<Arc<Message>>, Fail> {
    ids.iter().filter_map(|id| last_visible(conn, *id).transpose()).collect()
}

fn last_visible(conn: &Connection, id: ConversationId) -> Result<Option<Arc<Message>>, Fail> {
    let sql = format!(
        "select {} from letters l join messages m on m.id = l.message_id \
         where l.conversation_id = ?1 and l.is_gone = 0 order by l.message_id desc limit 1",
        messages::COLUMNS
    );
    Ok(conn.prepare_cached(&sql)?.query_row([id.0], |row| messages::from_row(conn, row)).optional()?)
}

pub(super) fn total(conn: &Connection, user: UserId) -> Result<u64, Fail> {
    let total = conn
        .prepare_cached("select count(*) from participants where user_id = ?1 and listed_id is not null")?
        .query_row([user.0], |row| row.get(0))?;
    Ok(total)
}
