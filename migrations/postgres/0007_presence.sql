-- When somebody last had a connection, or got or lost their only one: null for who never had. Written in
-- batches, some seconds late: it is for people to read.
alter table users add column last_seen_at bigint;
