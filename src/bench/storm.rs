//! `storm`: every connection drops at once, messages are sent meanwhile, all come back at once, and each
//! hears what it missed: once, in order, from the cursor that it shows when it asks for its channel.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Options;
use super::live::{self, Cost, Live, Meter, Wanted, cell, goal, row, say};
use super::load::send_all;
use super::pusher::{App, Connection, Ear, connect};
use super::server::{Memory, Server};
use super::stamp::{Reader, Stamp};
use super::tenant::Tenant;
use crate::clock::Clock;
use crate::error::{Error, Result};

const NAME: &str = "storm";

/// How many there are unless it is said otherwise.
const CONNECTIONS: usize = 5_000;

/// Messages that each misses while it is away. One more is sent while they come back.
const MISSED: u64 = 4;

/// Senders at once.
const SENDERS: usize = 16;

/// How long nobody may get on.
const PATIENCE: Duration = Duration::from_secs(60);

/// The followers, and how far each is.
struct Followers {
    app: App,
    tenant: Tenant,
    reader: Reader,
    progress: Vec<Mutex<Progress>>,
    /// Subscribed since the wave began.
    subscribed: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The message that comes next.
    next: u64,
    /// Behind the last one that came.
    cursor: u64,
}

/// One storm.
struct Round {
    /// Until the last was subscribed.
    subscribed_in: Duration,
    /// Until the last had heard what it missed.
    caught_up_in: Duration,
    cost: Cost,
}

/// Measures.
///
/// # Errors
/// The first thing that goes wrong: also a message that is lost, doubled or out of its order.
pub async fn measure(options: &Options, folder: &Path, clock: &Clock) -> Result<Live> {
    let count = options.connections.map_or(CONNECTIONS, |count| count as usize);
    let data = folder.join(NAME);
    say(&format!("{NAME}: opening {count} conversations"));
    let tenant = Tenant::fill(&data, clock, count, options.users as usize).await?;
    let server = live::spawn(options, &data)?;
    let followers = Arc::new(Followers {
        app: tenant.app(&server),
        tenant,
        reader: Reader::new(),
        progress: (0..count).map(|_| Mutex::default()).collect(),
        subscribed: AtomicUsize::new(0),
    });
    say(&format!("{NAME}: connecting"));
    let mut wave = followers.come(256);
    let joined = |followers: &Followers| followers.subscribed.load(Ordering::Relaxed) == count;
    followers.wait(&mut wave, joined).await?;
    followers.send(0).await?;
    followers.wait(&mut wave, |followers| followers.all_have(1)).await?;
    let mut rounds = Vec::new();
    for number in 0..u64::from(options.rounds) {
        say(&format!("{NAME}: round {}", number + 1));
        rounds.push(followers.round(&server, &mut wave, 1 + number * (MISSED + 1)).await?);
    }
    let memory = live::memory(&server)?;
    wave.shutdown().await;
    server.stop()?;
    Ok(report(count, options.users, &rounds, memory))
}

impl Followers {
    /// All connect and follow, `at_once` of them at a time.
    fn come(self: &Arc<Self>, at_once: usize) -> JoinSet<Result<()>> {
        self.subscribed.store(0, Ordering::Relaxed);
        let places = Arc::new(Semaphore::new(at_once));
        let mut wave = JoinSet::new();
        for number in 0..self.progress.len() {
            wave.spawn(Arc::clone(self).follow(number, Arc::clone(&places)));
        }
        wave
    }

    async fn follow(self: Arc<Self>, number: usize, places: Arc<Semaphore>) -> Result<()> {
        let place = places.acquire_owned().await.map_err(Error::internal)?;
        let talk = self.tenant.talks[number];
        let mut connection = Connection::open(&self.app, number).await?;
        let since = self.progress(number).cursor;
        let ask = self.tenant.authorize(&self.app.host, talk, &connection.socket_id, since);
        let auth = self.ask(number, &ask).await?;
        connection.subscribe(&talk.channel(), &auth).await?;
        self.subscribed.fetch_add(1, Ordering::Relaxed);
        drop(place);
        let ear = Arc::clone(&self).ear(number);
        connection.follow(ear).await
    }

    fn ear(self: Arc<Self>, number: usize) -> impl Ear {
        move |payload, _| {
            let Some((stamp, cursor)) = self.reader.read(payload)? else { return Ok(false) };
            let mut progress = self.progress(number);
            if stamp.number != progress.next || cursor <= progress.cursor {
                return Err(Error::internal(format!(
                    "follower {number} heard message {} (cursor {cursor}) where {} was next (after cursor {})",
                    stamp.number, progress.next, progress.cursor
                )));
            }
            *progress = Progress { next: stamp.number + 1, cursor };
            Ok(true)
        }
    }

    /// Asks for the channel, over a connection of its own as a browser would.
    async fn ask(&self, number: usize, request: &[u8]) -> Result<String> {
        let mut stream = connect(self.app.address, number).await.map_err(Error::internal)?;
        stream.write_all(request).await.map_err(Error::internal)?;
        let mut answer = Vec::with_capacity(1024);
        loop {
            let read = stream.read_buf(&mut answer).await.map_err(Error::internal)?;
            let text = String::from_utf8_lossy(&answer);
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
            let auth = body.and_then(|body| serde_json::from_str::<Value>(body).ok());
            match auth.as_ref().map(|auth| &auth["auth"]) {
                Some(Value::String(auth)) => return Ok(auth.clone()),
                None if read > 0 => {}
                _ => return Err(Error::internal(format!("asking for a channel was answered: {text}"))),
            }
        }
    }

    /// Drops all, sends, and lets them come back; `next` is the message that comes next.
    async fn round(self: &Arc<Self>, server: &Server, wave: &mut JoinSet<Result<()>>, next: u64) -> Result<Round> {
        wave.shutdown().await;
        for number in next..next + MISSED {
            self.send(number).await?;
        }
        let (meter, begun) = (Meter::start(server.process)?, Instant::now());
        *wave = self.come(self.progress.len());
        let meanwhile = tokio::spawn(Arc::clone(self).send_owned(next + MISSED));
        let count = self.progress.len();
        self.wait(wave, |all| all.subscribed.load(Ordering::Relaxed) == count).await?;
        let subscribed_in = begun.elapsed();
        self.wait(wave, |all| all.all_have(next + MISSED)).await?;
        let caught_up_in = begun.elapsed();
        meanwhile.await.map_err(Error::internal)??;
        self.wait(wave, |all| all.all_have(next + MISSED + 1)).await?;
        Ok(Round { subscribed_in, caught_up_in, cost: meter.read()? })
    }

    /// Sends that message of every conversation.
    async fn send(&self, number: u64) -> Result<()> {
        let text = Stamp { lane: 0, number, nanos: 0 }.text(0);
        let requests = self.tenant.talks.iter().map(|talk| self.tenant.say(&self.app.host, *talk, &text));
        send_all(self.app.address, requests.collect(), SENDERS).await.map(drop)
    }

    async fn send_owned(self: Arc<Self>, number: u64) -> Result<()> {
        self.send(number).await
    }

    /// Waits until something is so, while none goes.
    async fn wait(&self, wave: &mut JoinSet<Result<()>>, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let begun = Instant::now();
        while !is_so(self) {
            if let Some(ended) = wave.try_join_next() {
                ended.map_err(Error::internal)??;
            }
            if begun.elapsed() > PATIENCE {
                let subscribed = self.subscribed.load(Ordering::Relaxed);
                let furthest = (0..self.progress.len()).map(|number| self.progress(number).next);
                let least = furthest.min().unwrap_or(0);
                return Err(Error::internal(format!(
                    "{subscribed} are subscribed, the last waits for message {least}"
                )));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Whether everybody has all messages below that number.
    fn all_have(&self, number: u64) -> bool {
        (0..self.progress.len()).all(|follower| self.progress(follower).next >= number)
    }

    fn progress(&self, number: usize) -> MutexGuard<'_, Progress> {
        self.progress[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(count: usize, users: u32, rounds: &[Round], memory: Option<Memory>) -> Live {
    let mut live = Live::default();
    live.table.push(row([
        NAME,
        "connections",
        "all subscribed s",
        "all caught up s",
        "server CPU us each",
        "in the kernel",
        "RSS MB",
        "generator CPU us each",
    ]));
    for (number, Round { subscribed_in, caught_up_in, cost }) in rounds.iter().enumerate() {
        live.table.push(row([
            &format!("  round {}", number + 1),
            &count.to_string(),
            &format!("{:.2}", subscribed_in.as_secs_f64()),
            &format!("{:.2}", caught_up_in.as_secs_f64()),
            &cell(cost.server_micros(count as f64), 0),
            &cost.kernel_cell(),
            &if number + 1 == rounds.len() { live::megabytes(memory) } else { String::new() },
            &format!("{:.0}", cost.own_micros(count as f64)),
        ]));
    }
    let longest = rounds.iter().map(|round| round.caught_up_in.as_secs_f64()).fold(0.0, f64::max);
    live.goals.push(goal(NAME, "s until the last has caught up", Some(longest), Wanted::AtMost(10.0)));
    let cost = rounds.iter().fold(Cost::default(), |sum, round| sum.and(round.cost));
    live.notes.extend(cost.elsewhere_note(NAME));
    live.notes.push(format!(
        "{NAME}: connections of {users} users, each of which missed {MISSED} messages; one more was sent to each meanwhile"
    ));
    live
}
