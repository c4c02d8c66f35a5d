//! Direct conversations as their users see them: with each other, and in their order.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
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

pub(super) fn page(conn: &Connection, user: UserId, filter: InboxFilter) -> Result<Vec<InboxEntry>, Fail> {
    let (bound, place, order) = match (filter.below, filter.above) {
        (Some(place), _) => ("and (p.listed_id, p.conversation_id) < (?, ?)", Some(place), "desc"),
        (None, Some(place)) => ("and (p.listed_id, p.conversation_id) > (?, ?)", Some(place), "asc"),
        (None, None) => ("", None, "desc"),
    };
    let sql = format!(
        "select {COLUMNS}, p.listed_id from participants p \
         join conversations c on c.id = p.conversation_id join heads h on h.conversation_id = c.id \
         where p.user_id = ? and p.listed_id is not null {bound} \
         order by p.listed_id {order}, p.conversation_id {order} limit ? offset ?"
    );
    let mut values = vec![Value::from(user.0)];
    values.extend(place.iter().flat_map(|place| [place.message_id.0, place.conversation_id.0]).map(Value::from));
    values.push(Value::from(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
    values.push(Value::from(i64::try_from(filter.offset).unwrap_or(i64::MAX)));
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let conversation = conversations::from_row(row)?;
        let place = InboxPlace { message_id: EventId(row.get(MORE)?), conversation_id: conversation.id };
        let last = last_visible(conn, conversation.id)?;
        entries.push(InboxEntry { direct: with_members(conn, conversation)?, last, place });
    }
    if order == "asc" {
        entries.reverse();
    }
    Ok(entries)
}

fn last_visible(conn: &Connection, id: ConversationId) -> Result<Option<std::sync::Arc<Message>>, Fail> {
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
