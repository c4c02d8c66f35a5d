//! Messages: appending, editing, hiding and listing them.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::append;
use super::attachments;
use super::batch::{self, Verdict};
use super::conn::{Conn, Tx};
use super::conversations::{self, Name, listed_at};
use super::fail::Fail;
use super::files;
use super::letters;
use super::log::{self, EventRow};
use super::{rows, runs};
use crate::domain::{
    Change, Conversation, ConversationId, ConversationKind, ConversationState, Device, DeviceKind, Event, EventBody,
    EventId, Json, Letter, LetterKind, Message, MessageId, MessageText, ParticipantKind, Reaction, Role, Timestamp,
    UserId,
};
use crate::error::{Conflict, Error, Subject};
use crate::store::search::folded;
use crate::store::{Appended, Idempotency, MessageFilter, NewMessage};

/// A message's columns, and the tables that they are in. Others may follow them, from [`MORE`] on.
pub(super) const COLUMNS: &str = "m.id, m.uuid, m.conversation_id, m.seq, m.role, m.user_id, m.text, m.metadata, \
     m.reply_to, m.created_at, m.updated_at, m.edited_at, \
     l.receiver_id, l.kind, l.attachments, l.device, l.device_kind, l.delivered_at, l.read_at, \
     case when l.message_id is not null then (select json_agg(json_build_array(r.user_id, r.emoji, r.at) \
         order by r.at, r.user_id, r.emoji)::text from reactions r \
         where r.conversation_id = l.conversation_id and r.message_id = l.message_id) end";
pub(super) const TABLES: &str =
    "messages m left join letters l on l.conversation_id = m.conversation_id and l.message_id = m.id";
pub(super) const MORE: usize = 20;

/// The same of a conversation that holds no letters.
const PLAIN_COLUMNS: &str = "m.id, m.uuid, m.conversation_id, m.seq, m.role, m.user_id, m.text, m.metadata, \
     m.reply_to, m.created_at, m.updated_at, m.edited_at, null::bigint, null::text, null::text, null::text, \
     null::text, null::bigint, null::bigint, null::text";
const PLAIN_TABLES: &str = "messages m";

/// The columns and tables of the messages of a kind of conversations: with letters only where there can be any.
pub(super) fn source(kind: ConversationKind) -> (&'static str, &'static str) {
    if kind == ConversationKind::Direct { (COLUMNS, TABLES) } else { (PLAIN_COLUMNS, PLAIN_TABLES) }
}

/// The kind of a conversation; `None` when it is not there.
pub(super) async fn kind_of(conn: &Conn, id: ConversationId) -> Result<Option<ConversationKind>, Fail> {
    let found = conn.opt("select kind from conversations where id = $1", &[&id.0]).await?;
    found.map(|row| rows::word(&row, 0, ConversationKind::parse)).transpose()
}

pub(super) fn from_row(row: &Row) -> Result<Arc<Message>, Fail> {
    Ok(Arc::new(Message {
        id: EventId(row.try_get(0)?),
        uuid: row.try_get(1)?,
        conversation_id: ConversationId(row.try_get(2)?),
        seq: rows::count(row, 3)?,
        role: rows::word(row, 4, Role::parse)?,
        user_id: row.try_get::<_, Option<i64>>(5)?.map(UserId),
        text: row.try_get(6)?,
        metadata: row.try_get::<_, Option<String>>(7)?.map(Json),
        reply_to: row.try_get::<_, Option<i64>>(8)?.map(EventId),
        created_at: Timestamp(row.try_get(9)?),
        updated_at: Timestamp(row.try_get(10)?),
        edited_at: row.try_get::<_, Option<i64>>(11)?.map(Timestamp),
        letter: letter(row)?.map(Box::new),
    }))
}

/// The letter in a message's row; `None` when the message is none.
fn letter(row: &Row) -> Result<Option<Letter>, Fail> {
    let Some(receiver) = row.try_get::<_, Option<i64>>(12)? else { return Ok(None) };
    Ok(Some(Letter {
        receiver_id: UserId(receiver),
        kind: rows::word(row, 13, LetterKind::parse)?,
        attachments: Json(row.try_get(14)?),
        device: Device { kind: rows::word(row, 16, DeviceKind::parse)?, details: Json(row.try_get(15)?) },
        delivered_at: row.try_get::<_, Option<i64>>(17)?.map(Timestamp),
        read_at: row.try_get::<_, Option<i64>>(18)?.map(Timestamp),
        reactions: reactions(row.try_get(19)?)?,
    }))
}

fn reactions(listed: Option<&str>) -> Result<Vec<Reaction>, Fail> {
    let Some(listed) = listed else { return Ok(Vec::new()) };
    let listed: Vec<(i64, String, i64)> = serde_json::from_str(listed).map_err(Error::internal)?;
    let reaction = |(user, emoji, at)| Reaction { user_id: UserId(user), emoji, at: Timestamp(at) };
    Ok(listed.into_iter().map(reaction).collect())
}

/// What an append has to know of its conversation, whose head is locked.
pub(super) struct Number {
    kind: ConversationKind,
    is_active: bool,
    seq: u64,
    last_activity_at: Timestamp,
}

impl From<&Conversation> for Number {
    fn from(conversation: &Conversation) -> Self {
        Self {
            kind: conversation.kind,
            is_active: conversation.state.is_active,
            seq: conversation.head.seq,
            last_activity_at: conversation.last_activity_at,
        }
    }
}

/// Locks the head of a conversation; `None` when there is no such conversation.
pub(super) async fn next_number(tx: &Tx, id: ConversationId) -> Result<Option<Number>, Fail> {
    Ok(conversations::lock(tx, id).await?.as_ref().map(Number::from))
}

/// Appends a message of any sort. Those that [`append::is_light`] says so of go through the lanes, many at once.
pub(super) async fn append(tx: &mut Tx, new: &NewMessage) -> Result<Appended, Fail> {
    let gone = || Fail::Refused(Error::NotFound(Subject::Conversation));
    let mut conversation = conversations::lock(tx, new.conversation_id).await?.ok_or_else(gone)?;
    if let Some(message) = sent_before(tx, new).await? {
        return Ok(Appended { message, replayed: true });
    }
    let is_closed = !conversation.state.is_active && conversation.kind == ConversationKind::LiveChat;
    if is_closed && new.role == Role::User {
        let open = ConversationState { is_active: true, ..conversation.state.clone() };
        let at = new.at.max(conversation.last_activity_at);
        conversation = conversations::set_state(tx, conversation, open, Change::Reopened, at).await?;
    }
    // Looked at before anything is written, and held by the message once its row is there.
    let uploads = new.letter.as_ref().map(|letter| &letter.uploads).filter(|uploads| !uploads.is_empty());
    let claim = match (uploads, new.user_id) {
        (Some(uploads), Some(author)) => Some(attachments::claim(tx, uploads, author).await?),
        _ => None,
    };
    let message = insert_message(tx, new, &Number::from(&conversation)).await?;
    if let Some(claim) = claim {
        attachments::hold(tx, &claim, message.id, message.conversation_id).await?;
    }
    Ok(Appended { message, replayed: false })
}

/// The message that the author sent with the same key, if any.
pub(super) async fn sent_before(conn: &Conn, new: &NewMessage) -> Result<Option<Arc<Message>>, Fail> {
    let Some(idempotency) = &new.idempotency else { return Ok(None) };
    // The author of an account is one whatever the role; without an account the role tells.
    let sql = format!(
        "select {COLUMNS}, m.fingerprint from {TABLES} \
         where m.conversation_id = $1 and m.idempotency_key = $2 and coalesce(m.user_id, 0) = $3 \
         and (m.user_id is not null or m.role = $4) limit 1"
    );
    let user = new.user_id.map_or(0, |user| user.0);
    let found = conn.opt(&sql, &[&new.conversation_id.0, &idempotency.key, &user, &new.role.as_str()]).await?;
    let Some(row) = found else { return Ok(None) };
    if row.try_get::<_, &[u8]>(MORE)? != idempotency.fingerprint {
        return Err(Fail::Refused(Error::Conflict(Conflict::IdempotencyKeyReused)));
    }
    from_row(&row).map(Some)
}

pub(super) async fn insert_message(tx: &mut Tx, new: &NewMessage, number: &Number) -> Result<Arc<Message>, Fail> {
    let at = new.at.max(number.last_activity_at);
    let message = new.appended(tx.next_event_id().await?, number.seq + 1, at);
    let listed_at = listed_at(number.kind, number.is_active, at);
    // They go out together.
    tokio::try_join!(insert_row(tx, &message, new.idempotency.as_ref()), move_head(tx, &message, listed_at))?;
    match message.role {
        Role::Staff => {
            conversations::join(tx, message.conversation_id, ParticipantKind::Staff, message.user_id, at).await?;
        }
        Role::Assistant => {
            conversations::join(tx, message.conversation_id, ParticipantKind::Assistant, None, at).await?;
        }
        // The owner joined when the conversation was made, and instructions are nobody's.
        Role::User | Role::System => {}
    }
    if let Some(letter) = &new.letter {
        letters::insert(tx, &message, letter).await?;
    }
    if !new.files.is_empty() {
        files::insert_of_owner(tx, &message, &new.files).await?;
    }
    let message = Arc::new(message);
    tx.announce(added(&message));
    Ok(message)
}

/// The event that added a message.
pub(super) fn added(message: &Arc<Message>) -> Event {
    Event {
        id: message.id,
        conversation_id: message.conversation_id,
        seq: message.seq,
        at: message.created_at,
        body: EventBody::MessageAdded(Arc::clone(message)),
    }
}

async fn insert_row(tx: &Tx, message: &Message, idempotency: Option<&Idempotency>) -> Result<(), Fail> {
    tx.execute(
        "insert into messages (id, uuid, conversation_id, seq, role, user_id, text, metadata, reply_to, \
         idempotency_key, fingerprint, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
        &[
            &message.id.0,
            &message.uuid,
            &message.conversation_id.0,
            &message.seq.cast_signed(),
            &message.role.as_str(),
            &message.user_id.map(|user| user.0),
            &message.text,
            &message.metadata.as_ref().map(|json| json.0.as_str()),
            &message.reply_to.map(|id| id.0),
            &idempotency.map(|idempotency| idempotency.key.as_str()),
            &idempotency.map(|idempotency| idempotency.fingerprint.as_slice()),
            &message.created_at.0,
        ],
    )
    .await?;
    Ok(())
}

async fn move_head(tx: &Tx, message: &Message, listed_at: Option<i64>) -> Result<(), Fail> {
    tx.execute(
        "update heads set seq = $2, event_id = $3, message_id = $3, message_at = $4, last_activity_at = $4, \
         updated_at = $4, listed_at = $5 where conversation_id = $1",
        &[&message.conversation_id.0, &message.seq.cast_signed(), &message.id.0, &message.created_at.0, &listed_at],
    )
    .await?;
    Ok(())
}

/// Appends messages to one conversation: light ones in one statement.
pub(super) async fn append_all(tx: &mut Tx, new: &[NewMessage]) -> Result<Vec<Appended>, Fail> {
    let (Some(first), true) = (new.first(), new.iter().all(append::is_light) && !append::has_twins(new)) else {
        return one_by_one(tx, new).await;
    };
    let gone = || Fail::Refused(Error::NotFound(Subject::Conversation));
    let conversation = conversations::lock(tx, first.conversation_id).await?.ok_or_else(gone)?;
    // One that is closed is opened by some and not by others.
    if !conversation.state.is_active || new.iter().any(|one| one.conversation_id != first.conversation_id) {
        return one_by_one(tx, new).await;
    }
    let verdicts = batch::append(tx, &new.iter().collect::<Vec<_>>()).await?;
    let mut appended = Vec::with_capacity(new.len());
    for (one, verdict) in new.iter().zip(verdicts) {
        let message = match verdict {
            Verdict::Added { id, seq, at } => Arc::new(one.appended(id, seq, at)),
            Verdict::Alone => {
                let message = sent_before(tx, one).await?.ok_or_else(gone)?;
                appended.push(Appended { message, replayed: true });
                continue;
            }
        };
        tx.announce(added(&message));
        appended.push(Appended { message, replayed: false });
    }
    Ok(appended)
}

async fn one_by_one(tx: &mut Tx, new: &[NewMessage]) -> Result<Vec<Appended>, Fail> {
    let mut appended = Vec::with_capacity(new.len());
    for one in new {
        appended.push(append(tx, one).await?);
    }
    Ok(appended)
}

pub(super) async fn delete(tx: &mut Tx, id: ConversationId, message: MessageId, at: Timestamp) -> Result<bool, Fail> {
    let Some(conversation) = conversations::lock(tx, id).await? else { return Ok(false) };
    let at = at.max(conversation.last_activity_at);
    let hidden = tx
        .opt(
            "update messages set deleted_at = $3, updated_at = $3 \
             where id = $2 and conversation_id = $1 and deleted_at is null returning uuid",
            &[&id.0, &message.0, &at.0],
        )
        .await?;
    let Some(row) = hidden else { return Ok(false) };
    let uuid: Uuid = row.try_get(0)?;
    if conversation.kind == ConversationKind::Direct {
        letters::remove(tx, id, message).await?;
    } else {
        runs::forget_texts(tx, id, message).await?;
    }
    let row = EventRow { kind: "message_deleted", message: Some(message), uuid: Some(uuid), ..EventRow::default() };
    log::record(tx, &conversation, at, &row, EventBody::MessageDeleted { message_id: message, uuid }).await?;
    Ok(true)
}

pub(super) async fn delete_all(
    tx: &mut Tx,
    id: ConversationId,
    messages: &[MessageId],
    if_seq: u64,
    at: Timestamp,
) -> Result<bool, Fail> {
    let found = conversations::lock(tx, id).await?;
    if found.is_none_or(|conversation| conversation.head.seq != if_seq) {
        return Ok(false);
    }
    for message in messages {
        delete(tx, id, *message, at).await?;
    }
    Ok(true)
}

pub(super) async fn edit(
    tx: &mut Tx,
    id: ConversationId,
    message: MessageId,
    author: UserId,
    text: &MessageText,
    at: Timestamp,
) -> Result<Option<Arc<Message>>, Fail> {
    let Some(conversation) = conversations::lock(tx, id).await? else { return Ok(None) };
    let Some(old) = visible(tx, id, message).await?.filter(|old| old.user_id == Some(author)) else { return Ok(None) };
    if old.text == text.as_str() {
        return Ok(Some(old));
    }
    let at = at.max(conversation.last_activity_at);
    tx.execute(
        "update messages set text = $3, edited_at = $4, updated_at = $4 where conversation_id = $1 and id = $2",
        &[&id.0, &message.0, &text.as_str(), &at.0],
    )
    .await?;
    letters::index_again(tx, &old, text.as_str()).await?;
    let edited = Arc::new(Message {
        text: text.as_str().to_owned(),
        edited_at: Some(at),
        updated_at: at,
        ..Arc::unwrap_or_clone(old)
    });
    let row = EventRow { kind: "message_edited", message: Some(message), ..EventRow::default() };
    log::record(tx, &conversation, at, &row, EventBody::MessageEdited(Arc::clone(&edited))).await?;
    Ok(Some(edited))
}

/// How many rows of a list are read at once. A list that is searched may read many that do not match.
const SLICE_ROWS: usize = 500;

/// How many are read first of a list that is bounded by bytes.
const FIRST_ROWS: usize = 16;

/// The visible messages that match, oldest first.
pub(super) async fn list(conn: &Conn, id: ConversationId, filter: MessageFilter) -> Result<Vec<Arc<Message>>, Fail> {
    let Some(kind) = kind_of(conn, id).await? else { return Ok(Vec::new()) };
    let newest_first = filter.before.is_some() && filter.after.is_none();
    let mut scan = Scan { kind, id, filter, newest_first, found: Vec::new(), bytes: 0 };
    while !scan.slice(conn).await? {}
    if newest_first {
        scan.found.reverse();
    }
    Ok(scan.found)
}

/// A list on its way.
struct Scan {
    kind: ConversationKind,
    id: ConversationId,
    /// `after` and `before` move as slices are read.
    filter: MessageFilter,
    newest_first: bool,
    found: Vec<Arc<Message>>,
    bytes: usize,
}

impl Scan {
    /// How many rows are read at once so that they hold about as much as is wanted: what the server sends is in memory
    /// before it is looked at.
    fn rows_in_bounds(&self) -> usize {
        let Some(max) = self.filter.bytes_max else { return SLICE_ROWS };
        match self.bytes.checked_div(self.found.len()) {
            Some(each) => ((max - self.bytes) / each.max(1) + 1).min(SLICE_ROWS),
            None => FIRST_ROWS,
        }
    }

    /// Reads on; whether that was all.
    async fn slice(&mut self, conn: &Conn) -> Result<bool, Fail> {
        let order = if self.newest_first { "desc" } else { "asc" };
        let (columns, tables) = source(self.kind);
        let sql = format!(
            "select {columns} from {tables} where m.conversation_id = $1 and m.id > $2 and m.id < $3 \
             and m.deleted_at is null and ($4::text is null or m.role = $4) order by m.id {order} limit $5"
        );
        let after = self.filter.after.unwrap_or(EventId::START).0;
        let before = self.filter.before.map_or(i64::MAX, |before| before.0);
        let room = self.filter.limit - self.found.len();
        if room == 0 {
            return Ok(true);
        }
        let is_searched = self.filter.search.is_some();
        let rows = if is_searched { SLICE_ROWS } else { room.min(self.rows_in_bounds()) };
        let role = self.filter.role.map(Role::as_str);
        let limit = rows::limit(rows);
        let values: [&(dyn ToSql + Sync); 5] = [&self.id.0, &after, &before, &role, &limit];
        let read = conn.rows(&sql, &values).await?;
        let part = self.filter.search.as_deref().map(folded);
        for row in &read {
            let message = from_row(row)?;
            if self.newest_first {
                self.filter.before = Some(message.id);
            } else {
                self.filter.after = Some(message.id);
            }
            if part.as_ref().is_some_and(|part| !folded(&message.text).contains(part.as_str())) {
                continue;
            }
            self.bytes += message.bytes();
            self.found.push(message);
            let is_heavy = self.filter.bytes_max.is_some_and(|max| self.bytes >= max);
            if is_heavy || self.found.len() >= self.filter.limit {
                return Ok(true);
            }
        }
        Ok(read.len() < rows)
    }
}

pub(super) async fn by_uuid(
    conn: &Conn,
    kind: ConversationKind,
    uuid: Uuid,
) -> Result<Option<(Arc<Message>, Conversation)>, Fail> {
    let sql = format!("select {COLUMNS} from {TABLES} where m.uuid = $1 and m.deleted_at is null");
    let Some(row) = conn.opt(&sql, &[&uuid]).await? else { return Ok(None) };
    let message = from_row(&row)?;
    let conversation = conversations::find(conn, kind, &Name::Id(message.conversation_id)).await?;
    Ok(conversation.map(|conversation| (message, conversation)))
}

/// One visible message by its number.
pub(super) async fn visible(conn: &Conn, id: ConversationId, message: MessageId) -> Result<Option<Arc<Message>>, Fail> {
    let sql =
        format!("select {COLUMNS} from {TABLES} where m.id = $2 and m.conversation_id = $1 and m.deleted_at is null");
    conn.opt(&sql, &[&id.0, &message.0]).await?.as_ref().map(from_row).transpose()
}

/// The number of a message, hidden or not.
pub(super) async fn number(conn: &Conn, id: ConversationId, uuid: Uuid) -> Result<Option<MessageId>, Fail> {
    let sql = "select id from messages where uuid = $2 and conversation_id = $1";
    let found = conn.opt(sql, &[&id.0, &uuid]).await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?.map(EventId))
}

pub(super) async fn answer_to(
    conn: &Conn,
    id: ConversationId,
    question: MessageId,
) -> Result<Option<Arc<Message>>, Fail> {
    let sql = format!(
        "select {COLUMNS} from {TABLES} \
         where m.reply_to = $2 and m.conversation_id = $1 and m.deleted_at is null order by m.id limit 1"
    );
    conn.opt(&sql, &[&id.0, &question.0]).await?.as_ref().map(from_row).transpose()
}
