-- Answers of the assistant as parts of the log: who made each and what it took, and their texts as they arrived.

-- A run's states, and its text as it arrives, are events. `text` is what a run from before this had.
alter table runs add column uuid uuid;
alter table runs add column event_id bigint not null default 0;  -- the last event before it
alter table runs add column begun_at bigint;             -- null while it waits for its turn
alter table runs add column ended_at bigint;
alter table runs add column reason text;                 -- why it ended, where that is not all it had to say
alter table runs add column provider text;
alter table runs add column model text;                  -- as the provider calls it
alter table runs add column prompt_tokens bigint not null default 0;
alter table runs add column completion_tokens bigint not null default 0;
alter table runs add column cost bigint not null default 0;  -- in millionths of the currency of the price table
alter table runs add column is_estimated boolean not null default false;
update runs set uuid = gen_random_uuid(), begun_at = started_at;
update runs set outcome = 'completed' where outcome = 'done';
create unique index runs_uuid on runs (uuid, conversation_id);

alter table events add column run_id bigint;
alter table events add column start bigint;              -- where in the answer the text begins, in bytes
alter table events add column text text;                 -- null once the answer was deleted

-- What becomes of a message that is sent while an answer is under way; null: what its door does.
alter table conversations add column while_answering text;
