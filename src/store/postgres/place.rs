//! Where conversations are.

use super::conn::Conn;
use super::fail::Fail;
use super::rows;
use crate::domain::{ConversationId, ConversationKind, Place, PlatformId, UserId};

/// Where a conversation is.
pub(super) async fn find(conn: &Conn, id: ConversationId) -> Result<Option<Place>, Fail> {
    Ok(find_all(conn, &[id]).await?.into_iter().next())
}

/// Where those conversations are that are there.
pub(super) async fn find_all(conn: &Conn, ids: &[ConversationId]) -> Result<Vec<Place>, Fail> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let found = conn
        .rows(
            "select c.id, c.uuid, c.kind, c.platform_id, \
             case when c.kind = 'direct' then array(select p.user_id from participants p \
                  where p.conversation_id = c.id and p.listed_id is not null order by p.id) \
                  else array_remove(array[c.user_id], null) end \
             from conversations c where c.id = any($1)",
            &[&ids],
        )
        .await?;
    found
        .iter()
        .map(|row| {
            let users: Vec<i64> = row.try_get(4)?;
            Ok(Place {
                conversation_id: ConversationId(row.try_get(0)?),
                uuid: row.try_get(1)?,
                kind: rows::word(row, 2, ConversationKind::parse)?,
                platform_id: row.try_get::<_, Option<i64>>(3)?.map(PlatformId),
                users: users.into_iter().map(UserId).collect(),
            })
        })
        .collect()
}
