-- The log of conversations and what surrounds it.
--
-- Instants are microseconds since 1970 (UTC), uuids are 16 bytes, JSON is text. Tables stand in
-- insert order with an index by conversation: clustering the rows by conversation costs two thirds
-- of the insert rate, because then every append lands on another page.

-- Numbers that are never given out twice, not even after the row that had one is gone. One row
-- that every batch of appends rewrites once.
create table sequences (
    name  text primary key,
    value integer not null
) without rowid;
insert into sequences (name, value) values ('event', 0);

-- This installation's secrets, made on first start; a backup carries them along.
create table secrets (
    name  text primary key,
    value blob not null
) without rowid;

create table users (
    id            integer primary key autoincrement,
    uuid          blob not null unique,
    email         text not null unique,
    name          text not null,
    phone         text,
    avatar        text,
    language      text,
    password_hash text,              -- PHC string; null: cannot sign in by password
    is_staff      integer not null,
    is_active     integer not null,
    is_verified   integer not null,
    abilities     text not null,     -- separated by spaces
    created_at    integer not null
);
create index users_staff on users (id) where is_staff = 1;

create table tokens (
    id         integer primary key autoincrement,
    user_id    integer not null references users (id) on delete cascade,
    name       text not null,
    hash       blob not null,        -- SHA-256 of the secret part, which is not stored
    abilities  text not null,
    created_at integer not null
);
create index tokens_of on tokens (user_id);

-- One-time codes that were mailed: at most one a user.
create table codes (
    user_id    integer primary key references users (id) on delete cascade,
    hash       blob not null,
    tries      integer not null,     -- wrong ones, also of codes before it that were still good
    set_at     integer not null,
    expires_at integer not null
);

-- What is set once or seldom. Nothing here is written by a send.
create table conversations (
    id               integer primary key autoincrement,
    uuid             blob not null unique,
    kind             text not null,
    key              text not null,
    user_id          integer references users (id),
    external_user_id text,
    contact_name     text,
    contact_email    text,
    contact_phone    text,
    metadata         text not null,
    expires_at       integer,
    created_at       integer not null,
    unique (kind, key)
);
create index conversations_kind on conversations (kind); -- with the rowid: newest first in a kind
create index conversations_visitor on conversations (kind, external_user_id)
    where external_user_id is not null;

-- The end of each log and the state that sends look at: small rows, rewritten by every send.
create table heads (
    conversation_id  integer primary key references conversations (id) on delete cascade,
    seq              integer not null,  -- the last event's number; dense, from 1
    event_id         integer not null,
    message_id       integer not null,
    message_at       integer,
    is_active        integer not null,
    assigned_user_id integer references users (id),
    assigned_at      integer,
    last_activity_at integer not null,
    updated_at       integer not null,
    -- The last activity in steps of 16 s, null unless this is an active live chat: what the desk
    -- lists are ordered by first, so that a busy conversation does not rewrite two index entries
    -- with every message.
    listed_at        integer
);
create index heads_desk on heads (listed_at) where listed_at is not null;
create index heads_desk_of on heads (assigned_user_id, listed_at) where listed_at is not null;

-- How many conversations there are, so that no list has to count.
create table conversation_counts (
    kind      text not null,
    is_active integer not null,
    total     integer not null,
    primary key (kind, is_active)
) without rowid;

create table participants (
    id              integer primary key,  -- the order of joining: instants may be equal
    conversation_id integer not null references conversations (id) on delete cascade,
    kind            text not null,
    user_id         integer not null,  -- 0: nobody who signs in
    joined_at       integer not null,
    unique (conversation_id, kind, user_id)
);

-- A message's row is also its "added" event: `id` is the cursor, `seq` the dense number.
create table messages (
    id              integer primary key,
    uuid            blob not null,
    conversation_id integer not null references conversations (id) on delete cascade,
    seq             integer not null,
    role            text not null,
    user_id         integer references users (id),
    text            text not null,
    metadata        text,
    reply_to        integer,
    idempotency_key text,
    fingerprint     blob,              -- of the body that came with the key
    created_at      integer not null,
    updated_at      integer not null,
    deleted_at      integer
);
create index messages_of on messages (conversation_id); -- with the rowid: pages and polls
create unique index messages_uuid on messages (uuid);
create unique index messages_idempotency
    on messages (conversation_id, role, coalesce(user_id, 0), idempotency_key)
    where idempotency_key is not null;
create index messages_reply on messages (reply_to) where reply_to is not null;

-- Every other event. Together with the messages' rows these are the log.
create table events (
    id              integer primary key,
    conversation_id integer not null references conversations (id) on delete cascade,
    seq             integer not null,
    kind            text not null,     -- message_deleted, or the state's change
    message_id      integer,
    message_uuid    blob,
    state           text,              -- the whole state after the change
    at              integer not null
);
create index events_of on events (conversation_id);

-- One answer of the assistant each.
create table runs (
    id              integer primary key autoincrement,
    conversation_id integer not null references conversations (id) on delete cascade,
    question_id     integer not null,
    text            text not null,     -- what had arrived at the last checkpoint
    outcome         text,              -- null while it runs
    answer_id       integer,
    started_at      integer not null
);
create index runs_question on runs (question_id);
create index runs_open on runs (id) where outcome is null;
