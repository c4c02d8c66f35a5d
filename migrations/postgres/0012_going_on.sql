-- Documents that go live by themselves: any node goes on with one that nobody works on, also after a restart.

-- When a node may go on with it by itself; null: only when somebody asks. One that was live before, or that failed for a
-- reason of its own, is never gone on with.
alter table documents add column goes_on_at bigint;
create index documents_going_on on documents (goes_on_at, id) where goes_on_at is not null;
