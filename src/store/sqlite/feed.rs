//! The log as those see it who follow more than one conversation, and where its events belong.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::fail::Fail;
use super::log::{Row, read};
use super::rows;
use crate::domain::{ConversationId, ConversationKind, EventId, Logged, Place, PlatformId, Scope, UserId};
use crate::store::{EVENT_BYTES_MAX, FEED_SPAN, FeedPage};

/// The places that the writer announced to last: nothing in them ever changes.
#[derive(Default)]
pub(super) struct Places(HashMap<ConversationId, Arc<Place>>);

impl Places {
    /// Places held at once, some hundred bytes each.
    const MAX: usize = 16_384;

    /// Where that conversation is; `None` when it is not there.
    pub fn of(&mut self, conn: &Connection, id: ConversationId) -> rusqlite::Result<Option<Arc<Place>>> {
        if let Some(place) = self.0.get(&id) {
            return Ok(Some(Arc::clone(place)));
        }
        let found = find(conn, id)?.map(Arc::new);
        if let Some(place) = &found {
            if self.0.len() >= Self::MAX {
                self.0.clear();
            }
            self.0.insert(id, Arc::clone(place));
        }
        Ok(found)
    }

    /// Forgets what was found in a transaction that may not have been committed.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    pub fn remove(&mut self, id: ConversationId) {
        self.0.remove(&id);
    }
}

/// Where a conversation is.
pub(super) fn find(conn: &Connection, id: ConversationId) -> rusqlite::Result<Option<Place>> {
    let found = conn
        .prepare_cached("select uuid, kind, platform_id, user_id from conversations where id = ?1")?
        .query_row([id.0], |row| {
            let owner: Option<i64> = row.get(3)?;
            Ok(Place {
                conversation_id: id,
                uuid: rows::uuid(row, 0)?,
                kind: rows::word(row, 1, ConversationKind::parse)?,
                platform_id: row.get::<_, Option<i64>>(2)?.map(PlatformId),
                users: owner.into_iter().map(UserId).collect(),
            })
        })
        .optional()?;
    let Some(mut place) = found else { return Ok(None) };
    if place.kind == ConversationKind::Direct {
        place.users = conn
            .prepare_cached(
                "select user_id from participants where conversation_id = ?1 and listed_id is not null order by id",
            )?
            .query_map([id.0], |row| row.get(0).map(UserId))?
            .collect::<rusqlite::Result<_>>()?;
    }
    Ok(Some(place))
}

/// The last event of the store.
pub(super) fn last_event(conn: &Connection) -> Result<EventId, Fail> {
    let last = conn
        .prepare_cached("select value from sequences where name = 'event'")?
        .query_row([], |row| row.get(0).map(EventId))?;
    Ok(last)
}

/// A page of what happened in a scope after the cursor.
pub(super) fn page(conn: &Connection, scope: Scope, after: EventId, limit: usize) -> Result<FeedPage, Fail> {
    let end = last_event(conn)?;
    if after >= end {
        return Ok(FeedPage { events: Vec::new(), through: after, is_end: true });
    }
    let (mut rows, mut through) = match scope {
        Scope::Conversation(id) => (of_conversation(conn, id, after, limit + 1)?, end),
        Scope::User(user, kind) => (of_user(conn, user, kind, after, limit + 1)?, end),
        Scope::All => wide(conn, "1", &0, after, limit + 1, end)?,
        Scope::Kind(kind) => wide(conn, "c.kind = ?4", &kind.as_str(), after, limit + 1, end)?,
        Scope::Platform(id) => wide(conn, "c.platform_id = ?4", &id.0, after, limit + 1, end)?,
    };
    if rows.len() > limit {
        rows.truncate(limit);
        through = rows.last().map_or(after, |row| row.id);
    }
    let (events, is_whole) = load(conn, &rows)?;
    if !is_whole {
        through = events.last().map_or(after, |logged| logged.event.id);
    }
    Ok(FeedPage { events, through, is_end: through >= end })
}

/// The events of those rows with their places, up to the one with which they hold as much as a page may;
/// whether that is all of them.
fn load(conn: &Connection, rows: &[Row]) -> Result<(Vec<Logged>, bool), Fail> {
    let (mut places, mut events, mut bytes) = (Places::default(), Vec::with_capacity(rows.len()), 0);
    for row in rows {
        let Some(place) = places.of(conn, row.conversation_id)? else { continue };
        let event = read(conn, row, place.kind)?;
        bytes += event.bytes();
        events.push(Logged { event, place });
        if bytes >= EVENT_BYTES_MAX {
            break;
        }
    }
    let is_whole = events.last().map(|logged| logged.event.id) == rows.last().map(|row| row.id);
    Ok((events, is_whole))
}

fn rows(conn: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Row>, Fail> {
    let found = conn
        .prepare_cached(sql)?
        .query_map(values, |row| {
            Ok(Row { id: EventId(row.get(0)?), added: row.get(1)?, conversation_id: ConversationId(row.get(2)?) })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// The next rows of one conversation.
pub(super) fn of_conversation(
    conn: &Connection,
    id: ConversationId,
    after: EventId,
    limit: usize,
) -> Result<Vec<Row>, Fail> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // Each half has its own limit, so that neither is read past what the page can hold.
    rows(
        conn,
        "select * from (select id, 1 as added, conversation_id from messages \
                        where conversation_id = ?1 and id > ?2 order by id limit ?3) \
         union all \
         select * from (select id, 0, conversation_id from events \
                        where conversation_id = ?1 and id > ?2 order by id limit ?3) \
         order by id limit ?3",
        params![id.0, after.0, limit],
    )
}

/// The next rows of a user's conversations of one kind. Only those are looked at in which something
/// happened since, and that is told by their heads.
fn of_user(
    conn: &Connection,
    user: UserId,
    kind: ConversationKind,
    after: EventId,
    limit: usize,
) -> Result<Vec<Row>, Fail> {
    let sql = match kind {
        ConversationKind::Direct => {
            "select p.conversation_id from participants p join heads h on h.conversation_id = p.conversation_id \
             where p.user_id = ?1 and p.listed_id is not null and h.event_id > ?2"
        }
        ConversationKind::AssistantChat => {
            "select c.id from conversations c join heads h on h.conversation_id = c.id \
             where c.user_id = ?1 and c.kind = 'assistant_chat' and h.event_id > ?2"
        }
        ConversationKind::LiveChat | ConversationKind::AssistantSession => return Ok(Vec::new()),
    };
    let moved: Vec<ConversationId> = conn
        .prepare_cached(sql)?
        .query_map(params![user.0, after.0], |row| row.get(0).map(ConversationId))?
        .collect::<rusqlite::Result<_>>()?;
    let mut found = Vec::new();
    for id in moved {
        found.extend(of_conversation(conn, id, after, limit)?);
        // No more than two pages are held, however many conversations there are.
        if found.len() >= 2 * limit {
            found.sort_unstable_by_key(|row| row.id);
            found.truncate(limit);
        }
    }
    found.sort_unstable_by_key(|row| row.id);
    found.truncate(limit);
    Ok(found)
}

/// The next rows that pass a filter, among the next [`FEED_SPAN`] numbers; and how far that was.
fn wide(
    conn: &Connection,
    filter: &str,
    value: &dyn ToSql,
    after: EventId,
    limit: usize,
    end: EventId,
) -> Result<(Vec<Row>, EventId), Fail> {
    // Numbers may be missing, many at once after a restore: the span begins where there is something.
    let first: Option<i64> = conn
        .prepare_cached(
            "select min(id) from (select * from (select id from messages where id > ?1 order by id limit 1) \
             union all select * from (select id from events where id > ?1 order by id limit 1))",
        )?
        .query_row([after.0], |row| row.get(0))?;
    let Some(first) = first else { return Ok((Vec::new(), end)) };
    let through = EventId(first.saturating_add(FEED_SPAN)).min(end);
    let sql = format!(
        "select x.id, x.added, x.conversation_id from ( \
           select id, 1 as added, conversation_id from messages where id > ?1 and id <= ?2 \
           union all \
           select id, 0, conversation_id from events where id > ?1 and id <= ?2) x \
         join conversations c on c.id = x.conversation_id where {filter} and ?4 is not null order by x.id limit ?3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok((rows(conn, &sql, params![after.0, through.0, limit, value])?, through))
}
