//! What the log's methods take and give: conversations, messages and what hangs on them.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::{
    Change, Contact, Conversation, ConversationId, ConversationKind, ConversationState, Device, Event, EventId, Json,
    Letter, LetterKind, Logged, Message, MessageId, MessageText, NewFile, ParticipantKind, Place, PlatformId, Reach,
    Receipt, Role, Tag, Timestamp, User, UserId, WhileAnswering,
};

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

/// A [`Locator`] that outlives the call.
#[derive(Clone, Debug)]
pub(in crate::store) enum Name {
    Key(String),
    Uuid(Uuid),
    Id(ConversationId),
    Either(Option<Uuid>, String),
}

impl From<Locator<'_>> for Name {
    fn from(locator: Locator<'_>) -> Self {
        match locator {
            Locator::Key(key) => Self::Key(key.to_owned()),
            Locator::Uuid(uuid) => Self::Uuid(uuid),
            Locator::Id(id) => Self::Id(id),
            Locator::Name(name) => Self::Either(Uuid::try_parse(name).ok(), name.to_owned()),
        }
    }
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
    /// The platform on which it takes place.
    pub platform_id: Option<PlatformId>,
    /// The signed-in user it belongs to.
    pub user_id: Option<UserId>,
    /// The other user, of a direct conversation.
    pub peer_id: Option<UserId>,
    /// What it is about.
    pub tag: Tag,
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
    /// What makes it a letter.
    pub letter: Option<NewLetter>,
    /// Files that it brings along: kept in an assistant chat, elsewhere passed over.
    pub files: Vec<NewFile>,
    /// Makes a retry return the first message instead of storing another.
    pub idempotency: Option<Idempotency>,
    /// When, by the caller's clock.
    pub at: Timestamp,
}

/// What makes a message a letter from one user to another.
#[derive(Clone, Debug)]
pub struct NewLetter {
    /// To whom: the other user of the conversation.
    pub receiver_id: UserId,
    /// What it mainly is.
    pub kind: LetterKind,
    /// An array of what is attached, as it will be shown.
    pub attachments: Json,
    /// Uploads among them, which have to be the author's own.
    pub uploads: Vec<Uuid>,
    /// What it was written on.
    pub device: Device,
}

/// An idempotency key with the fingerprint of the body it came with. Its scope is the author
/// within the conversation: two authors may use the same key. An author without an account is told by
/// the role.
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
    /// Take it from that member of staff, if they have it.
    Release(UserId),
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
    /// What its owner calls it.
    pub title: Option<String>,
    /// Whether it is put away.
    pub is_archived: Option<bool>,
    /// What becomes of a message that is sent while an answer is under way; `Some(None)`: what the configuration says.
    pub while_answering: Option<Option<WhileAnswering>>,
}

/// The end of a conversation's log, read in one go.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The conversation as of `events`' last.
    pub conversation: Conversation,
    /// Where that is.
    pub place: Arc<Place>,
    /// Its last events, oldest first, without a gap.
    pub events: Vec<Event>,
    /// `events` holds everything after this cursor.
    pub complete_after: EventId,
}

/// A piece of what happened in a scope.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// The events, oldest first.
    pub events: Vec<Logged>,
    /// Everything in the scope up to here has been told: the cursor to go on from.
    pub through: EventId,
    /// Whether the store had nothing after `through` when it was read.
    pub is_end: bool,
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

/// A user in a direct conversation.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub user: User,
    /// How many letters wait for them.
    pub unread: u64,
    /// When they last read one.
    pub last_read_at: Option<Timestamp>,
    /// Since when they take part.
    pub joined_at: Timestamp,
}

/// A direct conversation with its users, in the order of joining.
#[derive(Clone, Debug)]
pub struct Direct {
    /// The conversation.
    pub conversation: Conversation,
    /// Its users.
    pub members: Vec<Member>,
}

/// A direct conversation as an inbox lists it.
#[derive(Clone, Debug)]
pub struct InboxEntry {
    /// The conversation with its users.
    pub direct: Direct,
    /// Its last visible message.
    pub last: Option<Arc<Message>>,
    /// Its place in the inbox, to go on from.
    pub place: InboxPlace,
}

/// A place in an inbox: at a last message, and a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxPlace {
    /// The conversation's last message, 0 before the first.
    pub message_id: MessageId,
    /// The conversation.
    pub conversation_id: ConversationId,
}

/// Which part of an inbox to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct InboxFilter {
    /// Only what stands below this place.
    pub below: Option<InboxPlace>,
    /// Only what stands above this place: the nearest of them unless `below` is there too, and always from the
    /// top down.
    pub above: Option<InboxPlace>,
    /// How many to skip.
    pub offset: u64,
    /// At most this many.
    pub limit: usize,
}

/// A receipt to be noted.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// By whom.
    pub reader: UserId,
    /// Which.
    pub receipt: Receipt,
    /// Of which letters.
    pub reach: Reach,
    /// When.
    pub at: Timestamp,
}

/// A reaction to be put to a letter or taken away.
#[derive(Clone, Debug)]
pub struct NewReaction {
    /// Which letter.
    pub message_id: MessageId,
    /// Whose.
    pub user_id: UserId,
    /// The emoji.
    pub emoji: String,
    /// Take it away.
    pub removed: bool,
    /// When.
    pub at: Timestamp,
}

/// A letter that a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The letter.
    pub message: Arc<Message>,
    /// Its conversation.
    pub direct: Direct,
}

/// By what a list of assistant chats is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatColumn {
    /// Its number.
    Id,
    /// When it was made.
    CreatedAt,
    /// When its state last changed.
    EditedAt,
    /// Its title.
    Title,
    /// Its model.
    Model,
}

/// A column and whether the largest comes first.
pub type ChatOrder = (ChatColumn, bool);

/// A share to be made.
#[derive(Clone)]
pub struct NewShare {
    /// What its link holds.
    pub uuid: Uuid,
    /// What is shown.
    pub conversation_id: ConversationId,
    /// Whether the link works.
    pub is_shared: bool,
    /// Whether it wants a password.
    pub is_protected: bool,
    /// The password's PHC string.
    pub password_hash: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Without the link, which is a key, and without the password's hash.
impl fmt::Debug for NewShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewShare")
            .field("conversation_id", &self.conversation_id)
            .field("is_shared", &self.is_shared)
            .field("is_protected", &self.is_protected)
            .finish_non_exhaustive()
    }
}

impl NewConversation {
    /// A conversation that belongs to nobody who signs in, and of which nothing is known yet.
    pub fn new(uuid: Uuid, kind: ConversationKind, key: String, at: Timestamp) -> Self {
        let state = ConversationState::open();
        Self { uuid, kind, key, platform_id: None, user_id: None, peer_id: None, tag: Tag::default(), state, at }
    }

    /// Whom the conversation is for.
    pub(crate) fn members(&self) -> Vec<(ParticipantKind, Option<UserId>)> {
        let users = [self.user_id, self.peer_id].into_iter().flatten();
        let members: Vec<_> = users.map(|user| (ParticipantKind::User, Some(user))).collect();
        if members.is_empty() { vec![(ParticipantKind::Guest, None)] } else { members }
    }
}

impl StateChange {
    /// What the event will say.
    pub(crate) fn kind(&self) -> Change {
        match self {
            Self::Close => Change::Closed,
            Self::Assign(_) => Change::Assigned,
            Self::Release(_) => Change::Released,
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
            title: self.title.clone().or_else(|| old.title.clone()),
            model: old.model.clone(),
            is_archived: self.is_archived.unwrap_or(old.is_archived),
            while_answering: self.while_answering.unwrap_or(old.while_answering),
        }
    }
}

/// The contact of `new` merged into the one that is stored.
pub(crate) fn merged_contact(old: &ConversationState, new: &Contact) -> ConversationState {
    ConversationState { contact: old.contact.merged(new), ..old.clone() }
}

/// What the desk lists are ordered by: see the migration.
pub(in crate::store) fn listed_at(kind: ConversationKind, is_active: bool, at: Timestamp) -> Option<i64> {
    const STEP_MICROS: i64 = 16_000_000;
    (is_active && kind == ConversationKind::LiveChat).then(|| at.0.div_euclid(STEP_MICROS))
}

impl NewMessage {
    /// The message as it is once it was appended with those numbers.
    pub(in crate::store) fn appended(&self, id: MessageId, seq: u64, at: Timestamp) -> Message {
        Message {
            id,
            uuid: self.uuid,
            conversation_id: self.conversation_id,
            seq,
            role: self.role,
            user_id: self.user_id,
            text: self.text.as_str().to_owned(),
            metadata: self.metadata.clone(),
            reply_to: self.reply_to,
            created_at: at,
            updated_at: at,
            edited_at: None,
            letter: self.letter.as_ref().map(|letter| Box::new(letter.sent())),
        }
    }
}

impl NewLetter {
    /// The letter as it is once it was sent.
    fn sent(&self) -> Letter {
        Letter {
            receiver_id: self.receiver_id,
            kind: self.kind,
            attachments: self.attachments.clone(),
            device: self.device.clone(),
            delivered_at: None,
            read_at: None,
            reactions: Vec::new(),
        }
    }
}
