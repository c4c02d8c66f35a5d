//! The servers over the store.

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::conn::{Conn, Tx};
use super::fail::Fail;
use crate::domain::{Node, Timestamp};
use crate::error::Result as Answer;
use crate::store::nodes::Nodes;

async fn beat(tx: &Tx, node: Uuid, name: &str, at: Timestamp) -> Result<(), Fail> {
    tx.execute(
        "insert into nodes (id, name, started_at, seen_at) values ($1, $2, $3, $3) \
         on conflict (id) do update set name = excluded.name, seen_at = greatest(nodes.seen_at, excluded.seen_at)",
        &[&node, &name, &at.0],
    )
    .await?;
    Ok(())
}

async fn leave(tx: &Tx, node: Uuid) -> Result<(), Fail> {
    tx.execute("delete from nodes where id = $1", &[&node]).await?;
    Ok(())
}

async fn list(conn: &Conn) -> Result<Vec<Node>, Fail> {
    let node = |row: &Row| {
        Ok(Node {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            started_at: Timestamp(row.try_get(2)?),
            seen_at: Timestamp(row.try_get(3)?),
        })
    };
    let sql = "select id, name, started_at, seen_at from nodes order by started_at, id";
    conn.rows(sql, &[]).await?.iter().map(node).collect()
}

#[async_trait]
impl Nodes for PostgresStore {
    async fn beat(&self, node: Uuid, name: String, at: Timestamp) -> Answer<()> {
        transact!(self, tx => beat(tx, node, &name, at))
    }

    async fn leave(&self, node: Uuid) -> Answer<()> {
        transact!(self, tx => leave(tx, node))
    }

    async fn nodes(&self) -> Answer<Vec<Node>> {
        fetch!(self, conn => list(conn))
    }
}
