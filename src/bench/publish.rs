//! Publishers: at a rate, or as fast as what they publish arrives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::client::Client;
use super::crowd::Crowd;
use super::live::{Cost, Meter};
use super::pusher::App;
use super::server::Process;
use super::stamp::{Heard, Stamp, Tally};
use super::tenant::{Talk, Tenant};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Bytes of a message's text.
const LENGTH: usize = 200;

/// How long nothing may arrive while something is missing.
const PATIENCE: Duration = Duration::from_secs(20);

/// How messages come to the server.
pub enum Way<'a> {
    /// Events through the protocol's HTTP API.
    Events(&'a App, &'a Clock, String),
    /// Messages of a conversation, through the Pigeons door.
    Letters(&'a Tenant, &'a str, Talk),
    /// The same, each publisher's into a conversation of its own.
    Talks(&'a Tenant, &'a str),
}

impl Way<'_> {
    /// Messages that one request takes.
    fn batch_max(&self) -> usize {
        match self {
            Self::Events(..) => 10,
            Self::Letters(..) | Self::Talks(..) => 1,
        }
    }

    fn request(&self, lane: usize, texts: &[String]) -> Vec<u8> {
        let text = texts.first().map_or("", String::as_str);
        match self {
            Self::Events(app, clock, channel) => app.publish(clock, channel, texts),
            Self::Letters(tenant, host, talk) => tenant.say(host, *talk, text),
            Self::Talks(tenant, host) => tenant.say(host, tenant.talks[lane % tenant.talks.len()], text),
        }
    }
}

/// When to publish.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// At that many messages a second, all publishers together.
    Rate(f64),
    /// As soon as no more than so many messages have not arrived everywhere.
    Window(u64),
}

/// Publishers of one channel, and its subscribers' tally.
pub struct Press<'a> {
    way: Way<'a>,
    lanes: Vec<Lane>,
    subscribers: u64,
    tally: Arc<Tally>,
    server: Option<Process>,
}

/// One publisher: a kept connection.
struct Lane {
    client: Client,
    lane: usize,
    next: u64,
}

/// What a stretch of publishing did.
#[derive(Clone)]
pub struct Run {
    /// Messages that were published.
    pub published: u64,
    /// From the first message to the last arrival.
    pub elapsed: Duration,
    /// From the last answer to a publisher to the last arrival.
    pub tail: Duration,
    /// What arrived.
    pub heard: Heard,
    /// What it cost.
    pub cost: Cost,
}

impl Run {
    /// Messages a second.
    pub fn rate(&self) -> f64 {
        self.published as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Whether what arrived kept up with a rate that was asked for.
    pub fn is_sustained(&self, rate: f64, span: Duration) -> bool {
        let late = Duration::from_millis(100) + span / 20;
        self.tail <= late && self.rate() >= rate * 0.93 && self.heard.latencies.value_at_quantile(0.99) <= 1_000_000
    }
}

impl<'a> Press<'a> {
    /// Publishers whose messages so many subscribers hear through `tally`.
    ///
    /// # Errors
    /// When one cannot connect.
    pub async fn open(
        way: Way<'a>,
        (address, server): (std::net::SocketAddr, Option<Process>),
        lanes: usize,
        subscribers: usize,
        tally: &Arc<Tally>,
    ) -> Result<Self> {
        let mut open = Vec::with_capacity(lanes);
        for lane in 0..lanes {
            let client = Client::connect(address).await.map_err(Error::internal)?;
            open.push(Lane { client, lane, next: 0 });
        }
        Ok(Self { way, lanes: open, subscribers: subscribers as u64, tally: Arc::clone(tally), server })
    }

    /// Publishes for `span` what `crowd` hears, and waits until everything has arrived.
    ///
    /// # Errors
    /// When an answer was wrong, one of the crowd heard something wrong, or something does not arrive.
    pub async fn run(&mut self, crowd: &mut Crowd, pace: Pace, span: Duration) -> Result<Run> {
        tokio::select! {
            run = self.publish(pace, span) => run,
            error = crowd.ended() => Err(error),
        }
    }

    async fn publish(&mut self, pace: Pace, span: Duration) -> Result<Run> {
        self.tally.begin();
        let (meter, begun) = (Meter::start(self.server)?, Instant::now());
        let plan = Plan { pace, begun, end: begun + span, lanes: self.lanes.len(), subscribers: self.subscribers };
        let (way, tally) = (&self.way, &self.tally);
        let publishing = self.lanes.iter_mut().map(|lane| lane.publish(way, &plan, tally));
        let counts = try_join_all(publishing).await?;
        let (published, answered) = (counts.iter().sum::<u64>(), Instant::now());
        wait_for(&self.tally, published * self.subscribers).await?;
        let heard = self.tally.heard();
        Ok(Run {
            published,
            elapsed: heard.last.max(answered) - begun,
            tail: heard.last.saturating_duration_since(answered),
            heard,
            cost: meter.read()?,
        })
    }

    /// The highest rate that is sustained for `span`, to a tenth. It begins where a few messages that are
    /// under way at once arrive, and goes up while a rate is sustained, else down until one is, or, on a machine
    /// that is busy with other things, to an eighth: what is measured then says how well that went.
    ///
    /// # Errors
    /// As [`Press::run`].
    pub async fn highest(&mut self, crowd: &mut Crowd, span: Duration) -> Result<f64> {
        const WINDOW: u64 = 16;
        const STEP: f64 = 1.1;
        let first = self.run(crowd, Pace::Window(WINDOW), span).await?.rate();
        let mut rate = first;
        if self.sustains(crowd, rate, span).await? {
            while self.sustains(crowd, rate * STEP, span).await? {
                rate *= STEP;
            }
            return Ok(rate);
        }
        while rate > first / 8.0 {
            rate /= STEP;
            if self.sustains(crowd, rate, span).await? {
                break;
            }
        }
        Ok(rate)
    }

    async fn sustains(&mut self, crowd: &mut Crowd, rate: f64, span: Duration) -> Result<bool> {
        Ok(self.run(crowd, Pace::Rate(rate), span).await?.is_sustained(rate, span))
    }
}

struct Plan {
    pace: Pace,
    begun: Instant,
    end: Instant,
    lanes: usize,
    subscribers: u64,
}

impl Lane {
    /// Publishes to the plan's end; how many.
    async fn publish(&mut self, way: &Way<'_>, plan: &Plan, tally: &Tally) -> Result<u64> {
        let first = self.next;
        loop {
            let sent = self.next - first;
            let due = self.wait(plan, sent, tally).await;
            let Some((due, count)) = due.filter(|(due, _)| *due < plan.end) else { return Ok(sent) };
            let nanos = (due - tally.origin).as_nanos() as u64;
            let count = count.min(way.batch_max()) as u64;
            let texts: Vec<_> = (0..count)
                .map(|more| Stamp { lane: self.lane, number: self.next + more, nanos }.text(LENGTH))
                .collect();
            let answer = self.client.call(&way.request(self.lane, &texts)).await.map_err(Error::internal)?;
            if !matches!(answer.status, 200 | 201) {
                let body = String::from_utf8_lossy(answer.body);
                return Err(Error::internal(format!("publishing was answered with {}: {body}", answer.status)));
            }
            self.next += count;
        }
    }

    /// Waits until the next message is due: since when it is, and how many are.
    async fn wait(&self, plan: &Plan, sent: u64, tally: &Tally) -> Option<(Instant, usize)> {
        match plan.pace {
            Pace::Rate(rate) => {
                let every = plan.lanes as f64 / rate;
                let at = |number: u64| {
                    let number = number as f64 + self.lane as f64 / plan.lanes as f64;
                    plan.begun + Duration::from_secs_f64(every * number)
                };
                let due = at(sent);
                tokio::time::sleep_until(due.into()).await;
                let now = Instant::now();
                let behind = (now - due).as_secs_f64() / every;
                // The timer's own delay, at most two milliseconds, is not the server's.
                let due = if now - due < Duration::from_millis(2) { now } else { due };
                Some((due, 1 + behind as usize))
            }
            Pace::Window(window) => {
                // Each publisher counts for all of them; they send about alike.
                let ahead = |sent: u64| sent * plan.lanes as u64;
                while ahead(sent) >= tally.frames() / plan.subscribers.max(1) + window {
                    if Instant::now() >= plan.end {
                        return None;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Some((Instant::now(), 1))
            }
        }
    }
}

/// Waits until so many messages have arrived, or nothing does any more.
async fn wait_for(tally: &Tally, wanted: u64) -> Result<()> {
    let mut last = (tally.frames(), Instant::now());
    while last.0 < wanted {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let now = tally.frames();
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            return Err(Error::internal(format!("{now} of {wanted} frames arrived, and then no more")));
        }
    }
    if last.0 > wanted { Err(Error::internal(format!("{} frames arrived of {wanted}", last.0))) } else { Ok(()) }
}
