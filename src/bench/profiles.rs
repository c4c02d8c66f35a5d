//! Running the profiles: prepare, then measure side by side, round by round.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{Client, get};
use super::load::{Dice, Latencies, Leg, Script, drive, latencies};
use super::preload::{self, Preloaded};
use super::server::{Memory, Process, Server};
use super::{Options, Profile, inbox, machine, scripts};
use crate::clock::Clock;
use crate::domain::{ConversationId, ConversationKind};
use crate::error::{Error, Result};
use crate::store::sqlite::{BareStore, DataDir, SqliteOptions};

/// Rows in one commit of the bare store.
const STORE_BATCH: usize = 64;

/// Between two measured things: the server ends what it still does for the first.
const PAUSE: Duration = Duration::from_millis(300);

/// What is sent before anything counts: connections, caches and the branch predictor warm up.
const WARM_UP: Duration = Duration::from_secs(2);

/// One thing measured over all rounds.
#[derive(Clone, Debug)]
pub struct Track {
    /// Per second, a round each.
    pub rates: Vec<f64>,
    /// Of all rounds.
    pub latencies: Latencies,
    /// Requests, or rows, of all rounds.
    pub done: u64,
    /// The server's processor time.
    pub server_cpu: Option<Duration>,
    /// The load generator's.
    pub own_cpu: Duration,
    /// All processors' time, and how much of it went to others than the server and the generator.
    pub machine: Duration,
    /// See `machine`.
    pub elsewhere: Duration,
}

impl Track {
    fn new(server: Option<Process>) -> Self {
        Self {
            rates: Vec::new(),
            latencies: latencies(),
            done: 0,
            server_cpu: server.map(|_| Duration::ZERO),
            own_cpu: Duration::ZERO,
            machine: Duration::ZERO,
            elsewhere: Duration::ZERO,
        }
    }

    fn add(&mut self, leg: &Leg, before: &Spent, after: &Spent) {
        self.rates.push(leg.rate());
        self.done += leg.requests;
        // Both histograms have the same bounds.
        let _ = self.latencies.add(&leg.latencies);
        let [server, own, busy, machine] = std::array::from_fn(|of| after.0[of].saturating_sub(before.0[of]));
        self.server_cpu = self.server_cpu.map(|sum| sum + server);
        self.own_cpu += own;
        self.machine += machine;
        self.elsewhere += busy.saturating_sub(server + own);
    }
}

/// The figures of a profile that sends requests.
#[derive(Clone, Debug)]
pub struct HttpFigures {
    /// The profile's own requests.
    pub own: Track,
    /// The empty handler.
    pub livez: Track,
    /// The bare store with the same rows; a latency is a batch's.
    pub store: Option<Track>,
    /// The server's memory after the last round.
    pub memory: Option<Memory>,
    /// Messages that were stored before, and how many a second.
    pub preload: (usize, f64),
}

impl HttpFigures {
    /// Which share of the machine others took while this was measured, if the server's is known.
    pub fn elsewhere(&self) -> Option<f64> {
        self.own.server_cpu?;
        let tracks = [Some(&self.own), Some(&self.livez), self.store.as_ref()];
        let sum =
            |of: fn(&Track) -> Duration| tracks.iter().flatten().map(|track| of(track).as_secs_f64()).sum::<f64>();
        Some(sum(|track| track.elsewhere) / sum(|track| track.machine).max(f64::MIN_POSITIVE))
    }
}

/// Measures a profile that sends requests.
///
/// # Errors
/// The first thing that goes wrong.
pub async fn http(profile: Profile, options: &Options, folder: &Path, clock: &Clock) -> Result<HttpFigures> {
    let data = folder.join(profile.name());
    let (sessions, clients) = (options.sessions as usize, options.clients(profile));
    let rows = options.preload(profile);
    let mut inbox = None;
    let (server, mut preloaded, mut bare) = match &options.url {
        Some(url) => (Server::running(url, options.pid)?, Preloaded::default(), None),
        None if profile == Profile::Inbox => {
            say(&format!("inbox: storing {} conversations and {rows} messages", inbox::CONVERSATIONS));
            let filled = inbox.insert(inbox::fill(&data, clock, rows).await?);
            let preloaded = Preloaded { rate: filled.rate, ..Preloaded::default() };
            (Server::spawn(&data, options.config.as_deref())?, preloaded, None)
        }
        None => {
            let preloaded = fill(profile, &data, clock, sessions, rows)?;
            let bare = if profile == Profile::Send { Some(Bare::beside(&data, clock, sessions)?) } else { None };
            (Server::spawn(&data, options.config.as_deref())?, preloaded, bare)
        }
    };
    say(&format!("{}: preparing the sessions", profile.name()));
    let script = match profile {
        Profile::Send => scripts::send(&server, clock, sessions, clients).await?,
        Profile::PollEmpty => scripts::poll(&server, clock, sessions, clients, (1, 0)).await?,
        Profile::Poll20 => scripts::poll(&server, clock, sessions, clients, (40, 20)).await?,
        Profile::Inbox => {
            let inbox = inbox.ok_or_else(|| Error::internal("the profile inbox starts its own server"))?;
            inbox::pages(&server, &inbox)
        }
        _ => {
            if options.url.is_some() {
                preloaded = scripts::converse(&server, clock, rows, clients).await?;
            }
            scripts::page(&server, &preloaded)
        }
    };
    if script.requests.is_empty() {
        return Err(Error::internal("nothing to send: --preload is too small for this profile"));
    }
    say(&format!("{}: measuring", profile.name()));
    let mut figures = rounds(options, clients, &server, script, bare.as_mut()).await?;
    figures.preload = (rows, preloaded.rate);
    figures.memory = server.process.map(Process::memory).transpose()?;
    server.stop()?;
    bare.map_or(Ok(()), Bare::close)?;
    Ok(figures)
}

async fn rounds(
    options: &Options,
    clients: usize,
    server: &Server,
    script: Script,
    bare: Option<&mut Bare>,
) -> Result<HttpFigures> {
    let (own, livez) = (Arc::new(script), Arc::new(scripts::livez(server)));
    let span = Duration::from_secs(options.seconds.into());
    let mut figures = HttpFigures {
        own: Track::new(server.process),
        livez: Track::new(server.process),
        store: bare.is_some().then(|| Track::new(server.process)),
        memory: None,
        preload: (0, 0.0),
    };
    let mut bare = bare;
    drive(server.address, &own, clients, WARM_UP.min(span)).await?;
    for _ in 0..options.rounds {
        leg(server, &own, clients, span, &mut figures.own).await?;
        leg(server, &livez, clients, span, &mut figures.livez).await?;
        if let (Some(bare), Some(track)) = (bare.as_deref_mut(), &mut figures.store) {
            let before = Spent::until_now(server.process)?;
            let leg = bare.append(span)?;
            track.add(&leg, &before, &Spent::until_now(server.process)?);
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(figures)
}

async fn leg(server: &Server, script: &Arc<Script>, clients: usize, span: Duration, track: &mut Track) -> Result<()> {
    let before = Spent::until_now(server.process)?;
    let leg = drive(server.address, script, clients, span).await?;
    track.add(&leg, &before, &Spent::until_now(server.process)?);
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

/// Processor time so far: the server's, this process's, what all processors were busy, and all
/// they had.
struct Spent([Duration; 4]);

impl Spent {
    fn until_now(server: Option<Process>) -> Result<Self> {
        let server = server.map_or(Ok(Duration::ZERO), Process::cpu)?;
        let (busy, all) = machine::processors()?;
        Ok(Self([server, Process::own().cpu()?, busy, all]))
    }
}

fn fill(profile: Profile, data: &Path, clock: &Clock, sessions: usize, rows: usize) -> Result<Preloaded> {
    if rows == 0 {
        return Ok(Preloaded::default());
    }
    let (kind, conversations) = match profile {
        Profile::Page => (ConversationKind::AssistantSession, 1),
        _ => (ConversationKind::LiveChat, sessions),
    };
    say(&format!("{}: storing {rows} messages", profile.name()));
    let preloaded = preload::fill(data, clock, kind, conversations, rows)?;
    say(&format!("{}: stored at {:.0} messages/s", profile.name(), preloaded.rate));
    Ok(preloaded)
}

/// The bare store, filled as the server's is.
struct Bare {
    store: BareStore,
    clock: Clock,
    into: Vec<ConversationId>,
    dice: Dice,
}

impl Bare {
    /// On a copy of the store in `data`, with as many fresh conversations as the clients will
    /// send to.
    fn beside(data: &Path, clock: &Clock, sessions: usize) -> Result<Self> {
        let dir = DataDir::prepare(&data.with_extension("bare"))?;
        let filled = DataDir::prepare(data)?;
        if filled.database().exists() {
            std::fs::copy(filled.database(), dir.database()).map_err(Error::internal)?;
            preload::flush(&dir)?;
        }
        let mut store = BareStore::open(&dir, &SqliteOptions::default(), clock.now())?;
        let into = preload::create(&mut store, clock, ConversationKind::LiveChat, sessions)?;
        let into = into.into_iter().map(|(id, _)| id).collect();
        Ok(Self { store, clock: clock.clone(), into, dice: Dice::new(0) })
    }

    /// Appends batch after batch for `span`. Blocks, while no client sends.
    fn append(&mut self, span: Duration) -> Result<Leg> {
        let mut leg = Leg { requests: 0, elapsed: Duration::ZERO, latencies: latencies() };
        let start = Instant::now();
        while leg.elapsed < span {
            let before = leg.elapsed;
            let batch: Vec<_> = (0..STORE_BATCH)
                .map(|_| preload::new_message(&self.clock, self.into[self.dice.below(self.into.len())]))
                .collect();
            self.store.append_batch(&batch)?;
            leg.elapsed = start.elapsed();
            leg.requests += STORE_BATCH as u64;
            leg.latencies.saturating_record(u64::try_from((leg.elapsed - before).as_micros()).unwrap_or(u64::MAX));
        }
        Ok(leg)
    }

    fn close(self) -> Result<()> {
        self.store.close()
    }
}

/// The figures of starting.
#[derive(Clone, Debug)]
pub struct StartFigures {
    /// From the start of the process to the first answer, in order of length.
    pub taken: Vec<Duration>,
    /// Memory after the first answer, the largest.
    pub memory: Memory,
    /// The program's size on disk, in bytes.
    pub size: u64,
}

/// Starts the server on empty data folders, one after another.
///
/// # Errors
/// When one does not start.
pub async fn start(options: &Options, folder: &Path) -> Result<StartFigures> {
    const TIMES: usize = 10;
    say("start: measuring");
    let mut figures = StartFigures { taken: Vec::new(), memory: Memory::default(), size: 0 };
    for time in 0..TIMES {
        let begin = Instant::now();
        let server = Server::spawn(&folder.join(format!("start-{time}")), options.config.as_deref())?;
        first_answer(&server).await?;
        figures.taken.push(begin.elapsed());
        let memory = server.process.map(Process::memory).transpose()?.unwrap_or_default();
        figures.memory = if memory.resident > figures.memory.resident { memory } else { figures.memory };
        server.stop()?;
    }
    figures.taken.sort_unstable();
    let program = std::env::current_exe().and_then(std::fs::metadata).map_err(Error::internal)?;
    figures.size = program.len();
    Ok(figures)
}

async fn first_answer(server: &Server) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let request = get(&server.host, "/livez");
    let begin = Instant::now();
    loop {
        let asked =
            async { Ok::<_, std::io::Error>(Client::connect(server.address).await?.call(&request).await?.status) };
        match asked.await {
            Ok(200) => return Ok(()),
            Ok(status) => return Err(Error::internal(format!("/livez answers {status}"))),
            Err(error) if begin.elapsed() > PATIENCE => return Err(Error::internal(error)),
            // It said where it will listen before it did.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

fn say(progress: &str) {
    eprintln!("{progress}");
}
