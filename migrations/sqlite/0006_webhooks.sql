-- Webhooks out: who is told of what happens, how far they have been told, and every try to tell them.

-- An endpoint follows the log by its own durable cursor. What it has not been told yet is the log itself: only what
-- was taken from the log for it and is on its way has rows of its own below.
create table webhooks (
    id             integer primary key autoincrement,
    platform_id    integer references platforms (id) on delete cascade,  -- null: the operator's own
    url            text not null,
    form           text not null,     -- standard, pusher
    kinds          text not null,     -- which types it wants, separated by spaces; empty: every one
    key            blob not null,     -- 32 bytes that sign what is sent; unused in the pusher form
    former_key     blob,              -- the one before, which signs too until then
    former_until   integer,
    cursor         integer not null,  -- the last event that was taken from the log for it
    open           integer not null,  -- how many of its deliveries wait or are due
    failing_since  integer,           -- the first failure after the last success
    delivered_at   integer,           -- the last success
    disabled_at    integer,           -- null: it is told
    disabled_why   text,
    created_at     integer not null,
    updated_at     integer not null
);
create index webhooks_platform on webhooks (platform_id, id);

-- What an endpoint is told: an event of the log by its number (read from the log when it is sent, so that deleted
-- text is not told later), or something that is in no log, with its content.
--
-- A lane keeps its order: of each endpoint's lane one delivery is `due` and the others `wait`.
create table webhook_deliveries (
    id              integer primary key autoincrement,
    webhook_id      integer not null references webhooks (id) on delete cascade,
    lane            text not null,
    kind            text not null,
    event_id        integer,
    conversation_id integer,
    content         text,              -- JSON, of what is in no log
    state           text not null,     -- waiting, due, delivered, failed
    attempts        integer not null,  -- in all
    tries           integer not null,  -- since it was last queued
    begun_at        integer,           -- the first of these
    due_at          integer not null,  -- the next attempt; of a claimed one, when its claim lapses
    claim           blob,              -- who is sending it
    last_status     integer,
    last_error      text,
    created_at      integer not null,
    ended_at        integer
);
create unique index webhook_deliveries_event on webhook_deliveries (webhook_id, event_id) where event_id is not null;
create index webhook_deliveries_of on webhook_deliveries (webhook_id, id);
create index webhook_deliveries_due on webhook_deliveries (webhook_id, due_at) where state = 'due';
create index webhook_deliveries_lane on webhook_deliveries (webhook_id, lane, state, id) where state in ('waiting', 'due');
create index webhook_deliveries_failed on webhook_deliveries (webhook_id, id) where state = 'failed';
create index webhook_deliveries_ended on webhook_deliveries (ended_at) where ended_at is not null;

-- Every try.
create table webhook_attempts (
    delivery_id integer not null references webhook_deliveries (id) on delete cascade,
    number      integer not null,
    at          integer not null,
    took_ms     integer not null,
    status      integer,               -- null: there was no answer
    error       text,
    primary key (delivery_id, number)
) without rowid;
