-- Uploaded files; their bytes are in the object store, under their uuid.

create table attachments (
    id            integer primary key autoincrement,
    uuid          blob not null unique,
    platform_id   integer references platforms (id),
    user_id       integer not null references users (id),
    name          text not null,
    mime          text not null,     -- found in the content, not said by the client
    size          integer not null,  -- bytes
    has_thumbnail integer not null,
    is_loose      integer not null,  -- no message holds it yet: collected after a day
    created_at    integer not null
);
create index attachments_loose on attachments (created_at) where is_loose = 1;

-- Which messages hold it: who takes part in their conversations may download it.
create table attachment_uses (
    attachment_id   integer not null references attachments (id) on delete cascade,
    message_id      integer not null references messages (id) on delete cascade,
    conversation_id integer not null,
    primary key (attachment_id, message_id)
) without rowid;
create index attachment_uses_message on attachment_uses (message_id);
