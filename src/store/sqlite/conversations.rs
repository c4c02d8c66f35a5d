//! Conversations, their heads and who takes part.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params, params_from_iter};
use uuid::Uuid;

use super::fail::{Fail, is_unique};
use super::messages::{insert_message, next_number};
use super::rows;
use super::writer::Tx;
use crate::domain::{
    Assignment, Change, Contact, Conversation, ConversationId, ConversationKind, ConversationState, Event, EventBody,
    EventId, Head, Json, MessageText, Participant, ParticipantKind, PlatformId, Role, Tag, Timestamp, User, UserId,
    WhileAnswering,
};
use crate::error::{Error, Rule, Subject};
pub(super) use crate::store::log::{Name, listed_at};
use crate::store::search::folded;
use crate::store::state_row::StateRow;
use crate::store::{
    ConversationFilter, Desk, Greeting, NewConversation, NewMessage, Page, StateChange, merged_contact,
};

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

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    let assigned = match (row.get(17)?, row.get(18)?) {
        (Some(user), Some(at)) => Some(Assignment { user_id: UserId(user), at: Timestamp(at) }),
        _ => None,
    };
    Ok(Conversation {
        id: ConversationId(row.get(0)?),
        uuid: rows::uuid(row, 1)?,
        kind: rows::word(row, 2, ConversationKind::parse)?,
        key: row.get(3)?,
        platform_id: row.get::<_, Option<i64>>(21)?.map(PlatformId),
        user_id: row.get::<_, Option<i64>>(4)?.map(UserId),
        tag: Tag { kind: row.get(22)?, id: row.get(23)? },
        state: ConversationState {
            is_active: row.get(16)?,
            assigned,
            expires_at: row.get::<_, Option<i64>>(10)?.map(Timestamp),
            external_user_id: row.get(5)?,
            contact: Contact { name: row.get(6)?, email: row.get(7)?, phone: row.get(8)? },
            metadata: Json(row.get(9)?),
            title: row.get(24)?,
            model: row.get(25)?,
            is_archived: row.get(26)?,
            while_answering: while_answering(row)?,
        },
        head: Head {
            seq: row.get(12)?,
            event_id: EventId(row.get(13)?),
            message_id: EventId(row.get(14)?),
            message_at: row.get::<_, Option<i64>>(15)?.map(Timestamp),
        },
        last_activity_at: Timestamp(row.get(19)?),
        created_at: Timestamp(row.get(11)?),
        edited_at: Timestamp(row.get::<_, Option<i64>>(27)?.map_or_else(|| row.get(11), Ok)?),
        updated_at: Timestamp(row.get(20)?),
    })
}

fn while_answering(row: &Row<'_>) -> rusqlite::Result<Option<WhileAnswering>> {
    match row.get_ref(28)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => rows::word(row, 28, WhileAnswering::parse).map(Some),
    }
}

pub(super) fn one(
    conn: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> Result<Option<Conversation>, Fail> {
    let sql = format!("select {COLUMNS} from {TABLES} where {condition}");
    Ok(conn.prepare_cached(&sql)?.query_row(values, from_row).optional()?)
}

pub(super) fn by_id(conn: &Connection, id: ConversationId) -> Result<Option<Conversation>, Fail> {
    one(conn, "c.id = ?1", [id.0])
}

pub(super) fn find(conn: &Connection, kind: ConversationKind, name: &Name) -> Result<Option<Conversation>, Fail> {
    let kind = kind.as_str();
    match name {
        Name::Key(key) => one(conn, "c.kind = ?1 and c.key = ?2", params![kind, key]),
        Name::Uuid(uuid) => one(conn, "c.kind = ?1 and c.uuid = ?2", params![kind, uuid.as_bytes()]),
        Name::Id(id) => one(conn, "c.kind = ?1 and c.id = ?2", params![kind, id.0]),
        Name::Either(uuid, key) => {
            let by_uuid = match uuid {
                Some(uuid) => one(conn, "c.kind = ?1 and c.uuid = ?2", params![kind, uuid.as_bytes()])?,
                None => None,
            };
            match by_uuid {
                Some(found) => Ok(Some(found)),
                None => one(conn, "c.kind = ?1 and c.key = ?2", params![kind, key]),
            }
        }
    }
}

pub(super) fn list(
    conn: &Connection,
    kind: ConversationKind,
    filter: &ConversationFilter,
) -> Result<Page<Conversation>, Fail> {
    let mut conditions = String::from("c.kind = ?");
    let mut values = vec![Value::from(kind.as_str().to_owned())];
    if let Some(is_active) = filter.is_active {
        conditions.push_str(" and h.is_active = ?");
        values.push(Value::from(i64::from(is_active)));
    }
    if let Some(visitor) = &filter.external_user_id {
        conditions.push_str(" and c.external_user_id = ?");
        values.push(Value::from(visitor.clone()));
    }
    if let Some(search) = &filter.search {
        conditions.push_str(" and (holds(c.key, ?) or holds(coalesce(c.external_user_id, ''), ?))");
        let part = folded(search);
        values.extend([Value::from(part.clone()), Value::from(part)]);
    }
    let total = match filter {
        ConversationFilter { external_user_id: None, search: None, is_active, .. } => counted(conn, kind, *is_active)?,
        _ => {
            let sql = format!("select count(*) from {TABLES} where {conditions}");
            conn.prepare_cached(&sql)?.query_row(params_from_iter(&values), |row| row.get(0))?
        }
    };
    values.push(Value::from(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
    values.push(Value::from(i64::try_from(filter.offset).unwrap_or(i64::MAX)));
    let sql = format!(
        "select {COLUMNS} from {TABLES} \
         where {conditions} order by c.id desc limit ? offset ?"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let items = statement.query_map(params_from_iter(&values), from_row)?.collect::<Result<_, _>>()?;
    Ok(Page { total, items })
}

fn counted(conn: &Connection, kind: ConversationKind, is_active: Option<bool>) -> Result<u64, Fail> {
    let total = conn
        .prepare_cached(
            "select coalesce(sum(total), 0) from conversation_counts \
             where kind = ?1 and (?2 is null or is_active = ?2)",
        )?
        .query_row(params![kind.as_str(), is_active], |row| row.get(0))?;
    Ok(total)
}

pub(super) fn desk(conn: &Connection, desk: Desk, limit: usize) -> Result<Vec<Conversation>, Fail> {
    let condition = match desk {
        Desk::Unassigned => "h.assigned_user_id is null",
        Desk::Of(_) => "h.assigned_user_id = :user",
        Desk::All => "true",
    };
    // The index gives the order in steps of 16 s; SQLite sorts only within a step.
    let sql = format!(
        "select {COLUMNS} from heads h join conversations c on c.id = h.conversation_id \
         where h.listed_at is not null and {condition} \
         order by h.listed_at desc, h.last_activity_at desc, h.event_id desc limit :limit"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(&sql)?;
    let found = match desk {
        Desk::Of(user) => statement.query_map(named_params! {":user": user.0, ":limit": limit}, from_row)?,
        Desk::Unassigned | Desk::All => statement.query_map(named_params! {":limit": limit}, from_row)?,
    };
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn participants(conn: &Connection, id: ConversationId) -> Result<Vec<Participant>, Fail> {
    let mut statement = conn
        .prepare_cached("select kind, user_id, joined_at from participants where conversation_id = ?1 order by id")?;
    let found = statement.query_map([id.0], |row| {
        let user: i64 = row.get(1)?;
        Ok(Participant {
            kind: rows::word(row, 0, ParticipantKind::parse)?,
            user_id: (user != 0).then_some(UserId(user)),
            joined_at: Timestamp(row.get(2)?),
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn join(
    tx: &Tx<'_>,
    id: ConversationId,
    kind: ParticipantKind,
    user: Option<UserId>,
    at: Timestamp,
) -> Result<(), Fail> {
    tx.conn
        .prepare_cached(
            "insert or ignore into participants (conversation_id, kind, user_id, joined_at) values (?1, ?2, ?3, ?4)",
        )?
        .execute(params![id.0, kind.as_str(), user.map_or(0, |user| user.0), at.0])?;
    Ok(())
}

pub(super) fn open(tx: &mut Tx<'_>, new: &NewConversation) -> Result<(Conversation, bool), Fail> {
    let Some(old) = find(tx.conn, new.kind, &Name::Key(new.key.clone()))? else {
        return Ok((insert(tx, new)?, true));
    };
    let state = merged_contact(&old.state, &new.state.contact);
    let at = new.at.max(old.last_activity_at);
    let kept = set_state(tx, old, state, Change::Edited, at)?;
    touch(tx, &kept, at)?;
    Ok((Conversation { last_activity_at: at, updated_at: at, ..kept }, false))
}

pub(super) fn create(tx: &mut Tx<'_>, new: &NewConversation) -> Result<Conversation, Fail> {
    insert(tx, new)
}

fn insert(tx: &mut Tx<'_>, new: &NewConversation) -> Result<Conversation, Fail> {
    let state = &new.state;
    let inserted = tx
        .conn
        .prepare_cached(
            "insert into conversations (uuid, kind, key, user_id, external_user_id, contact_name, contact_email, \
             contact_phone, metadata, expires_at, created_at, platform_id, tag_kind, tag_id, title, model, is_archived, \
             while_answering) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )?
        .execute(params![
            new.uuid.as_bytes(),
            new.kind.as_str(),
            new.key,
            new.user_id.map(|user| user.0),
            state.external_user_id,
            state.contact.name,
            state.contact.email,
            state.contact.phone,
            state.metadata.0,
            state.expires_at.map(|at| at.0),
            new.at.0,
            new.platform_id.map(|platform| platform.0),
            new.tag.kind,
            new.tag.id,
            state.title,
            state.model,
            state.is_archived,
            state.while_answering.map(WhileAnswering::as_str),
        ]);
    match inserted {
        Err(error) if is_unique(&error) => {
            return Err(Fail::Refused(Error::field(KEY_FIELD, Rule::Unique)));
        }
        other => other?,
    };
    let id = ConversationId(tx.conn.last_insert_rowid());
    tx.conn
        .prepare_cached(
            "insert into heads (conversation_id, seq, event_id, message_id, is_active, last_activity_at, updated_at, \
             listed_at) values (?1, 0, 0, 0, ?2, ?3, ?3, ?4)",
        )?
        .execute(params![id.0, state.is_active, new.at.0, listed_at(new.kind, state.is_active, new.at)])?;
    count(tx, new.kind, state.is_active, 1)?;
    for (kind, user) in new.members() {
        join(tx, id, kind, user, new.at)?;
    }
    if new.kind == ConversationKind::Direct {
        tx.conn.prepare_cached("update participants set listed_id = 0 where conversation_id = ?1")?.execute([id.0])?;
    }
    by_id(tx.conn, id)?.ok_or_else(|| Fail::Refused(Error::internal("a new conversation is not there")))
}

fn count(tx: &Tx<'_>, kind: ConversationKind, is_active: bool, by: i64) -> Result<(), Fail> {
    tx.conn
        .prepare_cached(
            "insert into conversation_counts (kind, is_active, total) values (?1, ?2, ?3) \
             on conflict (kind, is_active) do update set total = total + excluded.total",
        )?
        .execute(params![kind.as_str(), is_active, by])?;
    Ok(())
}

fn touch(tx: &Tx<'_>, conversation: &Conversation, at: Timestamp) -> Result<(), Fail> {
    tx.conn
        .prepare_cached(
            "update heads set last_activity_at = ?2, updated_at = ?2, listed_at = ?3 where conversation_id = ?1",
        )?
        .execute(params![conversation.id.0, at.0, listed_at(conversation.kind, conversation.state.is_active, at)])?;
    Ok(())
}

pub(super) fn change(
    tx: &mut Tx<'_>,
    id: ConversationId,
    change: &StateChange,
    at: Timestamp,
) -> Result<Option<Conversation>, Fail> {
    let Some(old) = by_id(tx.conn, id)? else { return Ok(None) };
    let at = at.max(old.last_activity_at);
    let why = change.kind();
    let (state, key) = match change {
        StateChange::Close => (ConversationState { is_active: false, ..old.state.clone() }, None),
        StateChange::Assign(_) if old.state.assigned.is_some() => return Ok(Some(old)),
        StateChange::Assign(user) => {
            join(tx, id, ParticipantKind::Staff, Some(*user), at)?;
            let assigned = Some(Assignment { user_id: *user, at });
            (ConversationState { assigned, ..old.state.clone() }, None)
        }
        StateChange::Release(user) if !old.is_assigned_to(*user) => return Ok(Some(old)),
        StateChange::Release(_) => (ConversationState { assigned: None, ..old.state.clone() }, None),
        StateChange::Edit(edit) => (edit.applied(&old.state), edit.key.as_deref()),
    };
    let Some(key) = key.filter(|key| *key != old.key) else {
        set_state(tx, old, state, why, at)?;
        return by_id(tx.conn, id);
    };
    let renamed =
        tx.conn.prepare_cached("update conversations set key = ?2 where id = ?1")?.execute(params![id.0, key]);
    match renamed {
        Err(error) if is_unique(&error) => return Err(Fail::Refused(Error::field(KEY_FIELD, Rule::Unique))),
        other => other?,
    };
    // An event also when the key is all that changed: who follows has to hear of it.
    write_state(tx, old, state, why, at)?;
    by_id(tx.conn, id)
}

/// Writes a state and its event, if it differs.
pub(super) fn set_state(
    tx: &mut Tx<'_>,
    old: Conversation,
    state: ConversationState,
    why: Change,
    at: Timestamp,
) -> Result<Conversation, Fail> {
    if state == old.state { Ok(old) } else { write_state(tx, old, state, why, at) }
}

fn write_state(
    tx: &mut Tx<'_>,
    old: Conversation,
    state: ConversationState,
    why: Change,
    at: Timestamp,
) -> Result<Conversation, Fail> {
    if state.is_active != old.state.is_active {
        count(tx, old.kind, old.state.is_active, -1)?;
        count(tx, old.kind, state.is_active, 1)?;
    }
    tx.conn
        .prepare_cached(
            "update conversations set external_user_id = ?2, contact_name = ?3, contact_email = ?4, \
             contact_phone = ?5, metadata = ?6, expires_at = ?7, title = ?8, model = ?9, is_archived = ?10, \
             edited_at = ?11, while_answering = ?12 where id = ?1",
        )?
        .execute(params![
            old.id.0,
            state.external_user_id,
            state.contact.name,
            state.contact.email,
            state.contact.phone,
            state.metadata.0,
            state.expires_at.map(|at| at.0),
            state.title,
            state.model,
            state.is_archived,
            at.0,
            state.while_answering.map(WhileAnswering::as_str),
        ])?;
    let event_id = tx.next_event_id();
    let seq = old.head.seq + 1;
    tx.conn
        .prepare_cached(
            "update heads set seq = ?2, event_id = ?3, is_active = ?4, assigned_user_id = ?5, assigned_at = ?6, \
             last_activity_at = ?7, updated_at = ?7, listed_at = ?8 where conversation_id = ?1",
        )?
        .execute(params![
            old.id.0,
            seq,
            event_id.0,
            state.is_active,
            state.assigned.map(|assigned| assigned.user_id.0),
            state.assigned.map(|assigned| assigned.at.0),
            at.0,
            listed_at(old.kind, state.is_active, at),
        ])?;
    tx.conn
        .prepare_cached(
            "insert into events (id, conversation_id, seq, kind, state, at) values (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![event_id.0, old.id.0, seq, why.as_str(), StateRow::write(&state)?, at.0])?;
    tx.announce(Event {
        id: event_id,
        conversation_id: old.id,
        seq,
        at,
        body: EventBody::StateChanged { change: why, state: std::sync::Arc::new(state.clone()) },
    });
    let head = Head { seq, event_id, ..old.head };
    Ok(Conversation { state, head, last_activity_at: at, edited_at: at, updated_at: at, ..old })
}

pub(super) fn transfer(
    tx: &mut Tx<'_>,
    id: ConversationId,
    dice: u64,
    greeting: Greeting,
    line: Uuid,
    at: Timestamp,
) -> Result<Option<User>, Fail> {
    let old = by_id(tx.conn, id)?.ok_or(Fail::Refused(Error::NotFound(Subject::Conversation)))?;
    if !old.state.is_active {
        return Ok(None);
    }
    if let Some(assigned) = old.state.assigned {
        return super::accounts::by_id(tx.conn, assigned.user_id);
    }
    let free = super::accounts::free_staff(tx.conn)?;
    let count = free.len() as u64;
    let Some(chosen) = dice.checked_rem(count).and_then(|nth| free.into_iter().nth(nth as usize)) else {
        return Ok(None);
    };
    let at = at.max(old.last_activity_at);
    change(tx, id, &StateChange::Assign(chosen.id), at)?;
    let line = NewMessage {
        conversation_id: id,
        uuid: line,
        role: Role::Staff,
        user_id: Some(chosen.id),
        text: MessageText::verbatim(greeting(&chosen.name)),
        metadata: None,
        reply_to: None,
        letter: None,
        files: Vec::new(),
        idempotency: None,
        at,
    };
    let number = next_number(tx, id)?.ok_or(Fail::Refused(Error::NotFound(Subject::Conversation)))?;
    insert_message(tx, &line, &number)?;
    Ok(Some(chosen))
}

pub(super) fn remove(tx: &mut Tx<'_>, id: ConversationId) -> Result<bool, Fail> {
    let Some(old) = by_id(tx.conn, id)? else { return Ok(false) };
    if old.kind == ConversationKind::Direct {
        super::letters::forget(tx, id)?;
    }
    tx.conn.prepare_cached("delete from conversations where id = ?1")?.execute([id.0])?;
    count(tx, old.kind, old.state.is_active, -1)?;
    tx.announce_removal(id);
    Ok(true)
}
