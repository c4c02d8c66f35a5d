//! Which rows are moved: every table with its columns, in one order that both engines can read it in.
//!
//! A test compares these lists with PostgreSQL's schema, and so does every transfer before it begins: a column that
//! somebody adds and forgets here would be lost without a word.

/// How PostgreSQL's binary form of a value is made from SQLite's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
    Bool,
    Uuid,
    Bytes,
    /// The words of a letter, made from its author, its receiver and its text.
    Words,
}

/// A column of the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// What it is made from, when that is not the column of that name.
    pub from: Option<&'static str>,
}

/// What tells that rows of a table have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Their conversation's head: whatever changes them adds an event, in the same transaction.
    ByHead,
    /// Nothing: they are compared.
    ByNothing,
}

/// A table of the target and where its rows come from.
#[derive(Debug)]
pub(super) struct Table {
    pub name: &'static str,
    /// SQLite's tables; the one that the columns are of is `s`.
    pub source: &'static str,
    pub columns: &'static [Column],
    /// The first so many columns are the key and the order of the rows; integers first,
    /// where the table is cut.
    pub key: usize,
    /// The first so many columns are integers and a place between rows: pieces begin and end there. With 0 the table is
    /// one piece.
    pub cut: usize,
    /// What SQLite orders by instead of the key's columns, to find an index.
    pub order: &'static [&'static str],
    pub told: Told,
}

impl Table {
    /// The target's columns, for a statement.
    pub fn names(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// The source's, in the same order.
    pub fn sources(&self) -> String {
        let from = |column: &Column| column.from.map_or_else(|| format!("s.{}", column.name), str::to_owned);
        self.columns.iter().map(from).collect::<Vec<_>>().join(", ")
    }

    /// What the source is ordered by.
    pub fn source_order(&self) -> Vec<String> {
        let own = |(n, column): (usize, &Column)| match self.order.get(n) {
            Some(other) => (*other).to_owned(),
            None => column.from.map_or_else(|| format!("s.{}", column.name), str::to_owned),
        };
        self.columns[..self.key].iter().enumerate().map(own).collect()
    }

    /// What the target is ordered by: words by their bytes, as SQLite does.
    pub fn target_order(&self) -> Vec<String> {
        let by = |column: &Column| match column.kind {
            Kind::Text => format!("{} collate \"C\"", column.name),
            _ => column.name.to_owned(),
        };
        self.columns[..self.key].iter().map(by).collect()
    }
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, from: None }
}

const fn int(name: &'static str) -> Column {
    column(name, Kind::Int)
}

const fn text(name: &'static str) -> Column {
    column(name, Kind::Text)
}

const fn flag(name: &'static str) -> Column {
    column(name, Kind::Bool)
}

const fn uuid(name: &'static str) -> Column {
    column(name, Kind::Uuid)
}

const fn bytes(name: &'static str) -> Column {
    column(name, Kind::Bytes)
}

const fn made(name: &'static str, kind: Kind, from: &'static str) -> Column {
    Column { name, kind, from: Some(from) }
}

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

/// A table whose rows are found by `id`, or by another number that it begins with.
const fn plain(name: &'static str, source: &'static str, columns: &'static [Column]) -> Table {
    Table { name, source, columns, key: 1, cut: 1, order: &[], told: Told::ByNothing }
}

/// A table that is small, whatever happens.
const fn whole(name: &'static str, source: &'static str, columns: &'static [Column], key: usize) -> Table {
    Table { name, source, columns, key, cut: 0, order: &[], told: Told::ByNothing }
}

/// A table whose rows are found by two numbers.
const fn paired(name: &'static str, source: &'static str, columns: &'static [Column]) -> Table {
    Table { name, source, columns, key: 2, cut: 2, order: &[], told: Told::ByNothing }
}

/// Everything that is moved, in the order in which it is copied.
pub(super) const TABLES: &[Table] = &[
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
    whole("secrets", "secrets s", &[text("name"), bytes("value")], 1),
    plain(
        "platforms",
        "platforms s",
        &[int("id"), uuid("key"), text("name"), text("slug"), text("secret"), int("created_at")],
    ),
    plain(
        "users",
        "users s",
        &[
            int("id"),
            uuid("uuid"),
            text("email"),
            text("name"),
            text("phone"),
            text("avatar"),
            text("language"),
            text("password_hash"),
            flag("is_staff"),
            flag("is_active"),
            flag("is_verified"),
            text("abilities"),
            int("created_at"),
            int("platform_id"),
            int("updated_at"),
            int("last_seen_at"),
        ],
    ),
    plain(
        "tokens",
        "tokens s",
        &[
            int("id"),
            int("user_id"),
            text("name"),
            bytes("hash"),
            text("abilities"),
            int("created_at"),
            int("expires_at"),
        ],
    ),
    plain(
        "codes",
        "codes s",
        &[int("user_id"), bytes("hash"), int("tries"), int("set_at"), int("expires_at")],
    ),
    plain(
        "user_roles",
        "user_roles s",
        &[int("id"), int("user_id"), text("role"), text("status"), int("created_at"), int("updated_at")],
    ),
    plain(
        "push_devices",
        "push_devices s",
        &[int("id"), uuid("uuid"), int("user_id"), text("token"), text("os"), text("device"), int("created_at")],
    ),
    plain(
        "attachments",
        "attachments s",
        &[
            int("id"),
            uuid("uuid"),
            int("user_id"),
            text("name"),
            text("mime"),
            int("size"),
            flag("has_thumbnail"),
            text("state"),
            int("created_at"),
        ],
    ),
    paired(
        "attachment_uses",
        "attachment_uses s",
        &[int("attachment_id"), int("message_id"), int("conversation_id")],
    ),
    plain(
        "shares",
        "shares s",
        &[
            int("id"),
            uuid("uuid"),
            int("conversation_id"),
            flag("is_shared"),
            flag("is_protected"),
            text("password_hash"),
            int("created_at"),
            int("updated_at"),
        ],
    ),
    plain("share_entries", "share_entries s", &[int("id"), int("share_id"), int("user_id"), int("created_at")]),
    plain(
        "idempotency_keys",
        "idempotency_keys s",
        &[int("id"), int("user_id"), text("scope"), text("key"), bytes("fingerprint"), int("created_at")],
    ),
    plain(
        "webhooks",
        "webhooks s",
        &[
            int("id"),
            int("platform_id"),
            text("url"),
            text("form"),
            text("kinds"),
            bytes("key"),
            bytes("former_key"),
            int("former_until"),
            int("cursor"),
            int("open"),
            int("failing_since"),
            int("delivered_at"),
            int("disabled_at"),
            text("disabled_why"),
            int("created_at"),
            int("updated_at"),
        ],
    ),
    plain(
        "webhook_deliveries",
        "webhook_deliveries s",
        &[
            int("id"),
            int("webhook_id"),
            text("lane"),
            text("kind"),
            int("event_id"),
            int("conversation_id"),
            text("content"),
            text("state"),
            int("attempts"),
            int("tries"),
            int("begun_at"),
            int("due_at"),
            uuid("claim"),
            int("last_status"),
            text("last_error"),
            int("created_at"),
            int("ended_at"),
        ],
    ),
    paired(
        "webhook_attempts",
        "webhook_attempts s",
        &[int("delivery_id"), int("number"), int("at"), int("took_ms"), int("status"), text("error")],
    ),
    whole(
        "conversation_counts",
        "conversation_counts s",
        &[text("kind"), flag("is_active"), made("slot", Kind::Int, "0"), int("total")],
        2,
    ),
];

/// Tables of the target that hold nothing to move: what the schema keeps of itself, the nodes that run, what is made
/// from the conversations, and the transfer's own.
pub(super) const OTHERS: &[&str] =
    &["migrations", "nodes", "conversation_keys", "transfer", "transfer_progress", "transfer_references"];

/// The tables whose conversation's head tells of every change, but for the heads.
pub(super) fn of_conversations() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(|table| table.told == Told::ByHead && table.name != HEADS.name)
}

/// The tables that are compared to find what changed.
pub(super) fn of_no_head() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(|table| table.told == Told::ByNothing)
}
