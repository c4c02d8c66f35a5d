//! Assistant chats of users: their lists, their files and their shares.

use tokio_postgres::Row;
use uuid::Uuid;

use super::conn::{Conn, Tx, Values};
use super::conversations;
use super::fail::Fail;
use super::messages;
use super::rows;
use crate::domain::{
    ChatFile, Conversation, ConversationId, ConversationKind, EventId, FileId, Message, MessageId, NewFile, Share,
    ShareEntry, ShareId, Timestamp, UserId,
};
use crate::error::{Error, Subject};
use crate::store::{ChatColumn, ChatOrder, NewShare};

pub(super) async fn chats_of(conn: &Conn, user: UserId, order: &[ChatOrder]) -> Result<Vec<ConversationId>, Fail> {
    // Nothing is the smallest, as with the embedded store.
    let column = |(column, is_descending): &ChatOrder| {
        let name = match column {
            ChatColumn::Id => "c.id",
            ChatColumn::CreatedAt => "c.created_at",
            ChatColumn::EditedAt => "coalesce(c.edited_at, c.created_at)",
            ChatColumn::Title => "c.title",
            ChatColumn::Model => "c.model",
        };
        format!("{name} {}, ", if *is_descending { "desc nulls last" } else { "asc nulls first" })
    };
    let order: String = order.iter().map(column).collect();
    let sql =
        format!("select c.id from conversations c where c.user_id = $1 and c.kind = $2 order by {order}c.id desc");
    let found = conn.rows(&sql, &[&user.0, &ConversationKind::AssistantChat.as_str()]).await?;
    found.iter().map(|row| Ok(ConversationId(row.try_get(0)?))).collect()
}

fn is_chat_of(conversation: &Conversation, user: UserId) -> bool {
    conversation.kind == ConversationKind::AssistantChat && conversation.user_id == Some(user)
}

pub(super) async fn chats(conn: &Conn, user: UserId, ids: &[ConversationId]) -> Result<Vec<Conversation>, Fail> {
    let found = conversations::by_ids(conn, ids).await?;
    Ok(found.into_iter().filter(|found| is_chat_of(found, user)).collect())
}

pub(super) async fn remove_chats(tx: &mut Tx, user: UserId, ids: &[ConversationId]) -> Result<bool, Fail> {
    // In one order, whatever the order of the names: two who remove the same chats wait and do not deadlock.
    let mut ordered = ids.to_vec();
    ordered.sort_unstable();
    ordered.dedup();
    for id in &ordered {
        if !conversations::lock(tx, *id).await?.is_some_and(|chat| is_chat_of(&chat, user)) {
            return Ok(false);
        }
    }
    for id in &ordered {
        conversations::remove(tx, *id).await?;
    }
    Ok(true)
}

const COLUMNS: &str = "f.id, f.conversation_id, f.message_id, f.user_id, f.title, f.text, f.language, f.extension, \
     f.created_at, f.updated_at";

fn from_row(row: &Row) -> Result<ChatFile, Fail> {
    Ok(ChatFile {
        id: FileId(row.try_get(0)?),
        conversation_id: ConversationId(row.try_get(1)?),
        message_id: EventId(row.try_get(2)?),
        user_id: UserId(row.try_get(3)?),
        file: NewFile {
            title: row.try_get(4)?,
            text: row.try_get(5)?,
            language: row.try_get(6)?,
            extension: row.try_get(7)?,
        },
        created_at: Timestamp(row.try_get(8)?),
        updated_at: Timestamp(row.try_get(9)?),
    })
}

/// Writes the files that a message of an assistant chat brings along; they are its owner's.
pub(super) async fn insert_of_owner(tx: &Tx, message: &Message, files: &[NewFile]) -> Result<(), Fail> {
    let sql = "select user_id from conversations where id = $1 and kind = $2 and user_id is not null";
    let kind = ConversationKind::AssistantChat.as_str();
    if let Some(row) = tx.opt(sql, &[&message.conversation_id.0, &kind]).await? {
        let owner = UserId(row.try_get(0)?);
        insert(tx, (message.conversation_id, message.id), owner, files, message.created_at).await?;
    }
    Ok(())
}

async fn insert(
    tx: &Tx,
    (id, message): (ConversationId, MessageId),
    user: UserId,
    files: &[NewFile],
    at: Timestamp,
) -> Result<Vec<ChatFile>, Fail> {
    let column = |of: fn(&NewFile) -> &String| files.iter().map(|file| of(file).as_str()).collect::<Vec<_>>();
    let (titles, texts) = (column(|file| &file.title), column(|file| &file.text));
    let (languages, extensions) = (column(|file| &file.language), column(|file| &file.extension));
    let sql = format!(
        "insert into files as f (conversation_id, message_id, user_id, title, text, language, extension, created_at, \
         updated_at) \
         select $1, $2, $3, n.title, n.text, n.language, n.extension, $4, $4 \
         from unnest($5::text[], $6::text[], $7::text[], $8::text[]) with ordinality \
             n (title, text, language, extension, n) order by n.n \
         returning {COLUMNS}"
    );
    let values: Values<'_> = &[&id.0, &message.0, &user.0, &at.0, &titles, &texts, &languages, &extensions];
    let mut added = tx.rows(&sql, values).await?.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
    added.sort_by_key(|file| file.id);
    Ok(added)
}

pub(super) async fn add(
    tx: &Tx,
    (id, message): (ConversationId, MessageId),
    user: UserId,
    files: &[NewFile],
    at: Timestamp,
) -> Result<Option<Vec<ChatFile>>, Fail> {
    // Locked, so that nobody removes the conversation meanwhile: the files would stay behind.
    conversations::lock(tx, id).await?;
    match messages::visible(tx, id, message).await? {
        Some(_) => insert(tx, (id, message), user, files, at).await.map(Some),
        None => Ok(None),
    }
}

/// The files of a conversation, or of a user, after one.
pub(super) async fn list(
    conn: &Conn,
    whose: Result<ConversationId, UserId>,
    after: FileId,
    limit: usize,
) -> Result<Vec<ChatFile>, Fail> {
    let (condition, value) = match whose {
        Ok(conversation) => ("f.conversation_id = $1", conversation.0),
        Err(user) => ("f.user_id = $1", user.0),
    };
    let sql = format!(
        "select {COLUMNS} from files f \
         join messages m on m.conversation_id = f.conversation_id and m.id = f.message_id and m.deleted_at is null \
         where {condition} and f.id > $2 order by f.id limit $3"
    );
    conn.rows(&sql, &[&value, &after.0, &rows::limit(limit)]).await?.iter().map(from_row).collect()
}

const SHARE: &str = "id, uuid, conversation_id, is_shared, is_protected, password_hash, created_at, updated_at";

fn share_from_row(row: &Row) -> Result<Share, Fail> {
    Ok(Share {
        id: ShareId(row.try_get(0)?),
        uuid: row.try_get(1)?,
        conversation_id: ConversationId(row.try_get(2)?),
        is_shared: row.try_get(3)?,
        is_protected: row.try_get(4)?,
        password_hash: row.try_get(5)?,
        created_at: Timestamp(row.try_get(6)?),
        updated_at: Timestamp(row.try_get(7)?),
    })
}

pub(super) async fn add_share(tx: &Tx, new: &NewShare) -> Result<Option<Share>, Fail> {
    // Locked, so that nobody removes the conversation meanwhile: the share would stay behind.
    let id = new.conversation_id;
    conversations::lock(tx, id).await?.ok_or(Fail::Refused(Error::NotFound(Subject::Conversation)))?;
    let sql = format!(
        "insert into shares (uuid, conversation_id, is_shared, is_protected, password_hash, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $6) on conflict (conversation_id) do nothing returning {SHARE}"
    );
    let values: Values<'_> = &[&new.uuid, &id.0, &new.is_shared, &new.is_protected, &new.password_hash, &new.at.0];
    tx.opt(&sql, values).await?.as_ref().map(share_from_row).transpose()
}

pub(super) async fn share_of(conn: &Conn, id: ConversationId) -> Result<Option<Share>, Fail> {
    let sql = format!("select {SHARE} from shares where conversation_id = $1");
    conn.opt(&sql, &[&id.0]).await?.as_ref().map(share_from_row).transpose()
}

pub(super) async fn share(conn: &Conn, uuid: Uuid) -> Result<Option<(Share, Vec<UserId>)>, Fail> {
    let sql = format!(
        "select {SHARE} from shares where uuid = $1 and exists (select 1 from conversations c \
         join users u on u.id = c.user_id where c.id = conversation_id and u.is_active)"
    );
    let Some(row) = conn.opt(&sql, &[&uuid]).await? else { return Ok(None) };
    let share = share_from_row(&row)?;
    let entries = entries(conn, share.id).await?.into_iter().map(|entry| entry.user_id).collect();
    Ok(Some((share, entries)))
}

async fn entries(conn: &Conn, share: ShareId) -> Result<Vec<ShareEntry>, Fail> {
    let sql = "select id, user_id, created_at from share_entries where share_id = $1 order by id";
    let entry = |row: &Row| {
        Ok(ShareEntry {
            id: row.try_get(0)?,
            share_id: share,
            user_id: UserId(row.try_get(1)?),
            created_at: Timestamp(row.try_get(2)?),
        })
    };
    conn.rows(sql, &[&share.0]).await?.iter().map(entry).collect()
}

pub(super) async fn add_entries(
    tx: &Tx,
    share: ShareId,
    users: &[UserId],
    at: Timestamp,
) -> Result<Vec<ShareEntry>, Fail> {
    let ids: Vec<i64> = users.iter().map(|user| user.0).collect();
    tx.execute(
        "insert into share_entries (share_id, user_id, created_at) \
         select $1, n.id, $3 from unnest($2::bigint[]) with ordinality n (id, n) order by n.n on conflict do nothing",
        &[&share.0, &ids, &at.0],
    )
    .await?;
    let all = entries(tx, share).await?;
    Ok(all.into_iter().filter(|entry| users.contains(&entry.user_id)).collect())
}
