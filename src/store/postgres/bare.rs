//! The database's work on sends, and nothing around it: what a cluster's throughput is measured against.
//!
//! It writes a batch's rows (the messages, and the heads of their conversations) in one statement, one round trip and
//! one commit. What it leaves out, besides the queue, the answers and the announcements: it looks for no key that was
//! used before, takes no lock but what the rows themselves need, and knows each conversation's number by itself,
//! because nobody else writes to its conversations.

use std::sync::Arc;

use super::conn::Conn;
use super::core::Core;
use super::fail::Fail;
use super::{PostgresOptions, batch, migrate, pool};
use crate::domain::{ConversationId, Logged, Timestamp};
use crate::error::Result;
use crate::store::{Listener, NewConversation, NewMessage};

/// One connection, whose user waits for every commit.
pub struct BareDatabase {
    conn: Conn,
    core: Arc<Core>,
}

struct Nobody;

impl Listener for Nobody {
    fn committed(&self, _: &[Logged]) {}

    fn removed(&self, _: ConversationId) {}
}

/// The rows of a batch.
const WRITE: &str = "with new as materialized ( \
         select x.*, nextval('event_ids') as id \
         from unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bigint[]) \
             x (conversation_id, uuid, seq, role, text, at) \
     ), written as ( \
         insert into messages (conversation_id, id, uuid, seq, role, text, created_at, updated_at) \
         select conversation_id, id, uuid, seq, role, text, at, at from new \
     ) \
     update heads h set seq = m.seq, event_id = m.id, message_id = m.id, message_at = m.at, last_activity_at = m.at, \
         updated_at = m.at, listed_at = m.at / 16000000 \
     from (select conversation_id, max(seq) as seq, max(id) as id, max(at) as at from new group by conversation_id) m \
     where h.conversation_id = m.conversation_id";

impl BareDatabase {
    /// Connects, with the settings of the store's own connections, and makes the schema as needed.
    ///
    /// # Errors
    /// As [`PostgresStore::open`](super::PostgresStore::open).
    pub async fn open(options: &PostgresOptions, now: Timestamp) -> Result<Self> {
        let pool = pool::make(&options.url, options)?;
        migrate::migrate(&pool, migrate::POSTGRES, now).await?;
        let core = Arc::new(Core::new(pool, None, Arc::new(Nobody), super::vectors::Vectors::default()));
        Ok(Self { conn: core.conn().await?, core })
    }

    /// Creates conversations.
    ///
    /// # Errors
    /// As [`Store::create_conversation`](crate::store::Store::create_conversation).
    pub async fn create(&self, batch: &[NewConversation]) -> Result<Vec<ConversationId>> {
        let mut made = Vec::with_capacity(batch.len());
        let mut tx = super::conn::Tx::begin(&self.core).await?;
        for new in batch {
            made.push(super::conversations::create(&mut tx, new).await?.id);
        }
        Ok(tx.end(Ok(made)).await?)
    }

    /// Writes the rows of messages in one commit; each with the number that it has in its conversation.
    ///
    /// # Errors
    /// `Internal`, when the server refuses.
    pub async fn write(&self, batch: &[(NewMessage, i64)]) -> Result<()> {
        let conversations: Vec<i64> = batch.iter().map(|(new, _)| new.conversation_id.0).collect();
        let uuids: Vec<_> = batch.iter().map(|(new, _)| new.uuid).collect();
        let numbers: Vec<i64> = batch.iter().map(|(_, seq)| *seq).collect();
        let roles: Vec<_> = batch.iter().map(|(new, _)| new.role.as_str()).collect();
        let texts: Vec<_> = batch.iter().map(|(new, _)| new.text.as_str()).collect();
        let instants: Vec<i64> = batch.iter().map(|(new, _)| new.at.0).collect();
        self.conn.execute(WRITE, &[&conversations, &uuids, &numbers, &roles, &texts, &instants]).await?;
        Ok(())
    }

    /// Appends messages by the statement with which the store does.
    ///
    /// # Errors
    /// `Internal`, when the server refuses.
    pub async fn append(&self, batch: &[(NewMessage, i64)]) -> Result<()> {
        let new: Vec<_> = batch.iter().map(|(new, _)| new).collect();
        let done: std::result::Result<_, Fail> = batch::append(&self.conn, &new).await;
        done.map(|_| ()).map_err(Into::into)
    }
}
