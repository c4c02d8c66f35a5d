//! A batch of messages as one statement: one round trip, one transaction, however many senders.
//!
//! The statement is put together from parts, so that a batch pays for what it holds: nothing is looked up where no
//! message has a key, nothing is sorted where no two are for one conversation. What it costs is mostly that it begins
//! and ends, so it is one and not several, and no function of the server's.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::conn::Conn;
use super::fail::Fail;
use super::{letters, rows};
use crate::domain::{EventId, Role, Timestamp};
use crate::error::Error;
use crate::store::{NewLetter, NewMessage};

/// What became of a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    /// It has these numbers now.
    Added { id: EventId, seq: u64, at: Timestamp },
    /// Nothing is written of it. It wants a transaction of its own ([`super::messages::append`]): its key was used
    /// before, the conversation has to be opened first, or there is none.
    Alone,
}

/// Appends those messages; no two bear one key in one conversation.
///
/// # Errors
/// A unique violation, when another node has just written a message with one of the keys: who asks again finds it.
pub(super) async fn append(conn: &Conn, new: &[&NewMessage]) -> Result<Vec<Verdict>, Fail> {
    // Everybody locks in this order, so that two who append to the same conversations wait and do not deadlock. It keeps
    // the order of those for one conversation.
    let mut order: Vec<_> = (0..new.len()).collect();
    order.sort_by_key(|&place| new[place].conversation_id);
    let sorted: Vec<_> = order.iter().map(|&place| new[place]).collect();
    let mut verdicts = vec![Verdict::Alone; new.len()];
    for row in write(conn, &sorted).await? {
        let place = usize::try_from(row.try_get::<_, i64>(0)? - 1).ok().and_then(|nth| order.get(nth));
        let Some(verdict) = place.and_then(|&place| verdicts.get_mut(place)) else {
            return Err(Fail::Refused(Error::internal("an append answered for a message that it was not given")));
        };
        let (id, at) = (EventId(row.try_get(1)?), Timestamp(row.try_get(3)?));
        *verdict = Verdict::Added { id, seq: rows::count(&row, 2)?, at };
    }
    Ok(verdicts)
}

/// Writes messages that are in the order of their conversations. Answers for those that it wrote.
async fn write(conn: &Conn, new: &[&NewMessage]) -> Result<Vec<Row>, Fail> {
    let conversations: Vec<_> = new.iter().map(|one| one.conversation_id.0).collect();
    let instants: Vec<_> = new.iter().map(|one| one.at.0).collect();
    let uuids: Vec<_> = new.iter().map(|one| one.uuid).collect();
    let roles: Vec<_> = new.iter().map(|one| one.role.as_str()).collect();
    let users = sparse(new, |one| one.user_id.map(|user| user.0));
    let texts: Vec<_> = new.iter().map(|one| one.text.as_str()).collect();
    let metadatas = sparse(new, |one| one.metadata.as_ref().map(|json| json.0.as_str()));
    let replies = sparse(new, |one| one.reply_to.map(|id| id.0));
    let keys = sparse(new, |one| one.idempotency.as_ref().map(|held| held.key.as_str()));
    let fingerprints = sparse(new, |one| one.idempotency.as_ref().map(|held| held.fingerprint.as_slice()));
    let values: [&(dyn ToSql + Sync); 10] =
        [&conversations, &instants, &uuids, &roles, &users, &texts, &metadatas, &replies, &keys, &fingerprints];
    let sql = Shape::of(new).sql();
    if new.iter().all(|one| one.letter.is_none()) {
        return conn.rows(&sql, &values).await;
    }
    let receivers = column(new, |letter| letter.receiver_id.0);
    let kinds = column(new, |letter| letter.kind.as_str());
    let attachments = column(new, |letter| letter.attachments.0.as_str());
    let devices = column(new, |letter| letter.device.details.0.as_str());
    let device_kinds = column(new, |letter| letter.device.kind.as_str());
    let words = sparse(new, |one| {
        let letter = one.letter.as_ref()?;
        Some(letters::lexemes(one.user_id, letter.receiver_id, one.text.as_str()).join(" "))
    });
    let beside: [&(dyn ToSql + Sync); 6] = [&receivers, &kinds, &attachments, &devices, &device_kinds, &words];
    conn.rows(&sql, &[&values[..], &beside].concat()).await
}

/// Something of each letter; nothing of what is none.
fn column<'a, T>(new: &[&'a NewMessage], of: impl Fn(&'a NewLetter) -> T) -> Vec<Option<T>> {
    sparse(new, |one| one.letter.as_ref().map(&of))
}

/// What few messages have. Where none does nothing is sent: behind an array's end there are nulls.
fn sparse<'a, T>(new: &[&'a NewMessage], of: impl Fn(&'a NewMessage) -> Option<T>) -> Vec<Option<T>> {
    let column: Vec<_> = new.iter().map(|one| of(one)).collect();
    if column.iter().all(Option::is_none) { Vec::new() } else { column }
}

/// What a batch holds, as far as its statement depends on it.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether a part of the statement is there")]
struct Shape {
    /// Several for one conversation.
    twins: bool,
    keys: bool,
    /// Somebody's who joins by writing.
    joins: bool,
    letters: bool,
}

impl Shape {
    /// That of messages in the order of their conversations.
    fn of(new: &[&NewMessage]) -> Self {
        Self {
            twins: new.windows(2).any(|pair| pair[0].conversation_id == pair[1].conversation_id),
            keys: new.iter().any(|one| one.idempotency.is_some()),
            joins: new.iter().any(|one| matches!(one.role, Role::Staff | Role::Assistant)),
            letters: new.iter().any(|one| one.letter.is_some()),
        }
    }

    fn sql(self) -> String {
        let [before, behind] = if self.twins { TWINS } else { SINGLE };
        let unless_sent = if self.keys { UNLESS_SENT } else { "" };
        let joined = if self.joins { JOINED } else { "" };
        let letters = if self.letters { LETTERS } else { "" };
        format!("with {before}{MAY_BE}{unless_sent}{behind}{WRITTEN}{joined}{letters} select n, id, seq, at from new")
    }
}

/// Numbers messages of which each is for another conversation: by moving the heads, and nothing before it.
///
/// A head is locked when it is moved, and its number was drawn before. That is as good: the number is drawn for the
/// version that was read, and if that is not the last one any more when it is locked, the server takes the last one and
/// draws again. So it is above the number of whoever wrote the version that it replaces. `offset 0`, and the instant beside
/// it, keep the number from being drawn once for each column, or once for all rows.
const SINGLE: [&str; 2] = [
    "new as ( \
         update heads h set seq = h.seq + 1, \
             (event_id, message_id, message_at, last_activity_at, updated_at, listed_at) = ( \
                 select d.id, d.id, d.at, d.at, d.at, case when h.listed_at is not null then d.at / 16000000 end \
                 from (select nextval('event_ids') as id, greatest(h.last_activity_at, x.instant) as at offset 0) d) \
         from unnest($1::bigint[], $2::bigint[]) with ordinality as x (conversation_id, instant, n) \
         where h.conversation_id = x.conversation_id",
    " returning x.n, h.conversation_id, h.event_id as id, h.seq, h.updated_at as at)",
];

/// Numbers messages of which several are for one conversation: their heads are locked, and moved to the last of each.
const TWINS: [&str; 2] = [
    "locked as materialized ( \
         select x.n, h.conversation_id, h.seq, greatest(h.last_activity_at, x.instant) as at \
         from unnest($1::bigint[], $2::bigint[]) with ordinality as x (conversation_id, instant, n) \
         join heads h on h.conversation_id = x.conversation_id where true",
    " for update of h \
     ), new as materialized ( \
         select l.n, l.conversation_id, nextval('event_ids') as id, l.seq + row_number() over w as seq, \
             max(l.at) over w as at \
         from locked l window w as (partition by l.conversation_id order by l.n) \
     ), moved as ( \
         update heads h set seq = m.seq, event_id = m.id, message_id = m.id, message_at = m.at, \
             last_activity_at = m.at, updated_at = m.at, \
             listed_at = case when h.listed_at is not null then m.at / 16000000 end \
         from (select conversation_id, max(seq) as seq, max(id) as id, max(at) as at from new \
               group by conversation_id) m \
         where h.conversation_id = m.conversation_id)",
];

/// Whether a message may be written: who is not the team may have to open the chat first. The horizon is held before any
/// row is looked at, and so before a number is drawn.
const MAY_BE: &str = " and (select hold_horizon()) and (h.is_active or ($4::text[])[x.n] <> 'user')";

/// Whether its key is new. What is committed while this waits for a head is not seen here: the index refuses it.
const UNLESS_SENT: &str = " and ( \
     select m.id from messages m \
     where m.conversation_id = x.conversation_id and m.idempotency_key = ($9::text[])[x.n] \
         and coalesce(m.user_id, 0) = coalesce(($5::bigint[])[x.n], 0) \
         and (m.user_id is not null or m.role = ($4::text[])[x.n]) \
     limit 1) is null";

const WRITTEN: &str = ", written as ( \
     insert into messages (conversation_id, id, uuid, seq, role, user_id, text, metadata, reply_to, idempotency_key, \
                           fingerprint, created_at, updated_at) \
     select conversation_id, id, ($3::uuid[])[n], seq, ($4::text[])[n], ($5::bigint[])[n], ($6::text[])[n], \
         ($7::text[])[n], ($8::bigint[])[n], ($9::text[])[n], ($10::bytea[])[n], at, at \
     from new)";

/// Notes the participants who write for the first time.
const JOINED: &str = ", joined as ( \
     insert into participants (conversation_id, kind, user_id, joined_at) \
     select x.conversation_id, x.role, case when x.role = 'staff' then coalesce(x.user_id, 0) else 0 end, x.at \
     from (select *, ($4::text[])[n] as role, ($5::bigint[])[n] as user_id from new) x \
     where x.role in ('staff', 'assistant') order by x.n \
     on conflict do nothing)";

/// Writes what makes messages letters, and counts them. The heads are moved by now, or locked: nobody else changes what
/// these conversations keep beside them. A participant's row may be newer than what this statement sees, and then what
/// is set is computed again: from rows that were joined, because a query over them would be a second run of this.
const LETTERS: &str = ", told as materialized ( \
     select x.* from ( \
         select conversation_id, id, ($11::bigint[])[n] as receiver_id, ($12::text[])[n] as kind, \
             ($13::text[])[n] as attachments, ($14::text[])[n] as device, ($15::text[])[n] as device_kind, \
             ($16::text[])[n] as words \
         from new) x \
     where x.receiver_id is not null \
     ), letter as ( \
         insert into letters (conversation_id, message_id, receiver_id, kind, attachments, device, device_kind, \
                              is_gone) \
         select x.conversation_id, x.id, x.receiver_id, x.kind, x.attachments, x.device, x.device_kind, false from told x \
     ), counted as ( \
         update participants p set listed_id = case when p.listed_id is not null then c.last end, \
             unread = p.unread + cardinality(array_positions(c.receivers, p.user_id)) \
         from (select x.conversation_id, max(x.id) as last, array_agg(x.receiver_id) as receivers from told x \
               group by x.conversation_id) c \
         where p.conversation_id = c.conversation_id and p.kind = 'user' \
     ), device as ( \
         insert into device_counts (conversation_id, device_kind, total) \
         select x.conversation_id, x.device_kind, count(*) from told x group by x.conversation_id, x.device_kind \
         on conflict (conversation_id, device_kind) do update set total = device_counts.total + excluded.total \
     ), searched as ( \
         insert into letter_search (conversation_id, message_id, words) \
         select x.conversation_id, x.id, array_to_tsvector(string_to_array(x.words, ' ')) from told x)";
