//! `roost chaos`: a cluster on loopback (or one embedded node), clients at every door and by every transport, servers that
//! are killed, frozen, cut off and restarted meanwhile, and an audit of what the clients saw.
//!
//! The plan of a run (which faults when, which client does what) is a function of its seed; what happens to meet when is
//! the machine's. In reading order: `servers`, `faults`, `doors`, `writer`, `follower`, `member`, `audit`.

mod audit;
mod dice;
mod doors;
mod faults;
mod follower;
mod gate;
mod history;
mod http;
mod member;
mod report;
mod servers;
mod world;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::audit::Finding;
use self::doors::Door;
use self::faults::Fault;
use self::follower::Follower;
use self::history::What;
use self::http::Ask;
use self::member::Member;
pub use self::report::Report;
use self::servers::{Servers, held};
use self::world::{Accounts, World};
use self::writer::Writer;
use crate::error::{Error, Result};

/// Writers, followers of each subject, and members of a room.
const WRITERS: usize = 12;
const FOLLOWERS: usize = 3;
const MEMBERS: usize = 6;

/// How long servers may take to be ready once nothing is done to them any more.
const READY: Duration = Duration::from_secs(60);

/// How long what was given up may still arrive.
const LATE: Duration = Duration::from_secs(2);

/// How long the nodes may take to show the same.
const SAME: Duration = Duration::from_secs(15);

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything is drawn from it.
    pub seed: u64,
    /// How long faults go on.
    pub long: Duration,
    /// Nodes over PostgreSQL and Redis; 0: one embedded node.
    pub nodes: usize,
    /// The program `roost`.
    pub program: PathBuf,
    /// Where the whole history is written.
    pub history: Option<PathBuf>,
}

/// Runs, and audits. `say` hears of what is done to the servers.
///
/// # Errors
/// When the servers cannot be started, or do not come back: the run then says nothing about what they keep.
pub async fn run(plan: &Plan, say: impl Fn(&str)) -> Result<Report> {
    let mut servers = Servers::prepare(plan.nodes).await?;
    let accounts = Accounts::make(&servers).await?;
    servers.start(plan.nodes, &plan.program).await?;
    let servers = Arc::new(servers);
    ready(&servers).await?;
    let world = Arc::new(World::open(&servers, accounts).await?);
    say(&format!("{} conversations behind {}", world.conversations(), servers.url()));
    let run = Run { plan: plan.clone(), servers, world };
    let done = run.go(&say).await;
    if done.is_err() {
        run.servers.logs().iter().for_each(|(name, log)| say(&format!("{name} said last:\n{log}")));
    }
    done
}

struct Run {
    plan: Plan,
    servers: Arc<Servers>,
    world: Arc<World>,
}

impl Run {
    async fn go(&self, say: &impl Fn(&str)) -> Result<Report> {
        let mut writers = self.writers();
        let mut followers = self.followers();
        let (mut members, seen) = self.members();
        let faults = self.inflict(say).await?;
        ready(&self.servers).await?;
        say("nothing is done to the servers any more");
        self.world.is_closing.store(true, Ordering::Relaxed);
        while let Some(ended) = writers.join_next().await {
            ended.map_err(Error::internal)?;
        }
        sleep(LATE).await;
        let mut findings = self.last_words().await;
        while let Some(ended) = followers.join_next().await {
            ended.map_err(Error::internal)?;
        }
        findings.extend(member::check(&self.world, &self.servers, &seen).await);
        members.abort_all();
        self.list(&mut findings).await;
        if let Some(path) = &self.plan.history {
            std::fs::write(path, self.world.history.text()).map_err(Error::internal)?;
        }
        Ok(report::report(&self.plan, &self.world, &faults, findings))
    }

    fn writers(&self) -> JoinSet<()> {
        let writer = |number| Writer::new(Arc::clone(&self.world), self.plan.seed, number).write();
        (0..WRITERS).map(writer).collect()
    }

    fn followers(&self) -> JoinSet<()> {
        let mut followers = JoinSet::new();
        let mut number = 0;
        for door in &self.world.doors {
            for subject in door.subjects() {
                for _ in 0..FOLLOWERS {
                    number += 1;
                    let (world, door, subject) = (Arc::clone(&self.world), Arc::clone(door), subject.clone());
                    followers.spawn(Follower::new(world, self.plan.seed, door, subject, number).follow());
                }
            }
        }
        followers
    }

    fn members(&self) -> (JoinSet<()>, Vec<watch::Receiver<member::Seen>>) {
        let (mut members, mut seen) = (JoinSet::new(), Vec::new());
        for number in 0..MEMBERS {
            let (tell, told) = watch::channel(None);
            members.spawn(Member::new(Arc::clone(&self.world), self.plan.seed, number).live(tell));
            seen.push(told);
        }
        (members, seen)
    }

    /// Does to the servers what was planned. Gives what was done.
    async fn inflict(&self, say: &impl Fn(&str)) -> Result<Vec<Fault>> {
        let mut lanes = JoinSet::new();
        for lane in faults::plan(self.plan.seed, self.plan.long, self.plan.nodes) {
            lane.iter().for_each(|planned| say(&format!("at {:6.1} s: {planned}", planned.at.as_secs_f64())));
            lanes.spawn(faults::inflict(Arc::clone(&self.servers), lane, Arc::clone(&self.world.history)));
        }
        let mut done = Vec::new();
        while let Some(lane) = lanes.join_next().await {
            done.extend(lane.map_err(Error::internal)??);
        }
        Ok(done)
    }

    /// Sends a last message to each conversation: who has been told them all has been told everything.
    async fn last_words(&self) -> Vec<Finding> {
        let mut writer = Writer::new(Arc::clone(&self.world), self.plan.seed, WRITERS);
        let (mut last, mut findings) = (std::collections::HashMap::new(), Vec::new());
        for (number, door) in self.world.doors.iter().enumerate() {
            for (at, place) in door.places().iter().enumerate() {
                match writer.last(number, at).await {
                    Some(message) => drop(last.insert(place.number, message)),
                    None => findings.push(finding("writing goes on when all is well", format!("{place:?}"))),
                }
            }
        }
        *held(&self.world.last) = last;
        findings
    }

    /// Puts down what each node shows, once they show the same, or have not for too long.
    async fn list(&self, findings: &mut Vec<Finding>) {
        for door in &self.world.doors {
            for place in door.places() {
                let ask = door.list(place);
                let until = Instant::now() + SAME;
                let views = loop {
                    let views = self.views(&**door, &ask).await;
                    let is_same = views.windows(2).all(|pair| pair[0] == pair[1] && pair[0].is_some());
                    if (is_same && views.iter().all(Option::is_some)) || Instant::now() > until {
                        break views;
                    }
                    sleep(Duration::from_millis(200)).await;
                };
                for (node, view) in views.into_iter().enumerate() {
                    let name: Arc<str> = format!("node {node}").into();
                    match view {
                        Some(view) => self.world.history.add(&name, place.number, What::Listed(view)),
                        None => findings.push(finding("a node shows its lists", format!("{name}: {}", ask.path))),
                    }
                }
            }
        }
    }

    async fn views(&self, door: &dyn Door, ask: &Ask) -> Vec<Option<history::View>> {
        let mut views = Vec::new();
        for node in &self.servers.nodes {
            let told = self.world.http.call(&node.url, ask, Duration::from_secs(10)).await;
            views.push(told.filter(|told| told.status == 200).and_then(|told| door.listed(&told.body)));
        }
        views
    }
}

fn finding(rule: &'static str, detail: String) -> Finding {
    Finding { rule, who: "the run".into(), message: String::new(), detail }
}

/// Waits until every node is ready.
async fn ready(servers: &Servers) -> Result<()> {
    let (http, until) = (http::Http::new(), Instant::now() + READY);
    for (number, node) in servers.nodes.iter().enumerate() {
        loop {
            let told = http.call(&node.url, &Ask::get("/readyz"), Duration::from_secs(2)).await;
            if told.is_some_and(|told| told.status == 200) {
                break;
            }
            if Instant::now() > until {
                return Err(Error::internal(format!("node {number} is not ready, though nothing is done to it")));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}
