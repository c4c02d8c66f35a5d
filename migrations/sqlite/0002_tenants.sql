-- Tenants, accounts that belong to one of them or to none, what they may do, and where they are
-- reached.

-- A tenant: a front end with its users. `key` is public and names it in every request; `secret`
-- signs what its sockets may subscribe to and never leaves the server.
create table platforms (
    id         integer primary key autoincrement,
    key        blob not null unique,
    name       text not null,
    slug       text not null,
    secret     text not null,
    created_at integer not null
);

-- As before, with the platform. An address has one account a platform, and one without any: were it
-- unique over all, to register at one tenant would tell who has an account at another. SQLite cannot
-- drop the old uniqueness, so the table is made anew.
create table users_new (
    id            integer primary key autoincrement,
    uuid          blob not null unique,
    platform_id   integer references platforms (id),
    email         text not null,
    name          text not null,
    phone         text,
    avatar        text,
    language      text,
    password_hash text,              -- PHC string; null: cannot sign in by password
    is_staff      integer not null,
    is_active     integer not null,
    is_verified   integer not null,
    abilities     text not null,     -- separated by spaces
    created_at    integer not null,
    updated_at    integer not null
);
insert into users_new (id, uuid, email, name, phone, avatar, language, password_hash, is_staff, is_active, is_verified,
                       abilities, created_at, updated_at)
    select id, uuid, email, name, phone, avatar, language, password_hash, is_staff, is_active, is_verified,
           abilities, created_at, created_at from users;
drop table users;
alter table users_new rename to users;
create unique index users_address on users (email, coalesce(platform_id, 0));
create index users_platform on users (platform_id, id);
create index users_staff on users (id) where is_staff = 1;

-- A credential may end by itself: null: never.
alter table tokens add column expires_at integer;

-- What somebody is on their platform.
create table user_roles (
    id         integer primary key autoincrement,
    user_id    integer not null references users (id) on delete cascade,
    role       text not null,
    status     text not null,        -- requested, approved, disapproved
    created_at integer not null,
    updated_at integer not null,
    unique (user_id, role)
);

-- Where a user's devices are reached by push.
create table push_devices (
    id         integer primary key autoincrement,
    uuid       blob not null unique,
    user_id    integer not null references users (id) on delete cascade,
    token      text not null,
    os         text not null,        -- android, ios, web
    device     text,                 -- JSON as sent
    created_at integer not null,
    unique (user_id, token)
);
