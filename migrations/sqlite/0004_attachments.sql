-- Uploaded files; their bytes are in the object store, under their uuid.

create table attachments (
    id            integer primary key autoincrement,
    uuid          blob not null unique,
    user_id       integer not null references users (id),
    name          text not null,
    mime          text not null,     -- found in the content, not said by the client
    size          integer not null,  -- bytes
    has_thumbnail integer not null,
    -- loose: no message holds it: collected after a day. held: some message does. condemned: its bytes
    -- are being deleted, and no message can take it any more.
    state         text not null,
    created_at    integer not null
);
create index attachments_loose on attachments (created_at) where state <> 'held';

-- Which messages hold it: who takes part in their conversations may download it.
create table attachment_uses (
    attachment_id   integer not null references attachments (id) on delete cascade,
    message_id      integer not null references messages (id) on delete cascade,
    conversation_id integer not null,
    primary key (attachment_id, message_id)
) without rowid;
create index attachment_uses_message on attachment_uses (message_id);

-- A conversation that is removed takes its messages and their uses along: what nobody holds any more
-- is then collected like an upload that was never sent.
create trigger attachments_let_go after delete on attachment_uses
when not exists (select 1 from attachment_uses where attachment_id = old.attachment_id)
begin
    update attachments set state = 'loose' where id = old.attachment_id and state = 'held';
end;
