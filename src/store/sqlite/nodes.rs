//! The servers over the store. There is one at a time, which holds the folder's lock; what is left of others was killed.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::SqliteStore;
use super::fail::Fail;
use super::rows;
use super::writer::Tx;
use crate::domain::{Node, Timestamp};
use crate::error::Result as Answer;
use crate::store::nodes::Nodes;

fn beat(tx: &Tx<'_>, node: Uuid, name: &str, at: Timestamp) -> Result<(), Fail> {
    tx.conn
        .prepare_cached(
            "insert into nodes (id, name, started_at, seen_at) values (?1, ?2, ?3, ?3) \
             on conflict (id) do update set name = excluded.name, seen_at = max(seen_at, excluded.seen_at)",
        )?
        .execute(params![node.as_bytes(), name, at.0])?;
    Ok(())
}

fn leave(tx: &Tx<'_>, node: Uuid) -> Result<(), Fail> {
    tx.conn.prepare_cached("delete from nodes where id = ?1")?.execute([node.as_bytes()])?;
    Ok(())
}

fn list(conn: &Connection) -> Result<Vec<Node>, Fail> {
    let mut statement =
        conn.prepare_cached("select id, name, started_at, seen_at from nodes order by started_at, id")?;
    let found = statement.query_map([], |row| {
        Ok(Node {
            id: rows::uuid(row, 0)?,
            name: row.get(1)?,
            started_at: Timestamp(row.get(2)?),
            seen_at: Timestamp(row.get(3)?),
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

#[async_trait]
impl Nodes for SqliteStore {
    async fn beat(&self, node: Uuid, name: String, at: Timestamp) -> Answer<()> {
        self.writer.call_guarded(move |tx| beat(tx, node, &name, at)).await
    }

    async fn leave(&self, node: Uuid) -> Answer<()> {
        self.writer.call_guarded(move |tx| leave(tx, node)).await
    }

    async fn nodes(&self) -> Answer<Vec<Node>> {
        self.readers.read(list).await
    }
}
