-- Answers of the assistant as parts of the log: who made each and what it took, and their texts as they arrived.

-- A run's states, and its text as it arrives, are events. `text` is what a run from before this had.
alter table runs add column uuid blob;
alter table runs add column event_id integer not null default 0;  -- the last event before it
alter table runs add column begun_at integer;            -- null while it waits for its turn
alter table runs add column ended_at integer;
alter table runs add column reason text;                 -- why it ended, where that is not all it had to say
alter table runs add column provider text;
alter table runs add column model text;                  -- as the provider calls it
alter table runs add column prompt_tokens integer not null default 0;
alter table runs add column completion_tokens integer not null default 0;
alter table runs add column cost integer not null default 0;  -- in millionths of the currency of the price table
alter table runs add column is_estimated integer not null default 0;
update runs set uuid = randomblob(16), begun_at = started_at;
update runs set outcome = 'completed' where outcome = 'done';
create unique index runs_uuid on runs (uuid);

alter table events add column run_id integer;
alter table events add column start integer;             -- where in the answer the text begins, in bytes
alter table events add column text text;                 -- null once the answer was deleted

-- What becomes of a message that is sent while an answer is under way; null: what its door does.
alter table conversations add column while_answering text;
