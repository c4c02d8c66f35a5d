//! A pooled connection, and a transaction on one.

use std::ops::Deref;
use std::sync::Arc;

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::core::Core;
use super::fail::Fail;
use crate::domain::{ConversationId, Event, EventId, Logged};
use crate::error::Error;
use crate::plant::{Plant, goes_wrong, is_planted};

/// The values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection. Statements are prepared once a connection.
pub(super) struct Conn {
    client: Option<Object>,
    /// Whether a transaction is open, or something else that nobody else must find: such a connection is closed, not given
    /// back, when its user goes away.
    is_open: bool,
}

impl Conn {
    pub fn new(client: Object) -> Self {
        Self { client: Some(client), is_open: false }
    }

    /// A connection that is closed when its user is through with it, and with it whatever it was told and holds.
    pub fn for_once(client: Object) -> Self {
        Self { client: Some(client), is_open: true }
    }

    fn client(&self) -> Result<&Object, Fail> {
        self.client
            .as_ref()
            .ok_or_else(|| Fail::Refused(crate::error::Error::internal("the connection was given back")))
    }

    /// Every row.
    pub async fn rows(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Fail> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, values).await?)
    }

    /// The rows of two statements that go out together, one behind the other: the second sees whatever was committed
    /// while the first ran, or waited for a lock.
    pub async fn pair(
        &self,
        first: (&str, Values<'_>),
        second: (&str, Values<'_>),
    ) -> Result<(Vec<Row>, Vec<Row>), Fail> {
        let client = self.client()?;
        // Both are prepared before either goes out, and `try_join` looks at them in this order, always: `tokio::join`
        // takes turns, and with the second before the first it would see the past.
        let prepared = (client.prepare_cached(first.0).await?, client.prepare_cached(second.0).await?);
        let (first, second) = (client.query(&prepared.0, first.1), client.query(&prepared.1, second.1));
        Ok(futures_util::future::try_join(first, second).await?)
    }

    /// The row, if there is one.
    pub async fn opt(&self, sql: &str, values: Values<'_>) -> Result<Option<Row>, Fail> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// The row that there has to be.
    pub async fn one(&self, sql: &str, values: Values<'_>) -> Result<Row, Fail> {
        let none = || Fail::Refused(crate::error::Error::internal("a row is missing that has to be there"));
        self.opt(sql, values).await?.ok_or_else(none)
    }

    /// How many rows it changed.
    pub async fn execute(&self, sql: &str, values: Values<'_>) -> Result<u64, Fail> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.execute(&statement, values).await?)
    }

    /// Statements without values, separated by semicolons.
    pub async fn batch(&self, sql: &str) -> Result<(), Fail> {
        Ok(self.client()?.batch_execute(sql).await?)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.is_open
            && let Some(client) = self.client.take()
        {
            // Out of the pool, and closed: the server rolls back.
            drop(Object::take(client));
        }
    }
}

/// A running transaction, and what is announced once it is committed.
pub(super) struct Tx {
    conn: Conn,
    core: Arc<Core>,
    events: Vec<Event>,
    removed: Vec<ConversationId>,
}

impl Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl Tx {
    pub async fn begin(core: &Arc<Core>) -> Result<Self, Fail> {
        let mut conn = core.conn().await?;
        conn.is_open = true;
        conn.batch("begin").await?;
        Ok(Self { conn, core: Arc::clone(core), events: Vec::new(), removed: Vec::new() })
    }

    /// The next event id. The conversation's head has to be locked by now ([`super::conversations::lock`]): only that
    /// makes ids grow with a conversation's numbers.
    pub async fn next_event_id(&self) -> Result<EventId, Fail> {
        Ok(EventId(self.one("select next_event_id()", &[]).await?.try_get(0)?))
    }

    /// Announces an event after the commit.
    pub fn announce(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Announces a removal after the commit.
    pub fn announce_removal(&mut self, conversation: ConversationId) {
        self.removed.push(conversation);
    }

    /// Commits what went well and announces it, rolls back what did not.
    pub async fn end<T>(mut self, outcome: Result<T, Fail>) -> Result<T, Fail> {
        let done = match outcome {
            Ok(done) => done,
            Err(fail) => {
                // When even that fails the connection is closed, which does the same.
                if self.conn.batch("rollback").await.is_ok() {
                    self.conn.is_open = false;
                }
                return Err(fail);
            }
        };
        let mut logged = self.located().await?;
        if is_planted(Plant::PublishBeforeCommit) && !logged.is_empty() {
            self.core.announce(&std::mem::take(&mut logged), &[]);
            if goes_wrong() {
                // The connection is closed, and the server rolls back.
                return Err(Fail::Refused(Error::Busy));
            }
        }
        self.conn.batch("commit").await?;
        self.conn.is_open = false;
        self.core.stats.committed(1);
        self.core.announce(&logged, &self.removed);
        Ok(done)
    }

    /// The events with their places, but for those of conversations that this transaction removed.
    async fn located(&mut self) -> Result<Vec<Logged>, Fail> {
        let mut located = Vec::with_capacity(self.events.len());
        for event in std::mem::take(&mut self.events) {
            if let Some(place) = self.core.place(&self.conn, event.conversation_id).await? {
                located.push(Logged { event, place });
            }
        }
        Ok(located)
    }
}
