//! The persistence contract.
//!
//! Every method is one transaction: it happens whole or not at all, also when the process is
//! killed in its middle. A method that answers `Ok` after a write has its rows on disk (under
//! `synchronous = full`, the default). Rows that are not there are `None` or `false`, refusals that
//! only the store can know are [`Error`](crate::error::Error) variants, surprises are `Internal`.
//!
//! **The log.** Each conversation numbers its events 1, 2, 3, … in commit order ([`Event::seq`]).
//! Event ids grow in commit order over the whole store and are never given out twice, not even
//! after their conversation was removed. A message's id is the id of the event that added it.
//! Instants in one conversation never go back, even when the clock does.
//!
//! **Announcements.** Whoever opens a store gives it a [`Listener`]. It is told of every event
//! after its commit, in commit order, before the writer's own caller gets the answer. Nobody
//! therefore ever sees n + 1 announced before n by the same store, and whoever was answered can be
//! sure that a reader who asks next is shown the write.
//!
//! **Scope.** There is no unscoped get: what belongs to a conversation is asked for with the
//! conversation, and a conversation is asked for with its kind and its key or identifier.
//!
//! `tests/it/store_contract.rs` holds a test for each method; a second engine has to pass it
//! unchanged.

pub mod attachments;
pub mod migrate;
pub mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{
    Ability, Change, Contact, Conversation, ConversationId, ConversationKind, ConversationState, Email, Event, EventId,
    Json, Language, Message, MessageId, MessageText, Participant, ParticipantKind, Role, Run, RunId, RunOutcome,
    Timestamp, TokenId, User, UserId,
};
use crate::error::Result;

pub use sqlite::SqliteStore;

/// How many bytes of text and metadata one page of events holds, but for its last event: a bound
/// on the memory of a reader that is slow, whatever people write.
pub const EVENT_BYTES_MAX: usize = 256 << 10;

/// A shared store.
pub type SharedStore = Arc<dyn Store>;

/// Is told what was committed. Called on the store's writer, so it must be quick and must not
/// block.
pub trait Listener: Send + Sync {
    /// These events were committed, in this order.
    fn committed(&self, events: &[Event]);

    /// This conversation and its whole log were removed.
    fn removed(&self, conversation: ConversationId);
}

/// How a caller names a conversation within a kind.
#[derive(Clone, Copy, Debug)]
pub enum Locator<'a> {
    /// By its client-chosen key.
    Key(&'a str),
    /// By its public identifier.
    Uuid(Uuid),
    /// By its number.
    Id(ConversationId),
    /// By its public identifier if the name is one and exists, else by its key.
    Name(&'a str),
}

/// A conversation to be created.
#[derive(Clone, Debug)]
pub struct NewConversation {
    /// Its public identifier.
    pub uuid: Uuid,
    /// What it is for.
    pub kind: ConversationKind,
    /// Its key, unique within the kind.
    pub key: String,
    /// The signed-in user it belongs to.
    pub user_id: Option<UserId>,
    /// Its state at the beginning.
    pub state: ConversationState,
    /// When.
    pub at: Timestamp,
}

/// A message to be appended.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Where.
    pub conversation_id: ConversationId,
    /// Its public identifier.
    pub uuid: Uuid,
    /// Who speaks.
    pub role: Role,
    /// The signed-in author.
    pub user_id: Option<UserId>,
    /// What is said.
    pub text: MessageText,
    /// What the client attached.
    pub metadata: Option<Json>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// Makes a retry return the first message instead of storing another.
    pub idempotency: Option<Idempotency>,
    /// When, by the caller's clock.
    pub at: Timestamp,
}

/// An idempotency key with the fingerprint of the body it came with. Its scope is the author
/// within the conversation: two authors may use the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The key, as the client sent it.
    pub key: String,
    /// A hash of what was sent.
    pub fingerprint: [u8; 16],
}

/// What came of an append.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The message: new, or the first one sent with that key.
    pub message: Arc<Message>,
    /// Whether the key had been used before, so that nothing was stored.
    pub replayed: bool,
}

/// A change of a conversation's state.
#[derive(Clone, Debug)]
pub enum StateChange {
    /// Stop taking part: not active any more.
    Close,
    /// Give it to that member of staff, unless another one has it.
    Assign(UserId),
    /// Edit what is `Some`.
    Edit(StateEdit),
}

/// Which parts of a conversation's state to replace.
#[derive(Clone, Debug, Default)]
pub struct StateEdit {
    /// The client's key.
    pub key: Option<String>,
    /// Whether it takes messages.
    pub is_active: Option<bool>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// The integrator's id for the visitor.
    pub external_user_id: Option<Option<String>>,
    /// What the client attached.
    pub metadata: Option<Json>,
}

/// The end of a conversation's log, read in one go.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The conversation as of `events`' last.
    pub conversation: Conversation,
    /// Its last events, oldest first, without a gap.
    pub events: Vec<Event>,
    /// `events` holds everything after this cursor.
    pub complete_after: EventId,
}

/// Which messages to read.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// Only newer than this cursor.
    pub after: Option<EventId>,
    /// Only older than this cursor. Without `after` the newest of them are returned, oldest first
    /// all the same; with it the oldest of those between the two.
    pub before: Option<EventId>,
    /// Only this role.
    pub role: Option<Role>,
    /// Only texts that contain this, in any letter case.
    pub search: Option<String>,
    /// At most this many.
    pub limit: usize,
    /// No more once there are this many bytes of text and metadata: a bound on what a page holds in
    /// memory, whatever people write. The first message is returned whatever its size.
    pub bytes_max: Option<usize>,
}

/// Which assistant sessions to list.
#[derive(Clone, Debug, Default)]
pub struct ConversationFilter {
    /// Only active, or only inactive ones.
    pub is_active: Option<bool>,
    /// Only this visitor's.
    pub external_user_id: Option<String>,
    /// Only those whose key or visitor contains this, in any letter case.
    pub search: Option<String>,
    /// How many to skip.
    pub offset: u64,
    /// At most this many.
    pub limit: usize,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// How many there are in all.
    pub total: u64,
    /// This page's.
    pub items: Vec<T>,
}

/// Whose open live chats to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desk {
    /// Nobody's yet.
    Unassigned,
    /// That member's of staff.
    Of(UserId),
    /// Everybody's.
    All,
}

/// Makes the line that greets a guest out of the name of the member of staff who joins.
pub type Greeting = fn(&str) -> String;

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its public identifier.
    pub uuid: Uuid,
    /// Its address, unique.
    pub email: Email,
    /// Its name.
    pub name: String,
    /// Its telephone number.
    pub phone: Option<String>,
    /// The language asked for.
    pub language: Option<Language>,
    /// A PHC string, if it can sign in by password.
    pub password_hash: Option<String>,
    /// Answers guests.
    pub is_staff: bool,
    /// Needs no proof of the address.
    pub is_verified: bool,
    /// What a token made by signing in may do.
    pub abilities: Vec<Ability>,
    /// When.
    pub at: Timestamp,
}

/// A bearer token to be stored. The secret itself is never stored.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whose.
    pub user_id: UserId,
    /// What it is called.
    pub name: String,
    /// SHA-256 of the secret part.
    pub hash: [u8; 32],
    /// What it may do.
    pub abilities: Vec<Ability>,
    /// When.
    pub at: Timestamp,
}

/// A stored bearer token with its owner.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// Its number.
    pub id: TokenId,
    /// Its owner.
    pub user: User,
    /// SHA-256 of the secret part.
    pub hash: [u8; 32],
    /// What it may do.
    pub abilities: Vec<Ability>,
}

/// How the check of a one-time code came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeCheck {
    /// It was right; the account is verified from here on and the code is spent.
    Verified,
    /// It was wrong, expired, spent or tried too often.
    Refused,
}

/// What every engine does for the use-cases. Methods are grouped by aggregate; see the module's
/// own text for what holds for all of them.
#[async_trait]
pub trait Store: attachments::Attachments + Send + Sync {
    // --- conversations ---

    /// Creates a conversation with its first participant, or returns the one that has the same
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

    /// The conversation with its last `count` events, as of one commit.
    async fn tail(&self, id: ConversationId, count: usize) -> Result<Option<Tail>>;

    /// Events after the cursor, oldest first, without a gap: at most `limit`, and no more once they
    /// hold [`EVENT_BYTES_MAX`] bytes. Whoever wants all of them asks until there are none.
    async fn events(&self, id: ConversationId, after: EventId, limit: usize) -> Result<Vec<Event>>;

    // --- runs ---

    /// Records that an answer to `question` has begun.
    async fn begin_run(&self, id: ConversationId, question: MessageId, at: Timestamp) -> Result<RunId>;

    /// Adds to the text that a run has so far, so that a crash keeps it.
    async fn checkpoint_run(&self, run: RunId, more: String) -> Result<()>;

    /// Ends a run and, when there is any text, appends its answer: both or neither. A run that has
    /// ended already stays as it is, and its answer, if any, is returned.
    async fn end_run(
        &self,
        run: RunId,
        outcome: RunOutcome,
        answer: Option<NewMessage>,
    ) -> Result<Option<Arc<Message>>>;

    /// The runs that have not ended. After a start these are the ones that a crash cut off.
    async fn open_runs(&self) -> Result<Vec<Run>>;

    /// The newest run that answers `question`.
    async fn run_for(&self, id: ConversationId, question: MessageId) -> Result<Option<Run>>;

    // --- accounts ---

    /// Makes an account.
    ///
    /// # Errors
    /// `Invalid` (`email`, unique) when the address has one.
    async fn add_user(&self, new: NewUser) -> Result<User>;

    /// The account of an address, with its password's PHC string.
    async fn user_by_email(&self, email: &Email) -> Result<Option<(User, Option<String>)>>;

    /// The account of that number.
    async fn user(&self, id: UserId) -> Result<Option<User>>;

    /// Stores a token and returns its number.
    async fn add_token(&self, new: NewToken) -> Result<TokenId>;

    /// The token of that number with its owner.
    async fn token(&self, id: TokenId) -> Result<Option<StoredToken>>;

    /// Revokes one token of that user, or all of them; returns how many.
    async fn revoke_tokens(&self, user: UserId, only: Option<TokenId>) -> Result<u64>;

    /// Sets the user's one-time code, unless the last one was set less than `pause` ago: then it stays,
    /// and the answer is `false`. An older code is void, but while it would still be good its wrong
    /// tries count for the new one too.
    async fn set_code(
        &self,
        user: UserId,
        hash: [u8; 32],
        now: Timestamp,
        pause: Duration,
        expires_at: Timestamp,
    ) -> Result<bool>;

    /// Checks a one-time code. A wrong try is counted; after `tries_max` the code is void.
    async fn check_code(&self, user: UserId, hash: [u8; 32], tries_max: u32, now: Timestamp) -> Result<CodeCheck>;

    // --- the store itself ---

    /// A secret of this installation, made on first use out of `fresh` and kept in the store.
    async fn secret(&self, name: &'static str, fresh: [u8; 32]) -> Result<[u8; 32]>;

    /// Proves that the store can be written, by writing.
    async fn ping(&self) -> Result<()>;
}

impl NewConversation {
    /// The participant that the conversation is for.
    pub(crate) fn owner(&self) -> (ParticipantKind, Option<UserId>) {
        match self.user_id {
            Some(user) => (ParticipantKind::User, Some(user)),
            None => (ParticipantKind::Guest, None),
        }
    }
}

impl StateChange {
    /// What the event will say.
    pub(crate) fn kind(&self) -> Change {
        match self {
            Self::Close => Change::Closed,
            Self::Assign(_) => Change::Assigned,
            Self::Edit(_) => Change::Edited,
        }
    }
}

impl StateEdit {
    /// The state with this edit applied.
    pub(crate) fn applied(&self, old: &ConversationState) -> ConversationState {
        ConversationState {
            is_active: self.is_active.unwrap_or(old.is_active),
            assigned: old.assigned,
            expires_at: self.expires_at.or(old.expires_at),
            external_user_id: self.external_user_id.clone().unwrap_or_else(|| old.external_user_id.clone()),
            contact: old.contact.clone(),
            metadata: self.metadata.clone().unwrap_or_else(|| old.metadata.clone()),
        }
    }
}

/// The contact of `new` merged into the one that is stored.
pub(crate) fn merged_contact(old: &ConversationState, new: &Contact) -> ConversationState {
    ConversationState { contact: old.contact.merged(new), ..old.clone() }
}
