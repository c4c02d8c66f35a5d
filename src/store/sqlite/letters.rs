//! Letters: what direct conversations keep beside their messages. Receipts, reactions, the words to
//! search by, and the counts that lists show.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::conversations::{self, one};
use super::fail::Fail;
use super::inbox;
use super::log::{self, EventRow};
use super::messages::{self, COLUMNS, TABLES};
use super::rows;
use super::writer::Tx;
use crate::domain::{
    ConversationId, ConversationKind, Device, DeviceKind, EventBody, EventId, Json, Letter, LetterKind, Message,
    MessageId, PlatformId, Reach, Reaction, Receipt, Timestamp, UserId,
};
use crate::error::{Error, Rule, Subject};
use crate::store::search::{folded, mark_of, words};
use crate::store::{Direct, Found, MARKS_MAX, Mark, NewLetter, NewReaction, REACTIONS_MAX};

/// The letter in a message's row, from that column on; `None` when the message is none.
pub(super) fn from_row(
    conn: &Connection,
    row: &Row<'_>,
    first: usize,
    message: MessageId,
) -> rusqlite::Result<Option<Letter>> {
    let Some(receiver) = row.get::<_, Option<i64>>(first)? else { return Ok(None) };
    let mut statement = conn
        .prepare_cached("select user_id, emoji, at from reactions where message_id = ?1 order by at, user_id, emoji")?;
    let reactions = statement.query_map([message.0], |row| {
        Ok(Reaction { user_id: UserId(row.get(0)?), emoji: row.get(1)?, at: Timestamp(row.get(2)?) })
    })?;
    Ok(Some(Letter {
        receiver_id: UserId(receiver),
        kind: rows::word(row, first + 1, LetterKind::parse)?,
        attachments: Json(row.get(first + 2)?),
        device: Device { kind: rows::word(row, first + 4, DeviceKind::parse)?, details: Json(row.get(first + 3)?) },
        delivered_at: row.get::<_, Option<i64>>(first + 5)?.map(Timestamp),
        read_at: row.get::<_, Option<i64>>(first + 6)?.map(Timestamp),
        reactions: reactions.collect::<Result<_, _>>()?,
    }))
}

/// Writes what makes a message a letter, behind the message itself.
pub(super) fn insert(tx: &Tx<'_>, message: &Message, new: &NewLetter) -> Result<(), Fail> {
    let id = message.conversation_id;
    tx.conn
        .prepare_cached(
            "insert into letters (message_id, conversation_id, receiver_id, kind, attachments, device, device_kind, \
             is_gone) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
        )?
        .execute(params![
            message.id.0,
            id.0,
            new.receiver_id.0,
            new.kind.as_str(),
            new.attachments.0,
            new.device.details.0,
            new.device.kind.as_str(),
        ])?;
    count_unread(tx, id, new.receiver_id, 1)?;
    tx.conn
        .prepare_cached("update participants set listed_id = ?2 where conversation_id = ?1 and listed_id is not null")?
        .execute(params![id.0, message.id.0])?;
    count_device(tx, id, new.device.kind, 1)?;
    index(tx, message.id, message.user_id, new.receiver_id, &message.text)
}

fn count_unread(tx: &Tx<'_>, id: ConversationId, reader: UserId, by: i64) -> Result<(), Fail> {
    tx.conn
        .prepare_cached(
            "update participants set unread = unread + ?3 \
             where conversation_id = ?1 and kind = 'user' and user_id = ?2",
        )?
        .execute(params![id.0, reader.0, by])?;
    Ok(())
}

fn count_device(tx: &Tx<'_>, id: ConversationId, kind: DeviceKind, by: i64) -> Result<(), Fail> {
    tx.conn
        .prepare_cached(
            "insert into device_counts (conversation_id, device_kind, total) values (?1, ?2, ?3) \
             on conflict (conversation_id, device_kind) do update set total = total + excluded.total",
        )?
        .execute(params![id.0, kind.as_str(), by])?;
    Ok(())
}

/// A text's words as a user finds them: each behind the user's mark.
fn words_for(user: UserId, text: &str) -> String {
    let mark = mark_of(user);
    words(&folded(text)).map(|word| format!("{mark}{word}")).collect::<Vec<_>>().join(" ")
}

fn index(tx: &Tx<'_>, message: MessageId, author: Option<UserId>, receiver: UserId, text: &str) -> Result<(), Fail> {
    let words: Vec<_> = author.into_iter().chain([receiver]).map(|reader| words_for(reader, text)).collect();
    tx.conn
        .prepare_cached("insert into letter_search (rowid, words) values (?1, ?2)")?
        .execute(params![message.0, words.join(" ")])?;
    Ok(())
}

/// The words of an edited letter.
pub(super) fn index_again(
    tx: &Tx<'_>,
    message: MessageId,
    author: UserId,
    receiver: UserId,
    text: &str,
) -> Result<(), Fail> {
    tx.conn.prepare_cached("delete from letter_search where rowid = ?1")?.execute([message.0])?;
    index(tx, message, Some(author), receiver, text)
}

/// Takes a hidden letter out of the counts and the search.
pub(super) fn remove(tx: &Tx<'_>, id: ConversationId, message: MessageId) -> Result<(), Fail> {
    let hidden = tx
        .conn
        .prepare_cached(
            "update letters set is_gone = 1 where message_id = ?1 and is_gone = 0 \
             returning receiver_id, device_kind, read_at is null",
        )?
        .query_row([message.0], |row| {
            Ok((UserId(row.get(0)?), rows::word(row, 1, DeviceKind::parse)?, row.get::<_, bool>(2)?))
        })
        .optional()?;
    let Some((receiver, device, is_unread)) = hidden else { return Ok(()) };
    if is_unread {
        count_unread(tx, id, receiver, -1)?;
    }
    count_device(tx, id, device, -1)?;
    tx.conn.prepare_cached("delete from letter_search where rowid = ?1")?.execute([message.0])?;
    Ok(())
}

/// Takes the words of a conversation that is about to be removed out of the search: it is the one
/// table that no reference empties.
pub(super) fn forget(tx: &Tx<'_>, id: ConversationId) -> Result<(), Fail> {
    tx.conn
        .prepare_cached(
            "delete from letter_search where rowid in (select id from messages where conversation_id = ?1)",
        )?
        .execute([id.0])?;
    Ok(())
}

pub(super) fn by_number(
    conn: &Connection,
    platform: PlatformId,
    message: MessageId,
) -> Result<Option<(Arc<Message>, Direct)>, Fail> {
    let found = conn
        .prepare_cached(&format!("select {COLUMNS} from {TABLES} where m.id = ?1 and m.deleted_at is null"))?
        .query_row([message.0], |row| messages::from_row(conn, row))
        .optional()?;
    let Some(message) = found else { return Ok(None) };
    let kind = ConversationKind::Direct.as_str();
    let conversation = one(
        conn,
        "c.kind = ?1 and c.id = ?2 and c.platform_id = ?3",
        params![kind, message.conversation_id.0, platform.0],
    )?;
    let direct = conversation.map(|conversation| inbox::with_members(conn, conversation)).transpose()?;
    Ok(direct.map(|direct| (message, direct)))
}

pub(super) fn mark(tx: &mut Tx<'_>, id: ConversationId, mark: &Mark) -> Result<usize, Fail> {
    let Some(conversation) = conversations::by_id(tx.conn, id)? else { return Ok(0) };
    let at = mark.at.max(conversation.last_activity_at);
    let open = match mark.receipt {
        Receipt::Delivered => "delivered_at",
        Receipt::Read => "read_at",
    };
    let reach = match mark.reach {
        Reach::One(_) => "message_id = ?3",
        Reach::Through(_) => "message_id <= ?3",
    };
    let marks_max = i64::try_from(MARKS_MAX).unwrap_or(i64::MAX);
    let letters: Vec<i64> = tx
        .conn
        .prepare_cached(&format!(
            "select message_id from letters where conversation_id = ?1 and receiver_id = ?2 and {reach} \
             and {open} is null and is_gone = 0 order by message_id limit ?4"
        ))?
        .query_map(params![id.0, mark.reader.0, mark.reach.end().0, marks_max], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let Some(last) = letters.last() else { return Ok(0) };
    let set = match mark.receipt {
        Receipt::Delivered => "delivered_at = ?2",
        Receipt::Read => "read_at = ?2, delivered_at = coalesce(delivered_at, ?2)",
    };
    let mut update = tx.conn.prepare_cached(&format!("update letters set {set} where message_id = ?1"))?;
    for letter in &letters {
        update.execute(params![letter, at.0])?;
    }
    if mark.receipt == Receipt::Read {
        count_unread(tx, id, mark.reader, -i64::try_from(letters.len()).unwrap_or(i64::MAX))?;
        tx.conn
            .prepare_cached(
                "update participants set last_read_at = ?3 \
                 where conversation_id = ?1 and kind = 'user' and user_id = ?2",
            )?
            .execute(params![id.0, mark.reader.0, at.0])?;
    }
    // Not past what was marked: the next call marks the rest, with an event of its own.
    let reach = match mark.reach {
        Reach::One(one) => Reach::One(one),
        Reach::Through(_) => Reach::Through(EventId(*last)),
    };
    let kind = match (mark.receipt, reach) {
        (Receipt::Delivered, Reach::One(_)) => "delivered",
        (Receipt::Delivered, Reach::Through(_)) => "delivered_through",
        (Receipt::Read, Reach::One(_)) => "read",
        (Receipt::Read, Reach::Through(_)) => "read_through",
    };
    let row = EventRow { kind, message: Some(reach.end()), user: Some(mark.reader), ..EventRow::default() };
    let body = EventBody::Received { reader: mark.reader, receipt: mark.receipt, reach };
    log::record(tx, &conversation, at, &row, body)?;
    Ok(letters.len())
}

pub(super) fn react(tx: &mut Tx<'_>, id: ConversationId, new: &NewReaction) -> Result<bool, Fail> {
    let gone = || Fail::Refused(Error::NotFound(Subject::Message));
    let conversation = conversations::by_id(tx.conn, id)?.ok_or_else(gone)?;
    let message = messages::visible(tx.conn, id, new.message_id)?.ok_or_else(gone)?;
    let letter = message.letter.as_ref().ok_or_else(gone)?;
    let at = new.at.max(conversation.last_activity_at);
    let theirs: Vec<_> = letter.reactions.iter().filter(|held| held.user_id == new.user_id).collect();
    if theirs.iter().any(|held| held.emoji == new.emoji) != new.removed {
        return Ok(false);
    }
    if !new.removed && theirs.len() >= REACTIONS_MAX {
        return Err(Fail::Refused(Error::field("emoji", Rule::CountMax(REACTIONS_MAX))));
    }
    let (kind, sql) = if new.removed {
        ("reaction_removed", "delete from reactions where message_id = ?2 and user_id = ?3 and emoji = ?4")
    } else {
        (
            "reaction_added",
            "insert into reactions (conversation_id, message_id, user_id, emoji, at) values (?1, ?2, ?3, ?4, ?5)",
        )
    };
    let mut statement = tx.conn.prepare_cached(sql)?;
    if new.removed {
        statement.execute(params![id.0, new.message_id.0, new.user_id.0, new.emoji])?;
    } else {
        statement.execute(params![id.0, new.message_id.0, new.user_id.0, new.emoji, at.0])?;
    }
    let row = EventRow {
        kind,
        message: Some(new.message_id),
        user: Some(new.user_id),
        emoji: Some(&new.emoji),
        ..EventRow::default()
    };
    let reaction = Reaction { user_id: new.user_id, emoji: new.emoji.clone(), at };
    let body = EventBody::Reacted { message_id: new.message_id, reaction, removed: new.removed };
    log::record(tx, &conversation, at, &row, body)?;
    Ok(true)
}

/// How many letters a search looks at: far more than it shows, since those that are not the searcher's are few
/// unless somebody wants otherwise.
const SEARCHED_MAX: i64 = 10_000;

pub(super) fn search(
    conn: &Connection,
    user: UserId,
    words: &[String],
    before: Option<MessageId>,
    limit: usize,
) -> Result<Vec<Found>, Fail> {
    // Each word as a phrase of its own: what is in it is letters and digits, and never the query language.
    let words = words.iter().map(|word| words_for(user, word)).filter(|words| !words.is_empty());
    let query = words.map(|words| format!("\"{words}\" *")).collect::<Vec<_>>().join(" AND ");
    if query.is_empty() {
        return Ok(Vec::new());
    }
    // Read on demand, and past what is not theirs: otherwise others could fill a page with what is then left
    // out, and the search would seem to end there.
    let mut statement = conn.prepare_cached(
        "select rowid from letter_search where letter_search match ?1 and rowid < ?2 order by rowid desc limit ?3",
    )?;
    let mut rows = statement.query(params![query, before.map_or(i64::MAX, |before| before.0), SEARCHED_MAX])?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let number: i64 = row.get(0)?;
        let message = conn
            .prepare_cached(&format!("select {COLUMNS} from {TABLES} where m.id = ?1 and m.deleted_at is null"))?
            .query_row([number], |row| messages::from_row(conn, row))
            .optional()?;
        // The marks alone are not trusted: what the index takes for a word may not be quite what we do.
        let is_theirs = |message: &Message| {
            let receiver = message.letter.as_ref().map(|letter| letter.receiver_id);
            message.user_id == Some(user) || receiver == Some(user)
        };
        let Some(message) = message.filter(|message| is_theirs(message)) else { continue };
        if let Some(conversation) = conversations::by_id(conn, message.conversation_id)? {
            found.push(Found { message, direct: inbox::with_members(conn, conversation)? });
        }
    }
    Ok(found)
}

pub(super) fn at(conn: &Connection, id: ConversationId, offset: u64) -> Result<(u64, Option<MessageId>), Fail> {
    let total: u64 = conn
        .prepare_cached("select coalesce(sum(total), 0) from device_counts where conversation_id = ?1")?
        .query_row([id.0], |row| row.get(0))?;
    if offset >= total {
        return Ok((total, None));
    }
    let back = total - 1 - offset;
    let (order, skip) = if offset <= back { ("asc", offset) } else { ("desc", back) };
    let sql = format!(
        "select id from messages where conversation_id = ?1 and deleted_at is null \
         order by id {order} limit 1 offset ?2"
    );
    let skip = i64::try_from(skip).unwrap_or(i64::MAX);
    let found = conn.prepare_cached(&sql)?.query_row(params![id.0, skip], |row| row.get(0).map(EventId)).optional()?;
    Ok((total, found))
}

pub(super) fn devices(conn: &Connection, user: UserId) -> Result<Vec<(DeviceKind, u64)>, Fail> {
    let mut statement = conn.prepare_cached(
        "select d.device_kind, sum(d.total) as total from participants p \
         join device_counts d on d.conversation_id = p.conversation_id \
         where p.user_id = ?1 and p.listed_id is not null and d.total > 0 \
         group by d.device_kind order by total desc, d.device_kind",
    )?;
    let found = statement.query_map([user.0], |row| Ok((rows::word(row, 0, DeviceKind::parse)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}
