//! Direct conversations as their users see them: with each other, and in their order.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use super::accounts;
use super::conn::{Conn, Values};
use super::conversations::{self, COLUMNS, MORE};
use super::fail::Fail;
use super::messages;
use super::rows;
use crate::domain::{Conversation, ConversationId, EventId, Message, PlatformId, Timestamp, UserId};
use crate::store::{Direct, InboxEntry, InboxFilter, InboxPlace, Member};

pub(super) async fn direct(conn: &Conn, platform: PlatformId, uuid: Uuid) -> Result<Option<Direct>, Fail> {
    let which = "c.uuid = $1 and (c.kind = 'direct') is true and (c.platform_id = $2) is true";
    Ok(those(conn, which, &[&uuid, &platform.0]).await?.pop())
}

pub(super) async fn directs(conn: &Conn, ids: &[ConversationId]) -> Result<Vec<Direct>, Fail> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    those(conn, "c.id = any($1) and (c.kind = 'direct') is true", &[&ids]).await
}

/// The conversations of a condition with their users.
async fn those(conn: &Conn, which: &str, values: Values<'_>) -> Result<Vec<Direct>, Fail> {
    let (found, members) = conn.pair((&conversations::those(which), values), (&members_of(which), values)).await?;
    let found = found.iter().map(conversations::from_row).collect::<Result<_, _>>()?;
    joined(found, &members)
}

/// Conversations with their users, but for those that were removed since they were read.
pub(super) async fn with_members(conn: &Conn, conversations: Vec<Conversation>) -> Result<Vec<Direct>, Fail> {
    if conversations.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = conversations.iter().map(|conversation| conversation.id.0).collect();
    let members = conn.rows(&members_of("c.id = any($1)"), &[&ids]).await?;
    joined(conversations, &members)
}

/// The statement that reads the users of the conversations of a condition.
fn members_of(which: &str) -> String {
    format!(
        "select {}, p.unread, p.last_read_at, p.joined_at, p.conversation_id \
         from conversations c join participants p on p.conversation_id = c.id join users u on u.id = p.user_id \
         where {which} and p.kind = 'user' order by p.id",
        accounts::COLUMNS
    )
}

fn joined(conversations: Vec<Conversation>, rows: &[Row]) -> Result<Vec<Direct>, Fail> {
    let mut members: HashMap<ConversationId, Vec<Member>> = HashMap::new();
    for row in rows {
        let member = Member {
            user: accounts::from_row(row)?,
            unread: rows::count(row, accounts::WIDTH)?,
            last_read_at: row.try_get::<_, Option<i64>>(accounts::WIDTH + 1)?.map(Timestamp),
            joined_at: Timestamp(row.try_get(accounts::WIDTH + 2)?),
        };
        members.entry(ConversationId(row.try_get(accounts::WIDTH + 3)?)).or_default().push(member);
    }
    let directs = conversations.into_iter().filter_map(|conversation| {
        let members = members.remove(&conversation.id)?;
        Some(Direct { conversation, members })
    });
    Ok(directs.collect())
}

pub(super) async fn page(conn: &Conn, user: UserId, filter: InboxFilter) -> Result<Vec<InboxEntry>, Fail> {
    let order = if filter.above.is_some() && filter.below.is_none() { "asc" } else { "desc" };
    let (limit, offset) = (rows::limit(filter.limit), rows::number(filter.offset));
    let mut values: Vec<i64> = vec![user.0, limit, offset];
    let mut bounds = String::new();
    for (sign, place) in [("<", filter.below), (">", filter.above)] {
        let Some(place) = place else { continue };
        let next = values.len() + 1;
        bounds.push_str(&format!(" and (p.listed_id, p.conversation_id) {sign} (${next}, ${})", next + 1));
        values.extend([place.message_id.0, place.conversation_id.0]);
    }
    let sql = format!(
        "select {COLUMNS}, p.listed_id from participants p \
         join conversations c on c.id = p.conversation_id join heads h on h.conversation_id = c.id \
         where p.user_id = $1 and p.listed_id is not null{bounds} \
         order by p.listed_id {order}, p.conversation_id {order} limit $2 offset $3"
    );
    let values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        values.iter().map(|value| value as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
    let mut listed = listed(conn, &sql, &values).await?;
    if order == "asc" {
        listed.reverse();
    }
    with_last(conn, listed).await
}

type Listed = (Conversation, InboxPlace);

async fn listed(conn: &Conn, sql: &str, values: Values<'_>) -> Result<Vec<Listed>, Fail> {
    let listed = |row: &Row| {
        let conversation = conversations::from_row(row)?;
        let place = InboxPlace { message_id: EventId(row.try_get(MORE)?), conversation_id: conversation.id };
        Ok((conversation, place))
    };
    conn.rows(sql, values).await?.iter().map(listed).collect()
}

/// The entries of what was listed, in the same order.
async fn with_last(conn: &Conn, listed: Vec<Listed>) -> Result<Vec<InboxEntry>, Fail> {
    let (conversations, places): (Vec<_>, Vec<_>) = listed.into_iter().unzip();
    let ids: Vec<_> = conversations.iter().map(|conversation| conversation.id).collect();
    let last = last_letters(conn, &ids).await?;
    let mut last: HashMap<_, _> = last.into_iter().map(|letter| (letter.conversation_id, letter)).collect();
    let places: HashMap<_, _> = places.into_iter().map(|place| (place.conversation_id, place)).collect();
    let entry = |direct: Direct| {
        let id = direct.conversation.id;
        Some(InboxEntry { place: *places.get(&id)?, last: last.remove(&id), direct })
    };
    Ok(with_members(conn, conversations).await?.into_iter().filter_map(entry).collect())
}

pub(super) async fn last_letters(conn: &Conn, ids: &[ConversationId]) -> Result<Vec<Arc<Message>>, Fail> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let sql = format!(
        "select {} from {} where (m.conversation_id, m.id) in ( \
             select i.id, (select v.message_id from letters v where v.conversation_id = i.id and not v.is_gone \
                           order by v.message_id desc limit 1) \
             from unnest($1::bigint[]) i (id))",
        messages::COLUMNS,
        messages::TABLES
    );
    conn.rows(&sql, &[&ids]).await?.iter().map(messages::from_row).collect()
}

pub(super) async fn numbers(conn: &Conn, user: UserId) -> Result<Vec<ConversationId>, Fail> {
    let sql = "select conversation_id from participants where user_id = $1 and listed_id is not null \
               order by listed_id desc, conversation_id desc";
    let found = conn.rows(sql, &[&user.0]).await?;
    found.iter().map(|row| Ok(ConversationId(row.try_get(0)?))).collect()
}

pub(super) async fn entries(conn: &Conn, user: UserId, ids: &[ConversationId]) -> Result<Vec<InboxEntry>, Fail> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let sql = format!(
        "select {COLUMNS}, p.listed_id from unnest($2::bigint[]) with ordinality i (id, n) \
         join participants p on p.conversation_id = i.id and p.user_id = $1 and p.listed_id is not null \
         join conversations c on c.id = i.id join heads h on h.conversation_id = c.id order by i.n"
    );
    let listed = listed(conn, &sql, &[&user.0, &ids]).await?;
    with_last(conn, listed).await
}

pub(super) async fn total(conn: &Conn, user: UserId) -> Result<u64, Fail> {
    let sql = "select count(*) from participants where user_id = $1 and listed_id is not null";
    rows::count(&conn.one(sql, &[&user.0]).await?, 0)
}
