//! `fanout`: one channel with many subscribers, and what it costs to tell each of them.

use std::path::Path;
use std::time::Duration;

use super::Options;
use super::crowd::Crowd;
use super::live::{self, Cost, Live, Wanted, cell, goal, row, say};
use super::load::{Latencies, latencies};
use super::publish::{Pace, Press, Run, Way};
use super::pusher::App;
use super::server::{Memory, Server};
use super::stamp::Tally;
use super::tenant::Tenant;
use crate::clock::Clock;
use crate::error::{Error, Result};

const NAME: &str = "fanout";

/// Publishers at once.
const LANES: usize = 8;

/// One way of publishing, at its highest rate and at half of it.
struct Measured {
    way: &'static str,
    highest: Sum,
    half: Sum,
    memory: Option<Memory>,
}

/// All rounds at one rate.
struct Sum {
    asked: f64,
    published: u64,
    frames: u64,
    elapsed: Duration,
    latencies: Latencies,
    cost: Cost,
}

/// Measures.
///
/// # Errors
/// The first thing that goes wrong.
pub async fn measure(options: &Options, folder: &Path, clock: &Clock) -> Result<Live> {
    let mut all = Vec::new();
    if let Some(url) = &options.url {
        let (server, app) = live::stranger(options, url)?;
        all.push(events(options, &server, &app, clock).await?);
    } else {
        let data = folder.join(NAME);
        let tenant = Tenant::fill(&data, clock, 1, 1).await?;
        let server = live::spawn(options, &data)?;
        let app = tenant.app(&server);
        all.push(events(options, &server, &app, clock).await?);
        all.push(letters(options, &server, &app, &tenant).await?);
        server.stop()?;
    }
    Ok(report(options, &all))
}

/// Through the protocol's HTTP API.
async fn events(options: &Options, server: &Server, app: &App, clock: &Clock) -> Result<Measured> {
    let channel = "private-bench".to_owned();
    let way = Way::Events(app, clock, channel.clone());
    measure_way(options, server, app, (channel, way, "events")).await
}

/// As messages of a conversation.
async fn letters(options: &Options, server: &Server, app: &App, tenant: &Tenant) -> Result<Measured> {
    let talk = *tenant.talks.first().ok_or_else(|| Error::internal("no conversation"))?;
    let way = Way::Letters(tenant, &server.host, talk);
    measure_way(options, server, app, (talk.channel(), way, "messages")).await
}

async fn measure_way(
    options: &Options,
    server: &Server,
    app: &App,
    (channel, way, name): (String, Way<'_>, &'static str),
) -> Result<Measured> {
    const RAMP_MAX: Duration = Duration::from_secs(2);
    let (subscribers, span) = (options.subscribers as usize, Duration::from_secs(options.seconds.into()));
    let tally = Tally::new();
    say(&format!("{NAME}, {name}: connecting {subscribers} subscribers"));
    let mut crowd = Crowd::gather(app, subscribers, |_| channel.clone(), |_| tally.ear()).await?;
    let mut press = Press::open(way, (server.address, server.process), LANES, subscribers, &tally).await?;
    say(&format!("{NAME}, {name}: looking for the highest rate"));
    let rate = press.highest(&mut crowd, RAMP_MAX.min(span / 2)).await?;
    let mut measured = Measured { way: name, highest: Sum::at(rate), half: Sum::at(rate / 2.0), memory: None };
    for round in 1..=options.rounds {
        say(&format!("{NAME}, {name}: round {round} at {rate:.0} and {:.0} messages/s", rate / 2.0));
        for sum in [&mut measured.highest, &mut measured.half] {
            sum.add(&press.run(&mut crowd, Pace::Rate(sum.asked), span).await?);
        }
    }
    measured.memory = live::memory(server)?;
    crowd.leave().await;
    Ok(measured)
}

impl Sum {
    fn at(asked: f64) -> Self {
        Self { asked, published: 0, frames: 0, elapsed: Duration::ZERO, latencies: latencies(), cost: Cost::default() }
    }

    fn add(&mut self, run: &Run) {
        self.published += run.published;
        self.frames += run.heard.frames;
        self.elapsed += run.elapsed;
        // Both histograms have the same bounds.
        let _ = self.latencies.add(&run.heard.latencies);
        self.cost = self.cost.and(run.cost);
    }

    fn millis(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }

    fn server_micros(&self) -> Option<f64> {
        self.cost.server_micros(self.frames as f64)
    }
}

fn report(options: &Options, all: &[Measured]) -> Live {
    let mut live = Live::default();
    live.table.push(row([
        NAME,
        "publishes/s",
        "frames/s",
        "p50 ms",
        "p99 ms",
        "server CPU us/frame",
        "in the kernel",
        "RSS MB",
        "generator CPU us/frame",
    ]));
    for Measured { way, highest, half, memory } in all {
        live.table.push(line(&format!("  {way}, highest rate"), highest, &live::megabytes(*memory)));
        live.table.push(line(&format!("  {way}, half of it"), half, ""));
        let named = |rate: &str| format!("us a frame, {way}, {rate}");
        live.goals.push(goal(NAME, &named("highest rate"), highest.server_micros(), Wanted::AtMost(4.5)));
        live.goals.push(goal(NAME, &named("half of it"), half.server_micros(), Wanted::AtMost(4.5)));
        let p99 = format!("ms p99, {way}, half of the highest rate");
        live.goals.push(goal(NAME, &p99, Some(half.millis(0.99)), Wanted::AtMost(50.0)));
        let kernel = highest.cost.server.map(|cpu| cpu.kernel_share() * 100.0);
        live.goals.push(goal(NAME, &format!("% in the kernel, {way}, highest rate"), kernel, Wanted::AtLeast(60.0)));
        live.notes.extend(highest.cost.and(half.cost).elsewhere_note(&format!("{NAME}, {way}")));
    }
    live.notes.push(format!("{NAME}: {} subscribers, texts of 200 bytes, {LANES} publishers", options.subscribers));
    live
}

fn line(name: &str, sum: &Sum, memory: &str) -> Vec<String> {
    let a_second = |count: u64| format!("{:.0}", count as f64 / sum.elapsed.as_secs_f64().max(f64::MIN_POSITIVE));
    row([
        name,
        &a_second(sum.published),
        &a_second(sum.frames),
        &format!("{:.2}", sum.millis(0.5)),
        &format!("{:.2}", sum.millis(0.99)),
        &cell(sum.server_micros(), 2),
        &sum.cost.kernel_cell(),
        memory,
        &format!("{:.2}", sum.cost.own_micros(sum.frames as f64)),
    ])
}
