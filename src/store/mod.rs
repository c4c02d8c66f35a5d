//! The persistence contract.
//!
//! Every method is one transaction: it happens whole or not at all, also when the process is
//! killed in its middle. A method that answers `Ok` after a write has its rows on disk (under
//! `synchronous = full`, the default). Rows that are not there are `None` or `false`, refusals that
//! only the store can know are [`Error`](crate::error::Error) variants, surprises are `Internal`.
//!
//! **The log.** Each conversation numbers its events 1, 2, 3, … in commit order ([`Event::seq`]).
//! Event ids grow with them and are never given out twice, not even after their conversation was removed. Over several
//! conversations they are in commit order up to [`Store::last_event`]: where several nodes write, an event above it may
//! become visible before one with a smaller id. A message's id is the id of the event that added it.
//! Instants in one conversation never go back, even when the clock does.
//!
//! **Announcements.** Whoever opens a store gives it a [`Listener`]. It is told of every event
//! after its commit, in each conversation's order but for what two tasks of one node announce at once, before the
//! writer's own caller gets the answer. Whoever was answered can be sure that a reader who asks the same node next is
//! shown the write. What other nodes commit is not announced: `crate::cluster` sees to that.
//!
//! **Scope.** There is no unscoped get: what belongs to a conversation is asked for with the
//! conversation, and a conversation is asked for with its kind and its key or identifier.
//!
//! `tests/it/store_contract.rs` holds a test for each method; a second engine has to pass it
//! unchanged.

mod accounts;
pub mod attachments;
pub mod budgets;
mod common_words;
mod content_row;
pub mod knowledge;
mod log;
pub mod migrate;
pub mod nodes;
pub mod postgres;
mod runs;
mod search;
pub mod sqlite;
mod state_row;
mod stats;
pub mod transfer;
pub mod webhooks;

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{
    ChatFile, Conversation, ConversationId, ConversationKind, DeviceKind, Event, EventId, FileId, Head, Logged,
    Message, MessageId, MessageText, NewFile, OpenRun, Participant, PlatformId, Run, RunId, Scope, Share, ShareEntry,
    ShareId, Timestamp, User, UserId,
};
use crate::error::Result;

pub use accounts::{
    Accounts, CodeCheck, KEYS_MAX, NewPlatform, NewPushDevice, NewToken, NewUser, PUSH_DEVICES_MAX, SESSIONS_MAX, Seen,
    StoredToken, UserEdit, UserFilter,
};
pub(crate) use log::merged_contact;
pub use log::{
    Appended, ChatColumn, ChatOrder, ConversationFilter, Desk, Direct, FeedPage, Found, Greeting, Idempotency,
    InboxEntry, InboxFilter, InboxPlace, Locator, Mark, Member, MessageFilter, NewConversation, NewLetter, NewMessage,
    NewReaction, NewShare, Page, StateChange, StateEdit, Tail,
};
pub use postgres::PostgresStore;
pub use runs::{NewRun, NewRunText, RunEnd};
pub use sqlite::SqliteStore;
pub use stats::WriterStats;

/// How many bytes of text and metadata one page of events holds, but for its last event: a bound
/// on the memory of a reader that is slow, whatever people write.
pub const EVENT_BYTES_MAX: usize = 256 << 10;

/// How many numbers one page of [`Store::feed`] looks through at the most: a bound on how long a read takes
/// in which little is found.
pub const FEED_SPAN: i64 = 16_384;

/// How many letters one call of [`Store::mark`] marks at the most: a bound on how long it holds the
/// writer.
pub const MARKS_MAX: usize = 1000;

/// How many different reactions one user may put to one letter.
pub const REACTIONS_MAX: usize = 20;

/// A shared store.
pub type SharedStore = Arc<dyn Store>;

/// Is told what was committed. Called on the store's writer, so it must be quick and must not
/// block.
pub trait Listener: Send + Sync {
    /// These events were committed, in this order.
    fn committed(&self, events: &[Logged]);

    /// This conversation and its whole log were removed.
    fn removed(&self, conversation: ConversationId);
}

/// What every engine does for the use-cases. Methods are grouped by aggregate; see the module's
/// own text for what holds for all of them, and [`Accounts`] for tenants and users.
#[async_trait]
pub trait Store:
    Accounts
    + attachments::Attachments
    + budgets::Budgets
    + knowledge::Knowledge
    + nodes::Nodes
    + webhooks::Webhooks
    + Send
    + Sync
{
    // --- conversations ---

    /// Creates a conversation with its first participants, or returns the one that has the same
    /// kind and key: `true` when it was created. In the second case the fields that `new` knows of
    /// the contact are merged in (one `Edited` event if that changes anything) and its activity is
    /// renewed; the rest of `new` is ignored.
    async fn open_conversation(&self, new: NewConversation) -> Result<(Conversation, bool)>;

    /// Creates a conversation with its first participant.
    ///
    /// # Errors
    /// `Invalid` (`session_id`, unique) when the kind has that key already.
    async fn create_conversation(&self, new: NewConversation) -> Result<Conversation>;

    /// The conversation of that kind and name, as of the last commit.
    async fn conversation(&self, kind: ConversationKind, name: Locator<'_>) -> Result<Option<Conversation>>;

    /// A page of the kind's conversations, newest first, with the number of all that match.
    async fn conversations(&self, kind: ConversationKind, filter: ConversationFilter) -> Result<Page<Conversation>>;

    /// The active live chats of a desk, the most recently active first, at most `limit`. Costs by
    /// the page and not by the number of conversations.
    async fn desk(&self, desk: Desk, limit: usize) -> Result<Vec<Conversation>>;

    /// Changes the state or the key and appends one event, unless nothing would change; returns the
    /// conversation as it then stands. `Assign` leaves a conversation that another member of staff
    /// has as it is. `None` when there is no such conversation.
    ///
    /// # Errors
    /// `Invalid` (`session_id`, unique) when the edited key is another conversation's.
    async fn change_state(
        &self,
        id: ConversationId,
        change: StateChange,
        at: Timestamp,
    ) -> Result<Option<Conversation>>;

    /// Assigns a live chat that nobody has to a member of staff who is active, verified, and has
    /// no active live chat, chosen by `dice` among them, and appends the line that `greeting`
    /// makes of their name, both in one transaction. A chat that somebody has already keeps them
    /// and gets no second greeting. `None` when nobody is free, or the chat is closed: it would be on
    /// nobody's desk. The guest's next message reopens it.
    async fn transfer(
        &self,
        id: ConversationId,
        dice: u64,
        greeting: Greeting,
        line: Uuid,
        at: Timestamp,
    ) -> Result<Option<User>>;

    /// Removes a conversation with everything in it; `false` when there is none. Its event ids are
    /// not given out again.
    async fn remove_conversation(&self, id: ConversationId) -> Result<bool>;

    /// Removes assistant chats of that user, all of them or, when one is not theirs, none; whether it
    /// removed them.
    async fn remove_chats(&self, user: UserId, ids: Vec<ConversationId>) -> Result<bool>;

    /// The numbers of a user's assistant chats, ordered by those columns, then by number.
    async fn chats_of(&self, user: UserId, order: Vec<ChatOrder>) -> Result<Vec<ConversationId>>;

    /// Those of the named conversations that are that user's assistant chats, in the order of the
    /// names.
    async fn chats(&self, user: UserId, ids: Vec<ConversationId>) -> Result<Vec<Conversation>>;

    /// A direct conversation of that platform, with its users.
    async fn direct(&self, platform: PlatformId, uuid: Uuid) -> Result<Option<Direct>>;

    /// Those of the named conversations that are direct ones, with their users, in no order.
    async fn directs(&self, ids: Vec<ConversationId>) -> Result<Vec<Direct>>;

    /// The last visible letters of the named conversations, in no order; nothing of one that shows none.
    async fn last_letters(&self, ids: Vec<ConversationId>) -> Result<Vec<Arc<Message>>>;

    /// A page of a user's direct conversations, the one with the newest message first. Costs by the page and
    /// what is skipped, not by the number of conversations or messages.
    async fn inbox(&self, user: UserId, filter: InboxFilter) -> Result<Vec<InboxEntry>>;

    /// The numbers of a user's direct conversations, in the order of [`Store::inbox`].
    async fn inbox_numbers(&self, user: UserId) -> Result<Vec<ConversationId>>;

    /// Those of the named conversations that are in that user's inbox, in the order of the names.
    async fn inbox_entries(&self, user: UserId, ids: Vec<ConversationId>) -> Result<Vec<InboxEntry>>;

    /// How many direct conversations a user has.
    async fn inbox_total(&self, user: UserId) -> Result<u64>;

    /// Who takes part, in the order of joining.
    async fn participants(&self, id: ConversationId) -> Result<Vec<Participant>>;

    // --- messages and events ---

    /// Appends a message: checks the key, takes the next number, writes the message, the head and
    /// the author's participation, all in one transaction that other appends may share. A closed
    /// live chat is reopened by the guest's message (a `Reopened` event before it).
    ///
    /// # Errors
    /// `NotFound(Conversation)`; `Conflict(IdempotencyKeyReused)` when the author used the key
    /// with another fingerprint; `Busy`, `StorageFull`, `StorageReadOnly`.
    async fn append(&self, new: NewMessage) -> Result<Appended>;

    /// Appends messages to one conversation, in this order and with consecutive numbers: all or none. The
    /// messages of a retry bear the same keys; it is one when the first key was used before.
    ///
    /// # Errors
    /// As [`Store::append`].
    async fn append_all(&self, new: Vec<NewMessage>) -> Result<Vec<Appended>>;

    /// What [`Store::append`] would return as a replay of `new`, without appending it otherwise.
    ///
    /// # Errors
    /// `Conflict(IdempotencyKeyReused)` as there.
    async fn sent_before(&self, new: NewMessage) -> Result<Option<Arc<Message>>>;

    /// The conversation's visible messages that match, oldest first.
    async fn messages(&self, id: ConversationId, filter: MessageFilter) -> Result<Vec<Arc<Message>>>;

    /// One visible message of that kind of conversation by its public identifier, with its
    /// conversation.
    async fn message(&self, kind: ConversationKind, uuid: Uuid) -> Result<Option<(Arc<Message>, Conversation)>>;

    /// The number of a message of that conversation, visible or not: its place in the log outlives
    /// its deletion, so that a list can be continued from a message that is gone.
    async fn message_id(&self, id: ConversationId, uuid: Uuid) -> Result<Option<MessageId>>;

    /// The visible message that answers `question` (the first, if there are several).
    async fn answer_to(&self, id: ConversationId, question: MessageId) -> Result<Option<Arc<Message>>>;

    /// Hides a message and appends one event; `false` when it is not there or hidden already. The
    /// row keeps its number and its key, and loses nothing else.
    async fn delete_message(&self, id: ConversationId, message: MessageId, at: Timestamp) -> Result<bool>;

    /// Hides messages, one event each, if the log still ends with the event of that number; whether it did.
    async fn delete_messages(
        &self,
        id: ConversationId,
        messages: Vec<MessageId>,
        if_seq: u64,
        at: Timestamp,
    ) -> Result<bool>;

    /// Replaces the text of a visible message of that author and appends one event, unless the text is the
    /// same; the message as it then stands. `None` when there is no such message of theirs.
    async fn edit_message(
        &self,
        id: ConversationId,
        message: MessageId,
        author: UserId,
        text: MessageText,
        at: Timestamp,
    ) -> Result<Option<Arc<Message>>>;

    /// A visible letter of a direct conversation of that platform, with the conversation.
    async fn letter(&self, platform: PlatformId, message: MessageId) -> Result<Option<(Arc<Message>, Direct)>>;

    /// How many visible letters a conversation has, and the one before which that many of them stand,
    /// oldest first; `None` when there are no more than that. Costs by the distance from the nearer end.
    async fn letter_at(&self, id: ConversationId, offset: u64) -> Result<(u64, Option<MessageId>)>;

    /// Notes a receipt on those visible letters to the reader that have not got it yet, and appends one event
    /// unless there are none; how many there were. A read letter counts as delivered, too. At most
    /// [`MARKS_MAX`] at once, the oldest first: whoever wants all of them asks until there are fewer.
    async fn mark(&self, id: ConversationId, mark: Mark) -> Result<usize>;

    /// Puts a reaction to a visible letter or takes it away, and appends one event, unless nothing would
    /// change; whether it did.
    ///
    /// # Errors
    /// `NotFound(Message)` when it is no visible letter of that conversation; `Invalid` (`emoji`, count) when the
    /// user has [`REACTIONS_MAX`] on it.
    async fn react(&self, id: ConversationId, reaction: NewReaction) -> Result<bool>;

    /// The visible letters that a user wrote or got and that hold every one of the words (beginnings of
    /// words, without regard to case and accents), older than `before`, the newest first.
    async fn search_letters(
        &self,
        user: UserId,
        words: Vec<String>,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Found>>;

    /// How many visible letters there are in all direct conversations of a user, by the sender's kind of
    /// device, the most frequent first.
    async fn letter_devices(&self, user: UserId) -> Result<Vec<(DeviceKind, u64)>>;

    /// The conversation with its last `count` events, as of one commit.
    async fn tail(&self, id: ConversationId, count: usize) -> Result<Option<Tail>>;

    /// Events after the cursor, oldest first, without a gap: at most `limit`, and no more once they
    /// hold [`EVENT_BYTES_MAX`] bytes. Whoever wants all of them asks until there are none.
    async fn events(&self, id: ConversationId, after: EventId, limit: usize) -> Result<Vec<Event>>;

    /// What happened in a scope after the cursor, oldest first, as of one commit: at most about `limit`
    /// events, and no more once they hold [`EVENT_BYTES_MAX`] bytes. A page may be short, or empty, before the
    /// end: it says how far it got. Costs by what it returns and, for the scopes wider than a conversation
    /// and a user's, by what else happened meanwhile, at most [`FEED_SPAN`] events a page.
    async fn feed(&self, scope: Scope, after: EventId, limit: usize) -> Result<FeedPage>;

    /// The last event of the whole store up to which everything is decided; [`EventId::START`] in an empty one.
    /// Whoever reads after this sees every event up to it, and no other will ever come before it.
    async fn last_event(&self) -> Result<EventId>;

    /// The last number that was given out. Where several write at once, events up to it may still be on their way:
    /// see [`Store::last_event`].
    async fn newest_event(&self) -> Result<EventId>;

    /// The ends of the logs of those conversations that are there, in no order.
    async fn heads(&self, ids: Vec<ConversationId>) -> Result<Vec<(ConversationId, Head)>>;

    // --- files and shares of assistant chats ---

    /// Adds files to a visible message; `None` when it is not there.
    async fn add_files(
        &self,
        id: ConversationId,
        message: MessageId,
        user: UserId,
        files: Vec<NewFile>,
        at: Timestamp,
    ) -> Result<Option<Vec<ChatFile>>>;

    /// The files of a conversation's visible messages, oldest first: at most `limit` after that one.
    async fn files(&self, id: ConversationId, after: FileId, limit: usize) -> Result<Vec<ChatFile>>;

    /// The files in all of a user's chats, oldest first: at most `limit` after that one.
    async fn files_of(&self, user: UserId, after: FileId, limit: usize) -> Result<Vec<ChatFile>>;

    /// Makes a conversation's share; `None` when it has one.
    async fn add_share(&self, new: NewShare) -> Result<Option<Share>>;

    /// A conversation's share.
    async fn share_of(&self, id: ConversationId) -> Result<Option<Share>>;

    /// The share of that link, with who may open it: anybody when nobody is listed.
    async fn share(&self, uuid: Uuid) -> Result<Option<(Share, Vec<UserId>)>>;

    /// Lets these users open a share; returns the entries of all of them, also those that were there.
    async fn add_share_entries(&self, share: ShareId, users: Vec<UserId>, at: Timestamp) -> Result<Vec<ShareEntry>>;

    // --- runs ---

    /// Records an answer that is to be made, and appends an event that says so: begun, or waiting for its turn.
    ///
    /// # Errors
    /// `NotFound(Conversation)`; `NotFound(Message)` when the question is none of its messages.
    async fn begin_run(&self, new: NewRun) -> Result<Run>;

    /// Lets runs go on that waited, with an event each; the run as it then stands. `None` when it is not waiting.
    async fn start_run(&self, run: RunId, at: Timestamp) -> Result<Option<Run>>;

    /// Appends pieces of answers to their logs, one event each, in this order and in one transaction; of each, whether
    /// its run was still open: to one that has ended nothing is added.
    async fn tell_runs(&self, texts: Vec<NewRunText>) -> Result<Vec<bool>>;

    /// Ends a run and, when there is any text, appends its answer, and then an event that says that it ended: all or
    /// nothing. The message that the answer replaces is hidden first. A run that has ended already stays as it is, and
    /// its answer, if any, is returned.
    async fn end_run(&self, run: RunId, end: RunEnd) -> Result<Option<Arc<Message>>>;

    /// The runs that have not ended, with their texts, of nodes that are not known or were last seen before that
    /// instant ([`nodes::Nodes::beat`]): the ones that a crash cut off, if that is long enough ago.
    async fn open_runs(&self, seen_before: Timestamp) -> Result<Vec<OpenRun>>;

    /// The runs of a conversation that have not ended, with their texts, in the order in which they were asked for.
    async fn runs_under_way(&self, id: ConversationId) -> Result<Vec<OpenRun>>;

    /// The newest run that answers `question`.
    async fn run_for(&self, id: ConversationId, question: MessageId) -> Result<Option<Run>>;

    // --- the store itself ---

    /// A secret of this installation, made on first use out of `fresh` and kept in the store.
    async fn secret(&self, name: &'static str, fresh: [u8; 32]) -> Result<[u8; 32]>;

    /// Proves that the store can be written, by writing.
    async fn ping(&self) -> Result<()>;
}
