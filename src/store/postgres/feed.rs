//! The log as those see it who follow more than one conversation.
//!
//! Nobody is shown an event above the horizon: one with a smaller number may still become visible behind it. A single
//! conversation has no such gap, because its numbers are drawn under its lock.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::types::ToSql;

use super::conn::Conn;
use super::core::Core;
use super::fail::Fail;
use super::log::{self, Row};
use super::{place, rows};
use crate::domain::{ConversationId, ConversationKind, Event, EventId, Logged, Place, Scope, UserId};
use crate::store::{FEED_SPAN, FeedPage};

/// How far everything has been decided.
pub(super) async fn horizon(core: &Core, conn: &Conn) -> Result<EventId, Fail> {
    Ok(core.decided(EventId(conn.one("select event_horizon()", &[]).await?.try_get(0)?)))
}

/// The last number that was given out; it may not be visible yet.
pub(super) async fn newest(conn: &Conn) -> Result<EventId, Fail> {
    let row = conn.one("select last_value - (not is_called)::int from event_ids", &[]).await?;
    Ok(EventId(row.try_get(0)?))
}

/// A page of what happened in a scope after the cursor.
pub(super) async fn page(
    core: &Core,
    conn: &Conn,
    scope: Scope,
    after: EventId,
    limit: usize,
) -> Result<FeedPage, Fail> {
    // Before the rows are read: what is decided by now is seen by the statements that follow.
    let end = horizon(core, conn).await?;
    let (mut rows, mut through) = match scope {
        // Its own order holds above the horizon, too: but the cursor may be used elsewhere.
        Scope::Conversation(id) => (of_conversation(conn, id, after, limit + 1).await?, end),
        _ if after >= end => (Vec::new(), after),
        Scope::User(user, kind) => (of_user(conn, user, kind, after, limit + 1, end).await?, end),
        Scope::All => wide(conn, "$4::bigint = 0", &0_i64, after, limit + 1, end).await?,
        Scope::Kind(kind) => {
            wide(conn, &in_conversations("c.kind = $4"), &kind.as_str(), after, limit + 1, end).await?
        }
        Scope::Platform(id) => {
            wide(conn, &in_conversations("c.platform_id = $4"), &id.0, after, limit + 1, end).await?
        }
    };
    let mut is_end = through >= end;
    if rows.len() > limit {
        rows.truncate(limit);
        through = rows.last().map_or(after, |row| row.id);
        is_end = false;
    }
    let (events, is_whole) = load(core, conn, &rows).await?;
    if !is_whole {
        through = events.last().map_or(after, |logged| logged.event.id);
        is_end = false;
    }
    let last = events.last().map_or(after, |logged| logged.event.id);
    Ok(FeedPage { events, through: through.max(last).max(after), is_end })
}

/// The events of those rows with their places, up to the one with which they hold as much as a page may; whether that
/// is all of them.
async fn load(core: &Core, conn: &Conn, rows: &[Row]) -> Result<(Vec<Logged>, bool), Fail> {
    if rows.is_empty() {
        return Ok((Vec::new(), true));
    }
    let places = places(core, conn, rows).await?;
    let (events, is_whole) = log::read_bounded(conn, rows).await?;
    Ok((events.into_iter().filter_map(|event| located(event, &places)).collect(), is_whole))
}

fn located(event: Event, places: &HashMap<ConversationId, Arc<Place>>) -> Option<Logged> {
    let place = places.get(&event.conversation_id)?;
    Some(Logged { event, place: Arc::clone(place) })
}

async fn places(core: &Core, conn: &Conn, rows: &[Row]) -> Result<HashMap<ConversationId, Arc<Place>>, Fail> {
    let mut places = HashMap::new();
    let mut missing = Vec::new();
    for row in rows {
        if places.contains_key(&row.conversation_id) {
            continue;
        }
        match core.held_place(row.conversation_id) {
            Some(place) => drop(places.insert(row.conversation_id, place)),
            None => missing.push(row.conversation_id),
        }
    }
    if !missing.is_empty() {
        for place in place::find_all(conn, &missing).await? {
            let place = Arc::new(place);
            core.hold_place(&place);
            places.insert(place.conversation_id, place);
        }
    }
    Ok(places)
}

async fn found(conn: &Conn, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Fail> {
    let found = conn.rows(sql, values).await?;
    let row = |row: &tokio_postgres::Row| {
        Ok(Row {
            id: EventId(row.try_get(0)?),
            added: row.try_get(1)?,
            conversation_id: ConversationId(row.try_get(2)?),
        })
    };
    found.iter().map(row).collect()
}

/// The next rows of one conversation.
pub(super) async fn of_conversation(
    conn: &Conn,
    id: ConversationId,
    after: EventId,
    limit: usize,
) -> Result<Vec<Row>, Fail> {
    // Each half has its own limit, so that neither is read past what the page can hold. One statement: both halves see
    // the same commits.
    found(
        conn,
        "select * from (select id, true as added, conversation_id from messages \
                        where conversation_id = $1 and id > $2 order by id limit $3) a \
         union all \
         select * from (select id, false, conversation_id from events \
                        where conversation_id = $1 and id > $2 order by id limit $3) b \
         order by id limit $3",
        &[&id.0, &after.0, &rows::limit(limit)],
    )
    .await
}

/// The next rows of a user's conversations of one kind. Only those are looked at in which something happened since, and
/// that is told by their heads.
async fn of_user(
    conn: &Conn,
    user: UserId,
    kind: ConversationKind,
    after: EventId,
    limit: usize,
    end: EventId,
) -> Result<Vec<Row>, Fail> {
    let moved = match kind {
        ConversationKind::Direct => {
            "select p.conversation_id from participants p join heads h on h.conversation_id = p.conversation_id \
             where p.user_id = $1 and p.listed_id is not null and h.event_id > $2"
        }
        ConversationKind::AssistantChat => {
            "select c.id as conversation_id from conversations c join heads h on h.conversation_id = c.id \
             where c.user_id = $1 and c.kind = 'assistant_chat' and h.event_id > $2"
        }
        ConversationKind::LiveChat | ConversationKind::AssistantSession => return Ok(Vec::new()),
    };
    let sql = format!(
        "select x.id, x.added, x.conversation_id from ({moved}) s cross join lateral ( \
             select * from (select m.id, true as added, m.conversation_id from messages m \
                 where m.conversation_id = s.conversation_id and m.id > $2 and m.id <= $4 order by m.id limit $3) a \
             union all \
             select * from (select e.id, false, e.conversation_id from events e \
                 where e.conversation_id = s.conversation_id and e.id > $2 and e.id <= $4 order by e.id limit $3) b \
         ) x order by x.id limit $3"
    );
    found(conn, &sql, &[&user.0, &after.0, &rows::limit(limit), &end.0]).await
}

/// Passes rows whose conversation is so. A look at each, because they come in their order and most pages are full
/// after a few.
fn in_conversations(condition: &str) -> String {
    format!("(select {condition} from conversations c where c.id = x.conversation_id)")
}

/// The next rows that pass a filter, among the next [`FEED_SPAN`] numbers; and how far that was.
async fn wide(
    conn: &Conn,
    filter: &str,
    value: &(dyn ToSql + Sync),
    after: EventId,
    limit: usize,
    end: EventId,
) -> Result<(Vec<Row>, EventId), Fail> {
    // Numbers may be missing, many at once after a crash: the span begins where there is something.
    let first = conn
        .one(
            "select least((select id from messages where id > $1 order by id limit 1), \
                          (select id from events where id > $1 order by id limit 1))",
            &[&after.0],
        )
        .await?;
    let Some(first) = first.try_get::<_, Option<i64>>(0)? else { return Ok((Vec::new(), end)) };
    let through = EventId(first.saturating_add(FEED_SPAN)).min(end);
    let sql = format!(
        "select x.id, x.added, x.conversation_id from ( \
             select * from (select id, true as added, conversation_id from messages \
                            where id > $1 and id <= $2 order by id) a \
             union all \
             select * from (select id, false, conversation_id from events \
                            where id > $1 and id <= $2 order by id) b \
             order by id) x \
         where {filter} order by x.id limit $3"
    );
    Ok((found(conn, &sql, &[&after.0, &through.0, &rows::limit(limit), value]).await?, through))
}
