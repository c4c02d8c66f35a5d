//! Uploaded files, and the messages that hold them.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::SqliteStore;
use super::fail::Fail;
use super::rows;
use super::writer::Tx;
use crate::domain::{Attachment, AttachmentId, ConversationId, MessageId, Timestamp, UserId};
use crate::error::{Error, Result as Answer, Rule, Subject};
use crate::store::attachments::{Attachments, NewAttachment};

const COLUMNS: &str = "a.id, a.uuid, a.user_id, a.name, a.mime, a.size, a.has_thumbnail, a.created_at";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Attachment> {
    Ok(Attachment {
        id: AttachmentId(row.get(0)?),
        uuid: rows::uuid(row, 1)?,
        user_id: UserId(row.get(2)?),
        name: row.get(3)?,
        mime: row.get(4)?,
        size: row.get(5)?,
        has_thumbnail: row.get(6)?,
        created_at: Timestamp(row.get(7)?),
    })
}

fn add(tx: &Tx<'_>, new: &NewAttachment) -> Result<Attachment, Fail> {
    tx.conn
        .prepare_cached(
            "insert into attachments (uuid, user_id, name, mime, size, has_thumbnail, state, created_at) \
             values (?1, ?2, ?3, ?4, ?5, ?6, 'loose', ?7)",
        )?
        .execute(params![
            new.uuid.as_bytes(),
            new.user_id.0,
            new.name,
            new.mime,
            new.size,
            new.has_thumbnail,
            new.at.0
        ])?;
    Ok(Attachment {
        id: AttachmentId(tx.conn.last_insert_rowid()),
        uuid: new.uuid,
        user_id: new.user_id,
        name: new.name.clone(),
        mime: new.mime.clone(),
        size: new.size,
        has_thumbnail: new.has_thumbnail,
        created_at: new.at,
    })
}

fn visible_to(conn: &Connection, user: UserId, uuid: Uuid) -> Result<Option<Attachment>, Fail> {
    let found = conn
        .prepare_cached(&format!(
            "select {COLUMNS} from attachments a \
             where a.uuid = ?1 and a.state <> 'condemned' and (a.user_id = ?2 or exists ( \
               select 1 from attachment_uses h \
               join messages m on m.id = h.message_id and m.deleted_at is null \
               join participants p on p.conversation_id = h.conversation_id and p.kind = 'user' and p.user_id = ?2 \
               where h.attachment_id = a.id))"
        ))?
        .query_row(params![uuid.as_bytes(), user.0], from_row)
        .optional()?;
    Ok(found)
}

/// Files of one user that a message may take.
pub(super) struct Claim(Vec<AttachmentId>);

/// Looks whether a user may give these files to a message. Writes nothing, so that an append can
/// refuse before it does.
pub(super) fn claim(conn: &Connection, uuids: &[Uuid], user: UserId) -> Result<Claim, Fail> {
    let mut statement = conn
        .prepare_cached("select id from attachments where uuid = ?1 and user_id = ?2 and state in ('loose', 'held')")?;
    let mut own = Vec::with_capacity(uuids.len());
    for uuid in uuids {
        let found = statement.query_row(params![uuid.as_bytes(), user.0], |row| row.get(0)).optional()?;
        let Some(id) = found else { return Err(Fail::Refused(Error::field("attachments", Rule::Valid))) };
        own.push(AttachmentId(id));
    }
    Ok(Claim(own))
}

/// Lets a message, whose row is there, hold what was claimed for it in the same transaction.
pub(super) fn hold(tx: &Tx<'_>, claim: &Claim, message: MessageId, conversation: ConversationId) -> Result<(), Fail> {
    let mut uses = tx.conn.prepare_cached(
        "insert or ignore into attachment_uses (attachment_id, message_id, conversation_id) values (?1, ?2, ?3)",
    )?;
    let mut state = tx.conn.prepare_cached("update attachments set state = 'held' where id = ?1")?;
    for id in &claim.0 {
        uses.execute(params![id.0, message.0, conversation.0])?;
        state.execute([id.0])?;
    }
    Ok(())
}

fn hold_for(tx: &Tx<'_>, user: UserId, uuids: &[Uuid], message: MessageId) -> Result<(), Fail> {
    let found = tx
        .conn
        .prepare_cached("select conversation_id from messages where id = ?1 and deleted_at is null")?
        .query_row([message.0], |row| row.get(0).map(ConversationId))
        .optional()?;
    let Some(conversation) = found else { return Err(Fail::Refused(Error::NotFound(Subject::Message))) };
    let claim = claim(tx.conn, uuids, user)?;
    hold(tx, &claim, message, conversation)
}

fn loose(conn: &Connection, before: Timestamp, limit: usize) -> Result<Vec<(AttachmentId, Uuid)>, Fail> {
    let mut statement = conn.prepare_cached(
        "select id, uuid from attachments \
         where state <> 'held' and (state = 'condemned' or created_at < ?1) order by created_at, id limit ?2",
    )?;
    let found = statement
        .query_map(params![before.0, limit], |row| Ok((AttachmentId(row.get(0)?), rows::uuid(row, 1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

fn condemn(tx: &Tx<'_>, id: AttachmentId) -> Result<bool, Fail> {
    let condemned = tx
        .conn
        .prepare_cached("update attachments set state = 'condemned' where id = ?1 and state <> 'held'")?
        .execute([id.0])?;
    Ok(condemned == 1)
}

fn remove(tx: &Tx<'_>, id: AttachmentId) -> Result<bool, Fail> {
    let gone =
        tx.conn.prepare_cached("delete from attachments where id = ?1 and state = 'condemned'")?.execute([id.0])?;
    Ok(gone == 1)
}

#[async_trait]
impl Attachments for SqliteStore {
    async fn add_attachment(&self, new: NewAttachment) -> Answer<Attachment> {
        self.writer.call_guarded(move |tx| add(tx, &new)).await
    }

    async fn attachment_for(&self, user: UserId, uuid: Uuid) -> Answer<Option<Attachment>> {
        self.readers.read(move |conn| visible_to(conn, user, uuid)).await
    }

    async fn hold_attachments(&self, user: UserId, uuids: Vec<Uuid>, message: MessageId) -> Answer<()> {
        self.writer.call_guarded(move |tx| hold_for(tx, user, &uuids, message)).await
    }

    async fn loose_attachments(&self, before: Timestamp, limit: usize) -> Answer<Vec<(AttachmentId, Uuid)>> {
        self.readers.read(move |conn| loose(conn, before, limit)).await
    }

    async fn condemn_attachment(&self, id: AttachmentId) -> Answer<bool> {
        self.writer.call_guarded(move |tx| condemn(tx, id)).await
    }

    async fn remove_attachment(&self, id: AttachmentId) -> Answer<bool> {
        self.writer.call_guarded(move |tx| remove(tx, id)).await
    }
}
