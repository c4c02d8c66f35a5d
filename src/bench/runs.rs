//! `runs`: answers of the assistant that are made at once, stored and followed: how far behind its provider a follower
//! is, what that costs, and how soon the provider hears of a stop.
//!
//! The provider stamps each piece of text when it sends it, the follower reads the clock when it arrives; both are
//! processes of one machine and have one clock. Every text has to arrive whole and in order and to be what is stored.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use super::Options;
use super::answers::{Board, Shown, follow};
use super::client::{Client, get, post};
use super::live::{self, Cost, ENVIRONMENT, Live, Meter, Wanted, cell, goal, row, say};
use super::load::{Latencies, latencies, send_all};
use super::piece;
use super::provider::Provider;
use super::server::{Memory, Server};
use crate::clock::Clock;
use crate::error::{Error, Result};

const NAME: &str = "runs";

/// How many seconds answers go on besides what is measured: while all of them begin, and while some are stopped.
fn besides(options: &Options) -> u32 {
    6 + options.runs / 70
}

/// Answers that are stopped in each round, at the most.
const STOPPED: usize = 100;

/// Between two stops.
const PAUSE: Duration = Duration::from_millis(20);

/// After the last has begun, before anything counts.
const SETTLE: Duration = Duration::from_secs(1);

/// Answers before the first round: what is set up once, and code that is read from the disk, is no run's.
const WARM_UP: usize = 20;

/// Messages, and characters of each, that fill the store's page cache before the first round: its size is bounded, and it
/// keeps whatever is written first. Answers, which would fill it in a few seconds, are not to be counted with it.
const FILLING: usize = 1_500;
const FILLING_CHARS: usize = 30_000;

/// Requests at once while a round is prepared and checked.
const CLIENTS: usize = 16;

/// What is added up over the rounds.
struct Measured {
    lags: Latencies,
    stops: Latencies,
    cost: Cost,
    provider: Duration,
    span: Duration,
    /// Bytes of memory that an answer takes, in the round in which it took the most.
    each: Option<f64>,
    memory: Option<Memory>,
}

/// What a round works with.
struct Stage<'a> {
    options: &'a Options,
    clock: &'a Clock,
    server: &'a Server,
    provider: &'a Provider,
    /// Pieces of a whole answer.
    pieces: usize,
}

/// Measures.
///
/// # Errors
/// The first thing that goes wrong.
pub async fn measure(options: &Options, folder: &Path, clock: &Clock) -> Result<Live> {
    let pieces = (options.chunks * (options.seconds + besides(options))) as usize;
    let provider = Provider::spawn(pieces, options.chunks)?;
    let server = spawn(options, &folder.join(NAME), &provider, pieces)?;
    let stage = Stage { options, clock, server: &server, provider: &provider, pieces };
    let mut all = Measured {
        lags: latencies(),
        stops: latencies(),
        cost: Cost::default(),
        provider: Duration::ZERO,
        span: Duration::ZERO,
        each: None,
        memory: None,
    };
    stage.warm_up().await?;
    for round in 0..options.rounds as usize {
        say(&format!("{NAME}: round {}, {} answers at once", round + 1, options.runs));
        stage.round(round, &mut all).await?;
    }
    server.stop()?;
    Ok(report(options, &all))
}

fn spawn(options: &Options, data: &Path, provider: &Provider, pieces: usize) -> Result<Server> {
    let (runs, bytes) = ((options.runs + 100).to_string(), (pieces * piece::LENGTH * 2).to_string());
    let seconds = (options.seconds + besides(options) + 120).to_string();
    let mut environment = ENVIRONMENT.to_vec();
    environment.extend([
        ("ROOST_ASSISTANT_PROVIDER", "openai"),
        ("ROOST_ASSISTANT_OPENAI_BASE_URL", provider.url.as_str()),
        ("ROOST_ASSISTANT_OPENAI_API_KEY", "nobody-asks"),
        ("ROOST_ASSISTANT_OPENAI_MODEL", "scripted"),
        ("ROOST_ASSISTANT_RUNS_MAX", &runs),
        ("ROOST_ASSISTANT_RUNS_PER_TENANT_MAX", &runs),
        ("ROOST_ASSISTANT_TIMEOUT_S", &seconds),
        ("ROOST_ASSISTANT_TOKENS_MAX", &bytes),
        ("ROOST_ASSISTANT_ANSWER_BYTES_MAX", &bytes),
    ]);
    Server::spawn_with(data, options.config.as_deref(), &environment)
}

impl Stage<'_> {
    /// Fills the page cache, and asks for a few answers that are stopped as soon as all have begun.
    async fn warm_up(&self) -> Result<()> {
        let first = (self.options.runs * self.options.rounds) as usize;
        self.fill_cache().await?;
        let keys = self.open_sessions(WARM_UP).await?;
        let board = Arc::new(Board::new(self.clock, WARM_UP));
        let mut followers = self.ask(&keys, first, &board);
        self.while_followed(&mut followers, board.all_begun()).await?;
        let stopped = self.stop(&keys, &board).await?;
        let shown = gathered(followers, WARM_UP).await?;
        self.check(&keys, &stopped, &shown).await
    }

    async fn fill_cache(&self) -> Result<()> {
        let (key, text) = (self.open_sessions(1).await?.remove(0), "x".repeat(FILLING_CHARS));
        let body = format!(r#"{{"session_id":"{key}","role":"user","message":"{text}"}}"#);
        let fill = post(&self.server.host, "/api/chats/messages/", &body);
        send_all(self.server.address, vec![fill; FILLING], CLIENTS).await.map(drop)
    }

    async fn round(&self, round: usize, all: &mut Measured) -> Result<()> {
        let count = self.options.runs as usize;
        let keys = self.open_sessions(count).await?;
        let before = live::memory(self.server)?;
        let board = Arc::new(Board::new(self.clock, count));
        let mut followers = self.ask(&keys, round * count, &board);
        self.while_followed(&mut followers, board.all_begun()).await?;
        self.while_followed(&mut followers, tokio::time::sleep(SETTLE)).await?;
        let span = Duration::from_secs(self.options.seconds.into());
        let (meter, provider) = (Meter::start(self.server.process)?, self.provider.process.cpu()?);
        board.open();
        self.while_followed(&mut followers, tokio::time::sleep(span)).await?;
        board.close();
        let (cost, memory) = (meter.read()?, live::memory(self.server)?);
        let provider = self.provider.process.cpu()?.saturating_sub(provider);
        all.add(span, cost, provider, (before, memory, count));
        say(&format!("{NAME}: stopping some, and waiting for the others"));
        let some = STOPPED.min(count.div_ceil(10));
        let asked = self.stop(&keys[..some], &board).await?;
        let shown = gathered(followers, count).await?;
        self.check(&keys, &asked, &shown).await?;
        let lags = board.lags();
        if lags.is_empty() {
            return Err(Error::internal("nothing arrived of what was sent while it was measured"));
        }
        let _ = all.lags.add(&lags);
        self.note_stops(round * count, &asked, &mut all.stops).await
    }

    async fn open_sessions(&self, count: usize) -> Result<Vec<String>> {
        let keys: Vec<_> = (0..count).map(|_| self.clock.uuid().to_string()).collect();
        let open = |key| post(&self.server.host, "/api/chats/sessions/", &format!(r#"{{"session_id":"{key}"}}"#));
        send_all(self.server.address, keys.iter().map(open).collect(), CLIENTS).await?;
        Ok(keys)
    }

    /// Asks in every session, and follows the answers.
    fn ask(&self, keys: &[String], first: usize, board: &Arc<Board>) -> JoinSet<Result<(usize, Shown)>> {
        let mut followers = JoinSet::new();
        for (number, key) in keys.iter().enumerate() {
            let body = format!(r#"{{"session_id":"{key}","message":"{}"}}"#, piece::question(first + number));
            let request = post(&self.server.host, "/api/chats/messages/chat/stream/", &body);
            let (address, board) = (self.server.address, Arc::clone(board));
            followers.spawn(async move { Ok((number, follow(address, request, number, &board).await?)) });
        }
        followers
    }

    /// Waits for that, during which no answer may end.
    async fn while_followed(
        &self,
        followers: &mut JoinSet<Result<(usize, Shown)>>,
        work: impl Future<Output = ()>,
    ) -> Result<()> {
        tokio::select! {
            () = work => Ok(()),
            Some(ended) = followers.join_next() => {
                ended.map_err(Error::internal)??;
                let longest = self.pieces / self.options.chunks.max(1) as usize;
                Err(Error::internal(format!("an answer of {longest} s ended before all were measured")))
            }
        }
    }

    /// Stops the answers of these sessions, one after the other: when each was asked to, and what it is stored as.
    async fn stop(&self, keys: &[String], board: &Board) -> Result<Vec<(i64, String)>> {
        let mut client = Client::connect(self.server.address).await.map_err(Error::internal)?;
        let mut asked = Vec::new();
        for (number, key) in keys.iter().enumerate() {
            let body = format!(r#"{{"session_id":"{key}","message_id":"{}"}}"#, board.question(number));
            let request = post(&self.server.host, "/api/chats/messages/chat/stop/", &body);
            let at = self.clock.now().0;
            let answer = client.call(&request).await.map_err(Error::internal)?;
            let answer: Value = serde_json::from_slice(answer.body).map_err(Error::internal)?;
            if answer["stopped"] != true {
                return Err(Error::internal(
                    "an answer ended before it was stopped: the machine is too slow for so many",
                ));
            }
            let stored = answer["response_id"].as_str();
            let stored = stored.ok_or_else(|| Error::internal("nothing is stored of an answer that was stopped"))?;
            asked.push((at, stored.to_owned()));
            tokio::time::sleep(PAUSE).await;
        }
        Ok(asked)
    }

    /// Compares what was shown with what is stored.
    async fn check(&self, keys: &[String], stopped: &[(i64, String)], shown: &[Shown]) -> Result<()> {
        let path = |key| get(&self.server.host, &format!("/api/chats/messages/?session_id={key}"));
        let stored = send_all(self.server.address, keys.iter().map(path).collect(), CLIENTS).await?;
        for (number, (shown, stored)) in shown.iter().zip(&stored).enumerate() {
            let stored: Vec<Value> = serde_json::from_slice(stored).map_err(Error::internal)?;
            let id = stopped.get(number).map(|(_, id)| id).or(shown.response_id.as_ref());
            let answer = stored.iter().find(|message| message["id"].as_str() == id.map(String::as_str));
            let text = answer.and_then(|answer| answer["message"].as_str());
            if text.map(str::as_bytes) != Some(&shown.text) {
                return Err(Error::internal(format!("what was shown of answer {number} is not what is stored")));
            }
            let is_whole = shown.text.len() == self.pieces * piece::LENGTH;
            if is_whole == stopped.get(number).is_some() {
                return Err(Error::internal(format!("answer {number} has {} bytes", shown.text.len())));
            }
        }
        Ok(())
    }

    async fn note_stops(&self, first: usize, asked: &[(i64, String)], stops: &mut Latencies) -> Result<()> {
        let left = self.provider.left().await?;
        for (number, (at, _)) in asked.iter().enumerate() {
            let left = left.get(&(first + number));
            let left = left.ok_or_else(|| Error::internal("the provider did not hear of a stop"))?;
            stops.saturating_record(u64::try_from(left - at).unwrap_or(0).max(1));
        }
        Ok(())
    }
}

/// What everybody was shown, in the order of asking.
async fn gathered(mut followers: JoinSet<Result<(usize, Shown)>>, count: usize) -> Result<Vec<Shown>> {
    let mut shown: Vec<_> = (0..count).map(|_| Shown { text: Vec::new(), response_id: None }).collect();
    while let Some(ended) = followers.join_next().await {
        let (number, of) = ended.map_err(Error::internal)??;
        shown[number] = of;
    }
    Ok(shown)
}

impl Measured {
    fn add(
        &mut self,
        span: Duration,
        cost: Cost,
        provider: Duration,
        (before, with, count): (Option<Memory>, Option<Memory>, usize),
    ) {
        // The provider is no stranger.
        let cost = Cost { elsewhere: cost.elsewhere.saturating_sub(provider), ..cost };
        self.cost = self.cost.and(cost);
        self.span += span;
        self.provider += provider;
        let grown = before.zip(with).map(|(before, with)| with.resident as f64 - before.resident as f64);
        let each = grown.map(|grown| grown.max(0.0) / count.max(1) as f64);
        self.each = self.each.into_iter().chain(each).reduce(f64::max);
        self.memory = with;
    }

    /// How many processors that kept busy.
    fn cores(&self, busy: Duration) -> f64 {
        busy.as_secs_f64() / self.span.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

fn report(options: &Options, all: &Measured) -> Live {
    let millis = |of: &Latencies, quantile| of.value_at_quantile(quantile) as f64 / 1000.0;
    let shown = |value: f64| format!("{value:.1}");
    let cores = all.cost.server.map(|cpu| all.cores(cpu.all()));
    let kilobytes = all.each.map(|bytes| bytes / 1024.0);
    let (lag, stop) = (millis(&all.lags, 0.99), millis(&all.stops, 0.99));
    let mut live = Live::default();
    live.table.push(row([
        NAME,
        "pieces/s",
        "lag p50 ms",
        "lag p99 ms",
        "lag max ms",
        "server cores",
        "in the kernel",
        "KB/run",
        "RSS MB",
        "stop p50 ms",
        "stop p99 ms",
        "provider cores",
        "generator cores",
    ]));
    live.table.push(row([
        &format!("  {} answers, {} pieces/s each", options.runs, options.chunks),
        &format!("{:.0}", all.lags.len() as f64 / all.span.as_secs_f64().max(f64::MIN_POSITIVE)),
        &shown(millis(&all.lags, 0.5)),
        &shown(lag),
        &shown(millis(&all.lags, 1.0)),
        &cell(cores, 2),
        &all.cost.kernel_cell(),
        &cell(kilobytes, 1),
        &live::megabytes(all.memory),
        &shown(millis(&all.stops, 0.5)),
        &shown(stop),
        &format!("{:.2}", all.cores(all.provider)),
        &format!("{:.2}", all.cores(all.cost.own)),
    ]));
    live.goals.push(goal(NAME, "ms behind the provider, p99", Some(lag), Wanted::AtMost(50.0)));
    live.goals.push(goal(NAME, "cores", cores, Wanted::AtMost(1.0)));
    live.goals.push(goal(NAME, "KB a run", kilobytes, Wanted::AtMost(64.0)));
    live.goals.push(goal(NAME, "ms from a stop to the provider, p99", Some(stop), Wanted::AtMost(200.0)));
    live.notes.extend(all.cost.elsewhere_note(NAME));
    live
}
