//! `idle`: what a connection costs on which nothing happens, as a WebSocket and as an event stream.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use memchr::memmem;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;

use super::Options;
use super::crowd::Crowd;
use super::live::{self, Cost, Live, Meter, Wanted, cell, goal, row, say};
use super::preload;
use super::pusher::{App, connect, poll_some};
use super::server::{Memory, Server};
use super::tenant::Tenant;
use crate::clock::Clock;
use crate::domain::ConversationKind;
use crate::error::{Error, Result};
use crate::store::sqlite::{BareStore, DataDir, SqliteOptions};

const NAME: &str = "idle";

/// How many there are unless it is said otherwise: a process may often hold 20,000 descriptors.
const CONNECTIONS: usize = 15_000;

/// One kind of connection.
struct Measured {
    kind: &'static str,
    count: usize,
    /// From the first connection to the last that had what it came for.
    gathered_in: Duration,
    span: Duration,
    cost: Cost,
    /// Before the first, with all, and after the last had gone.
    memory: [Option<Memory>; 3],
}

/// Measures.
///
/// # Errors
/// The first thing that goes wrong.
pub async fn measure(options: &Options, folder: &Path, clock: &Clock) -> Result<Live> {
    let count = options.connections.map_or(CONNECTIONS, |count| count as usize);
    let mut all = Vec::new();
    if let Some(url) = &options.url {
        let (server, app) = live::stranger(options, url)?;
        all.push(sockets(options, &server, &app, count).await?);
    } else {
        let data = folder.join(NAME);
        let tenant = Tenant::fill(&data, clock, 0, 1).await?;
        let server = live::spawn(options, &data)?;
        all.push(sockets(options, &server, &tenant.app(&server), count).await?);
        server.stop()?;
        let keys = open_sessions(&data, clock, count)?;
        let server = live::spawn(options, &data)?;
        all.push(streams(options, &server, &keys).await?);
        server.stop()?;
    }
    Ok(report(&all))
}

async fn sockets(options: &Options, server: &Server, app: &App, count: usize) -> Result<Measured> {
    say(&format!("{NAME}: connecting {count} WebSockets"));
    warm_up(server).await?;
    let before = live::memory(server)?;
    let channel = |number| format!("private-bench-{number}");
    let mut crowd = Crowd::gather(app, count, channel, |_| |_: &[u8], _| Ok(false)).await?;
    crowd.idle(SETTLE).await?;
    let span = Duration::from_secs(options.seconds.into());
    let mut measured = Measured {
        kind: "WebSocket",
        count,
        gathered_in: crowd.gathered_in,
        span,
        cost: Cost::default(),
        memory: [before; 3],
    };
    say(&format!("{NAME}: {count} WebSockets idle for {} s", span.as_secs()));
    let meter = Meter::start(server.process)?;
    crowd.idle(span).await?;
    measured.cost = meter.read()?;
    measured.memory[1] = live::memory(server)?;
    crowd.leave().await;
    measured.memory[2] = after(server).await?;
    Ok(measured)
}

/// Until the last subscriptions' work is done.
const SETTLE: Duration = Duration::from_secs(1);

/// A first answer, so that what is set up once does not count.
async fn warm_up(server: &Server) -> Result<()> {
    let mut client = super::client::Client::connect(server.address).await.map_err(Error::internal)?;
    client.call(&super::client::get(&server.host, "/livez")).await.map_err(Error::internal)?;
    Ok(())
}

/// The memory when the server has noticed that all have gone.
async fn after(server: &Server) -> Result<Option<Memory>> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    live::memory(server)
}

fn open_sessions(data: &Path, clock: &Clock, count: usize) -> Result<Vec<String>> {
    let dir = DataDir::prepare(data)?;
    let mut store = BareStore::open(&dir, &SqliteOptions::default(), clock.now())?;
    let sessions = preload::create(&mut store, clock, ConversationKind::LiveChat, count)?;
    store.close()?;
    Ok(sessions.into_iter().map(|(_, key)| key).collect())
}

async fn streams(options: &Options, server: &Server, keys: &[String]) -> Result<Measured> {
    const AT_ONCE: usize = 256;
    let count = keys.len();
    say(&format!("{NAME}: opening {count} event streams"));
    warm_up(server).await?;
    let before = live::memory(server)?;
    let begun = Instant::now();
    let keys_in_order = keys.iter().map(String::as_str).enumerate();
    let open = |(number, key)| open_stream(server, number, key);
    let mut opened = stream::iter(keys_in_order.map(open)).buffer_unordered(AT_ONCE);
    let (mut ends, mut writers) = (JoinSet::new(), Vec::with_capacity(count));
    while let Some((reader, writer)) = opened.try_next().await? {
        writers.push(writer);
        ends.spawn(drain(reader));
    }
    let gathered_in = begun.elapsed();
    tokio::time::sleep(SETTLE).await;
    let span = Duration::from_secs(options.seconds.into());
    say(&format!("{NAME}: {count} event streams idle for {} s", span.as_secs()));
    let meter = Meter::start(server.process)?;
    tokio::select! {
        () = tokio::time::sleep(span) => {}
        Some(ended) = ends.join_next() => ended.map_err(Error::internal)??,
    }
    let (cost, with) = (meter.read()?, live::memory(server)?);
    ends.shutdown().await;
    drop(writers);
    let memory = [before, with, after(server).await?];
    Ok(Measured { kind: "event stream", count, gathered_in, span, cost, memory })
}

/// Opens an event stream and waits for its first event.
async fn open_stream(server: &Server, number: usize, key: &str) -> Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let stream = connect(server.address, number).await.map_err(Error::internal)?;
    let (mut reader, mut writer) = stream.into_split();
    let request = format!(
        "GET /api/v1/chat/guest/{key}/events HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n\r\n",
        server.host
    );
    writer.write_all(request.as_bytes()).await.map_err(Error::internal)?;
    let mut read = Vec::new();
    while memmem::find(&read, b"event: resumed").is_none() {
        let mut take = |bytes: &[u8]| {
            read.extend_from_slice(bytes);
            Ok(())
        };
        std::future::poll_fn(|cx| poll_some(&mut reader, cx, &mut take)).await?;
        if !read.starts_with(b"HTTP/1.1 200") || read.len() > 16 * 1024 {
            return Err(Error::internal(format!("no event stream: {}", String::from_utf8_lossy(&read))));
        }
    }
    Ok((reader, writer))
}

/// Reads to the end, which is an error.
async fn drain(mut reader: OwnedReadHalf) -> Result<()> {
    loop {
        std::future::poll_fn(|cx| poll_some(&mut reader, cx, &mut |_: &[u8]| Ok(()))).await?;
    }
}

impl Measured {
    fn bytes_each(&self) -> Option<f64> {
        let [before, with, _] = self.memory.map(|memory| memory.map(|memory| memory.resident as f64));
        Some((with? - before?) / self.count.max(1) as f64)
    }

    fn connection_seconds(&self) -> f64 {
        self.count as f64 * self.span.as_secs_f64()
    }

    fn server_micros(&self) -> Option<f64> {
        self.cost.server_micros(self.connection_seconds())
    }
}

fn report(all: &[Measured]) -> Live {
    let mut live = Live::default();
    live.table.push(row([
        NAME,
        "connections",
        "connected/s",
        "KB/connection",
        "server CPU us/s each",
        "in the kernel",
        "RSS MB",
        "MB before",
        "MB after",
        "generator CPU us/s each",
    ]));
    for measured in all {
        let Measured { kind, count, gathered_in, cost, memory: [before, with, after], .. } = measured;
        let kilobytes = measured.bytes_each().map(|bytes| bytes / 1024.0);
        live.table.push(row([
            &format!("  {kind}"),
            &count.to_string(),
            &format!("{:.0}", *count as f64 / gathered_in.as_secs_f64().max(f64::MIN_POSITIVE)),
            &cell(kilobytes, 2),
            &cell(measured.server_micros(), 2),
            &cost.kernel_cell(),
            &live::megabytes(*with),
            &live::megabytes(*before),
            &live::megabytes(*after),
            &format!("{:.2}", cost.own_micros(measured.connection_seconds())),
        ]));
        live.goals.push(goal(NAME, &format!("KB each, {kind}"), kilobytes, Wanted::AtMost(8.0)));
        live.goals.push(goal(NAME, &format!("us/s each, {kind}"), measured.server_micros(), Wanted::AtMost(2.0)));
        live.notes.extend(cost.elsewhere_note(&format!("{NAME}, {kind}")));
    }
    live
}
