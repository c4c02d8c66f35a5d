//! What can go wrong, in the language of chat. Each dialect renders these as its own envelope in
//! its `envelope.rs`; nothing here knows a status code or a wording.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The result of a use-case or of a store method.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause of a surprise, kept for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why something was not done. Nothing was changed, whatever the variant says.
#[derive(Debug)]
pub enum Error {
    /// The input is not legal; every field that is wrong is listed.
    Invalid(Vec<FieldError>),
    /// There is no such thing, or it is not the caller's to see.
    NotFound(Subject),
    /// No credential, or not a valid one.
    Unauthenticated,
    /// The credential is fine, and does not allow this.
    Forbidden(Refusal),
    /// The request contradicts what is stored.
    Conflict(Conflict),
    /// Too many attempts; try again after that long.
    TooMany(Duration),
    /// A budget has no room for an answer. What was asked is stored all the same, where it is kept at all.
    OverBudget(Shortage),
    /// A bounded queue is full; try again shortly.
    Busy,
    /// The disk, or the configured size of the store, is full. Reads go on.
    StorageFull,
    /// The store cannot be written at the moment. Reads go on.
    StorageReadOnly,
    /// A service that Roost leans on (mail, the assistant's provider) did not do its part.
    Upstream(Cause),
    /// A surprise: logged once, where it is answered.
    Internal(Cause),
}

/// What is known of a budget that has no room for an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// What is left, in the words of `X-Budget-Remaining`; `None` when that is not known any more.
    pub left: Option<String>,
    /// How long until the budget is full again; `None` when that would not be enough, either, or is not known.
    pub full_in: Option<Duration>,
}

/// What was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A conversation.
    Conversation,
    /// A message.
    Message,
    /// A user.
    User,
    /// A share.
    Share,
    /// An uploaded file.
    Attachment,
    /// The page of a list.
    Page,
    /// An endpoint that is told what happens.
    Webhook,
    /// One thing that such an endpoint was told.
    Delivery,
    /// A document that answers rest on.
    Document,
}

/// Why a valid credential, or a caller without one, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Only staff may do this.
    NotStaff,
    /// Another member of staff has the conversation, or nobody.
    NotAssigned,
    /// A member of staff has the conversation, so the assistant is silent.
    Assigned,
    /// The account is switched off.
    AccountInactive,
    /// The account's address is not proved yet.
    AccountUnverified,
    /// The token may not do this.
    NotAble,
    /// No platform has that key.
    UnknownPlatform,
    /// The conversation takes no more messages: it is past its end.
    Expired,
    /// The conversation takes no more messages: it was switched off.
    Inactive,
    /// The operator has not opened this list.
    ListClosed,
    /// The conversation is other people's.
    NotMember,
    /// The message is somebody else's, or was sent to somebody else.
    NotTheirs,
    /// The account belongs to no platform, or to another one.
    NoPlatform,
}

/// What the request contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The idempotency key was used with another body.
    IdempotencyKeyReused,
}

/// One field that is not legal: data, so that each dialect can word it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name on the wire; inside objects and lists a path with dots, like `device.type` or
    /// `messages.3.content`.
    pub field: Cow<'static, str>,
    /// The rule it breaks.
    pub rule: Rule,
}

/// A rule that a field can break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Must be there.
    Required,
    /// May not be null.
    NotNull,
    /// May not be empty or blank.
    NotBlank,
    /// Must be a string.
    String,
    /// Must be a whole number.
    Integer,
    /// Must be true or false.
    Boolean,
    /// At most this many characters.
    CharsMax(usize),
    /// At least this many characters.
    CharsMin(usize),
    /// At most this many bytes as JSON.
    BytesMax(usize),
    /// At most this many of them.
    CountMax(usize),
    /// At least this many of them.
    CountMin(usize),
    /// Must be an object.
    Object,
    /// Must be a list.
    Array,
    /// Must be a UUID.
    Uuid,
    /// Must be greater than zero.
    Positive,
    /// There is no such thing.
    Exists,
    /// Must be an e-mail address.
    Email,
    /// Must be a date and time.
    DateTime,
    /// Must be one of these; `got` is what was sent.
    OneOf {
        /// What was sent.
        got: String,
        /// What is allowed.
        choices: &'static [&'static str],
    },
    /// Must equal its confirmation.
    Confirmed,
    /// Already taken.
    Unique,
    /// May not contain NUL.
    NoNul,
    /// Wrong or no longer valid (a one-time code).
    Valid,
    /// A file of a type that is not taken; `got` is the type found in its content.
    FileType {
        /// What was found.
        got: &'static str,
    },
    /// A file of at most this many bytes.
    FileBytesMax(u64),
    /// Must be of one type, and something of another was sent, or nothing.
    Type {
        /// What it must be.
        want: Kind,
        /// What it was.
        got: Kind,
    },
    /// Must be one of these words, which are not known before the configuration is read.
    Choice {
        /// What type was sent.
        got: Kind,
        /// The word that was sent, if it was one.
        word: String,
        /// What is allowed.
        choices: Arc<[String]>,
    },
    /// An address that leads into a private network, where that is not allowed.
    PublicAddress,
    /// Must hold lower-case and upper-case letters, digits and other characters (a password).
    Mixed,
}

/// The type of a value as a client sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None: nothing was sent.
    Undefined,
    /// Null.
    Null,
    /// True or false.
    Boolean,
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// A number that is not whole.
    Float,
    /// Text that was to be a number and is none.
    Nan,
    /// A string.
    String,
    /// A list.
    Array,
    /// An object.
    Object,
}

impl Error {
    /// One illegal field.
    pub fn field(field: impl Into<Cow<'static, str>>, rule: Rule) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), rule }])
    }

    /// Whether the same may succeed shortly: the store was full, busy, or away.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Busy | Self::StorageFull | Self::StorageReadOnly)
    }

    /// A surprise, with its cause.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(fields) => {
                f.write_str("invalid input:")?;
                fields.iter().try_for_each(|error| write!(f, " {}", error.field))
            }
            Self::NotFound(subject) => write!(f, "{subject:?} not found"),
            Self::Unauthenticated => f.write_str("no valid credential"),
            Self::Forbidden(refusal) => write!(f, "refused: {refusal:?}"),
            Self::Conflict(conflict) => write!(f, "conflict: {conflict:?}"),
            Self::TooMany(after) => write!(f, "too many attempts, retry after {after:?}"),
            Self::OverBudget(_) => f.write_str("no room in a budget"),
            Self::Busy => f.write_str("busy, retry shortly"),
            Self::StorageFull => f.write_str("the store is full"),
            Self::StorageReadOnly => f.write_str("the store cannot be written"),
            Self::Upstream(cause) | Self::Internal(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Upstream(cause) | Self::Internal(cause) => cause.source(),
            _ => None,
        }
    }
}
