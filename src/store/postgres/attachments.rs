//! Uploaded files, and the messages that hold them.
//!
//! Who gives a file to a message, or takes it from one, locks the file's row before it looks who else holds it. The
//! conversation's head is locked before that, as for everything that is written to a conversation.

use std::collections::HashMap;

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::conn::{Conn, Tx};
use super::fail::Fail;
use super::{conversations, rows};
use crate::domain::{Attachment, AttachmentId, ConversationId, MessageId, Timestamp, UserId};
use crate::error::{Error, Result as Answer, Rule, Subject};
use crate::store::attachments::{Attachments, NewAttachment};

const COLUMNS: &str = "a.id, a.uuid, a.user_id, a.name, a.mime, a.size, a.has_thumbnail, a.created_at";

fn from_row(row: &Row) -> Result<Attachment, Fail> {
    Ok(Attachment {
        id: AttachmentId(row.try_get(0)?),
        uuid: row.try_get(1)?,
        user_id: UserId(row.try_get(2)?),
        name: row.try_get(3)?,
        mime: row.try_get(4)?,
        size: rows::count(row, 5)?,
        has_thumbnail: row.try_get(6)?,
        created_at: Timestamp(row.try_get(7)?),
    })
}

async fn add(tx: &Tx, new: &NewAttachment) -> Result<Attachment, Fail> {
    let sql = format!(
        "insert into attachments as a (uuid, user_id, name, mime, size, has_thumbnail, state, created_at) \
         values ($1, $2, $3, $4, $5, $6, 'loose', $7) returning {COLUMNS}"
    );
    let size = i64::try_from(new.size).map_err(|error| Fail::Refused(Error::internal(error)))?;
    let added =
        tx.one(&sql, &[&new.uuid, &new.user_id.0, &new.name, &new.mime, &size, &new.has_thumbnail, &new.at.0]).await?;
    from_row(&added)
}

async fn visible_to(conn: &Conn, user: UserId, uuid: Uuid) -> Result<Option<Attachment>, Fail> {
    let sql = format!(
        "select {COLUMNS} from attachments a \
         where a.uuid = $1 and a.state <> 'condemned' and (a.user_id = $2 or exists ( \
           select 1 from attachment_uses h \
           join messages m on m.conversation_id = h.conversation_id and m.id = h.message_id and m.deleted_at is null \
           join participants p on p.conversation_id = h.conversation_id and p.kind = 'user' and p.user_id = $2 \
           where h.attachment_id = a.id))"
    );
    conn.opt(&sql, &[&uuid, &user.0]).await?.as_ref().map(from_row).transpose()
}

/// Files of one user that a message may take.
pub(super) struct Claim(Vec<AttachmentId>);

/// Looks whether a user may give these files to a message, and keeps them from being condemned until the transaction
/// ends. Writes nothing, so that an append can refuse before it does.
pub(super) async fn claim(tx: &Tx, uuids: &[Uuid], user: UserId) -> Result<Claim, Fail> {
    if uuids.is_empty() {
        return Ok(Claim(Vec::new()));
    }
    let found = tx
        .rows(
            "select uuid, id from attachments where uuid = any($1) and user_id = $2 and state in ('loose', 'held') \
             order by id for no key update",
            &[&uuids, &user.0],
        )
        .await?;
    let own = found.iter().map(|row| Ok((row.try_get(0)?, AttachmentId(row.try_get(1)?))));
    let own: HashMap<Uuid, AttachmentId> = own.collect::<Result<_, Fail>>()?;
    let own: Option<Vec<_>> = uuids.iter().map(|uuid| own.get(uuid).copied()).collect();
    own.map(Claim).ok_or_else(|| Fail::Refused(Error::field("attachments", Rule::Valid)))
}

/// Lets a message, whose row is there, hold what was claimed for it in the same transaction.
pub(super) async fn hold(tx: &Tx, claim: &Claim, message: MessageId, conversation: ConversationId) -> Result<(), Fail> {
    if claim.0.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = claim.0.iter().map(|id| id.0).collect();
    tx.execute(
        "insert into attachment_uses (attachment_id, message_id, conversation_id) select x.id, $2, $3 \
         from unnest($1::bigint[]) as x (id) on conflict do nothing",
        &[&ids, &message.0, &conversation.0],
    )
    .await?;
    tx.execute("update attachments set state = 'held' where id = any($1) and state = 'loose'", &[&ids]).await?;
    Ok(())
}

/// Ends the uses of a conversation that is being removed; what nobody holds any more is loose again.
///
/// Of two that remove the last two conversations which hold a file, the second to lock it sees that the first has let
/// it go.
pub(super) async fn let_go(tx: &Tx, conversation: ConversationId) -> Result<(), Fail> {
    let sql = "delete from attachment_uses where conversation_id = $1 returning attachment_id";
    let held: Result<Vec<i64>, Fail> =
        tx.rows(sql, &[&conversation.0]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect();
    let held = held?;
    if held.is_empty() {
        return Ok(());
    }
    tx.rows("select 1 from attachments where id = any($1) order by id for no key update", &[&held]).await?;
    tx.execute(
        "update attachments a set state = 'loose' where a.id = any($1) and a.state = 'held' \
         and not exists (select 1 from attachment_uses h where h.attachment_id = a.id)",
        &[&held],
    )
    .await?;
    Ok(())
}

/// Under the lock of the conversation, so that it is not removed between the look and the hold.
async fn hold_for(tx: &Tx, user: UserId, uuids: &[Uuid], message: MessageId) -> Result<(), Fail> {
    let none = || Fail::Refused(Error::NotFound(Subject::Message));
    let found = tx.opt("select conversation_id from messages where id = $1", &[&message.0]).await?;
    let conversation = ConversationId(found.ok_or_else(none)?.try_get(0)?);
    conversations::lock(tx, conversation).await?;
    let sql = "select 1 from messages where conversation_id = $1 and id = $2 and deleted_at is null";
    tx.opt(sql, &[&conversation.0, &message.0]).await?.ok_or_else(none)?;
    let claim = claim(tx, uuids, user).await?;
    hold(tx, &claim, message, conversation).await
}

async fn loose(conn: &Conn, before: Timestamp, limit: usize) -> Result<Vec<(AttachmentId, Uuid)>, Fail> {
    let found = conn
        .rows(
            "select id, uuid from attachments \
             where state <> 'held' and (state = 'condemned' or created_at < $1) order by created_at, id limit $2",
            &[&before.0, &rows::limit(limit)],
        )
        .await?;
    found.iter().map(|row| Ok((AttachmentId(row.try_get(0)?), row.try_get(1)?))).collect()
}

async fn condemn(tx: &Tx, id: AttachmentId) -> Result<bool, Fail> {
    let sql = "update attachments set state = 'condemned' where id = $1 and state <> 'held'";
    Ok(tx.execute(sql, &[&id.0]).await? == 1)
}

async fn remove(tx: &Tx, id: AttachmentId) -> Result<bool, Fail> {
    Ok(tx.execute("delete from attachments where id = $1 and state = 'condemned'", &[&id.0]).await? == 1)
}

#[async_trait]
impl Attachments for PostgresStore {
    async fn add_attachment(&self, new: NewAttachment) -> Answer<Attachment> {
        transact!(self, tx => add(tx, &new))
    }

    async fn attachment_for(&self, user: UserId, uuid: Uuid) -> Answer<Option<Attachment>> {
        fetch!(self, conn => visible_to(conn, user, uuid))
    }

    async fn hold_attachments(&self, user: UserId, uuids: Vec<Uuid>, message: MessageId) -> Answer<()> {
        transact!(self, tx => hold_for(tx, user, &uuids, message))
    }

    async fn loose_attachments(&self, before: Timestamp, limit: usize) -> Answer<Vec<(AttachmentId, Uuid)>> {
        fetch!(self, conn => loose(conn, before, limit))
    }

    async fn condemn_attachment(&self, id: AttachmentId) -> Answer<bool> {
        transact!(self, tx => condemn(tx, id))
    }

    async fn remove_attachment(&self, id: AttachmentId) -> Answer<bool> {
        transact!(self, tx => remove(tx, id))
    }
}
