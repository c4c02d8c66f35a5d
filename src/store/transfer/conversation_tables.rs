//! The tables of conversations.

use super::tables::{Kind, Table, Told, bytes, flag, int, made, paired, text, uuid};

/// The ends of the logs. First among what their changes tell of: a head that the target has is never newer than the
/// rows that are copied after it.
pub(super) const HEADS: Table = Table {
    name: "heads",
    source: "heads s",
    columns: &[
        int("conversation_id"),
        int("seq"),
        int("event_id"),
        int("message_id"),
        int("message_at"),
        flag("is_active"),
        int("assigned_user_id"),
        int("assigned_at"),
        int("last_activity_at"),
        int("updated_at"),
        int("listed_at"),
    ],
    key: 1,
    cut: 1,
    order: &[],
    told: Told::ByHead,
};

const CONVERSATIONS: Table = Table {
    name: "conversations",
    source: "conversations s",
    columns: &[
        int("id"),
        uuid("uuid"),
        text("kind"),
        text("key"),
        int("user_id"),
        text("external_user_id"),
        text("contact_name"),
        text("contact_email"),
        text("contact_phone"),
        text("metadata"),
        int("expires_at"),
        int("created_at"),
        int("platform_id"),
        text("tag_kind"),
        int("tag_id"),
        text("title"),
        text("model"),
        flag("is_archived"),
        int("edited_at"),
        text("while_answering"),
    ],
    key: 1,
    cut: 1,
    order: &[],
    told: Told::ByHead,
};

const PARTICIPANTS: Table = Table {
    name: "participants",
    source: "participants s",
    columns: &[
        int("conversation_id"),
        text("kind"),
        int("user_id"),
        int("id"),
        int("joined_at"),
        int("unread"),
        int("last_read_at"),
        int("listed_id"),
    ],
    key: 3,
    cut: 1,
    order: &[],
    told: Told::ByHead,
};

const MESSAGES: Table = Table {
    name: "messages",
    source: "messages s",
    columns: &[
        int("conversation_id"),
        int("id"),
        uuid("uuid"),
        int("seq"),
        text("role"),
        int("user_id"),
        text("text"),
        text("metadata"),
        int("reply_to"),
        text("idempotency_key"),
        bytes("fingerprint"),
        int("created_at"),
        int("updated_at"),
        int("deleted_at"),
        int("edited_at"),
    ],
    key: 2,
    cut: 2,
    order: &[],
    told: Told::ByHead,
};

const EVENTS: Table = Table {
    name: "events",
    source: "events s",
    columns: &[
        int("conversation_id"),
        int("id"),
        int("seq"),
        text("kind"),
        int("message_id"),
        uuid("message_uuid"),
        text("state"),
        int("at"),
        int("user_id"),
        text("emoji"),
        int("run_id"),
        int("start"),
        text("text"),
    ],
    key: 2,
    cut: 2,
    order: &[],
    told: Told::ByHead,
};

/// Through the messages' index: SQLite has none of letters by conversation.
const LETTERS: Table = Table {
    name: "letters",
    source: "messages m cross join letters s on s.message_id = m.id",
    columns: &[
        int("conversation_id"),
        int("message_id"),
        int("receiver_id"),
        text("kind"),
        text("attachments"),
        text("device"),
        text("device_kind"),
        int("delivered_at"),
        int("read_at"),
        flag("is_gone"),
    ],
    key: 2,
    cut: 2,
    order: &["m.conversation_id", "m.id"],
    told: Told::ByHead,
};

/// Not the index of SQLite, which keeps no words to copy: the words are made again.
const LETTER_SEARCH: Table = Table {
    name: "letter_search",
    source: "messages m cross join letters s on s.message_id = m.id and s.is_gone = 0",
    columns: &[
        int("conversation_id"),
        int("message_id"),
        made("words", Kind::Words, "m.user_id, s.receiver_id, m.text"),
    ],
    key: 2,
    cut: 2,
    order: &["m.conversation_id", "m.id"],
    told: Told::ByHead,
};

const REACTIONS: Table = Table {
    name: "reactions",
    source: "messages m cross join reactions s on s.message_id = m.id",
    columns: &[int("conversation_id"), int("message_id"), int("id"), int("user_id"), text("emoji"), int("at")],
    key: 3,
    cut: 2,
    order: &["m.conversation_id", "m.id"],
    told: Told::ByHead,
};

const DEVICE_COUNTS: Table = Table {
    name: "device_counts",
    source: "device_counts s",
    columns: &[int("conversation_id"), text("device_kind"), int("total")],
    key: 2,
    cut: 1,
    order: &[],
    told: Told::ByHead,
};

/// All of them, in the order in which they are copied.
pub(super) const OF_CONVERSATIONS: &[Table] = &[
    HEADS,
    CONVERSATIONS,
    PARTICIPANTS,
    MESSAGES,
    EVENTS,
    LETTERS,
    LETTER_SEARCH,
    REACTIONS,
    DEVICE_COUNTS,
    paired(
        "runs",
        "runs s",
        &[
            int("conversation_id"),
            int("id"),
            int("question_id"),
            text("text"),
            text("outcome"),
            int("answer_id"),
            int("started_at"),
            uuid("node_id"),
            uuid("uuid"),
            int("event_id"),
            int("begun_at"),
            int("ended_at"),
            text("reason"),
            text("provider"),
            text("model"),
            int("prompt_tokens"),
            int("completion_tokens"),
            int("cost"),
            flag("is_estimated"),
        ],
    ),
    paired(
        "files",
        "files s",
        &[
            int("conversation_id"),
            int("id"),
            int("message_id"),
            int("user_id"),
            text("title"),
            text("text"),
            text("language"),
            text("extension"),
            int("created_at"),
            int("updated_at"),
        ],
    ),
];
