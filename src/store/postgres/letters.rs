//! Letters: what direct conversations keep beside their messages. Receipts, reactions, the words to
//! search by, and the counts that lists show.

use std::collections::BTreeSet;
use std::sync::Arc;

use unicode_normalization::char::decompose_canonical;

use super::conn::{Conn, Tx};
use super::conversations;
use super::fail::Fail;
use super::inbox;
use super::log::{self, EventRow};
use super::messages::{self, COLUMNS, TABLES};
use super::rows;
use crate::domain::{
    ConversationId, ConversationKind, DeviceKind, EventBody, EventId, Message, MessageId, PlatformId, Reach, Reaction,
    Receipt, UserId,
};
use crate::error::{Error, Rule, Subject};
use crate::store::search::{folded, mark_of, words};
use crate::store::{Direct, Found, MARKS_MAX, Mark, NewLetter, NewReaction, REACTIONS_MAX};

/// The letter, its receiver's count, the places in both inboxes, the device's count and the words, in one round trip.
const INSERT: &str = "with letter as ( \
         insert into letters (conversation_id, message_id, receiver_id, kind, attachments, device, device_kind, is_gone) \
         values ($1, $2, $3, $4, $5, $6, $7, false) \
     ), counted as ( \
         update participants set \
             unread = unread + case when kind = 'user' and user_id = $3 then 1 else 0 end, \
             listed_id = case when listed_id is not null then $2 end \
         where conversation_id = $1 and (listed_id is not null or kind = 'user' and user_id = $3) \
     ), device as ( \
         insert into device_counts (conversation_id, device_kind, total) values ($1, $7, 1) \
         on conflict (conversation_id, device_kind) do update set total = device_counts.total + 1 \
     ) \
     insert into letter_search (conversation_id, message_id, words) values ($1, $2, array_to_tsvector($8::text[]))";

/// Writes what makes a message a letter, behind the message itself.
pub(super) async fn insert(tx: &Tx, message: &Message, new: &NewLetter) -> Result<(), Fail> {
    tx.execute(
        INSERT,
        &[
            &message.conversation_id.0,
            &message.id.0,
            &new.receiver_id.0,
            &new.kind.as_str(),
            &new.attachments.0,
            &new.device.details.0,
            &new.device.kind.as_str(),
            &lexemes(message.user_id, new.receiver_id, &message.text),
        ],
    )
    .await?;
    Ok(())
}

/// Bytes of a word that count. A lexeme may have 2046 in all.
const WORD_BYTES_MAX: usize = 512;
/// Bytes of one reader's words. All lexemes of a row may have 1 MB.
const WORDS_BYTES_MAX: usize = 384 << 10;

/// A word without the accents of its Latin letters, as FTS5 compares them in the embedded store (`remove_diacritics 2`).
/// Other scripts keep theirs: there they tell letters apart.
fn bare(word: &str) -> String {
    let mut bare = String::with_capacity(word.len());
    for c in word.chars().filter(|c| !('\u{300}'..='\u{331}').contains(c)) {
        let mut base = None;
        decompose_canonical(c, |part| {
            base.get_or_insert(part);
        });
        bare.push(base.filter(char::is_ascii_alphabetic).unwrap_or(c));
    }
    bare.truncate(bare.floor_char_boundary(WORD_BYTES_MAX));
    bare
}

/// A text's words as a user finds them, each behind the user's mark; each once, in one order.
fn words_for(user: UserId, text: &str) -> BTreeSet<String> {
    let mark = mark_of(user);
    let text = folded(text);
    let marked = words(&text).map(bare).filter(|word| !word.is_empty()).map(|word| format!("{mark}{word}"));
    let mut left = WORDS_BYTES_MAX;
    let mut kept = BTreeSet::new();
    for word in marked {
        let Some(rest) = left.checked_sub(word.len()) else { break };
        if kept.insert(word) {
            left = rest;
        }
    }
    kept
}

/// The words of both who may find a letter. None holds a space.
pub(in crate::store) fn lexemes(author: Option<UserId>, receiver: UserId, text: &str) -> Vec<String> {
    author.into_iter().chain([receiver]).flat_map(|reader| words_for(reader, text)).collect()
}

/// The words of an edited letter; nothing of a message that is none.
pub(super) async fn index_again(tx: &Tx, message: &Message, text: &str) -> Result<(), Fail> {
    let Some(letter) = &message.letter else { return Ok(()) };
    tx.execute(
        "update letter_search set words = array_to_tsvector($3::text[]) where conversation_id = $1 and message_id = $2",
        &[&message.conversation_id.0, &message.id.0, &lexemes(message.user_id, letter.receiver_id, text)],
    )
    .await?;
    Ok(())
}

/// Takes a hidden letter out of the counts and the search.
pub(super) async fn remove(tx: &Tx, id: ConversationId, message: MessageId) -> Result<(), Fail> {
    tx.execute(
        "with hidden as ( \
             update letters set is_gone = true where conversation_id = $1 and message_id = $2 and not is_gone \
             returning receiver_id, device_kind, read_at is null as is_unread \
         ), counted as ( \
             update participants p set unread = p.unread - 1 from hidden \
             where p.conversation_id = $1 and p.kind = 'user' and p.user_id = hidden.receiver_id and hidden.is_unread \
         ), device as ( \
             update device_counts d set total = d.total - 1 from hidden \
             where d.conversation_id = $1 and d.device_kind = hidden.device_kind \
         ) \
         delete from letter_search where conversation_id = $1 and message_id = $2",
        &[&id.0, &message.0],
    )
    .await?;
    Ok(())
}

pub(super) async fn by_number(
    conn: &Conn,
    platform: PlatformId,
    message: MessageId,
) -> Result<Option<(Arc<Message>, Direct)>, Fail> {
    let sql = format!("select {COLUMNS} from {TABLES} where m.id = $1 and m.deleted_at is null");
    let Some(row) = conn.opt(&sql, &[&message.0]).await? else { return Ok(None) };
    let message = messages::from_row(&row)?;
    let condition = "c.kind = $1 and c.id = $2 and c.platform_id = $3";
    let kind = ConversationKind::Direct.as_str();
    let conversation = conversations::one(conn, condition, &[&kind, &message.conversation_id.0, &platform.0]).await?;
    let direct = inbox::with_members(conn, conversation.into_iter().collect()).await?.pop();
    Ok(direct.map(|direct| (message, direct)))
}

pub(super) async fn mark(tx: &mut Tx, id: ConversationId, mark: &Mark) -> Result<usize, Fail> {
    let Some(conversation) = conversations::lock(tx, id).await? else { return Ok(0) };
    let at = mark.at.max(conversation.last_activity_at);
    let (open, set) = match mark.receipt {
        Receipt::Delivered => ("delivered_at", "delivered_at = $5"),
        Receipt::Read => ("read_at", "read_at = $5, delivered_at = coalesce(delivered_at, $5)"),
    };
    let reach = match mark.reach {
        Reach::One(_) => "message_id = $3",
        Reach::Through(_) => "message_id <= $3",
    };
    let sql = format!(
        "with marked as ( \
             update letters set {set} where conversation_id = $1 and message_id in ( \
                 select message_id from letters where conversation_id = $1 and receiver_id = $2 and {reach} \
                 and {open} is null and not is_gone order by message_id limit $4) \
             returning message_id \
         ) \
         select count(*), max(message_id) from marked"
    );
    let row = tx.one(&sql, &[&id.0, &mark.reader.0, &mark.reach.end().0, &rows::limit(MARKS_MAX), &at.0]).await?;
    let (marked, Some(last)): (i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?) else { return Ok(0) };
    if mark.receipt == Receipt::Read {
        tx.execute(
            "update participants set unread = unread - $3, last_read_at = $4 \
             where conversation_id = $1 and kind = 'user' and user_id = $2",
            &[&id.0, &mark.reader.0, &marked, &at.0],
        )
        .await?;
    }
    // Not past what was marked: the next call marks the rest, with an event of its own.
    let reach = match mark.reach {
        Reach::One(one) => Reach::One(one),
        Reach::Through(_) => Reach::Through(EventId(last)),
    };
    let kind = match (mark.receipt, reach) {
        (Receipt::Delivered, Reach::One(_)) => "delivered",
        (Receipt::Delivered, Reach::Through(_)) => "delivered_through",
        (Receipt::Read, Reach::One(_)) => "read",
        (Receipt::Read, Reach::Through(_)) => "read_through",
    };
    let row = EventRow { kind, message: Some(reach.end()), user: Some(mark.reader), ..EventRow::default() };
    let body = EventBody::Received { reader: mark.reader, receipt: mark.receipt, reach };
    log::record(tx, &conversation, at, &row, body).await?;
    Ok(usize::try_from(marked).unwrap_or(usize::MAX))
}

pub(super) async fn react(tx: &mut Tx, id: ConversationId, new: &NewReaction) -> Result<bool, Fail> {
    let gone = || Fail::Refused(Error::NotFound(Subject::Message));
    let conversation = conversations::lock(tx, id).await?.ok_or_else(gone)?;
    let message = messages::visible(tx, id, new.message_id).await?.ok_or_else(gone)?;
    let letter = message.letter.as_ref().ok_or_else(gone)?;
    let at = new.at.max(conversation.last_activity_at);
    let theirs: Vec<_> = letter.reactions.iter().filter(|held| held.user_id == new.user_id).collect();
    if theirs.iter().any(|held| held.emoji == new.emoji) != new.removed {
        return Ok(false);
    }
    if !new.removed && theirs.len() >= REACTIONS_MAX {
        return Err(Fail::Refused(Error::field("emoji", Rule::CountMax(REACTIONS_MAX))));
    }
    let kind = if new.removed {
        let sql =
            "delete from reactions where conversation_id = $1 and message_id = $2 and user_id = $3 and emoji = $4";
        tx.execute(sql, &[&id.0, &new.message_id.0, &new.user_id.0, &new.emoji]).await?;
        "reaction_removed"
    } else {
        let sql = "insert into reactions (conversation_id, message_id, user_id, emoji, at) values ($1, $2, $3, $4, $5)";
        tx.execute(sql, &[&id.0, &new.message_id.0, &new.user_id.0, &new.emoji, &at.0]).await?;
        "reaction_added"
    };
    let row = EventRow {
        kind,
        message: Some(new.message_id),
        user: Some(new.user_id),
        emoji: Some(&new.emoji),
        ..EventRow::default()
    };
    let reaction = Reaction { user_id: new.user_id, emoji: new.emoji.clone(), at };
    let body = EventBody::Reacted { message_id: new.message_id, reaction, removed: new.removed };
    log::record(tx, &conversation, at, &row, body).await?;
    Ok(true)
}

/// How many letters a search looks at: far more than it shows, since those that are not the searcher's are few
/// unless somebody wants otherwise.
const SEARCHED_MAX: usize = 10_000;

/// What letters have to hold, as PostgreSQL writes it: every word whole, but the last of each that was asked for, of
/// which the beginning is enough. There is nothing in a word that would have to be escaped: it is of letters, digits
/// and marks.
fn query(user: UserId, asked: &[String]) -> String {
    let mark = mark_of(user);
    let mut terms = Vec::new();
    for asked in asked {
        let text = folded(asked);
        let words: Vec<_> = words(&text).map(bare).filter(|word| !word.is_empty()).collect();
        let last = words.len();
        let term = |(n, word): (usize, &String)| format!("'{mark}{word}'{}", if n + 1 == last { ":*" } else { "" });
        terms.extend(words.iter().enumerate().map(term));
    }
    terms.join(" & ")
}

pub(super) async fn search(
    conn: &Conn,
    user: UserId,
    words: &[String],
    before: Option<MessageId>,
    limit: usize,
) -> Result<Vec<Found>, Fail> {
    let query = query(user, words);
    if query.is_empty() {
        return Ok(Vec::new());
    }
    // The marks alone are not trusted: a letter has to be the searcher's by its own row, too. The order is that of what
    // was found, by a value that no index gives: else all messages would be walked in their order.
    let sql = format!(
        "select {COLUMNS} from find_letters($1::text::tsquery, $2, $3) s join {TABLES} on true \
         where m.conversation_id = s.conversation_id and m.id = s.message_id \
         and m.deleted_at is null and (m.user_id = $4 or l.receiver_id = $4) order by s.message_id + 0 desc limit $5"
    );
    let before = before.map_or(i64::MAX, |before| before.0);
    let found = conn.rows(&sql, &[&query, &before, &rows::limit(SEARCHED_MAX), &user.0, &rows::limit(limit)]).await?;
    let letters = found.iter().map(messages::from_row).collect::<Result<Vec<_>, _>>()?;
    let ids: BTreeSet<_> = letters.iter().map(|letter| letter.conversation_id).collect();
    let conversations = conversations::by_ids(conn, &ids.into_iter().collect::<Vec<_>>()).await?;
    let directs = inbox::with_members(conn, conversations).await?;
    let found = letters.into_iter().filter_map(|message| {
        let direct = directs.iter().find(|direct| direct.conversation.id == message.conversation_id)?.clone();
        Some(Found { message, direct })
    });
    Ok(found.collect())
}

pub(super) async fn at(conn: &Conn, id: ConversationId, offset: u64) -> Result<(u64, Option<MessageId>), Fail> {
    let sql = "select coalesce(sum(total), 0)::bigint from device_counts where conversation_id = $1";
    let total = rows::count(&conn.one(sql, &[&id.0]).await?, 0)?;
    if offset >= total {
        return Ok((total, None));
    }
    let back = total - 1 - offset;
    let (order, skip) = if offset <= back { ("asc", offset) } else { ("desc", back) };
    let sql = format!(
        "select id from messages where conversation_id = $1 and deleted_at is null order by id {order} limit 1 offset $2"
    );
    let found = conn.opt(&sql, &[&id.0, &rows::number(skip)]).await?;
    Ok((total, found.map(|row| row.try_get(0).map(EventId)).transpose()?))
}

pub(super) async fn devices(conn: &Conn, user: UserId) -> Result<Vec<(DeviceKind, u64)>, Fail> {
    let sql = "select d.device_kind, sum(d.total)::bigint as total from participants p \
               join device_counts d on d.conversation_id = p.conversation_id \
               where p.user_id = $1 and p.listed_id is not null and d.total > 0 \
               group by d.device_kind order by total desc, d.device_kind";
    let found = conn.rows(sql, &[&user.0]).await?;
    found.iter().map(|row| Ok((rows::word(row, 0, DeviceKind::parse)?, rows::count(row, 1)?))).collect()
}
