-- What answers may cost a day, and what they have cost.

-- What a purse gave on a day of UTC, and what is put aside for answers under way. A purse is a tenant, a user, a
-- conversation or an address (as a keyed hash): `tenant:7`. There is a row only for purses that have a limit.
create table budgets (
    day             integer not null,              -- days since 1970-01-01
    purse           text    not null,
    tokens          integer not null default 0,    -- spent
    money           integer not null default 0,    -- spent, in millionths of the currency of the price table
    reserved_tokens integer not null default 0,
    reserved_money  integer not null default 0,
    primary key (day, purse)
) without rowid;

-- What one answer put aside, in each of its purses. The row goes when the answer has ended and what it took is known.
-- When its node died it lapses: all of it counts as spent, and the row stays in case somebody knows better later.
create table budget_reservations (
    run       blob    primary key,
    day       integer not null,
    purses    text    not null,                    -- with a blank between two
    tokens    integer not null,
    money     integer not null,
    lapses_at integer                              -- null: it has
) without rowid;

create index budget_reservations_lapses on budget_reservations (lapses_at) where lapses_at is not null;
