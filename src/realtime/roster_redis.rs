//! The roster in Redis.
//!
//! Keys of a room have its name in braces, so that they are on one server of a cluster and one script sees all of them:
//! `{room}:p` the parts, a hash with `n:<node>` (number and count) and `m:<node>:<user>` (1 and what is told of them, or
//! 0); `{room}:t` what was told last; `{room}:k` what is kept. Nodes and what is listed of them are elsewhere: nothing
//! needs both at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;

use super::nodes::{NodeId, Room};
use super::roster::{Answered, Away, Beat, Part, Roster, Tell, Turned, View, Written};
use super::sockets::Member;
use crate::redis::{Redis, Script, Unanswered, cmd};

/// For how long a room is kept that no node writes of: whatever lives writes it again before that, when it is missing.
const ROOM_MS: u64 = 24 * 3600 * 1000;
/// For how long a dead node is remembered that nobody sweeps.
const DEAD_MS: u64 = 24 * 3600 * 1000;
/// Rooms that are looked at in one step of a list.
const LISTED_AT_ONCE: u64 = 1000;

/// A sign of life, by the server's clock.
const BEAT: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local until_ = redis.call('ZSCORE', KEYS[1], ARGV[1])
local gone = 0
if not until_ or tonumber(until_) < now then gone = 1 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local edge = string.format('%.0f', now)
return {gone, redis.call('ZRANGEBYSCORE', KEYS[1], edge, '+inf'), redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. edge)}";

/// Writes a part.
const WRITE: &str = "
local key, node, count = KEYS[1], ARGV[1], ARGV[3]
local mine = 'm:' .. node .. ':'
if ARGV[5] == '1' then
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, #mine) == mine then redis.call('HDEL', key, field) end
  end
end
local at = 7
for _ = 1, tonumber(ARGV[6]) do
  redis.call('HSET', key, mine .. ARGV[at], ARGV[at + 1])
  at = at + 2
end
while ARGV[at] do
  redis.call('HDEL', key, mine .. ARGV[at])
  at = at + 1
end
if count == '0' then
  redis.call('HDEL', key, 'n:' .. node)
else
  redis.call('HSET', key, 'n:' .. node, ARGV[2] .. ' ' .. count)
end
redis.call('PEXPIRE', key, ARGV[4])
return 1";

const READ: &str = "
local kept, left = redis.call('GET', KEYS[2]), 0
if kept then left = redis.call('PTTL', KEYS[2]) end
return {redis.call('HGETALL', KEYS[1]), kept or '', left}";

const ERASE: &str = "
local key, node = KEYS[1], ARGV[1]
local mine, users = 'm:' .. node .. ':', {}
for _, field in ipairs(redis.call('HKEYS', key)) do
  if string.sub(field, 1, #mine) == mine then
    table.insert(users, string.sub(field, #mine + 1))
    redis.call('HDEL', key, field)
  end
end
redis.call('HDEL', key, 'n:' .. node)
return users";

/// What is told is noted in the same step, so that of many who ask one is answered. With the last subscription all
/// members have left.
const TURN: &str = "
local parts, told, mode = KEYS[1], KEYS[2], ARGV[1]
local known = redis.call('EXISTS', told)
if mode == 'nothing' and known == 1 then return {} end
local nodes, first = {}, 4 + tonumber(ARGV[3])
for i = 4, first - 1 do table.insert(nodes, ARGV[i]) end
local answer = {}
local function turn(field, there, name)
  local was = redis.call('HEXISTS', told, field) == 1
  if there and not was then
    redis.call('HSET', told, field, '1')
    if mode ~= 'nothing' then table.insert(answer, '+' .. name) end
  elseif was and not there and mode == 'all' then
    redis.call('HDEL', told, field)
    table.insert(answer, '-' .. name)
    if field == 'o' then
      for _, user in ipairs(redis.call('HKEYS', told)) do
        if string.sub(user, 1, 2) == 'u:' then
          redis.call('HDEL', told, user)
          table.insert(answer, '-' .. user)
        end
      end
    end
  end
end
local there = false
for _, node in ipairs(nodes) do there = there or redis.call('HEXISTS', parts, 'n:' .. node) == 1 end
turn('o', there, 'o')
for i = first, #ARGV do
  there = false
  for _, node in ipairs(nodes) do there = there or redis.call('HEXISTS', parts, 'm:' .. node .. ':' .. ARGV[i]) == 1 end
  turn('u:' .. ARGV[i], there, 'u:' .. ARGV[i])
end
redis.call('HSET', told, 'x', '1')
redis.call('PEXPIRE', told, ARGV[2])
return answer";

/// The roster.
#[derive(Clone)]
pub struct RedisRoster {
    redis: Redis,
    scripts: Arc<Scripts>,
}

struct Scripts {
    beat: Script,
    write: Script,
    read: Script,
    erase: Script,
    turn: Script,
}

impl RedisRoster {
    /// In that Redis.
    pub fn new(redis: Redis) -> Self {
        let scripts = Scripts {
            beat: Script::new(BEAT),
            write: Script::new(WRITE),
            read: Script::new(READ),
            erase: Script::new(ERASE),
            turn: Script::new(TURN),
        };
        Self { redis, scripts: Arc::new(scripts) }
    }

    fn nodes(&self) -> String {
        self.redis.key("nodes")
    }

    fn list_of(&self, node: NodeId) -> String {
        self.redis.key(&format!("rooms:{}", name(node)))
    }

    fn of(&self, room: &Room, what: &str) -> String {
        self.redis.key(&format!("{{{}}}:{what}", room.key()))
    }
}

impl Roster for RedisRoster {
    fn beat(&self, node: NodeId, lease: Duration) -> Answered<Beat> {
        let (this, key) = (self.clone(), self.nodes());
        async move {
            let mut call = this.scripts.beat.key(&key);
            call.arg(name(node)).arg(lease.as_millis() as u64).arg(DEAD_MS);
            let (gone, living, dead): (u8, Vec<String>, Vec<String>) = answer(this.redis.call(&key, &call).await)?;
            let ids = |names: Vec<String>| names.iter().filter_map(|name| number(name)).collect();
            Ok(Beat { was_gone: gone == 1, living: ids(living), dead: ids(dead) })
        }
        .boxed()
    }

    fn forget(&self, node: NodeId) -> Answered<()> {
        let (this, key) = (self.clone(), self.nodes());
        async move { answer(this.redis.run(&key, cmd("ZREM").arg(&key).arg(name(node))).await) }.boxed()
    }

    fn list(&self, node: NodeId, room: &Room, is_there: bool) -> Answered<()> {
        let (this, key, room) = (self.clone(), self.list_of(node), room.key());
        let command = if is_there { "SADD" } else { "SREM" };
        async move { answer(this.redis.run(&key, cmd(command).arg(&key).arg(room)).await) }.boxed()
    }

    fn listed(&self, node: NodeId, prefix: &str, from: u64) -> Answered<(u64, Vec<Room>)> {
        let (this, key, pattern) = (self.clone(), self.list_of(node), format!("{}*", literal(prefix)));
        async move {
            let mut scan = cmd("SSCAN");
            scan.arg(&key).arg(from).arg("MATCH").arg(pattern).arg("COUNT").arg(LISTED_AT_ONCE);
            let (next, names): (u64, Vec<String>) = answer(this.redis.run(&key, &scan).await)?;
            Ok((next, names.iter().filter_map(|name| Room::parse(name)).collect()))
        }
        .boxed()
    }

    fn write(&self, node: NodeId, room: &Room, written: Written) -> Answered<()> {
        let (this, key) = (self.clone(), self.of(room, "p"));
        async move {
            let mut call = this.scripts.write.key(&key);
            call.arg(name(node)).arg(written.version).arg(written.count).arg(ROOM_MS);
            call.arg(u8::from(written.is_whole)).arg(written.came.len());
            for member in &written.came {
                let info = member.info.as_ref().map_or_else(|| "0".to_owned(), |info| format!("1{info}"));
                call.arg(&member.user_id).arg(info);
            }
            written.left.iter().for_each(|user| _ = call.arg(user));
            answer(this.redis.call(&key, &call).await)
        }
        .boxed()
    }

    fn read(&self, room: &Room) -> Answered<View> {
        let (this, key, kept) = (self.clone(), self.of(room, "p"), self.of(room, "k"));
        async move {
            let mut call = this.scripts.read.key(&key);
            call.key(&kept);
            let (fields, kept, left): (Vec<String>, Vec<u8>, i64) = answer(this.redis.call(&key, &call).await)?;
            let left = u64::try_from(left).ok().filter(|left| *left > 0 && !kept.is_empty());
            let kept = left.map(|left| (Bytes::from(kept), Duration::from_millis(left)));
            Ok(View { parts: parts(&fields), kept })
        }
        .boxed()
    }

    fn erase(&self, node: NodeId, room: &Room) -> Answered<Vec<String>> {
        let (this, key) = (self.clone(), self.of(room, "p"));
        async move {
            let mut call = this.scripts.erase.key(&key);
            call.arg(name(node));
            answer(this.redis.call(&key, &call).await)
        }
        .boxed()
    }

    fn keep(&self, room: &Room, frame: Bytes, until: Duration) -> Answered<()> {
        let (this, key) = (self.clone(), self.of(room, "k"));
        async move {
            let mut set = cmd("SET");
            set.arg(&key).arg(&frame[..]).arg("PX").arg(until.as_millis() as u64);
            answer(this.redis.run(&key, &set).await)
        }
        .boxed()
    }

    fn turn(&self, room: &Room, living: Vec<NodeId>, users: Vec<String>, tell: Tell) -> Answered<Turned> {
        let (this, key, told) = (self.clone(), self.of(room, "p"), self.of(room, "t"));
        async move {
            let mut call = this.scripts.turn.key(&key);
            call.key(&told).arg(word(tell)).arg(ROOM_MS).arg(living.len());
            living.iter().for_each(|node| _ = call.arg(name(*node)));
            users.iter().for_each(|user| _ = call.arg(user));
            let turns: Vec<String> = answer(this.redis.call(&key, &call).await)?;
            Ok(turned(&turns))
        }
        .boxed()
    }
}

fn word(tell: Tell) -> &'static str {
    match tell {
        Tell::Nothing => "nothing",
        Tell::Comings => "comings",
        Tell::All => "all",
    }
}

fn turned(turns: &[String]) -> Turned {
    let mut turned = Turned::default();
    for turn in turns {
        match turn.split_at_checked(1) {
            Some((sign, "o")) => turned.is_occupied = Some(sign == "+"),
            Some((sign, user)) => {
                let user = user.strip_prefix("u:").unwrap_or(user).to_owned();
                if sign == "+" { turned.came.push(user) } else { turned.left.push(user) }
            }
            None => {}
        }
    }
    turned
}

/// The parts in a room's fields and values.
fn parts(fields: &[String]) -> Vec<(NodeId, Part)> {
    let mut parts = std::collections::BTreeMap::<NodeId, Part>::new();
    for pair in fields.chunks_exact(2) {
        let (field, value) = (&pair[0], &pair[1]);
        if let Some((node, value)) = field.strip_prefix("n:").and_then(number).zip(value.split_once(' ')) {
            let part = parts.entry(node).or_default();
            part.version = value.0.parse().unwrap_or(0);
            part.count = value.1.parse().unwrap_or(0);
        } else if let Some((node, user)) = field.strip_prefix("m:").and_then(|rest| rest.split_once(':'))
            && let Some(node) = number(node)
        {
            let info = value.strip_prefix('1').map(str::to_owned);
            parts.entry(node).or_default().members.push(Member { user_id: user.to_owned(), info });
        }
    }
    // Members without a count are what a sweep has left half done.
    parts.into_iter().filter(|(_, part)| part.count > 0).collect()
}

fn name(node: NodeId) -> String {
    format!("{node:016x}")
}

fn number(name: &str) -> Option<NodeId> {
    u64::from_str_radix(name, 16).ok()
}

/// A pattern that only this text matches.
fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '\\' | '^') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

fn answer<T>(answered: Result<T, Unanswered>) -> Result<T, Away> {
    answered.map_err(|why| {
        if let Unanswered::Refused(_) = &why {
            tracing::warn!(error = %why, "who is where could not be asked or written");
        }
        Away
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = |text: &str| text.to_owned();
        let (a, b) = (name(1), name(u64::MAX));
        let fields = [
            (format!("n:{a}"), text("7 2")),
            (format!("m:{a}:ana:1"), text("1{\"x\":1}")),
            (format!("m:{b}:rui"), text("0")),
            (format!("n:{b}"), text("9 1")),
            (format!("m:{}:eve", name(5)), text("0")),
            (text("later"), text("?")),
        ];
        let fields: Vec<_> = fields.into_iter().flat_map(|(field, value)| [field, value]).collect();
        let member = |id: &str, info: Option<&str>| Member { user_id: id.to_owned(), info: info.map(str::to_owned) };
        let part = |version, count, member| Part { version, count, members: vec![member] };
        let want = [(1, part(7, 2, member("ana:1", Some("{\"x\":1}")))), (u64::MAX, part(9, 1, member("rui", None)))];
        assert_eq!(parts(&fields), want);
    }

    #[test]
    fn what_turned_is_read() {
        let turns = ["+o", "+u:ana", "-u:o", "-u:-"].map(str::to_owned);
        let want = Turned {
            is_occupied: Some(true),
            came: vec!["ana".to_owned()],
            left: vec!["o".to_owned(), "-".to_owned()],
        };
        assert_eq!(turned(&turns), want);
    }
}
