//! The embedded store: one SQLite file, one writing thread, a few reading ones.

mod account_calls;
mod accounts;
mod attachments;
mod backup;
mod bare;
mod budgets;
mod checkpoint;
mod conversations;
mod fail;
mod feed;
mod files;
mod inbox;
mod keys;
mod knowledge;
mod knowledge_search;
mod letters;
mod log;
mod messages;
mod moved;
mod nodes;
mod open;
mod place;
mod platforms;
mod probe;
mod readers;
mod rows;
mod runs;
mod search;
mod tokens;
mod verify;
mod webhook_lanes;
mod webhook_rows;
mod webhooks;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::migrate::{self, Migration};
use super::{
    Appended, ChatOrder, ConversationFilter, Desk, Direct, FeedPage, Found, Greeting, InboxEntry, InboxFilter,
    Listener, Locator, Mark, MessageFilter, NewConversation, NewMessage, NewReaction, NewRun, NewRunText, NewShare,
    Page, RunEnd, StateChange, Store, Tail,
};
use crate::domain::{
    ChatFile, Conversation, ConversationId, ConversationKind, DeviceKind, Event, EventId, FileId, Head, Message,
    MessageId, MessageText, NewFile, OpenRun, Participant, PlatformId, Run, RunId, Scope, Share, ShareEntry, ShareId,
    Timestamp, User, UserId,
};
use crate::error::{Error, Result};

pub use backup::{Restored, backup, backup_file, restore};
pub use bare::BareStore;
pub use moved::Marker;
pub use place::{DataDir, DataDirLock, NETWORK_FILE_SYSTEMS};
pub use verify::{Audit, audit};

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
    /// not writable, moved elsewhere.
    pub fn open(dir: &DataDir, options: &SqliteOptions, listener: Arc<dyn Listener>, now: Timestamp) -> Result<Self> {
        let file = dir.database();
        let (conn, snapshot) = open::to_write(dir, options, now)?;
        let read = (0..options.readers.max(1)).map(|_| {
            let conn = open::connect(&file, options)?;
            conn.pragma_update(None, "query_only", true)?;
            Ok(conn)
        });
        let read = read.collect::<rusqlite::Result<Vec<_>>>().map_err(fail::from_sql)?;
        let checkpointing = open::connect(&file, options).map_err(fail::from_sql)?;
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
    pub fn writer_stats(&self) -> &Arc<crate::store::WriterStats> {
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
        let file = self.checkpointer.stop();
        self.writer.close();
        drop(file);
    }
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

    async fn remove_chats(&self, user: UserId, ids: Vec<ConversationId>) -> Result<bool> {
        self.writer.call_guarded(move |tx| files::remove_chats(tx, user, &ids)).await
    }

    async fn chats_of(&self, user: UserId, order: Vec<ChatOrder>) -> Result<Vec<ConversationId>> {
        self.readers.read(move |conn| files::chats_of(conn, user, &order)).await
    }

    async fn chats(&self, user: UserId, ids: Vec<ConversationId>) -> Result<Vec<Conversation>> {
        self.readers.read(move |conn| files::chats(conn, user, &ids)).await
    }

    async fn direct(&self, platform: PlatformId, uuid: Uuid) -> Result<Option<Direct>> {
        self.readers.read(move |conn| inbox::direct(conn, platform, uuid)).await
    }

    async fn directs(&self, ids: Vec<ConversationId>) -> Result<Vec<Direct>> {
        self.readers.read(move |conn| inbox::directs(conn, &ids)).await
    }

    async fn last_letters(&self, ids: Vec<ConversationId>) -> Result<Vec<Arc<Message>>> {
        self.readers.read(move |conn| inbox::last_letters(conn, &ids)).await
    }

    async fn inbox(&self, user: UserId, filter: InboxFilter) -> Result<Vec<InboxEntry>> {
        self.readers.read(move |conn| inbox::page(conn, user, filter)).await
    }

    async fn inbox_numbers(&self, user: UserId) -> Result<Vec<ConversationId>> {
        self.readers.read(move |conn| inbox::numbers(conn, user)).await
    }

    async fn inbox_entries(&self, user: UserId, ids: Vec<ConversationId>) -> Result<Vec<InboxEntry>> {
        self.readers.read(move |conn| inbox::entries(conn, user, &ids)).await
    }

    async fn inbox_total(&self, user: UserId) -> Result<u64> {
        self.readers.read(move |conn| inbox::total(conn, user)).await
    }

    async fn participants(&self, id: ConversationId) -> Result<Vec<Participant>> {
        self.readers.read(move |conn| conversations::participants(conn, id)).await
    }

    async fn append(&self, new: NewMessage) -> Result<Appended> {
        self.writer.call(move |tx| messages::append(tx, &new)).await
    }

    async fn append_all(&self, new: Vec<NewMessage>) -> Result<Vec<Appended>> {
        self.writer.call_guarded(move |tx| messages::append_all(tx, &new)).await
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

    async fn delete_messages(
        &self,
        id: ConversationId,
        messages: Vec<MessageId>,
        if_seq: u64,
        at: Timestamp,
    ) -> Result<bool> {
        self.writer.call_guarded(move |tx| messages::delete_all(tx, id, &messages, if_seq, at)).await
    }

    async fn edit_message(
        &self,
        id: ConversationId,
        message: MessageId,
        author: UserId,
        text: MessageText,
        at: Timestamp,
    ) -> Result<Option<Arc<Message>>> {
        self.writer.call_guarded(move |tx| messages::edit(tx, id, message, author, &text, at)).await
    }

    async fn letter(&self, platform: PlatformId, message: MessageId) -> Result<Option<(Arc<Message>, Direct)>> {
        self.readers.read(move |conn| letters::by_number(conn, platform, message)).await
    }

    async fn mark(&self, id: ConversationId, mark: Mark) -> Result<usize> {
        self.writer.call_guarded(move |tx| letters::mark(tx, id, &mark)).await
    }

    async fn react(&self, id: ConversationId, reaction: NewReaction) -> Result<bool> {
        self.writer.call_guarded(move |tx| letters::react(tx, id, &reaction)).await
    }

    async fn search_letters(
        &self,
        user: UserId,
        words: Vec<String>,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Found>> {
        self.readers.read(move |conn| letters::search(conn, user, &words, before, limit)).await
    }

    async fn letter_at(&self, id: ConversationId, offset: u64) -> Result<(u64, Option<MessageId>)> {
        self.readers.read(move |conn| letters::at(conn, id, offset)).await
    }

    async fn letter_devices(&self, user: UserId) -> Result<Vec<(DeviceKind, u64)>> {
        self.readers.read(move |conn| letters::devices(conn, user)).await
    }

    async fn tail(&self, id: ConversationId, count: usize) -> Result<Option<Tail>> {
        self.readers.read(move |conn| log::tail(conn, id, count)).await
    }

    async fn events(&self, id: ConversationId, after: EventId, limit: usize) -> Result<Vec<Event>> {
        self.readers.read(move |conn| log::events(conn, id, after, limit)).await
    }

    async fn feed(&self, scope: Scope, after: EventId, limit: usize) -> Result<FeedPage> {
        self.readers.read(move |conn| feed::page(conn, scope, after, limit)).await
    }

    async fn last_event(&self) -> Result<EventId> {
        self.readers.read(feed::last_event).await
    }

    async fn newest_event(&self) -> Result<EventId> {
        self.last_event().await
    }

    async fn heads(&self, ids: Vec<ConversationId>) -> Result<Vec<(ConversationId, Head)>> {
        self.readers.read(move |conn| log::heads(conn, &ids)).await
    }

    async fn add_files(
        &self,
        id: ConversationId,
        message: MessageId,
        user: UserId,
        files: Vec<NewFile>,
        at: Timestamp,
    ) -> Result<Option<Vec<ChatFile>>> {
        self.writer.call_guarded(move |tx| files::add(tx, id, message, user, &files, at)).await
    }

    async fn files(&self, id: ConversationId, after: FileId, limit: usize) -> Result<Vec<ChatFile>> {
        self.readers.read(move |conn| files::list(conn, Ok(id), after, limit)).await
    }

    async fn files_of(&self, user: UserId, after: FileId, limit: usize) -> Result<Vec<ChatFile>> {
        self.readers.read(move |conn| files::list(conn, Err(user), after, limit)).await
    }

    async fn add_share(&self, new: NewShare) -> Result<Option<Share>> {
        self.writer.call_guarded(move |tx| files::add_share(tx, &new)).await
    }

    async fn share_of(&self, id: ConversationId) -> Result<Option<Share>> {
        self.readers.read(move |conn| files::share_of(conn, id)).await
    }

    async fn share(&self, uuid: Uuid) -> Result<Option<(Share, Vec<UserId>)>> {
        self.readers.read(move |conn| files::share(conn, uuid)).await
    }

    async fn add_share_entries(&self, share: ShareId, users: Vec<UserId>, at: Timestamp) -> Result<Vec<ShareEntry>> {
        self.writer.call_guarded(move |tx| files::add_entries(tx, share, &users, at)).await
    }

    async fn begin_run(&self, new: NewRun) -> Result<Run> {
        self.writer.call_guarded(move |tx| runs::begin(tx, &new)).await
    }

    async fn start_run(&self, run: RunId, at: Timestamp) -> Result<Option<Run>> {
        self.writer.call_guarded(move |tx| runs::start(tx, run, at)).await
    }

    async fn tell_runs(&self, texts: Vec<NewRunText>) -> Result<Vec<bool>> {
        self.writer.call(move |tx| runs::tell(tx, &texts)).await
    }

    async fn end_run(&self, run: RunId, end: RunEnd) -> Result<Option<Arc<Message>>> {
        self.writer.call_guarded(move |tx| runs::end(tx, run, &end)).await
    }

    async fn open_runs(&self, seen_before: Timestamp) -> Result<Vec<OpenRun>> {
        self.readers.read(move |conn| runs::open(conn, seen_before)).await
    }

    async fn runs_under_way(&self, id: ConversationId) -> Result<Vec<OpenRun>> {
        self.readers.read(move |conn| runs::under_way(conn, id)).await
    }

    async fn run_for(&self, id: ConversationId, question: MessageId) -> Result<Option<Run>> {
        self.readers.read(move |conn| runs::newest_for(conn, id, question)).await
    }

    async fn secret(&self, name: &'static str, fresh: [u8; 32]) -> Result<[u8; 32]> {
        self.writer.call_guarded(move |tx| tokens::secret(tx, name, fresh)).await
    }

    async fn ping(&self) -> Result<()> {
        self.writer.call_guarded(probe::write).await
    }
}
