-- Idempotency keys of what is no message, and so has no row of its own to keep its key in.

-- `scope` names what the key was sent with. A user's oldest keys make room.
create table idempotency_keys (
    id          integer primary key autoincrement,
    user_id     integer not null references users (id) on delete cascade,
    scope       text not null,
    key         text not null,
    fingerprint blob not null,
    created_at  integer not null,
    unique (user_id, scope, key)
);
