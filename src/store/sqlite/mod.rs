//! The embedded store: one SQLite file, one writing thread, a few reading ones.

mod accounts;
mod attachments;
mod backup;
mod bare;
mod checkpoint;
mod conversations;
mod fail;
mod messages;
mod place;
mod probe;
mod readers;
mod rows;
mod runs;
mod search;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::migrate::{self, Migration};
use super::{
    Appended, CodeCheck, ConversationFilter, Desk, Greeting, Listener, Locator, MessageFilter, NewConversation,
    NewMessage, NewToken, NewUser, Page, StateChange, Store, StoredToken, Tail,
};
use crate::domain::{
    Conversation, ConversationId, ConversationKind, Email, Event, EventId, Message, MessageId, Participant, Run, RunId,
    RunOutcome, Timestamp, TokenId, User, UserId,
};
use crate::error::{Error, Result};

pub use backup::{Restored, backup, backup_file, restore};
pub use bare::BareStore;
pub use place::{DataDir, DataDirLock, NETWORK_FILE_SYSTEMS};
pub use verify::{Audit, audit};
pub use writer::WriterStats;

/// How the embedded store is set up; see the section `store` of the configuration for the meaning
/// and the defaults.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// fsync at every commit. Without it a power loss may take the last seconds' messages.
    pub fsync: bool,
    /// Reading threads.
    pub readers: usize,
    /// Commands that may wait for the writer, and reads for a reader.
    pub queue: usize,
    /// How long a caller waits for a place in a queue.
    pub queue_wait: Duration,
    /// Commands in one commit.
    pub batch_max: usize,
    /// Page cache of each connection, in bytes.
    pub cache_bytes: u64,
    /// Largest size of the database file, in bytes; 0: the disk's.
    pub size_max: u64,
    /// The write-ahead log is copied into the database once it is larger than this, in bytes.
    pub wal_bytes: u64,
    /// The schema's steps; [`migrate::SQLITE`] but in tests of the migration itself.
    pub migrations: &'static [Migration],
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            fsync: true,
            readers: 2,
            queue: 4096,
            queue_wait: Duration::from_secs(5),
            batch_max: 256,
            cache_bytes: 32 << 20,
            size_max: 0,
            wal_bytes: 64 << 20,
            migrations: migrate::SQLITE,
        }
    }
}

/// The embedded store.
pub struct SqliteStore {
    writer: writer::Writer,
    readers: readers::Readers,
    checkpointer: checkpoint::Checkpointer,
    snapshot: Option<PathBuf>,
}

impl SqliteStore {
    /// Opens the store in a data folder, making or upgrading it as needed.
    ///
    /// # Errors
    /// `Internal` with a sentence for the operator: not a Roost database, newer, half migrated,
    /// not writable.
    pub fn open(dir: &DataDir, options: &SqliteOptions, listener: Arc<dyn Listener>, now: Timestamp) -> Result<Self> {
        let file = dir.database();
        let (conn, snapshot) = open_to_write(dir, options, now)?;
        let read = (0..options.readers.max(1)).map(|_| {
            let conn = connect(&file, options)?;
            conn.pragma_update(None, "query_only", true)?;
            Ok(conn)
        });
        let read = read.collect::<rusqlite::Result<Vec<_>>>().map_err(fail::from_sql)?;
        let checkpointing = connect(&file, options).map_err(fail::from_sql)?;
        let config = writer::WriterConfig {
            queue: options.queue.max(1),
            batch_max: options.batch_max.max(1),
            queue_wait: options.queue_wait,
        };
        let restart = Arc::default();
        let writer = writer::Writer::start(conn, &config, listener, Arc::clone(&restart)).map_err(Error::internal)?;
        let readers =
            readers::Readers::start(read, options.queue.max(1), options.queue_wait).map_err(Error::internal)?;
        let checkpointer = checkpoint::Checkpointer::start(checkpointing, &file, options.wal_bytes, restart)
            .map_err(Error::internal)?;
        Ok(Self { writer, readers, checkpointer, snapshot })
    }

    /// Whether opening the store in a data folder would make it or change its schema, which nobody may
    /// do beside a server that uses it.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn is_behind(dir: &DataDir, migrations: &[Migration]) -> Result<bool> {
        let file = dir.database();
        if !file.exists() {
            return Ok(true);
        }
        let conn = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fail::from_sql)?;
        conn.busy_timeout(Duration::from_secs(5)).map_err(fail::from_sql)?;
        let name = |error| Error::internal(format!("{}: {error}", file.display()));
        let applied = migrate::check(&conn, migrations).map_err(name)?;
        Ok(migrations.iter().any(|migration| migration.version > applied))
    }

    /// The snapshot that was taken before this start's upgrade, if there was one.
    pub fn snapshot(&self) -> Option<&Path> {
        self.snapshot.as_deref()
    }

    /// What the writer counts.
    pub fn writer_stats(&self) -> &Arc<WriterStats> {
        self.writer.stats()
    }

    /// How many reads wait for a reader.
    pub fn reads_queued(&self) -> usize {
        self.readers.queued()
    }

    /// How many reads were asked for so far.
    pub fn reads(&self) -> u64 {
        self.readers.reads()
    }

    /// Commits what is queued and closes the file. Blocks; not for an async thread.
    pub fn close(self) {
        // The last connection to go copies the log into the database and removes it: all of them
        // have to be gone when this returns.
        self.readers.stop();
        self.checkpointer.stop();
        self.writer.close();
    }
}

/// The one writing connection, on a store of this binary's schema, with the snapshot that was taken
/// if it had to be upgraded.
fn open_to_write(dir: &DataDir, options: &SqliteOptions, now: Timestamp) -> Result<(Connection, Option<PathBuf>)> {
    let file = dir.database();
    let mut conn = raw(&file).map_err(fail::from_sql)?;
    // Before anything is set: what is refused is left as it is, down to its journal mode.
    let name = |error| Error::internal(format!("{}: {error}", file.display()));
    migrate::check(&conn, options.migrations).map_err(name)?;
    configure(&conn, options).map_err(fail::from_sql)?;
    let snapshot = migrate::migrate(&mut conn, options.migrations, &dir.snapshots(), now).map_err(Error::internal)?;
    if options.size_max > 0 {
        limit_size(&conn, options.size_max).map_err(fail::from_sql)?;
    }
    limit_log(&conn, options.wal_bytes).map_err(fail::from_sql)?;
    Ok((conn, snapshot))
}

fn connect(file: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let conn = raw(file)?;
    configure(&conn, options)?;
    Ok(conn)
}

fn raw(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    Ok(conn)
}

fn configure(conn: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(128);
    // Plans may not depend on bound values. Otherwise SQLite prepares a statement again, from its
    // text, whenever a value is bound that the planner would have liked to know: measured at 30 %
    // of the time of an append, for plans that never differ.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    search::install(conn)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", if options.fsync { "full" } else { "normal" })?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // The checkpointer does it, off the writer's thread.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    let kibibytes = i64::try_from(options.cache_bytes / 1024).unwrap_or(i64::MAX);
    conn.pragma_update(None, "cache_size", -kibibytes)
}

fn limit_size(conn: &Connection, bytes: u64) -> rusqlite::Result<()> {
    let page: u64 = conn.query_row("pragma page_size", [], |row| row.get(0))?;
    // SQLite answers with the limit in force, which is never below the pages already there.
    conn.pragma_update_and_check(None, "max_page_count", (bytes / page).max(1), |_| Ok(()))
}

/// Cuts the write-ahead log back when it begins anew. Its size is what the checkpointer goes by, so
/// a log that stayed as long as its longest burst would be copied and restarted without end.
fn limit_log(conn: &Connection, bytes: u64) -> rusqlite::Result<()> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    conn.pragma_update_and_check(None, "journal_size_limit", bytes, |_| Ok(()))
}

/// The engine's methods: each hands owned arguments to the thread that does the work.
#[async_trait]
impl Store for SqliteStore {
    async fn open_conversation(&self, new: NewConversation) -> Result<(Conversation, bool)> {
        self.writer.call_guarded(move |tx| conversations::open(tx, &new)).await
    }

    async fn create_conversation(&self, new: NewConversation) -> Result<Conversation> {
        self.writer.call_guarded(move |tx| conversations::create(tx, &new)).await
    }

    async fn conversation(&self, kind: ConversationKind, name: Locator<'_>) -> Result<Option<Conversation>> {
        let name = conversations::Name::from(name);
        self.readers.read(move |conn| conversations::find(conn, kind, &name)).await
    }

    async fn conversations(&self, kind: ConversationKind, filter: ConversationFilter) -> Result<Page<Conversation>> {
        self.readers.read(move |conn| conversations::list(conn, kind, &filter)).await
    }

    async fn desk(&self, desk: Desk, limit: usize) -> Result<Vec<Conversation>> {
        self.readers.read(move |conn| conversations::desk(conn, desk, limit)).await
    }

    async fn change_state(
        &self,
        id: ConversationId,
        change: StateChange,
        at: Timestamp,
    ) -> Result<Option<Conversation>> {
        self.writer.call_guarded(move |tx| conversations::change(tx, id, &change, at)).await
    }

    async fn transfer(
        &self,
        id: ConversationId,
        dice: u64,
        greeting: Greeting,
        line: Uuid,
        at: Timestamp,
    ) -> Result<Option<User>> {
        self.writer.call_guarded(move |tx| conversations::transfer(tx, id, dice, greeting, line, at)).await
    }

    async fn remove_conversation(&self, id: ConversationId) -> Result<bool> {
        self.writer.call_guarded(move |tx| conversations::remove(tx, id)).await
    }

    async fn participants(&self, id: ConversationId) -> Result<Vec<Participant>> {
        self.readers.read(move |conn| conversations::participants(conn, id)).await
    }

    async fn append(&self, new: NewMessage) -> Result<Appended> {
        self.writer.call(move |tx| messages::append(tx, &new)).await
    }

    async fn sent_before(&self, new: NewMessage) -> Result<Option<Arc<Message>>> {
        self.readers.read(move |conn| messages::sent_before(conn, &new)).await
    }

    async fn messages(&self, id: ConversationId, filter: MessageFilter) -> Result<Vec<Arc<Message>>> {
        let mut scan = messages::Scan::new(id, filter);
        loop {
            let slice = self.readers.read(move |conn| scan.slice(conn).map(|is_all| (scan, is_all)));
            let (read, is_all) = slice.await?;
            if is_all {
                return Ok(read.end());
            }
            scan = read;
        }
    }

    async fn message(&self, kind: ConversationKind, uuid: Uuid) -> Result<Option<(Arc<Message>, Conversation)>> {
        self.readers.read(move |conn| messages::by_uuid(conn, kind, uuid)).await
    }

    async fn message_id(&self, id: ConversationId, uuid: Uuid) -> Result<Option<MessageId>> {
        self.readers.read(move |conn| messages::number(conn, id, uuid)).await
    }

    async fn answer_to(&self, id: ConversationId, question: MessageId) -> Result<Option<Arc<Message>>> {
        self.readers.read(move |conn| messages::answer_to(conn, id, question)).await
    }

    async fn delete_message(&self, id: ConversationId, message: MessageId, at: Timestamp) -> Result<bool> {
        self.writer.call_guarded(move |tx| messages::delete(tx, id, message, at)).await
    }

    async fn tail(&self, id: ConversationId, count: usize) -> Result<Option<Tail>> {
        self.readers.read(move |conn| messages::tail(conn, id, count)).await
    }

    async fn events(&self, id: ConversationId, after: EventId, limit: usize) -> Result<Vec<Event>> {
        self.readers.read(move |conn| messages::events(conn, id, after, limit)).await
    }

    async fn begin_run(&self, id: ConversationId, question: MessageId, at: Timestamp) -> Result<RunId> {
        self.writer.call_guarded(move |tx| runs::begin(tx, id, question, at)).await
    }

    async fn checkpoint_run(&self, run: RunId, more: String) -> Result<()> {
        self.writer.call_guarded(move |tx| runs::checkpoint(tx, run, &more)).await
    }

    async fn end_run(
        &self,
        run: RunId,
        outcome: RunOutcome,
        answer: Option<NewMessage>,
    ) -> Result<Option<Arc<Message>>> {
        self.writer.call_guarded(move |tx| runs::end(tx, run, outcome, answer.as_ref())).await
    }

    async fn open_runs(&self) -> Result<Vec<Run>> {
        self.readers.read(runs::open).await
    }

    async fn run_for(&self, id: ConversationId, question: MessageId) -> Result<Option<Run>> {
        self.readers.read(move |conn| runs::newest_for(conn, id, question)).await
    }

    async fn add_user(&self, new: NewUser) -> Result<User> {
        self.writer.call_guarded(move |tx| accounts::add(tx, &new)).await
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<(User, Option<String>)>> {
        let email = email.clone();
        self.readers.read(move |conn| accounts::by_email(conn, &email)).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>> {
        self.readers.read(move |conn| accounts::by_id(conn, id)).await
    }

    async fn add_token(&self, new: NewToken) -> Result<TokenId> {
        self.writer.call_guarded(move |tx| accounts::add_token(tx, &new)).await
    }

    async fn token(&self, id: TokenId) -> Result<Option<StoredToken>> {
        self.readers.read(move |conn| accounts::token(conn, id)).await
    }

    async fn revoke_tokens(&self, user: UserId, only: Option<TokenId>) -> Result<u64> {
        self.writer.call_guarded(move |tx| accounts::revoke(tx, user, only)).await
    }

    async fn set_code(
        &self,
        user: UserId,
        hash: [u8; 32],
        now: Timestamp,
        pause: Duration,
        expires_at: Timestamp,
    ) -> Result<bool> {
        self.writer.call_guarded(move |tx| accounts::set_code(tx, user, hash, now, pause, expires_at)).await
    }

    async fn check_code(&self, user: UserId, hash: [u8; 32], tries_max: u32, now: Timestamp) -> Result<CodeCheck> {
        self.writer.call_guarded(move |tx| accounts::check_code(tx, user, &hash, tries_max, now)).await
    }

    async fn secret(&self, name: &'static str, fresh: [u8; 32]) -> Result<[u8; 32]> {
        self.writer.call_guarded(move |tx| accounts::secret(tx, name, fresh)).await
    }

    async fn ping(&self) -> Result<()> {
        self.writer.call_guarded(probe::write).await
    }
}
