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
    /// What SQLite says of its pages and indexes; empty when all is well.
    pub damage: Vec<String>,
    /// Rows that refer to rows that are not there.
    pub orphans: u64,
    /// Conversations whose numbers are not 1, 2, 3, … up to their head.
    pub not_dense: u64,
    /// Conversations in which ids and numbers do not grow together.
    pub out_of_order: u64,
    /// Ids past the sequence that gives them out.
    pub past_sequence: u64,
}

impl Audit {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.orphans + self.not_dense + self.out_of_order + self.past_sequence == 0
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} conversations, {} messages, {} other events", self.conversations, self.messages, self.events)?;
        if self.is_sound() {
            return f.write_str(", all sound");
        }
        for (count, what) in [
            (self.orphans, "rows without their parent"),
            (self.not_dense, "conversations with a hole in their numbers"),
            (self.out_of_order, "conversations out of order"),
            (self.past_sequence, "ids past the sequence"),
        ] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        self.damage.iter().try_for_each(|line| write!(f, "; {line}"))
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
        .collect::<Result<_, _>>()?;
    Ok(Audit {
        conversations: number("select count(*) from conversations")?,
        messages: number("select count(*) from messages")?,
        events: number("select count(*) from events")?,
        damage,
        orphans: number("select count(*) from pragma_foreign_key_check()")?,
        not_dense: number(
            "with log as (select conversation_id, seq from messages union all select conversation_id, seq from events), \
             counted as (select conversation_id, count(*) as n, count(distinct seq) as d, min(seq) as low, max(seq) as high \
                         from log group by conversation_id) \
             select count(*) from heads h left join counted c on c.conversation_id = h.conversation_id \
             where h.seq <> coalesce(c.n, 0) or coalesce(c.d, 0) <> coalesce(c.n, 0) \
                or coalesce(c.low, 1) <> 1 or coalesce(c.high, 0) <> coalesce(c.n, 0)",
        )?,
        out_of_order: number(
            "with log as (select conversation_id, seq, id from messages \
                          union all select conversation_id, seq, id from events), \
             pairs as (select conversation_id, id, lag(id) over (partition by conversation_id order by seq) as before from log) \
             select count(distinct conversation_id) from pairs where before >= id",
        )?,
        past_sequence: number(
            "select (select count(*) from messages where id > s.value) + (select count(*) from events where id > s.value) \
             from sequences s where s.name = 'event'",
        )?,
    })
}
