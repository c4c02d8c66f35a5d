//! Conversations, their heads and who takes part.

use std::sync::Arc;

use tokio_postgres::Row;

use super::attachments;
use super::conn::{Conn, Tx, Values};
use super::fail::Fail;
use super::rows;
use super::search;
use crate::domain::{
    Assignment, Change, Contact, Conversation, ConversationId, ConversationKind, ConversationState, Event, EventBody,
    EventId, Head, Json, Participant, ParticipantKind, PlatformId, Tag, Timestamp, UserId, WhileAnswering,
};
use crate::error::{Error, Rule};
pub(super) use crate::store::log::{Name, listed_at};
use crate::store::state_row::StateRow;
use crate::store::{ConversationFilter, Desk, NewConversation, Page, StateChange, merged_contact};

pub(super) const COLUMNS: &str = "c.id, c.uuid, c.kind, c.key, c.user_id, c.external_user_id, c.contact_name, \
     c.contact_email, c.contact_phone, c.metadata, c.expires_at, c.created_at, \
     h.seq, h.event_id, h.message_id, h.message_at, h.is_active, h.assigned_user_id, h.assigned_at, \
     h.last_activity_at, h.updated_at, c.platform_id, c.tag_kind, c.tag_id, c.title, c.model, c.is_archived, c.edited_at, \
     c.while_answering";
/// The tables that they are in.
pub(super) const TABLES: &str = "conversations c join heads h on h.conversation_id = c.id";
/// Where columns that follow them begin.
pub(super) const MORE: usize = 29;

/// The key's field name on the wire of the doors that let a client choose it.
const KEY_FIELD: &str = "session_id";

pub(super) fn from_row(row: &Row) -> Result<Conversation, Fail> {
    let assigned = match (row.try_get(17)?, row.try_get(18)?) {
        (Some(user), Some(at)) => Some(Assignment { user_id: UserId(user), at: Timestamp(at) }),
        _ => None,
    };
    let created_at = row.try_get(11)?;
    Ok(Conversation {
        id: ConversationId(row.try_get(0)?),
        uuid: row.try_get(1)?,
        kind: rows::word(row, 2, ConversationKind::parse)?,
        key: row.try_get(3)?,
        platform_id: row.try_get::<_, Option<i64>>(21)?.map(PlatformId),
        user_id: row.try_get::<_, Option<i64>>(4)?.map(UserId),
        tag: Tag { kind: row.try_get(22)?, id: row.try_get(23)? },
        state: ConversationState {
            is_active: row.try_get(16)?,
            assigned,
            expires_at: row.try_get::<_, Option<i64>>(10)?.map(Timestamp),
            external_user_id: row.try_get(5)?,
            contact: Contact { name: row.try_get(6)?, email: row.try_get(7)?, phone: row.try_get(8)? },
            metadata: Json(row.try_get(9)?),
            title: row.try_get(24)?,
            model: row.try_get(25)?,
            is_archived: row.try_get(26)?,
            while_answering: while_answering(row)?,
        },
        head: Head {
            seq: rows::count(row, 12)?,
            event_id: EventId(row.try_get(13)?),
            message_id: EventId(row.try_get(14)?),
            message_at: row.try_get::<_, Option<i64>>(15)?.map(Timestamp),
        },
        last_activity_at: Timestamp(row.try_get(19)?),
        created_at: Timestamp(created_at),
        edited_at: Timestamp(row.try_get::<_, Option<i64>>(27)?.unwrap_or(created_at)),
        updated_at: Timestamp(row.try_get(20)?),
    })
}

fn while_answering(row: &Row) -> Result<Option<WhileAnswering>, Fail> {
    match row.try_get::<_, Option<&str>>(28)? {
        None => Ok(None),
        Some(_) => rows::word(row, 28, WhileAnswering::parse).map(Some),
    }
}

/// The statement that reads the conversations of a condition.
pub(super) fn those(which: &str) -> String {
    format!("select {COLUMNS} from {TABLES} where {which}")
}

pub(super) async fn one(conn: &Conn, condition: &str, values: Values<'_>) -> Result<Option<Conversation>, Fail> {
    conn.opt(&those(condition), values).await?.as_ref().map(from_row).transpose()
}

pub(super) async fn by_id(conn: &Conn, id: ConversationId) -> Result<Option<Conversation>, Fail> {
    one(conn, "c.id = $1", &[&id.0]).await
}

/// The conversation, with its head locked until the transaction ends: whoever writes to its log begins with this.
///
/// Two statements, because one would see the conversation's other row as it was before it waited for the lock. They go
/// out together.
pub(super) async fn lock(tx: &Tx, id: ConversationId) -> Result<Option<Conversation>, Fail> {
    let (locked, values): (_, Values<'_>) = ("select 1 from heads where conversation_id = $1 for update", &[&id.0]);
    let (_, rows) = tx.pair((locked, values), (&those("c.id = $1"), values)).await?;
    rows.first().map(from_row).transpose()
}

/// Written so that no index over kinds is taken for it: a server without statistics knows nothing of what a uuid is.
const OF_UUID: &str = "(c.kind = $1) is true and c.uuid = $2";

pub(super) async fn find(conn: &Conn, kind: ConversationKind, name: &Name) -> Result<Option<Conversation>, Fail> {
    let word = kind.as_str();
    match name {
        Name::Key(key) => by_key(conn, kind, key).await,
        Name::Uuid(uuid) => one(conn, OF_UUID, &[&word, uuid]).await,
        Name::Id(id) => one(conn, "c.kind = $1 and c.id = $2", &[&word, &id.0]).await,
        Name::Either(uuid, key) => {
            let by_uuid = match uuid {
                Some(uuid) => one(conn, OF_UUID, &[&word, uuid]).await?,
                None => None,
            };
            match by_uuid {
                Some(found) => Ok(Some(found)),
                None => by_key(conn, kind, key).await,
            }
        }
    }
}

async fn by_key(conn: &Conn, kind: ConversationKind, key: &str) -> Result<Option<Conversation>, Fail> {
    // No text of PostgreSQL's holds this character: it does not even look for it.
    if key.contains('\0') {
        return Ok(None);
    }
    let condition = "c.id = (select k.conversation_id from conversation_keys k where k.kind = $1 and k.key = $2)";
    one(conn, condition, &[&kind.as_str(), &key]).await
}

pub(super) async fn list(
    conn: &Conn,
    kind: ConversationKind,
    filter: &ConversationFilter,
) -> Result<Page<Conversation>, Fail> {
    if let Some(search) = &filter.search {
        return search::page(conn, kind, filter, search).await;
    }
    let (kind_word, is_active) = (kind.as_str(), filter.is_active);
    let (limit, offset) = (rows::limit(filter.limit), i64::try_from(filter.offset).unwrap_or(i64::MAX));
    let (condition, total) = match &filter.external_user_id {
        Some(visitor) if visitor.contains('\0') => return Ok(Page { total: 0, items: Vec::new() }),
        Some(visitor) => {
            let condition = "c.kind = $1 and ($2::boolean is null or h.is_active = $2) and c.external_user_id = $3";
            let sql = format!("select count(*) from {TABLES} where {condition}");
            let row = conn.one(&sql, &[&kind_word, &is_active, visitor]).await?;
            (condition, rows::count(&row, 0)?)
        }
        None => {
            let condition = "c.kind = $1 and ($2::boolean is null or h.is_active = $2) and $3::text is null";
            (condition, counted(conn, kind, is_active).await?)
        }
    };
    let sql = format!("select {COLUMNS} from {TABLES} where {condition} order by c.id desc limit $4 offset $5");
    let found = conn.rows(&sql, &[&kind_word, &is_active, &filter.external_user_id, &limit, &offset]).await?;
    Ok(Page { total, items: found.iter().map(from_row).collect::<Result<_, _>>()? })
}

async fn counted(conn: &Conn, kind: ConversationKind, is_active: Option<bool>) -> Result<u64, Fail> {
    let sql = "select coalesce(sum(total), 0)::bigint from conversation_counts \
               where kind = $1 and ($2::boolean is null or is_active = $2)";
    rows::count(&conn.one(sql, &[&kind.as_str(), &is_active]).await?, 0)
}

/// Those of the named conversations that are there, in the order of the names.
pub(super) async fn by_ids(conn: &Conn, ids: &[ConversationId]) -> Result<Vec<Conversation>, Fail> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let sql = format!(
        "select {COLUMNS} from unnest($1::bigint[]) with ordinality i (id, n) \
         join conversations c on c.id = i.id join heads h on h.conversation_id = c.id order by i.n"
    );
    conn.rows(&sql, &[&ids]).await?.iter().map(from_row).collect()
}

pub(super) async fn desk(conn: &Conn, desk: Desk, limit: usize) -> Result<Vec<Conversation>, Fail> {
    let (condition, user) = match desk {
        Desk::Unassigned => ("h.assigned_user_id is null and $1::bigint is null", None),
        Desk::Of(user) => ("h.assigned_user_id = $1::bigint", Some(user.0)),
        Desk::All => ("$1::bigint is null", None),
    };
    // The index gives the order in steps of 16 s; PostgreSQL sorts only within a step.
    let sql = format!(
        "select {COLUMNS} from {TABLES} where h.listed_at is not null and {condition} \
         order by h.listed_at desc, h.last_activity_at desc, h.event_id desc limit $2"
    );
    conn.rows(&sql, &[&user, &rows::limit(limit)]).await?.iter().map(from_row).collect()
}

pub(super) async fn participants(conn: &Conn, id: ConversationId) -> Result<Vec<Participant>, Fail> {
    let sql = "select kind, user_id, joined_at from participants where conversation_id = $1 order by id";
    let found = conn.rows(sql, &[&id.0]).await?;
    let participant = |row: &Row| {
        let user: i64 = row.try_get(1)?;
        Ok(Participant {
            kind: rows::word(row, 0, ParticipantKind::parse)?,
            user_id: (user != 0).then_some(UserId(user)),
            joined_at: Timestamp(row.try_get(2)?),
        })
    };
    found.iter().map(participant).collect()
}

pub(super) async fn join(
    tx: &Tx,
    id: ConversationId,
    kind: ParticipantKind,
    user: Option<UserId>,
    at: Timestamp,
) -> Result<(), Fail> {
    tx.execute(
        "insert into participants (conversation_id, kind, user_id, joined_at) values ($1, $2, $3, $4) \
         on conflict do nothing",
        &[&id.0, &kind.as_str(), &user.map_or(0, |user| user.0), &at.0],
    )
    .await?;
    Ok(())
}

/// How often [`open`] looks again when the conversation that had the key goes away, or gets another key, in between.
const TRIES_MAX: usize = 5;

pub(super) async fn open(tx: &mut Tx, new: &NewConversation) -> Result<(Conversation, bool), Fail> {
    for _ in 0..TRIES_MAX {
        let Some(seen) = by_key(tx, new.kind, &new.key).await? else {
            match insert(tx, new).await? {
                Some(made) => return Ok((made, true)),
                None => continue,
            }
        };
        // Looked for without the lock: what it was found by may be another's by now.
        let Some(old) = lock(tx, seen.id).await?.filter(|old| old.key == new.key) else { continue };
        let state = merged_contact(&old.state, &new.state.contact);
        let at = new.at.max(old.last_activity_at);
        let kept = set_state(tx, old, state, Change::Edited, at).await?;
        touch(tx, &kept, at).await?;
        return Ok((Conversation { last_activity_at: at, updated_at: at, ..kept }, false));
    }
    Err(Fail::Refused(Error::Busy))
}

pub(super) async fn create(tx: &mut Tx, new: &NewConversation) -> Result<Conversation, Fail> {
    insert(tx, new).await?.ok_or_else(|| Fail::Refused(Error::field(KEY_FIELD, Rule::Unique)))
}

/// Makes the conversation with all that belongs to it; `None` when the kind has that key. Whoever takes the same key
/// at once waits for this transaction's end.
const INSERT: &str = "with claimed as ( \
         insert into conversation_keys (kind, key, conversation_id) \
         values ($2, $3, nextval(pg_get_serial_sequence('conversations', 'id'))) \
         on conflict do nothing returning conversation_id as id \
     ), made as ( \
         insert into conversations (id, uuid, kind, key, user_id, external_user_id, contact_name, contact_email, \
             contact_phone, metadata, expires_at, created_at, platform_id, tag_kind, tag_id, title, model, is_archived, \
             while_answering) \
         select id, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $22 from claimed \
     ), head as ( \
         insert into heads (conversation_id, seq, event_id, message_id, is_active, last_activity_at, updated_at, \
             listed_at) \
         select id, 0, 0, 0, $18, $11, $11, $19 from claimed \
     ), counted as ( \
         insert into conversation_counts (kind, is_active, slot, total) \
         select $2, $18, pg_backend_pid() % 16, 1 from claimed \
         on conflict (kind, is_active, slot) do update set total = conversation_counts.total + excluded.total \
     ), joined as ( \
         insert into participants (conversation_id, kind, user_id, joined_at, listed_id) \
         select claimed.id, m.kind, m.user_id, $11, case when $2 = 'direct' then 0 end \
         from claimed, unnest($20::text[], $21::bigint[]) with ordinality m (kind, user_id, n) order by m.n \
         on conflict do nothing \
     ) \
     select id from claimed";

async fn insert(tx: &Tx, new: &NewConversation) -> Result<Option<Conversation>, Fail> {
    let state = &new.state;
    let members = new.members();
    let kinds: Vec<&str> = members.iter().map(|(kind, _)| kind.as_str()).collect();
    let users: Vec<i64> = members.iter().map(|(_, user)| user.map_or(0, |user| user.0)).collect();
    let claimed = tx
        .opt(
            INSERT,
            &[
                &new.uuid,
                &new.kind.as_str(),
                &new.key,
                &new.user_id.map(|user| user.0),
                &state.external_user_id,
                &state.contact.name,
                &state.contact.email,
                &state.contact.phone,
                &state.metadata.0,
                &state.expires_at.map(|at| at.0),
                &new.at.0,
                &new.platform_id.map(|platform| platform.0),
                &new.tag.kind,
                &new.tag.id,
                &state.title,
                &state.model,
                &state.is_archived,
                &state.is_active,
                &listed_at(new.kind, state.is_active, new.at),
                &kinds,
                &users,
                &state.while_answering.map(WhileAnswering::as_str),
            ],
        )
        .await?;
    let Some(claimed) = claimed else { return Ok(None) };
    let made = by_id(tx, ConversationId(claimed.try_get(0)?)).await?;
    made.map(Some).ok_or_else(|| Fail::Refused(Error::internal("a new conversation is not there")))
}

/// Adds to the numbers of conversations. Both rows in one order, always: two who count at once wait for each other and
/// do not deadlock.
async fn count(tx: &Tx, kind: ConversationKind, inactive: i64, active: i64) -> Result<(), Fail> {
    tx.execute(
        "insert into conversation_counts (kind, is_active, slot, total) \
         select $1, c.is_active, pg_backend_pid() % 16, c.by from (values (false, $2::bigint), (true, $3::bigint)) \
             c (is_active, by) where c.by <> 0 order by c.is_active \
         on conflict (kind, is_active, slot) do update set total = conversation_counts.total + excluded.total",
        &[&kind.as_str(), &inactive, &active],
    )
    .await?;
    Ok(())
}

async fn touch(tx: &Tx, conversation: &Conversation, at: Timestamp) -> Result<(), Fail> {
    tx.execute(
        "update heads set last_activity_at = $2, updated_at = $2, listed_at = $3 where conversation_id = $1",
        &[&conversation.id.0, &at.0, &listed_at(conversation.kind, conversation.state.is_active, at)],
    )
    .await?;
    Ok(())
}

pub(super) async fn change(
    tx: &mut Tx,
    id: ConversationId,
    change: &StateChange,
    at: Timestamp,
) -> Result<Option<Conversation>, Fail> {
    let Some(old) = lock(tx, id).await? else { return Ok(None) };
    let at = at.max(old.last_activity_at);
    let why = change.kind();
    let (state, key) = match change {
        StateChange::Close => (ConversationState { is_active: false, ..old.state.clone() }, None),
        StateChange::Assign(_) if old.state.assigned.is_some() => return Ok(Some(old)),
        StateChange::Assign(user) => {
            join(tx, id, ParticipantKind::Staff, Some(*user), at).await?;
            let assigned = Some(Assignment { user_id: *user, at });
            (ConversationState { assigned, ..old.state.clone() }, None)
        }
        StateChange::Release(user) if !old.is_assigned_to(*user) => return Ok(Some(old)),
        StateChange::Release(_) => (ConversationState { assigned: None, ..old.state.clone() }, None),
        StateChange::Edit(edit) => (edit.applied(&old.state), edit.key.as_deref()),
    };
    match key.filter(|key| *key != old.key) {
        None => set_state(tx, old, state, why, at).await?,
        Some(key) => {
            rename(tx, &old, key).await?;
            // An event also when the key is all that changed: who follows has to hear of it.
            write_state(tx, old, state, why, at).await?
        }
    };
    by_id(tx, id).await
}

async fn rename(tx: &Tx, old: &Conversation, key: &str) -> Result<(), Fail> {
    let claimed = tx
        .execute(
            "insert into conversation_keys (kind, key, conversation_id) values ($1, $2, $3) on conflict do nothing",
            &[&old.kind.as_str(), &key, &old.id.0],
        )
        .await?;
    if claimed == 0 {
        return Err(Fail::Refused(Error::field(KEY_FIELD, Rule::Unique)));
    }
    tx.execute("delete from conversation_keys where kind = $1 and key = $2", &[&old.kind.as_str(), &old.key]).await?;
    tx.execute("update conversations set key = $2 where id = $1", &[&old.id.0, &key]).await?;
    Ok(())
}

/// Writes a state and its event, if it differs. `old` is the conversation as [`lock`] found it.
pub(super) async fn set_state(
    tx: &mut Tx,
    old: Conversation,
    state: ConversationState,
    why: Change,
    at: Timestamp,
) -> Result<Conversation, Fail> {
    if state == old.state { Ok(old) } else { write_state(tx, old, state, why, at).await }
}

/// The state's columns, the head and the event, in one round trip.
const WRITE_STATE: &str = "with edited as ( \
         update conversations set external_user_id = $2, contact_name = $3, contact_email = $4, contact_phone = $5, \
             metadata = $6, expires_at = $7, title = $8, model = $9, is_archived = $10, edited_at = $11, while_answering = $20 \
             where id = $1 \
     ), moved as ( \
         update heads set seq = $12, event_id = $13, is_active = $14, assigned_user_id = $15, assigned_at = $16, \
             last_activity_at = $11, updated_at = $11, listed_at = $17 where conversation_id = $1 \
     ) \
     insert into events (conversation_id, id, seq, kind, state, at) values ($1, $13, $12, $18, $19, $11)";

async fn write_state(
    tx: &mut Tx,
    old: Conversation,
    state: ConversationState,
    why: Change,
    at: Timestamp,
) -> Result<Conversation, Fail> {
    if state.is_active != old.state.is_active {
        let by = if state.is_active { 1 } else { -1 };
        count(tx, old.kind, -by, by).await?;
    }
    let event_id = tx.next_event_id().await?;
    let seq = old.head.seq + 1;
    tx.execute(
        WRITE_STATE,
        &[
            &old.id.0,
            &state.external_user_id,
            &state.contact.name,
            &state.contact.email,
            &state.contact.phone,
            &state.metadata.0,
            &state.expires_at.map(|at| at.0),
            &state.title,
            &state.model,
            &state.is_archived,
            &at.0,
            &rows::number(seq),
            &event_id.0,
            &state.is_active,
            &state.assigned.map(|assigned| assigned.user_id.0),
            &state.assigned.map(|assigned| assigned.at.0),
            &listed_at(old.kind, state.is_active, at),
            &why.as_str(),
            &StateRow::write(&state)?,
            &state.while_answering.map(WhileAnswering::as_str),
        ],
    )
    .await?;
    tx.announce(Event {
        id: event_id,
        conversation_id: old.id,
        seq,
        at,
        body: EventBody::StateChanged { change: why, state: Arc::new(state.clone()) },
    });
    let head = Head { seq, event_id, ..old.head };
    Ok(Conversation { state, head, last_activity_at: at, edited_at: at, updated_at: at, ..old })
}

/// What a conversation takes with it; what its uploads have to do with it is [`attachments::let_go`]'s.
const REMOVE: &str = "with \
     k as (delete from conversation_keys where kind = $2 and key = $3), \
     p as (delete from participants where conversation_id = $1), \
     m as (delete from messages where conversation_id = $1), \
     e as (delete from events where conversation_id = $1), \
     r as (delete from runs where conversation_id = $1), \
     l as (delete from letters where conversation_id = $1), \
     a as (delete from reactions where conversation_id = $1), \
     d as (delete from device_counts where conversation_id = $1), \
     w as (delete from letter_search where conversation_id = $1), \
     f as (delete from files where conversation_id = $1), \
     s as (delete from shares where conversation_id = $1), \
     h as (delete from heads where conversation_id = $1) \
     delete from conversations where id = $1";

pub(super) async fn remove(tx: &mut Tx, id: ConversationId) -> Result<bool, Fail> {
    let Some(old) = lock(tx, id).await? else { return Ok(false) };
    attachments::let_go(tx, id).await?;
    tx.execute(REMOVE, &[&id.0, &old.kind.as_str(), &old.key]).await?;
    let (inactive, active) = if old.state.is_active { (0, -1) } else { (-1, 0) };
    count(tx, old.kind, inactive, active).await?;
    tx.announce_removal(id);
    Ok(true)
}
