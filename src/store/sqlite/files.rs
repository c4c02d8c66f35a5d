//! Assistant chats of users: their lists, their files and their shares.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::conversations::{self, one};
use super::fail::{Fail, is_unique};
use super::messages;
use super::rows;
use super::writer::Tx;
use crate::domain::{
    ChatFile, Conversation, ConversationId, ConversationKind, EventId, FileId, Message, MessageId, NewFile, Share,
    ShareEntry, ShareId, Timestamp, UserId,
};
use crate::store::{ChatColumn, ChatOrder, NewShare};

pub(super) fn chats_of(conn: &Connection, user: UserId, order: &[ChatOrder]) -> Result<Vec<ConversationId>, Fail> {
    let column = |(column, is_descending): &ChatOrder| {
        let name = match column {
            ChatColumn::Id => "c.id",
            ChatColumn::CreatedAt => "c.created_at",
            ChatColumn::EditedAt => "coalesce(c.edited_at, c.created_at)",
            ChatColumn::Title => "c.title",
            ChatColumn::Model => "c.model",
        };
        format!("{name} {}, ", if *is_descending { "desc" } else { "asc" })
    };
    let order: String = order.iter().map(column).collect();
    let sql =
        format!("select c.id from conversations c where c.user_id = ?1 and c.kind = ?2 order by {order}c.id desc");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement
        .query_map(params![user.0, ConversationKind::AssistantChat.as_str()], |row| row.get(0).map(ConversationId))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn chat(conn: &Connection, user: UserId, id: ConversationId) -> Result<Option<Conversation>, Fail> {
    let kind = ConversationKind::AssistantChat.as_str();
    one(conn, "c.id = ?1 and c.user_id = ?2 and c.kind = ?3", params![id.0, user.0, kind])
}

pub(super) fn chats(conn: &Connection, user: UserId, ids: &[ConversationId]) -> Result<Vec<Conversation>, Fail> {
    let found: Result<Vec<_>, Fail> = ids.iter().map(|id| chat(conn, user, *id)).collect();
    Ok(found?.into_iter().flatten().collect())
}

pub(super) fn remove_chats(tx: &mut Tx<'_>, user: UserId, ids: &[ConversationId]) -> Result<bool, Fail> {
    for id in ids {
        if chat(tx.conn, user, *id)?.is_none() {
            return Ok(false);
        }
    }
    for id in ids {
        conversations::remove(tx, *id)?;
    }
    Ok(true)
}

const COLUMNS: &str = "f.id, f.conversation_id, f.message_id, f.user_id, f.title, f.text, f.language, f.extension, \
     f.created_at, f.updated_at";

fn from_row(row: &Row<'_>) -> rusqlite::Result<ChatFile> {
    Ok(ChatFile {
        id: FileId(row.get(0)?),
        conversation_id: ConversationId(row.get(1)?),
        message_id: EventId(row.get(2)?),
        user_id: UserId(row.get(3)?),
        file: NewFile { title: row.get(4)?, text: row.get(5)?, language: row.get(6)?, extension: row.get(7)? },
        created_at: Timestamp(row.get(8)?),
        updated_at: Timestamp(row.get(9)?),
    })
}

/// Writes the files that a message of an assistant chat brings along; they are its owner's.
pub(super) fn insert_of_owner(tx: &Tx<'_>, message: &Message, files: &[NewFile]) -> Result<(), Fail> {
    let owner: Option<i64> = tx
        .conn
        .prepare_cached("select user_id from conversations where id = ?1 and kind = ?2")?
        .query_row(params![message.conversation_id.0, ConversationKind::AssistantChat.as_str()], |row| row.get(0))
        .optional()?
        .flatten();
    if let Some(owner) = owner {
        insert(tx, message.conversation_id, message.id, UserId(owner), files, message.created_at)?;
    }
    Ok(())
}

fn insert(
    tx: &Tx<'_>,
    id: ConversationId,
    message: MessageId,
    user: UserId,
    files: &[NewFile],
    at: Timestamp,
) -> Result<Vec<ChatFile>, Fail> {
    let mut statement = tx.conn.prepare_cached(
        "insert into files (conversation_id, message_id, user_id, title, text, language, extension, created_at, \
         updated_at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
    )?;
    let mut added = Vec::with_capacity(files.len());
    for file in files {
        statement.execute(params![
            id.0,
            message.0,
            user.0,
            file.title,
            file.text,
            file.language,
            file.extension,
            at.0
        ])?;
        added.push(ChatFile {
            id: FileId(tx.conn.last_insert_rowid()),
            conversation_id: id,
            message_id: message,
            user_id: user,
            file: file.clone(),
            created_at: at,
            updated_at: at,
        });
    }
    Ok(added)
}

pub(super) fn add(
    tx: &Tx<'_>,
    id: ConversationId,
    message: MessageId,
    user: UserId,
    files: &[NewFile],
    at: Timestamp,
) -> Result<Option<Vec<ChatFile>>, Fail> {
    match messages::visible(tx.conn, id, message)? {
        Some(_) => insert(tx, id, message, user, files, at).map(Some),
        None => Ok(None),
    }
}

/// The files of a conversation, or of a user, after one.
pub(super) fn list(
    conn: &Connection,
    whose: Result<ConversationId, UserId>,
    after: FileId,
    limit: usize,
) -> Result<Vec<ChatFile>, Fail> {
    let (condition, value) = match whose {
        Ok(conversation) => ("f.conversation_id = ?1", conversation.0),
        Err(user) => ("f.user_id = ?1", user.0),
    };
    let sql = format!(
        "select {COLUMNS} from files f join messages m on m.id = f.message_id and m.deleted_at is null \
         where {condition} and f.id > ?2 order by f.id limit ?3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map(params![value, after.0, limit], from_row)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn share_from_row(row: &Row<'_>) -> rusqlite::Result<Share> {
    Ok(Share {
        id: ShareId(row.get(0)?),
        uuid: rows::uuid(row, 1)?,
        conversation_id: ConversationId(row.get(2)?),
        is_shared: row.get(3)?,
        is_protected: row.get(4)?,
        password_hash: row.get(5)?,
        created_at: Timestamp(row.get(6)?),
        updated_at: Timestamp(row.get(7)?),
    })
}

fn one_share(conn: &Connection, condition: &str, values: impl rusqlite::Params) -> Result<Option<Share>, Fail> {
    let sql = format!(
        "select id, uuid, conversation_id, is_shared, is_protected, password_hash, created_at, updated_at \
         from shares where {condition}"
    );
    Ok(conn.prepare_cached(&sql)?.query_row(values, share_from_row).optional()?)
}

pub(super) fn add_share(tx: &Tx<'_>, new: &NewShare) -> Result<Option<Share>, Fail> {
    let added = tx
        .conn
        .prepare_cached(
            "insert into shares (uuid, conversation_id, is_shared, is_protected, password_hash, created_at, updated_at) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        )?
        .execute(params![
            new.uuid.as_bytes(),
            new.conversation_id.0,
            new.is_shared,
            new.is_protected,
            new.password_hash,
            new.at.0
        ]);
    match added {
        Err(error) if is_unique(&error) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(_) => share_of(tx.conn, new.conversation_id),
    }
}

pub(super) fn share_of(conn: &Connection, id: ConversationId) -> Result<Option<Share>, Fail> {
    one_share(conn, "conversation_id = ?1", [id.0])
}

pub(super) fn share(conn: &Connection, uuid: Uuid) -> Result<Option<(Share, Vec<UserId>)>, Fail> {
    let condition = "uuid = ?1 and exists (select 1 from conversations c join users u on u.id = c.user_id \
                     where c.id = conversation_id and u.is_active = 1)";
    let Some(share) = one_share(conn, condition, [uuid.as_bytes()])? else { return Ok(None) };
    let entries = entries(conn, share.id)?.into_iter().map(|entry| entry.user_id).collect();
    Ok(Some((share, entries)))
}

fn entries(conn: &Connection, share: ShareId) -> Result<Vec<ShareEntry>, Fail> {
    let mut statement =
        conn.prepare_cached("select id, user_id, created_at from share_entries where share_id = ?1 order by id")?;
    let found = statement.query_map([share.0], |row| {
        Ok(ShareEntry {
            id: row.get(0)?,
            share_id: share,
            user_id: UserId(row.get(1)?),
            created_at: Timestamp(row.get(2)?),
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn add_entries(
    tx: &Tx<'_>,
    share: ShareId,
    users: &[UserId],
    at: Timestamp,
) -> Result<Vec<ShareEntry>, Fail> {
    let mut statement = tx
        .conn
        .prepare_cached("insert or ignore into share_entries (share_id, user_id, created_at) values (?1, ?2, ?3)")?;
    for user in users {
        statement.execute(params![share.0, user.0, at.0])?;
    }
    let all = entries(tx.conn, share)?;
    Ok(all.into_iter().filter(|entry| users.contains(&entry.user_id)).collect())
}
