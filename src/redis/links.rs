//! Connections to every server that has to be asked: one, or each master of a cluster.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, PushInfo, RedisError, RedisResult,
    ServerErrorKind, Value, cmd,
};
use tokio::time::timeout;

use super::address::{Address, elsewhere};

/// What is done with what a server says without being asked. Called on the connection's task.
pub(crate) type Pushed = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// How long a server may take to accept a connection, and to answer a sign of life.
const CONNECT_WAIT: Duration = Duration::from_secs(1);
pub(crate) const PING_WAIT: Duration = Duration::from_secs(1);

/// Commands that may wait for their turn on one connection.
const COMMANDS_MAX: usize = 1024;
/// Bytes that are put together before they are written.
const WRITE_BYTES: usize = 64 << 10;

/// Keys of a cluster are dealt to so many slots.
const SLOTS: usize = 16_384;

/// The connections of one moment. When one breaks, all are given up and made anew: who has the slots may have changed.
pub(crate) struct Links {
    nodes: Vec<MultiplexedConnection>,
    /// The place in `nodes` by slot; empty when there is one node.
    slots: Vec<u16>,
}

impl Links {
    /// Connects.
    pub(super) async fn connect(address: &Address, pushed: &Pushed) -> RedisResult<Self> {
        match address {
            Address::Server(info) => Self::to_one(info.clone(), pushed).await,
            Address::Sentinel { sentinels, master, like } => {
                let (host, port) = master_of(sentinels, master).await?;
                let links = Self::to_one(elsewhere(like, host, port), pushed).await?;
                links.must_be_master().await?;
                Ok(links)
            }
            Address::Cluster { seeds } => Self::to_many(seeds, pushed).await,
        }
    }

    async fn to_one(info: ConnectionInfo, pushed: &Pushed) -> RedisResult<Self> {
        Ok(Self { nodes: vec![link(info, pushed).await?], slots: Vec::new() })
    }

    async fn to_many(seeds: &[ConnectionInfo], pushed: &Pushed) -> RedisResult<Self> {
        let map = map_of(seeds).await?;
        let nodes = map.masters.into_iter().map(|(host, port)| link(elsewhere(&seeds[0], host, port), pushed));
        Ok(Self { nodes: try_join_all(nodes).await?, slots: map.slots })
    }

    /// A sentinel may not have noticed yet that the master is another's replica now.
    async fn must_be_master(&self) -> RedisResult<()> {
        let role: Vec<Value> = asked(cmd("ROLE").query_async(&mut self.nodes[0].clone())).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(()),
            _ => Err(trouble("the server that the sentinels name is no master")),
        }
    }

    /// How many servers there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The place of the server that has the key or channel.
    pub fn place(&self, key: &str) -> usize {
        self.slots.get(slot(key.as_bytes())).map_or(0, |place| usize::from(*place))
    }

    /// The connection to the server at that place.
    pub fn at(&self, place: usize) -> MultiplexedConnection {
        self.nodes[place].clone()
    }

    /// The connection to the server that has the key or channel.
    pub fn of(&self, key: &str) -> MultiplexedConnection {
        self.at(self.place(key))
    }

    /// Runs each command where its key lives, in one round trip to each server, in their order.
    ///
    /// # Errors
    /// The first that was met; others may have been run all the same.
    pub async fn run(&self, commands: impl Iterator<Item = (impl AsRef<str>, Cmd)>) -> RedisResult<()> {
        let mut by_node: Vec<Pipeline> = (0..self.len()).map(|_| Pipeline::new()).collect();
        for (key, command) in commands {
            by_node[self.place(key.as_ref())].add_command(command);
        }
        let busy = by_node.iter().enumerate().filter(|(_, pipeline)| !pipeline.is_empty());
        let runs = busy.map(|(place, pipeline)| {
            let mut link = self.at(place);
            async move { pipeline.exec_async(&mut link).await }
        });
        try_join_all(runs).await.map(drop)
    }

    /// Asks every server for a sign of life.
    pub async fn ping(&self) -> RedisResult<()> {
        let pings = self
            .nodes
            .iter()
            .cloned()
            .map(|mut node| async move { asked(cmd("PING").query_async::<()>(&mut node)).await });
        try_join_all(pings).await.map(drop)
    }
}

async fn link(info: ConnectionInfo, pushed: &Pushed) -> RedisResult<MultiplexedConnection> {
    let pushed = Arc::clone(pushed);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_WAIT))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(COMMANDS_MAX)
        .set_write_backpressure_boundary(WRITE_BYTES)
        .set_push_sender(move |info| {
            pushed(info);
            Ok::<(), redis::aio::SendError>(())
        });
    Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
}

/// A connection for one question.
async fn visit(info: ConnectionInfo) -> RedisResult<MultiplexedConnection> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_WAIT)).set_response_timeout(Some(PING_WAIT));
    Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
}

async fn asked<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(PING_WAIT, answer).await.unwrap_or_else(|_| Err(trouble("no answer")))
}

fn trouble(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, what))
}

/// Where the first sentinel that knows says the master is.
async fn master_of(sentinels: &[ConnectionInfo], master: &str) -> RedisResult<(String, u16)> {
    let mut last = trouble("no sentinel is known");
    for sentinel in sentinels {
        match ask_sentinel(sentinel, master).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => last = trouble("the sentinels know no master of that name"),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask_sentinel(sentinel: &ConnectionInfo, master: &str) -> RedisResult<Option<(String, u16)>> {
    let mut link = visit(sentinel.clone()).await?;
    cmd("SENTINEL").arg("get-master-addr-by-name").arg(master).query_async(&mut link).await
}

/// Who has which slot.
struct Map {
    masters: Vec<(String, u16)>,
    slots: Vec<u16>,
}

async fn map_of(seeds: &[ConnectionInfo]) -> RedisResult<Map> {
    let mut last = trouble("no server of the cluster is known");
    for seed in seeds {
        match ask_seed(seed).await {
            Ok(map) => return Ok(map),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The first and the last slot of a range, and its servers, the master first.
type Range = (usize, usize, Vec<Value>);

async fn ask_seed(seed: &ConnectionInfo) -> RedisResult<Map> {
    let mut link = visit(seed.clone()).await?;
    let ranges: Vec<Vec<Value>> = cmd("CLUSTER").arg("SLOTS").query_async(&mut link).await?;
    let mut map = Map { masters: Vec::new(), slots: vec![u16::MAX; SLOTS] };
    for range in ranges {
        let (first, last, master) = range_of(range)?;
        let master = master_at(seed, master)?;
        let place = map.masters.iter().position(|known| *known == master).unwrap_or_else(|| {
            map.masters.push(master);
            map.masters.len() - 1
        });
        let place = u16::try_from(place).map_err(|_| trouble("the cluster has too many servers"))?;
        map.slots.iter_mut().take(last + 1).skip(first).for_each(|slot| *slot = place);
    }
    if map.slots.contains(&u16::MAX) { Err(trouble("nobody in the cluster has every slot")) } else { Ok(map) }
}

fn range_of(range: Vec<Value>) -> RedisResult<Range> {
    let mut parts = range.into_iter();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Value::Int(first)), Some(Value::Int(last)), Some(Value::Array(master))) => {
            let number = |slot| usize::try_from(slot).map_err(|_| trouble("the cluster names an unknown slot"));
            Ok((number(first)?, number(last)?, master))
        }
        _ => Err(trouble("the cluster does not say who has which slot")),
    }
}

/// A server that does not know its own name is where it was asked.
fn master_at(seed: &ConnectionInfo, master: Vec<Value>) -> RedisResult<(String, u16)> {
    let here = || match seed.addr() {
        redis::ConnectionAddr::Tcp(host, _) | redis::ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => String::new(),
    };
    let mut parts = master.into_iter();
    let host = match parts.next() {
        Some(Value::BulkString(host)) if !host.is_empty() => String::from_utf8_lossy(&host).into_owned(),
        _ => here(),
    };
    match parts.next() {
        Some(Value::Int(port)) => u16::try_from(port).map(|port| (host, port)).map_err(|_| trouble("no port")),
        _ => Err(trouble("the cluster does not say where its servers are")),
    }
}

/// The slot of a key: of what stands in its first braces, if anything does.
/// <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags>
fn slot(key: &[u8]) -> usize {
    let open = key.iter().position(|byte| *byte == b'{');
    let tag = open.and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    usize::from(crc16(tag.unwrap_or(key))) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 },
        )
    })
}

/// Whether an error says that these connections lead to the wrong servers, or nowhere.
pub(crate) fn is_astray(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::Moved
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::BusyLoading
        ),
        _ => error.is_unrecoverable_error(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{}{bar}"), usize::from(crc16(b"foo{}{bar}")) % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
    }
}
