//! Identifiers, one type each, so that a user's number is never taken for a message's.

use std::fmt;

/// The largest integer that JavaScript keeps exactly (2^53 - 1). No identifier that a client sees
/// is larger.
pub const INTEGER_MAX: i64 = 9_007_199_254_740_991;

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

integer_id!(
    /// A conversation's number in the store.
    ConversationId
);
integer_id!(
    /// An event's number: it grows in commit order over the whole store and never repeats, not even
    /// after its conversation is gone. It is the cursor of every transport. Below 2^53.
    EventId
);
integer_id!(
    /// A user's number.
    UserId
);
integer_id!(
    /// A tenant's number.
    PlatformId
);
integer_id!(
    /// A bearer token's number: the part before the `|`.
    TokenId
);
integer_id!(
    /// An uploaded file's number.
    AttachmentId
);
integer_id!(
    /// The number of one answer of an assistant.
    RunId
);
integer_id!(
    /// The number of a file that belongs to a message of an assistant chat.
    FileId
);
integer_id!(
    /// The number of a share.
    ShareId
);
integer_id!(
    /// The number of an endpoint that is told what happens.
    WebhookId
);
integer_id!(
    /// The number of one thing that an endpoint is told.
    DeliveryId
);
integer_id!(
    /// The number of a document that answers rest on.
    DocumentId
);
integer_id!(
    /// The number of a piece of such a document.
    ChunkId
);

/// A message's number. It is the number of the event that added the message, so messages and
/// events share one cursor.
pub type MessageId = EventId;

impl EventId {
    /// The cursor before the first event.
    pub const START: Self = Self(0);

    /// Reads a cursor as the guest dialect does: what is not a number counts as the start, what is
    /// out of range is clamped.
    pub fn parse_loosely(raw: &str) -> Self {
        let raw = raw.trim();
        let digits = raw.strip_prefix('+').unwrap_or(raw);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Self::START;
        }
        Self(digits.parse::<i64>().unwrap_or(INTEGER_MAX).min(INTEGER_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_loosely() {
        for (raw, want) in
            [("", 0), ("abc", 0), ("-5", 0), ("12", 12), (" 7 ", 7), ("99999999999999999999999", INTEGER_MAX)]
        {
            assert_eq!(EventId::parse_loosely(raw), EventId(want), "{raw:?}");
        }
    }
}
