//! Messages: appending, editing, hiding and listing them.

use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use uuid::Uuid;

use super::attachments;
use super::conversations::{self, Name, listed_at};
use super::fail::Fail;
use super::files;
use super::letters;
use super::log::{self, EventRow};
use super::writer::Tx;
use super::{rows, runs};
use crate::domain::{
    Change, Conversation, ConversationId, ConversationKind, ConversationState, Event, EventBody, EventId, Json,
    Message, MessageId, MessageText, ParticipantKind, Role, Timestamp, UserId,
};
use crate::error::{Conflict, Error, Subject};
use crate::store::search::folded;
use crate::store::{Appended, Idempotency, MessageFilter, NewMessage};

/// A message's columns, and the tables that they are in. Others may follow them, from [`MORE`] on.
pub(super) const COLUMNS: &str = "m.id, m.uuid, m.conversation_id, m.seq, m.role, m.user_id, m.text, m.metadata, \
     m.reply_to, m.created_at, m.updated_at, m.edited_at, \
     l.receiver_id, l.kind, l.attachments, l.device, l.device_kind, l.delivered_at, l.read_at";
pub(super) const TABLES: &str = "messages m left join letters l on l.message_id = m.id";
pub(super) const MORE: usize = 19;

/// The same of a conversation that holds no letters. Looking for them nevertheless costs a page of fifty
/// messages a third of its time.
const PLAIN_COLUMNS: &str = "m.id, m.uuid, m.conversation_id, m.seq, m.role, m.user_id, m.text, m.metadata, \
     m.reply_to, m.created_at, m.updated_at, m.edited_at, null, null, null, null, null, null, null";
const PLAIN_TABLES: &str = "messages m";

/// The columns and tables of the messages of a kind of conversations: with letters only where there can
/// be any.
pub(super) fn source(kind: ConversationKind) -> (&'static str, &'static str) {
    if kind == ConversationKind::Direct { (COLUMNS, TABLES) } else { (PLAIN_COLUMNS, PLAIN_TABLES) }
}

/// The kind of a conversation; `None` when it is not there.
pub(super) fn kind_of(conn: &Connection, id: ConversationId) -> Result<Option<ConversationKind>, Fail> {
    let found = conn
        .prepare_cached("select kind from conversations where id = ?1")?
        .query_row([id.0], |row| rows::word(row, 0, ConversationKind::parse))
        .optional()?;
    Ok(found)
}

pub(super) fn from_row(conn: &Connection, row: &Row<'_>) -> rusqlite::Result<Arc<Message>> {
    let id = EventId(row.get(0)?);
    Ok(Arc::new(Message {
        id,
        uuid: rows::uuid(row, 1)?,
        conversation_id: ConversationId(row.get(2)?),
        seq: row.get(3)?,
        role: rows::word(row, 4, Role::parse)?,
        user_id: row.get::<_, Option<i64>>(5)?.map(UserId),
        text: row.get(6)?,
        metadata: row.get::<_, Option<String>>(7)?.map(Json),
        reply_to: row.get::<_, Option<i64>>(8)?.map(EventId),
        created_at: Timestamp(row.get(9)?),
        updated_at: Timestamp(row.get(10)?),
        edited_at: row.get::<_, Option<i64>>(11)?.map(Timestamp),
        letter: letters::from_row(conn, row, 12, id)?.map(Box::new),
    }))
}

/// What an append has to know of its conversation.
pub(super) struct Number {
    kind: ConversationKind,
    is_active: bool,
    seq: u64,
    last_activity_at: Timestamp,
}

/// The head of a conversation; `None` when there is no such conversation.
pub(super) fn next_number(tx: &Tx<'_>, id: ConversationId) -> Result<Option<Number>, Fail> {
    let found = tx
        .conn
        .prepare_cached(
            "select c.kind, h.is_active, h.seq, h.last_activity_at \
             from heads h join conversations c on c.id = h.conversation_id where h.conversation_id = ?1",
        )?
        .query_row([id.0], |row| {
            Ok(Number {
                kind: rows::word(row, 0, ConversationKind::parse)?,
                is_active: row.get(1)?,
                seq: row.get(2)?,
                last_activity_at: Timestamp(row.get(3)?),
            })
        })
        .optional()?;
    Ok(found)
}

pub(super) fn append(tx: &mut Tx<'_>, new: &NewMessage) -> Result<Appended, Fail> {
    let gone = || Fail::Refused(Error::NotFound(Subject::Conversation));
    let mut number = next_number(tx, new.conversation_id)?.ok_or_else(gone)?;
    if let Some(message) = sent_before(tx.conn, new)? {
        return Ok(Appended { message, replayed: true });
    }
    if !number.is_active && number.kind == ConversationKind::LiveChat && new.role == Role::User {
        let closed = conversations::by_id(tx.conn, new.conversation_id)?.ok_or_else(gone)?;
        let open = ConversationState { is_active: true, ..closed.state.clone() };
        let at = new.at.max(closed.last_activity_at);
        conversations::set_state(tx, closed, open, Change::Reopened, at)?;
        number = next_number(tx, new.conversation_id)?.ok_or_else(gone)?;
    }
    // Looked at before anything is written, and held by the message once its row is there.
    let uploads = new.letter.as_ref().map(|letter| &letter.uploads).filter(|uploads| !uploads.is_empty());
    let claim = match (uploads, new.user_id) {
        (Some(uploads), Some(author)) => Some(attachments::claim(tx.conn, uploads, author)?),
        _ => None,
    };
    let message = insert_message(tx, new, &number)?;
    if let Some(claim) = claim {
        attachments::hold(tx, &claim, message.id, message.conversation_id)?;
    }
    Ok(Appended { message, replayed: false })
}

/// The message that the author sent with the same key, if any.
pub(super) fn sent_before(conn: &Connection, new: &NewMessage) -> Result<Option<Arc<Message>>, Fail> {
    let Some(idempotency) = &new.idempotency else { return Ok(None) };
    let found = conn
        .prepare_cached(&with_key(new.user_id.is_some()))?
        .query_row(
            params![new.conversation_id.0, new.role.as_str(), new.user_id.map_or(0, |user| user.0), idempotency.key],
            |row| Ok((from_row(conn, row)?, row.get::<_, [u8; 16]>(MORE)?)),
        )
        .optional()?;
    match found {
        Some((_, fingerprint)) if fingerprint != idempotency.fingerprint => {
            Err(Fail::Refused(Error::Conflict(Conflict::IdempotencyKeyReused)))
        }
        Some((message, _)) => Ok(Some(message)),
        None => Ok(None),
    }
}

/// Finds a message by its author's key.
fn with_key(is_signed_in: bool) -> String {
    // All roles, named because the role stands before the key in the index. One `in` and no `or`: with
    // that SQLite would read the whole conversation.
    let whose = if is_signed_in { "m.role in (?2, 'user', 'assistant', 'staff', 'system')" } else { "m.role = ?2" };
    format!(
        "select {COLUMNS}, m.fingerprint from {TABLES} \
         where m.conversation_id = ?1 and {whose} and coalesce(m.user_id, 0) = ?3 and m.idempotency_key = ?4"
    )
}

pub(super) fn insert_message(tx: &mut Tx<'_>, new: &NewMessage, number: &Number) -> Result<Arc<Message>, Fail> {
    let id = tx.next_event_id();
    let at = new.at.max(number.last_activity_at);
    let message = new.appended(id, number.seq + 1, at);
    insert_row(tx, &message, new.idempotency.as_ref())?;
    tx.conn
        .prepare_cached(
            "update heads set seq = ?2, event_id = ?3, message_id = ?3, message_at = ?4, last_activity_at = ?4, \
             updated_at = ?4, listed_at = ?5 where conversation_id = ?1",
        )?
        .execute(params![
            message.conversation_id.0,
            message.seq,
            id.0,
            at.0,
            listed_at(number.kind, number.is_active, at)
        ])?;
    match message.role {
        Role::Staff => conversations::join(tx, message.conversation_id, ParticipantKind::Staff, message.user_id, at)?,
        Role::Assistant => conversations::join(tx, message.conversation_id, ParticipantKind::Assistant, None, at)?,
        // The owner joined when the conversation was made, and instructions are nobody's.
        Role::User | Role::System => {}
    }
    if let Some(letter) = &new.letter {
        letters::insert(tx, &message, letter)?;
    }
    if !new.files.is_empty() {
        files::insert_of_owner(tx, &message, &new.files)?;
    }
    let message = Arc::new(message);
    tx.announce(Event {
        id,
        conversation_id: message.conversation_id,
        seq: message.seq,
        at,
        body: EventBody::MessageAdded(Arc::clone(&message)),
    });
    Ok(message)
}

fn insert_row(tx: &Tx<'_>, message: &Message, idempotency: Option<&Idempotency>) -> Result<(), Fail> {
    tx.conn
        .prepare_cached(
            "insert into messages (id, uuid, conversation_id, seq, role, user_id, text, metadata, reply_to, \
             idempotency_key, fingerprint, created_at, updated_at) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12)",
        )?
        .execute(params![
            message.id.0,
            message.uuid.as_bytes(),
            message.conversation_id.0,
            message.seq,
            message.role.as_str(),
            message.user_id.map(|user| user.0),
            message.text,
            message.metadata.as_ref().map(|json| json.0.as_str()),
            message.reply_to.map(|id| id.0),
            idempotency.map(|idempotency| idempotency.key.as_str()),
            idempotency.map(|idempotency| idempotency.fingerprint.as_slice()),
            message.created_at.0,
        ])?;
    Ok(())
}

pub(super) fn append_all(tx: &mut Tx<'_>, new: &[NewMessage]) -> Result<Vec<Appended>, Fail> {
    new.iter().map(|one| append(tx, one)).collect()
}

pub(super) fn delete(tx: &mut Tx<'_>, id: ConversationId, message: MessageId, at: Timestamp) -> Result<bool, Fail> {
    let Some(conversation) = conversations::by_id(tx.conn, id)? else { return Ok(false) };
    let at = at.max(conversation.last_activity_at);
    let uuid = tx
        .conn
        .prepare_cached(
            "update messages set deleted_at = ?3, updated_at = ?3 \
             where id = ?2 and conversation_id = ?1 and deleted_at is null returning uuid",
        )?
        .query_row(params![id.0, message.0, at.0], |row| rows::uuid(row, 0))
        .optional()?;
    let Some(uuid) = uuid else { return Ok(false) };
    if conversation.kind == ConversationKind::Direct {
        letters::remove(tx, id, message)?;
    } else {
        runs::forget_texts(tx, id, message)?;
    }
    let row = EventRow { kind: "message_deleted", message: Some(message), uuid: Some(uuid), ..EventRow::default() };
    log::record(tx, &conversation, at, &row, EventBody::MessageDeleted { message_id: message, uuid })?;
    Ok(true)
}

pub(super) fn delete_all(
    tx: &mut Tx<'_>,
    id: ConversationId,
    messages: &[MessageId],
    if_seq: u64,
    at: Timestamp,
) -> Result<bool, Fail> {
    if conversations::by_id(tx.conn, id)?.is_none_or(|conversation| conversation.head.seq != if_seq) {
        return Ok(false);
    }
    for message in messages {
        delete(tx, id, *message, at)?;
    }
    Ok(true)
}

pub(super) fn edit(
    tx: &mut Tx<'_>,
    id: ConversationId,
    message: MessageId,
    author: UserId,
    text: &MessageText,
    at: Timestamp,
) -> Result<Option<Arc<Message>>, Fail> {
    let Some(conversation) = conversations::by_id(tx.conn, id)? else { return Ok(None) };
    let Some(old) = visible(tx.conn, id, message)?.filter(|old| old.user_id == Some(author)) else { return Ok(None) };
    if old.text == text.as_str() {
        return Ok(Some(old));
    }
    let at = at.max(conversation.last_activity_at);
    tx.conn
        .prepare_cached("update messages set text = ?2, edited_at = ?3, updated_at = ?3 where id = ?1")?
        .execute(params![message.0, text.as_str(), at.0])?;
    if let Some(letter) = &old.letter {
        letters::index_again(tx, message, author, letter.receiver_id, text.as_str())?;
    }
    let edited = Arc::new(Message {
        text: text.as_str().to_owned(),
        edited_at: Some(at),
        updated_at: at,
        ..Arc::unwrap_or_clone(old)
    });
    let row = EventRow { kind: "message_edited", message: Some(message), ..EventRow::default() };
    log::record(tx, &conversation, at, &row, EventBody::MessageEdited(Arc::clone(&edited)))?;
    Ok(Some(edited))
}

/// How many rows of a list one job looks at when most of them may not match. There are few readers
/// for everybody: a search through a long log lets the other reads pass between its slices.
const SLICE_ROWS: usize = 500;

/// A list on its way.
pub(super) struct Scan {
    id: ConversationId,
    /// `after` and `before` move as slices are read.
    filter: MessageFilter,
    newest_first: bool,
    found: Vec<Arc<Message>>,
    bytes: usize,
}

impl Scan {
    pub fn new(id: ConversationId, filter: MessageFilter) -> Self {
        let newest_first = filter.before.is_some() && filter.after.is_none();
        Self { id, filter, newest_first, found: Vec::new(), bytes: 0 }
    }

    /// Reads on; whether that was all.
    pub fn slice(&mut self, conn: &Connection) -> Result<bool, Fail> {
        let (after, before) = (self.filter.after, self.filter.before);
        let end = self.slice_end(conn)?;
        match end {
            None => self.read(conn, after, before)?,
            Some(end) if self.newest_first => {
                self.read(conn, Some(EventId(end.0 - 1)), before)?;
                self.filter.before = Some(end);
            }
            Some(end) => {
                self.read(conn, after, Some(EventId(end.0 + 1)))?;
                self.filter.after = Some(end);
            }
        }
        Ok(end.is_none() || self.found.len() >= self.filter.limit || self.is_heavy())
    }

    /// What was found, oldest first.
    pub fn end(mut self) -> Vec<Arc<Message>> {
        if self.newest_first {
            self.found.reverse();
        }
        self.found
    }

    /// The slice's last message; `None` when the rest is one slice, or nearly every row matches.
    fn slice_end(&self, conn: &Connection) -> Result<Option<EventId>, Fail> {
        if self.filter.search.is_none() && self.filter.role.is_none() {
            return Ok(None);
        }
        let order = if self.newest_first { "desc" } else { "asc" };
        let sql = format!(
            "select id from messages where conversation_id = ?1 and id > ?2 and id < ?3 \
             order by id {order} limit 1 offset ?4"
        );
        let after = self.filter.after.unwrap_or(EventId::START).0;
        let before = self.filter.before.map_or(i64::MAX, |before| before.0);
        let end = conn
            .prepare_cached(&sql)?
            .query_row(params![self.id.0, after, before, SLICE_ROWS - 1], |row| row.get(0).map(EventId))
            .optional()?;
        Ok(end)
    }

    fn read(&mut self, conn: &Connection, after: Option<EventId>, before: Option<EventId>) -> Result<(), Fail> {
        let mut conditions = String::from("m.conversation_id = ? and m.deleted_at is null");
        let mut values = vec![Value::from(self.id.0)];
        if let Some(after) = after {
            conditions.push_str(" and m.id > ?");
            values.push(Value::from(after.0));
        }
        if let Some(before) = before {
            conditions.push_str(" and m.id < ?");
            values.push(Value::from(before.0));
        }
        if let Some(role) = self.filter.role {
            conditions.push_str(" and m.role = ?");
            values.push(Value::from(role.as_str().to_owned()));
        }
        if let Some(search) = &self.filter.search {
            conditions.push_str(" and holds(m.text, ?)");
            values.push(Value::from(folded(search)));
        }
        let room = self.filter.limit - self.found.len();
        values.push(Value::from(i64::try_from(room).unwrap_or(i64::MAX)));
        let order = if self.newest_first { "desc" } else { "asc" };
        let Some(kind) = kind_of(conn, self.id)? else { return Ok(()) };
        let (columns, tables) = source(kind);
        let sql = format!("select {columns} from {tables} where {conditions} order by m.id {order} limit ?");
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let message = from_row(conn, row)?;
            self.bytes += message.bytes();
            self.found.push(message);
            if self.is_heavy() {
                break;
            }
        }
        Ok(())
    }

    fn is_heavy(&self) -> bool {
        self.filter.bytes_max.is_some_and(|max| self.bytes >= max)
    }
}

pub(super) fn by_uuid(
    conn: &Connection,
    kind: ConversationKind,
    uuid: Uuid,
) -> Result<Option<(Arc<Message>, Conversation)>, Fail> {
    let message = conn
        .prepare_cached(&format!("select {COLUMNS} from {TABLES} where m.uuid = ?1 and m.deleted_at is null"))?
        .query_row([uuid.as_bytes()], |row| from_row(conn, row))
        .optional()?;
    let Some(message) = message else { return Ok(None) };
    let conversation = conversations::find(conn, kind, &Name::Id(message.conversation_id))?;
    Ok(conversation.map(|conversation| (message, conversation)))
}

/// One visible message by its number.
pub(super) fn visible(conn: &Connection, id: ConversationId, message: MessageId) -> Result<Option<Arc<Message>>, Fail> {
    let found = conn
        .prepare_cached(&format!(
            "select {COLUMNS} from {TABLES} where m.id = ?2 and m.conversation_id = ?1 and m.deleted_at is null"
        ))?
        .query_row(params![id.0, message.0], |row| from_row(conn, row))
        .optional()?;
    Ok(found)
}

/// The number of a message, hidden or not.
pub(super) fn number(conn: &Connection, id: ConversationId, uuid: Uuid) -> Result<Option<MessageId>, Fail> {
    let found = conn
        .prepare_cached("select id from messages where uuid = ?2 and conversation_id = ?1")?
        .query_row(params![id.0, uuid.as_bytes()], |row| row.get(0).map(EventId))
        .optional()?;
    Ok(found)
}

pub(super) fn answer_to(
    conn: &Connection,
    id: ConversationId,
    question: MessageId,
) -> Result<Option<Arc<Message>>, Fail> {
    let found = conn
        .prepare_cached(&format!(
            "select {COLUMNS} from {TABLES} \
             where m.reply_to = ?2 and m.conversation_id = ?1 and m.deleted_at is null order by m.id limit 1"
        ))?
        .query_row(params![id.0, question.0], |row| from_row(conn, row))
        .optional()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use rusqlite::config::DbConfig;

    use super::*;
    use crate::store::migrate;

    /// Not seen from outside but by its time: the answer is the same without the index.
    #[test]
    fn a_key_is_found_without_reading_the_conversation() {
        let conn = Connection::open_in_memory().unwrap();
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
        migrate::SQLITE.iter().for_each(|migration| conn.execute_batch(migration.sql).unwrap());
        for is_signed_in in [false, true] {
            let mut plan = conn.prepare(&format!("explain query plan {}", with_key(is_signed_in))).unwrap();
            let steps = plan.query_map(params![1, "user", 1, "key"], |row| row.get::<_, String>(3)).unwrap();
            let steps: Vec<_> = steps.map(Result::unwrap).collect();
            let by_key = "SEARCH m USING INDEX messages_idempotency (conversation_id=? AND role=? AND <expr>=? AND idempotency_key=?)";
            assert_eq!(steps[0], by_key, "signed in: {is_signed_in}");
        }
    }
}
