-- A store of :rows messages, as unlike an even one as stores are: one live chat has every tenth of them, the rest is in
-- live chats and assistants' sessions of 30 and direct conversations of 20 messages, all growing at the same time.
-- Everywhere a tenth as many other events follow. A user has 100 direct conversations, each with another peer.
insert into platforms (key, name, slug, secret, created_at) values (gen_random_uuid(), 'Plans', 'plans', 'x', 0);

create temporary table fill as
select :rows::bigint as messages, :rows / 50 as sessions, greatest(:rows * 3 / 200, 100) as directs;

insert into users (uuid, platform_id, email, name, is_staff, is_active, is_verified, abilities, created_at, updated_at)
select gen_random_uuid(), 1, 'u' || g || '@example.test', 'U', false, true, true, '*', 0, 0
from fill, generate_series(1, directs / 100 + directs) g;

insert into conversations (uuid, kind, key, metadata, created_at, user_id, platform_id)
select gen_random_uuid(),
    case when g > 1 + sessions then 'direct' when g % 2 = 1 then 'live_chat' else 'assistant_session' end,
    'k' || g, '{}', 0, case when g > 1 + sessions then (g - 2 - sessions) / 100 + 1 end,
    case when g > 1 + sessions then 1 end
from fill, generate_series(1, 1 + sessions + directs) g;

insert into conversation_keys (kind, key, conversation_id) select kind, key, id from conversations;

-- Messages 10, 20, … are the long chat's; of each ten six are in the sessions and three in the direct conversations,
-- one after the other in turn.
insert into messages (conversation_id, id, uuid, seq, role, user_id, text, idempotency_key, fingerprint, created_at,
                      updated_at)
select x.conversation_id, x.id, gen_random_uuid(), x.seq, 'user',
    case when x.direct is not null then x.direct / 100 + 1 end, 'Good morning, is the room on the third floor free?',
    case when x.id % 8 = 0 then 'key-' || x.id end, case when x.id % 8 = 0 then '\x00'::bytea end, x.id, x.id
from (
    select g as id, 1::bigint as conversation_id, g / 10 as seq, null::bigint as direct
    from fill, generate_series(10, messages, 10) g
    union all
    select g, 2 + n % sessions, n / sessions + 1, null
    from fill, generate_series(1, messages) g, lateral (select g / 10 * 6 + g % 10 - 1 as n) y where g % 10 between 1 and 6
    union all
    select g, 2 + sessions + n % directs, n / directs + 1, n % directs
    from fill, generate_series(1, messages) g, lateral (select g / 10 * 3 + g % 10 - 7 as n) y where g % 10 >= 7
    order by 1
) x;

insert into letters (conversation_id, message_id, receiver_id, kind, attachments, device, device_kind, delivered_at,
                     read_at, is_gone)
select m.conversation_id, m.id, directs / 100 + m.conversation_id - 1 - sessions, 'text', '[]', '{}', 'web',
    case when m.seq <= 15 then m.id end, case when m.seq <= 15 then m.id end, false
from fill, messages m where m.conversation_id > 1 + sessions order by m.id;

insert into device_counts (conversation_id, device_kind, total)
select conversation_id, device_kind, count(*) from letters group by conversation_id, device_kind;

insert into reactions (conversation_id, message_id, user_id, emoji, at)
select conversation_id, message_id, receiver_id, 'x', 0 from letters where message_id % 100 = 7;

create temporary table ends as
select conversation_id, count(*) as said, max(id) as message_id from messages group by conversation_id;

insert into events (conversation_id, id, seq, kind, message_id, at, user_id)
select x.conversation_id, messages + row_number() over (order by x.nth, x.conversation_id), said + x.nth,
    'delivered_through', message_id, messages + x.nth, 1
from (select e.*, g as nth from ends e, generate_series(1, e.said / 10) g) x, fill;

insert into heads (conversation_id, seq, event_id, message_id, message_at, is_active, last_activity_at, updated_at,
                   assigned_user_id, listed_at)
select c.id, coalesce(said, 0) + coalesce(others, 0), coalesce(last, message_id, 0), coalesce(message_id, 0),
    message_id, true, coalesce(message_id, 0), coalesce(message_id, 0),
    case when c.kind = 'live_chat' and c.id % 4 = 1 then c.id % 100 + 1 end,
    case when c.kind = 'live_chat' then c.id % 100000 end
from conversations c left join ends on ends.conversation_id = c.id
left join (select conversation_id, count(*) as others, max(id) as last from events group by 1) o on o.conversation_id = c.id;

insert into participants (conversation_id, kind, user_id, joined_at, unread, listed_id)
select c.id, 'user', x.user_id, 0,
    case when x.user_id > directs / 100
        then (select count(*) from letters l where l.conversation_id = c.id and l.read_at is null) else 0 end,
    h.message_id
from fill, conversations c join heads h on h.conversation_id = c.id,
    lateral (values (c.user_id), (directs / 100 + c.id - 1 - sessions)) x (user_id)
where c.kind = 'direct' order by c.id;

insert into participants (conversation_id, kind, user_id, joined_at)
select c.id, 'user', 0, 0 from conversations c where c.kind <> 'direct';

select setval('event_ids', greatest((select max(id) from messages), (select max(id) from events)));
drop table ends;
drop table fill;
