-- What users write to each other, and a user's own assistant chats.

alter table conversations add column platform_id integer references platforms (id);
-- What a direct conversation is about, in the integrator's words: never changes.
alter table conversations add column tag_kind text;
alter table conversations add column tag_id integer;
-- Part of the state, like the metadata.
alter table conversations add column title text;
alter table conversations add column model text;
alter table conversations add column is_archived integer not null default 0;
-- When the state last changed, unlike heads.updated_at, which a message moves too. Null: never.
alter table conversations add column edited_at integer;
create index conversations_owner on conversations (user_id, kind) where user_id is not null;

-- Of users in a direct conversation: how many letters wait for them (the audit compares it with the
-- letters themselves), when they last read, and where the conversation stands in their inbox: at
-- its last message, 0 before the first.
alter table participants add column unread integer not null default 0;
alter table participants add column last_read_at integer;
alter table participants add column listed_id integer;
create index participants_inbox on participants (user_id, listed_id, conversation_id) where listed_id is not null;

alter table messages add column edited_at integer;

-- What a message to one person carries beyond its text. A table of its own, so that a guest's
-- message does not pay for it.
create table letters (
    message_id      integer primary key references messages (id) on delete cascade,
    conversation_id integer not null,
    receiver_id     integer not null references users (id),
    kind            text not null,     -- text, image, file, audio, video
    attachments     text not null,     -- JSON array
    device          text not null,     -- JSON object as sent
    device_kind     text not null,     -- mobile, web, desktop
    delivered_at    integer,
    read_at         integer,
    is_gone         integer not null   -- the message was deleted
);
create index letters_unread on letters (conversation_id, receiver_id, message_id)
    where read_at is null and is_gone = 0;
-- The last one that an inbox shows, however many behind it were deleted.
create index letters_visible on letters (conversation_id, message_id) where is_gone = 0;
create index letters_undelivered on letters (conversation_id, receiver_id, message_id)
    where delivered_at is null and is_gone = 0;

create table reactions (
    id              integer primary key autoincrement,  -- the order of reacting
    conversation_id integer not null,
    message_id      integer not null references messages (id) on delete cascade,
    user_id         integer not null references users (id),
    emoji           text not null,
    at              integer not null,
    unique (message_id, user_id, emoji)
);

-- Of events about a reaction or a receipt: whose, and which emoji.
alter table events add column user_id integer;
alter table events add column emoji text;

-- Messages by the sender's kind of device, so that no statistic has to count messages.
create table device_counts (
    conversation_id integer not null references conversations (id) on delete cascade,
    device_kind     text not null,
    total           integer not null,
    primary key (conversation_id, device_kind)
) without rowid;

-- The words of letters, by message: each word once for each user who may find it, with that user's mark
-- before it, so that a search reads nobody else's words, not even to look for beginnings. Marks (M) are
-- parts of words in many scripts.
create virtual table letter_search using fts5 (
    words, content = '', contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
);

-- Files that an answer of the assistant holds, or that its user added to a message.
create table files (
    id              integer primary key autoincrement,
    conversation_id integer not null references conversations (id) on delete cascade,
    message_id      integer not null references messages (id) on delete cascade,
    user_id         integer not null references users (id),
    title           text not null,
    text            text not null,
    language        text not null,
    extension       text not null,
    created_at      integer not null,
    updated_at      integer not null
);
create index files_of on files (conversation_id);
create index files_user on files (user_id);
create index files_message on files (message_id);

-- A conversation that its owner shows to others: at most one link each.
create table shares (
    id              integer primary key autoincrement,
    uuid            blob not null unique,
    conversation_id integer not null unique references conversations (id) on delete cascade,
    is_shared       integer not null,
    is_protected    integer not null,
    password_hash   text,
    created_at      integer not null,
    updated_at      integer not null
);

-- Who may open a share; anybody while there is no entry.
create table share_entries (
    id         integer primary key autoincrement,
    share_id   integer not null references shares (id) on delete cascade,
    user_id    integer not null references users (id),
    created_at integer not null,
    unique (share_id, user_id)
);

-- A chat that is removed takes its runs along: they are found without a look at everybody's.
create index runs_of on runs (conversation_id);
