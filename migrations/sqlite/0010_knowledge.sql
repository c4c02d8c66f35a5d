-- Documents that answers rest on: their files, and the chunks that are searched. The files' bytes are in the object
-- store, under their uuid.

create table documents (
    id            integer primary key autoincrement,
    uuid          blob not null unique,
    platform_id   integer references platforms (id),  -- whose; null: the default tenant's
    user_id       integer not null references users (id),
    title         text not null,
    name          text not null,
    kind          text not null,     -- pdf, docx, html, md, txt: found in the content
    size          integer not null,  -- bytes
    -- uploaded, chunked, processing, live, removed_from_vectordb; gone: its bytes are being deleted
    state         text not null,
    failure       text,              -- why the last step did not succeed
    is_active     integer not null,  -- one that is not is kept out of searches
    chunk_count   integer not null,
    -- Grows whenever the chunks or their vectors change: with it, what was read once need not be read again.
    generation    integer not null,
    vector_model  text,              -- what made the vectors; null: there are none
    vectorized_at integer,
    claimed_until integer,           -- somebody is at work on it; lapses, if they died
    created_at    integer not null,
    updated_at    integer not null
);
create index documents_of on documents (platform_id, id);
create index documents_user on documents (user_id, id);
create index documents_live on documents (platform_id, id, generation, vector_model, chunk_count)
    where state = 'live' and is_active = 1;
create index documents_gone on documents (id) where state = 'gone';

create table chunks (
    document_id integer not null references documents (id) on delete cascade,
    number      integer not null,    -- from 1 on
    id          integer primary key autoincrement,
    text        text not null,
    words       text,                -- what it is found by, each with its tenant's mark; null while it is not live
    vector      blob,                -- 32-bit floats, little-endian, of length 1
    unique (document_id, number)
);

-- The words of live chunks, by chunk.
create virtual table chunk_search using fts5 (
    words, content = '', contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
);

-- How many live chunks hold a word: what most of them hold tells little and costs most to look for.
create table chunk_words (
    word  text primary key,
    total integer not null
) without rowid;
