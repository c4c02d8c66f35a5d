//! The log as those see it who follow more than one conversation.
//!
//! Nobody is shown an event above the horizon: one with a smaller number may still become visible behind it. A single
//! conversation has no such gap, because its numbers are drawn under its lock.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;

use super::conn::Conn;
use super::core::Core;
use super::fail::Fail;
use super::log::{self, Row};
use super::{place, rows};
use crate::domain::{ConversationId, ConversationKind, Event, EventId, Logged, Place, Scope};
use crate::store::{FEED_SPAN, FeedPage};

const HORIZON: &str = "select event_horizon()";

/// How far everything has been decided.
pub(super) async fn horizon(core: &Core, conn: &Conn) -> Result<EventId, Fail> {
    Ok(core.decided(EventId(conn.one(HORIZON, &[]).await?.try_get(0)?)))
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
    let listing = Listing::of(scope, after, limit);
    // What others find out while the rows are read may be above what these rows show.
    let known = core.known_horizon();
    // What is decided by the first is seen by the second.
    let (read, found) = conn.pair((HORIZON, &[]), (&listing.sql, &listing.values())).await?;
    let read = EventId(read.first().map_or(Ok(after.0), |row| row.try_get(0))?);
    core.decided(read);
    let end = known.max(read);
    let mut rows = listed(&found)?;
    // A conversation's own order holds above the horizon, too: but the cursor may be used elsewhere.
    if !matches!(scope, Scope::Conversation(_)) {
        rows.retain(|row| row.id <= end);
    }
    let mut through = listing.through(&found)?.map_or(end, |through| through.min(end));
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

/// The statement that lists the next rows of a scope, one more than were asked for, and its values.
struct Listing {
    sql: String,
    /// The cursor, and how many rows.
    bounds: [i64; 2],
    more: Option<Box<dyn ToSql + Sync + Send>>,
    /// Whether rows carry where the span began that was looked at, in a column behind the others.
    is_wide: bool,
}

impl Listing {
    fn of(scope: Scope, after: EventId, limit: usize) -> Self {
        let (sql, more, is_wide): (_, Option<Box<dyn ToSql + Sync + Send>>, _) = match scope {
            Scope::Conversation(id) => (OF_CONVERSATION.to_owned(), Some(Box::new(id.0)), false),
            Scope::User(user, kind) => (of_user(kind), Some(Box::new(user.0)), false),
            Scope::All => (wide("true"), None, true),
            Scope::Kind(kind) => (wide(&in_conversations("c.kind = $3")), Some(Box::new(kind.as_str())), true),
            Scope::Platform(id) => (wide(&in_conversations("c.platform_id = $3")), Some(Box::new(id.0)), true),
        };
        Self { sql, bounds: [after.0, rows::limit(limit + 1)], more, is_wide }
    }

    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        let bounds = self.bounds.iter().map(|bound| bound as &(dyn ToSql + Sync));
        bounds.chain(self.more.iter().map(|more| &**more as &(dyn ToSql + Sync))).collect()
    }

    /// How far was looked, if that was not as far as there is something.
    fn through(&self, found: &[SqlRow]) -> Result<Option<EventId>, Fail> {
        let Some(row) = found.first().filter(|_| self.is_wide) else { return Ok(None) };
        let first: Option<i64> = row.try_get(3)?;
        Ok(first.map(|first| EventId(first.saturating_add(FEED_SPAN))))
    }
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

/// What was listed; a row without a number says that there was nothing.
fn listed(found: &[SqlRow]) -> Result<Vec<Row>, Fail> {
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        if let Some(id) = row.try_get::<_, Option<i64>>(0)? {
            let conversation_id = ConversationId(row.try_get(2)?);
            rows.push(Row { id: EventId(id), added: row.try_get(1)?, conversation_id });
        }
    }
    Ok(rows)
}

/// Each half has its own limit, so that neither is read past what the page can hold. One statement: both halves see the
/// same commits.
const OF_CONVERSATION: &str = "select * from ( \
         select id, true as added, conversation_id from messages \
         where conversation_id = $3 and id > $1 order by id limit $2) a \
     union all \
     select * from (select id, false, conversation_id from events \
                    where conversation_id = $3 and id > $1 order by id limit $2) b \
     order by id limit $2";

/// The next rows of one conversation.
pub(super) async fn of_conversation(
    conn: &Conn,
    id: ConversationId,
    after: EventId,
    limit: usize,
) -> Result<Vec<Row>, Fail> {
    listed(&conn.rows(OF_CONVERSATION, &[&after.0, &rows::limit(limit), &id.0]).await?)
}

/// The next rows of a user's conversations of one kind. Only those are looked at in which something happened since, and
/// that is told by their heads.
fn of_user(kind: ConversationKind) -> String {
    let moved = match kind {
        ConversationKind::Direct => {
            "select p.conversation_id from participants p join heads h on h.conversation_id = p.conversation_id \
             where p.user_id = $3 and p.listed_id is not null and h.event_id > $1"
        }
        ConversationKind::AssistantChat => {
            "select c.id as conversation_id from conversations c join heads h on h.conversation_id = c.id \
             where c.user_id = $3 and c.kind = 'assistant_chat' and h.event_id > $1"
        }
        // Nobody who signs in has these.
        ConversationKind::LiveChat | ConversationKind::AssistantSession => {
            "select c.id as conversation_id from conversations c where c.id = $3 and false"
        }
    };
    format!(
        "select x.id, x.added, x.conversation_id from ({moved}) s cross join lateral ( \
             select * from (select m.id, true as added, m.conversation_id from messages m \
                 where m.conversation_id = s.conversation_id and m.id > $1 order by m.id limit $2) a \
             union all \
             select * from (select e.id, false, e.conversation_id from events e \
                 where e.conversation_id = s.conversation_id and e.id > $1 order by e.id limit $2) b \
         ) x order by x.id limit $2"
    )
}

/// Passes rows whose conversation is so. A look at each, because they come in their order and most pages are full
/// after a few.
fn in_conversations(condition: &str) -> String {
    format!("(select {condition} from conversations c where c.id = x.conversation_id)")
}

/// The next rows that pass a filter, among the next [`FEED_SPAN`] numbers, each with where those begin. Numbers may be
/// missing, many at once after a crash: the span begins where there is something.
fn wide(filter: &str) -> String {
    format!(
        "select y.id, y.added, y.conversation_id, s.first from ( \
             select least((select id from messages where id > $1 order by id limit 1), \
                          (select id from events where id > $1 order by id limit 1)) as first) s \
         left join lateral ( \
             select x.id, x.added, x.conversation_id from ( \
                 select * from (select id, true as added, conversation_id from messages \
                                where id > $1 and id <= s.first + {FEED_SPAN} order by id) a \
                 union all \
                 select * from (select id, false, conversation_id from events \
                                where id > $1 and id <= s.first + {FEED_SPAN} order by id) b \
                 order by id) x \
             where {filter} order by x.id limit $2) y on true \
         order by y.id"
    )
}
