//! The audit of a store: is every promise about its rows kept?

use std::fmt;

use rusqlite::Connection;

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Conversations looked at.
    pub conversations: u64,
    /// Messages looked at, deleted ones too.
    pub messages: u64,
    /// Other events looked at.
    pub events: u64,
    /// What SQLite says of its pages and indexes; empty when all is well. If not, nothing else was
    /// looked at.
    pub damage: Vec<String>,
    /// Rows that refer to rows that are not there.
    pub orphans: u64,
    /// Conversations whose numbers are not 1, 2, 3, … up to their head.
    pub not_dense: u64,
    /// Conversations in which ids, instants and numbers do not grow together.
    pub out_of_order: u64,
    /// Conversations whose head is not the end of their log: readers would start at a wrong cursor.
    pub stale_heads: u64,
    /// Ids past the sequence that gives them out.
    pub past_sequence: u64,
    /// What lists and searches keep of letters (unread by somebody, by kind of device, the place in an
    /// inbox, the words) and that is not what the letters themselves give.
    pub miscounted: u64,
}

impl Audit {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.faults().iter().all(|(count, _)| *count == 0)
    }

    fn faults(&self) -> [(u64, &'static str); 6] {
        [
            (self.orphans, "rows without their parent"),
            (self.not_dense, "conversations with a hole in their numbers"),
            (self.out_of_order, "conversations out of order"),
            (self.stale_heads, "conversations whose head is not the end of their log"),
            (self.past_sequence, "ids past the sequence"),
            (self.miscounted, "counts of letters that are wrong"),
        ]
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.damage.is_empty() {
            return write!(f, "{}", self.damage.join("; "));
        }
        write!(f, "{} conversations, {} messages, {} other events", self.conversations, self.messages, self.events)?;
        if self.is_sound() {
            return f.write_str(", all sound");
        }
        for (count, what) in self.faults() {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// Checks every page, index, reference and number of the store.
///
/// # Errors
/// When SQLite cannot even read it.
pub fn audit(conn: &Connection) -> rusqlite::Result<Audit> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, u64>(0));
    let mut lines = conn.prepare("pragma integrity_check(20)")?;
    let damage = lines
        .query_map([], |row| row.get::<_, String>(0))?
        .filter(|line| !matches!(line, Ok(line) if line == "ok"))
        .collect::<Result<Vec<_>, _>>()?;
    // What stands in broken pages proves nothing, and reading it may fail: the damage itself is the
    // answer.
    if !damage.is_empty() {
        return Ok(Audit { damage, ..Audit::default() });
    }
    Ok(Audit {
        conversations: number("select count(*) from conversations")?,
        messages: number("select count(*) from messages")?,
        events: number("select count(*) from events")?,
        damage,
        orphans: number("select count(*) from pragma_foreign_key_check()")?,
        // From the conversations and not from the heads: one that lost its head has a hole too.
        not_dense: number(
            "with log as (select conversation_id, seq from messages union all select conversation_id, seq from events), \
             counted as (select conversation_id, count(*) as n, count(distinct seq) as d, min(seq) as low, max(seq) as high \
                         from log group by conversation_id) \
             select count(*) from conversations k left join heads h on h.conversation_id = k.id \
             left join counted c on c.conversation_id = k.id \
             where h.seq is not coalesce(c.n, 0) or coalesce(c.d, 0) <> coalesce(c.n, 0) \
                or coalesce(c.low, 1) <> 1 or coalesce(c.high, 0) <> coalesce(c.n, 0)",
        )?,
        out_of_order: number(
            "with log as (select conversation_id, seq, id, created_at as at from messages \
                          union all select conversation_id, seq, id, at from events), \
             pairs as (select conversation_id, id, at, lag(id) over log_order as id_before, lag(at) over log_order as at_before \
                       from log window log_order as (partition by conversation_id order by seq)) \
             select count(distinct conversation_id) from pairs where id_before >= id or at_before > at",
        )?,
        stale_heads: number(
            "with log as (select conversation_id, id, id as message_id from messages \
                          union all select conversation_id, id, null from events), \
             ends as (select conversation_id, max(id) as event_id, max(message_id) as message_id from log \
                      group by conversation_id) \
             select count(*) from heads h left join ends e on e.conversation_id = h.conversation_id \
             where h.event_id <> coalesce(e.event_id, 0) or h.message_id <> coalesce(e.message_id, 0)",
        )?,
        past_sequence: number(
            "select (select count(*) from messages where id > s.value) + (select count(*) from events where id > s.value) \
             from sequences s where s.name = 'event'",
        )?,
        miscounted: miscounted(conn)?,
    })
}

/// A store from before there were letters has none that could be counted wrongly.
fn miscounted(conn: &Connection) -> rusqlite::Result<u64> {
    let has_letters = "select exists (select 1 from sqlite_master where name = 'letters')";
    if !conn.query_row(has_letters, [], |row| row.get::<_, bool>(0))? {
        return Ok(0);
    }
    conn.query_row(
        "select (select count(*) from participants p where p.kind = 'user' and p.unread <> ( \
                    select count(*) from letters l where l.conversation_id = p.conversation_id \
                    and l.receiver_id = p.user_id and l.read_at is null and l.is_gone = 0)) \
               + (select count(*) from device_counts d where d.total <> ( \
                    select count(*) from messages m join letters l on l.message_id = m.id \
                    where m.conversation_id = d.conversation_id and l.device_kind = d.device_kind and l.is_gone = 0)) \
              + (select count(*) from (select 1 from letters l where l.is_gone = 0 and not exists ( \
                   select 1 from device_counts d where d.conversation_id = l.conversation_id \
                   and d.device_kind = l.device_kind) group by l.conversation_id, l.device_kind)) \
              + (select abs((select count(*) from letters where is_gone = 0) - (select count(*) from letter_search))) \
              + (select count(*) from participants p join heads h on h.conversation_id = p.conversation_id \
                 where p.listed_id is not null and p.listed_id <> h.message_id)",
        [],
        |row| row.get(0),
    )
}
