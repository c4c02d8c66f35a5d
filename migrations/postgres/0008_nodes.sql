-- The servers over this store, each for as long as it runs, and whose an answer is that is being made.

-- A node renews `seen_at` every few seconds; one that has not for long is taken for dead, and what it was making is
-- ended by another.
create table nodes (
    id         uuid primary key,
    name       text not null,
    started_at bigint not null,
    seen_at    bigint not null
);

-- Null: of a server from before there were nodes.
alter table runs add column node_id uuid;
