//! `cluster`: PostgreSQL, Redis and so many nodes of this very program, all on loopback; beside them the bare database
//! with the same rows, in batches as large as the nodes were seen to make, over as many connections as they append
//! by. Clusters of different sizes stand side by side and are measured in turn, round by round.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::client::{Client, get};
use super::cluster_bare::Bare;
use super::cluster_cost::{Cost, Meter, Watched};
use super::crowd::Crowd;
use super::live::{Live, Wanted, cell, goal, row, say};
use super::load::{Latencies, Leg, Script, drive, latencies, median};
use super::publish::{Pace, Press, Way};
use super::server::Server;
use super::stamp::Tally;
use super::tenant::Tenant;
use super::{Options, scripts};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::local::{LocalNode, LocalPostgres, LocalRedis, NodePlan, PostgresPlan};

const NAME: &str = "cluster";

/// Publishers of the fan-out, each into a conversation of its own.
const LANES: usize = 8;

/// Connections by which a node appends: the default of `store.lanes`.
const STORE_LANES: usize = 2;

/// What is sent before anything counts.
const WARM_UP: Duration = Duration::from_secs(2);

/// PostgreSQL and Redis.
struct Services {
    postgres: LocalPostgres,
    redis: LocalRedis,
}

/// One cluster, and what was measured of it.
struct Cluster {
    // The nodes end before their services do: this is dropped first.
    nodes: Vec<LocalNode>,
    servers: Vec<Server>,
    scripts: Vec<Arc<Script>>,
    config: Config,
    sends: Track,
    rows: Track,
    appends: Track,
    /// Sends in one commit, a round each.
    batches: Vec<f64>,
}

/// One thing over all rounds.
struct Track {
    rates: Vec<f64>,
    done: u64,
    latencies: Latencies,
    cost: Cost,
}

impl Track {
    fn new() -> Self {
        Self { rates: Vec::new(), done: 0, latencies: latencies(), cost: Cost::default() }
    }

    fn add(&mut self, leg: &Leg, cost: Cost) {
        self.rates.push(leg.rate());
        self.done += leg.requests;
        // All histograms have the same bounds.
        let _ = self.latencies.add(&leg.latencies);
        self.cost = self.cost.and(cost);
    }

    fn rate(&self) -> f64 {
        median(&self.rates)
    }

    fn millis(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// The median of what one is to the other, round by round.
fn ratio(one: &Track, other: &Track) -> f64 {
    median(&one.rates.iter().zip(&other.rates).map(|(one, other)| one / other).collect::<Vec<_>>())
}

/// Measures.
///
/// # Errors
/// The first thing that goes wrong.
pub async fn measure(options: &Options, folder: &Path, clock: &Clock) -> Result<Live> {
    say(&format!("{NAME}: starting PostgreSQL, Redis and the nodes"));
    let services = Arc::new(blocking(start_services).await?);
    let mut clusters = Vec::new();
    for count in &options.nodes {
        clusters.push(Cluster::start(options, &services, folder, *count as usize, clock).await?);
    }
    services.postgres.create_database("bare", None).await?;
    let most = options.nodes.iter().max().map_or(1, |most| *most as usize);
    let mut bare =
        Bare::open(&services.postgres.url("bare"), most * STORE_LANES, options.sessions as usize, clock).await?;
    let span = Duration::from_secs(options.seconds.into());
    for cluster in &clusters {
        cluster.send(options, WARM_UP.min(span)).await?;
    }
    for round in 1..=options.rounds {
        for cluster in &mut clusters {
            say(&format!("{NAME}: round {round}, {}", cluster.name()));
            cluster.round(options, &services, &mut bare, span).await?;
        }
    }
    let mut live = report(&clusters);
    for cluster in &clusters {
        live.table.extend(cluster.polls(options, &services, clock, span).await?);
    }
    for cluster in clusters.iter().filter(|cluster| cluster.servers.len() > 1) {
        cluster.fan_out(options, clock, span, &mut live).await?;
    }
    Ok(live)
}

fn start_services() -> Result<Services> {
    Ok(Services { postgres: LocalPostgres::start(&PostgresPlan::default())?, redis: LocalRedis::start()? })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

impl Cluster {
    async fn start(options: &Options, services: &Services, folder: &Path, count: usize, clock: &Clock) -> Result<Self> {
        let name = format!("nodes_{count}");
        services.postgres.create_database(&name, None).await?;
        let mut config = Config { data: folder.join(&name), ..Config::default() };
        config.store.url = services.postgres.url(&name);
        let (url, redis) = (config.store.url.clone(), services.redis.url());
        let data: Vec<_> = (0..count).map(|number| folder.join(format!("{name}_{number}"))).collect();
        let file = options.config.clone();
        let start = move || {
            let start = |data: &PathBuf| {
                std::fs::create_dir_all(data).map_err(Error::internal)?;
                let plan = NodePlan::new(data)?.with("ROOST_STORE_URL", &url).with("ROOST_REDIS_URL", &redis);
                let plan = plan.with("ROOST_REDIS_PREFIX", &format!("{name}:"));
                LocalNode::start(match &file {
                    Some(file) => plan.with("ROOST_CONFIG", &file.display().to_string()),
                    None => plan,
                })
            };
            data.iter().map(start).collect::<Result<Vec<_>>>()
        };
        let nodes = blocking(start).await?;
        let servers: Vec<_> = nodes.iter().map(Server::node).collect();
        let script = scripts::send(&servers[0], clock, options.sessions as usize, options.clients as usize).await?;
        let scripts = servers.iter().map(|_| Arc::new(script.clone())).collect();
        let [sends, rows, appends] = std::array::from_fn(|_| Track::new());
        Ok(Self { nodes, servers, scripts, config, sends, rows, appends, batches: Vec::new() })
    }

    fn name(&self) -> String {
        match self.servers.len() {
            1 => "one node".to_owned(),
            count => format!("{count} nodes"),
        }
    }

    fn watched(&self, services: &Services) -> Watched {
        Watched {
            nodes: self.nodes.iter().filter_map(LocalNode::pid).collect(),
            postgres: services.postgres.pids(),
            redis: services.redis.pid().into_iter().collect(),
        }
    }

    /// Lets all clients send, each to one node, to sessions that every node is sent to.
    async fn send(&self, options: &Options, span: Duration) -> Result<Leg> {
        let count = self.servers.len();
        let share = |node: usize| (options.clients as usize + count - 1 - node) / count;
        let load = self.servers.iter().zip(&self.scripts).enumerate();
        let legs = load.map(|(node, (server, script))| drive(server.address, script, share(node), span));
        let mut all = Leg { requests: 0, elapsed: Duration::ZERO, latencies: latencies() };
        for leg in try_join_all(legs).await? {
            all.requests += leg.requests;
            all.elapsed = all.elapsed.max(leg.elapsed);
            let _ = all.latencies.add(&leg.latencies);
        }
        Ok(all)
    }

    async fn round(&mut self, options: &Options, services: &Services, bare: &mut Bare, span: Duration) -> Result<()> {
        let watched = self.watched(services);
        let (before, meter) = (self.written().await?, Meter::start(&watched)?);
        let leg = self.send(options, span).await?;
        self.sends.add(&leg, meter.read(&watched)?);
        let after = self.written().await?;
        let batch = (after.0 - before.0) / (after.1 - before.1).max(1.0);
        self.batches.push(batch);
        let connections = self.servers.len() * STORE_LANES;
        for by_function in [false, true] {
            let meter = Meter::start(&watched)?;
            let leg = bare.write((connections, batch), by_function, span).await?;
            let track = if by_function { &mut self.appends } else { &mut self.rows };
            track.add(&leg, meter.read(&watched)?);
        }
        Ok(())
    }

    /// What the nodes wrote so far, and in how many commits.
    async fn written(&self) -> Result<(f64, f64)> {
        let mut all = (0.0, 0.0);
        for server in &self.servers {
            let mut client = Client::connect(server.address).await.map_err(Error::internal)?;
            let answer = client.call(&get(&server.host, "/metrics")).await.map_err(Error::internal)?;
            let figures = String::from_utf8_lossy(answer.body);
            let figure = |name: &str| {
                let line = figures.lines().find(|line| !line.starts_with('#') && line.contains(name));
                let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
                value.ok_or_else(|| Error::internal(format!("a node does not tell {name}")))
            };
            all.0 += figure("store_batch_writes_sum")?;
            all.1 += figure("store_batch_writes_count")?;
        }
        Ok(all)
    }

    /// Polls of the last node; what they find was sent to the first.
    async fn polls(
        &self,
        options: &Options,
        services: &Services,
        clock: &Clock,
        span: Duration,
    ) -> Result<Vec<Vec<String>>> {
        let (Some(first), Some(last)) = (self.servers.first(), self.servers.last()) else { return Ok(Vec::new()) };
        let (sessions, clients) = (options.sessions as usize, options.clients as usize);
        let mut rows = Vec::new();
        for (name, stored) in [("empty", (1, 0)), ("of 20", (40, 20))] {
            say(&format!("{NAME}: polls {name}, {}", self.name()));
            let script = Arc::new(scripts::poll(first, clock, sessions, clients, stored).await?);
            drive(last.address, &script, clients, WARM_UP.min(span)).await?;
            let (watched, mut track) = (self.watched(services), Track::new());
            for _ in 0..options.rounds {
                let meter = Meter::start(&watched)?;
                let leg = drive(last.address, &script, clients, span).await?;
                track.add(&leg, meter.read(&watched)?);
            }
            rows.push(line(&format!("  polls {name}, {}", self.name()), &track));
        }
        Ok(rows)
    }

    /// Messages to one node that are followed on the others.
    async fn fan_out(&self, options: &Options, clock: &Clock, span: Duration, live: &mut Live) -> Result<()> {
        const RAMP_MAX: Duration = Duration::from_secs(2);
        let Some((first, others)) = self.servers.split_first() else { return Ok(()) };
        let tenant = Tenant::settle(&self.config, clock, LANES, LANES).await?;
        let apps: Vec<_> = others.iter().map(|server| tenant.app(server)).collect();
        let tally = Tally::new();
        // One subscriber of each conversation on each other node.
        let channel = |number: usize| tenant.talks[number / others.len()].channel();
        let mut crowd = Crowd::gather_over(&apps, LANES * others.len(), channel, |_| tally.ear()).await?;
        let way = Way::Talks(&tenant, &first.host);
        let mut press = Press::open(way, (first.address, first.process), LANES, others.len(), &tally).await?;
        say(&format!("{NAME}: looking for the highest rate across {}", self.name()));
        let highest = press.highest(&mut crowd, RAMP_MAX.min(span / 2)).await?;
        let mut heard = latencies();
        let (begun, mut frames) = (Instant::now(), 0);
        for _ in 0..options.rounds {
            let run = press.run(&mut crowd, Pace::Rate(highest / 2.0), span).await?;
            let _ = heard.add(&run.heard.latencies);
            frames += run.heard.frames;
        }
        let rate = frames as f64 / begun.elapsed().as_secs_f64();
        crowd.leave().await;
        let millis = |quantile| heard.value_at_quantile(quantile) as f64 / 1e3;
        let name = format!("  messages heard on other nodes, {}", self.name());
        live.table.push(row([&name, &format!("{rate:.0}"), &cell(Some(millis(0.5)), 2), &cell(Some(millis(0.99)), 2)]));
        let what = format!("ms p99 across {}, half of the highest rate", self.name());
        live.goals.push(goal(NAME, &what, Some(millis(0.99)), Wanted::AtMost(50.0)));
        live.notes.push(format!(
            "{NAME}: {LANES} publishers on one node, each to a conversation of its own with a subscriber on each of the \
             {} others; the highest rate is {highest:.0} messages/s, half of it was asked for",
            others.len()
        ));
        Ok(())
    }
}

fn report(clusters: &[Cluster]) -> Live {
    let mut live = Live::default();
    live.table.push(row([
        NAME,
        "rate/s",
        "p50 ms",
        "p99 ms",
        "nodes CPU us",
        "PostgreSQL CPU us",
        "Redis CPU us",
        "generator CPU us",
    ]));
    for cluster in clusters {
        let name = cluster.name();
        live.table.push(line(&format!("  sends, {name}"), &cluster.sends));
        live.table.push(line("    bare database, same rows", &cluster.rows));
        live.table.push(line("    bare database, same statement", &cluster.appends));
        let beside = |other: &Track| Some(ratio(&cluster.sends, other));
        let what = format!("of the bare database, sends, {name}");
        live.goals.push(goal(NAME, &what, beside(&cluster.rows), Wanted::AtLeast(0.8)));
        live.notes.push(format!(
            "{NAME}, {name}: {:.1} sends a commit; {:.2} of the bare database with the same statement; others took {:.0} % \
             of the processors",
            median(&cluster.batches),
            ratio(&cluster.sends, &cluster.appends),
            cluster.sends.cost.elsewhere_share() * 100.0,
        ));
    }
    if let (Some(one), Some(more)) = (clusters.first(), clusters.last())
        && one.servers.len() < more.servers.len()
    {
        let what = format!("of {}, sends, {}", one.name(), more.name());
        live.goals.push(goal(NAME, &what, Some(ratio(&more.sends, &one.sends)), Wanted::AtLeast(1.0)));
    }
    live
}

fn line(name: &str, track: &Track) -> Vec<String> {
    let each = |spent: Duration| format!("{:.1}", spent.as_secs_f64() * 1e6 / track.done.max(1) as f64);
    row([
        name,
        &format!("{:.0}", track.rate()),
        &format!("{:.2}", track.millis(0.5)),
        &format!("{:.2}", track.millis(0.99)),
        &each(track.cost.nodes),
        &each(track.cost.postgres),
        &each(track.cost.redis),
        &each(track.cost.own),
    ])
}
