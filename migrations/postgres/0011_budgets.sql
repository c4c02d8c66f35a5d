-- What answers may cost a day, and what they have cost.

-- What a purse gave on a day of UTC, and what is put aside for answers under way. A purse is a tenant, a user, a
-- conversation or an address (as a keyed hash): `tenant:7`. There is a row only for purses that have a limit.
create table budgets (
    day             bigint  not null,              -- days since 1970-01-01
    purse           text    not null,
    tokens          bigint  not null default 0,    -- spent
    money           bigint  not null default 0,    -- spent, in millionths of the currency of the price table
    reserved_tokens bigint  not null default 0,
    reserved_money  bigint  not null default 0,
    primary key (day, purse)
);

-- What one answer put aside, in each of its purses. The row goes when the answer has ended and what it took is known.
-- When its node died it lapses: all of it counts as spent, and the row stays in case somebody knows better later.
create table budget_reservations (
    run       uuid    primary key,
    day       bigint  not null,
    purses    text    not null,                    -- with a blank between two
    tokens    bigint  not null,
    money     bigint  not null,
    lapses_at bigint                               -- null: it has
);

create index budget_reservations_lapses on budget_reservations (lapses_at) where lapses_at is not null;
