//! `roost bench`: what this machine does with this server, in figures that anyone can repeat.
//!
//! Each profile drives a real server over HTTP on loopback, its own unless told otherwise, in
//! several rounds. In each round the thing beside which the figure stands is measured too (an
//! empty handler under the same client, the bare store with the same rows), because rates drift
//! with whatever else the machine does while ratios taken side by side do not.
//!
//! The profiles of connections that stay (`fanout`, `idle`, `storm`, `follow`) speak the Pusher protocol,
//! and so measure any server that does.
//!
//! A run that met one wrong answer has no figures.

mod answers;
pub(crate) mod client;
mod cluster;
mod cluster_bare;
mod cluster_cost;
mod crowd;
mod fanout;
mod follow;
pub(crate) mod frames;
mod idle;
mod inbox;
mod live;
mod load;
mod machine;
mod piece;
mod preload;
mod profiles;
mod provider;
mod publish;
pub(crate) mod pusher;
mod report;
mod runs;
mod scripts;
mod search;
mod server;
mod stamp;
mod storm;
mod tenant;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::clock::Clock;
use crate::descriptors;
use crate::error::{Error, Result};
pub use provider::{ProviderOptions, provide};
use report::{Entry, Report};

/// What to measure, and how.
#[derive(Args, Clone)]
pub struct Options {
    /// What to measure
    #[arg(long, value_enum, default_value_t = Profile::All)]
    pub profile: Profile,

    /// Clients that send at once, each over its own kept connection
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub clients: u32,

    /// Guest sessions that they send to or poll
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub sessions: u32,

    /// How long each round measures each thing
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,

    /// Rounds; what is quoted is the median of their rates and ratios
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,

    /// Messages that are stored before it starts, chunks of search [default: 1000000 for send, page and inbox,
    /// 100000 for search, else none;
    /// with --url only page stores any, through the server, by default 10000]
    #[arg(long)]
    pub preload: Option<u32>,

    /// Subscribers of the channel of the profile fanout
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub subscribers: u32,

    /// Connections of the profiles idle, storm and follow [default: 15000, 5000 and 10000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub connections: Option<u32>,

    /// Users whose the connections of the profile storm are; each follows one of its user's conversations
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub users: u32,

    /// Answers at once of the profile runs
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=9000))]
    pub runs: u32,

    /// Pieces a second of each of them
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub chunks: u32,

    /// Nodes of the profile cluster: one cluster for each number, side by side
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3], value_parser = clap::value_parser!(u32).range(1..=16))]
    pub nodes: Vec<u32>,

    /// Drive the server at this address instead of starting one (its rate limits must be off);
    /// fanout, idle and follow drive any server of the Pusher protocol
    #[arg(long)]
    pub url: Option<String>,

    /// With --url: the key of the app on a server of the Pusher protocol
    #[arg(long, requires = "url")]
    pub key: Option<String>,

    /// With --url: the app's secret
    #[arg(long, requires = "url")]
    pub secret: Option<String>,

    /// With --url: the app's number or name in the HTTP API
    #[arg(long, requires = "url")]
    pub app_id: Option<String>,

    /// With --url: the server's process on this machine, so that its cost can be read
    #[arg(long, requires = "url")]
    pub pid: Option<u32>,

    /// The configuration file of the server that is started
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub config: Option<PathBuf>,

    /// Where the measured stores are made, in a folder that is removed afterwards; its disk is
    /// what is measured [default: the current folder]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// As the command line that does it again: without the secret.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.command())
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// A guest sends a message
    Send,
    /// A guest polls, and there is nothing new
    PollEmpty,
    /// A guest polls and gets 20 messages
    #[value(name = "poll-20")]
    Poll20,
    /// 50 messages out of the middle of one long conversation
    Page,
    /// First pages of a user's 10,000 conversations, and of their longest
    Inbox,
    /// From the start with an empty data folder to the first answer
    Start,
    /// One channel's message to many subscribers
    Fanout,
    /// Connections on which nothing happens
    Idle,
    /// All connections drop, come back at once, and hear what they missed
    Storm,
    /// Messages to one conversation while many others are followed
    Follow,
    /// Searches among many chunks of documents, by words and by vectors
    Search,
    /// Answers of the assistant that are made at once, stored and followed
    Runs,
    /// PostgreSQL, Redis and several nodes, which are started on this machine
    Cluster,
    /// All of them but search and cluster, one after another
    All,
}

impl Profile {
    const EACH: [Self; 13] = [
        Self::Send,
        Self::PollEmpty,
        Self::Poll20,
        Self::Page,
        Self::Inbox,
        Self::Start,
        Self::Fanout,
        Self::Idle,
        Self::Storm,
        Self::Follow,
        Self::Search,
        Self::Runs,
        Self::Cluster,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::PollEmpty => "poll-empty",
            Self::Poll20 => "poll-20",
            Self::Page => "page",
            Self::Inbox => "inbox",
            Self::Start => "start",
            Self::Fanout => "fanout",
            Self::Idle => "idle",
            Self::Storm => "storm",
            Self::Follow => "follow",
            Self::Search => "search",
            Self::Runs => "runs",
            Self::Cluster => "cluster",
            Self::All => "all",
        }
    }
}

impl Options {
    /// Clients of that profile. What a first page costs is measured with few: many more than there are
    /// processors would measure how long they wait for each other.
    fn clients(&self, profile: Profile) -> usize {
        const FEW: u32 = 8;
        let clients = if profile == Profile::Inbox { self.clients.min(FEW) } else { self.clients };
        clients as usize
    }

    /// Messages to store before that profile.
    fn preload(&self, profile: Profile) -> usize {
        let default = match (profile, &self.url) {
            (Profile::Page, Some(_)) => 10_000,
            (_, Some(_)) => return 0,
            (Profile::Send | Profile::Page | Profile::Inbox, None) => 1_000_000,
            (_, None) => 0,
        };
        self.preload.map_or(default, |rows| rows as usize)
    }

    /// The command line that does this again.
    fn command(&self) -> String {
        let Self { profile, clients, sessions, seconds, rounds, .. } = self;
        let mut line = format!(
            "roost bench --profile {} --clients {clients} --sessions {sessions} --seconds {seconds} --rounds {rounds}",
            profile.name()
        );
        if matches!(profile, Profile::Fanout | Profile::All) {
            line.push_str(&format!(" --subscribers {}", self.subscribers));
        }
        if matches!(profile, Profile::Storm | Profile::All) {
            line.push_str(&format!(" --users {}", self.users));
        }
        if matches!(profile, Profile::Runs | Profile::All) {
            line.push_str(&format!(" --runs {} --chunks {}", self.runs, self.chunks));
        }
        if matches!(profile, Profile::Cluster) {
            let nodes: Vec<_> = self.nodes.iter().map(u32::to_string).collect();
            line.push_str(&format!(" --nodes {}", nodes.join(",")));
        }
        let more = [
            ("connections", self.connections.map(|count| count.to_string())),
            ("preload", self.preload.map(|rows| rows.to_string())),
            ("url", self.url.clone()),
            ("key", self.key.clone()),
            ("secret", self.secret.as_ref().map(|_| "...".to_owned())),
            ("app-id", self.app_id.clone()),
            ("pid", self.pid.map(|pid| pid.to_string())),
            ("config", self.config.as_ref().map(|file| file.display().to_string())),
            ("data", self.data.as_ref().map(|data| data.display().to_string())),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                line.push_str(&format!(" --{name} {value}"));
            }
        }
        line
    }
}

/// The measured stores' folder; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn make(beside: &Path, clock: &Clock) -> Result<Self> {
        let path = beside.join(format!("roost-bench-{}", clock.secret_word(8)));
        std::fs::create_dir_all(&path).map_err(|error| Error::internal(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is left behind: {error}", self.0.display());
        }
    }
}

/// Measures, and prints the table.
///
/// # Errors
/// When a profile failed; the table then says which, and holds the others.
#[expect(clippy::needless_pass_by_value, reason = "the command line hands over what it parsed")]
pub fn run(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
    runtime.block_on(async {
        tokio::select! {
            done = measure(&options) => done,
            // The drops on the way out stop the server and remove the folder.
            _ = tokio::signal::ctrl_c() => Err(Error::internal("interrupted")),
        }
    })
}

async fn measure(options: &Options) -> Result<()> {
    descriptors::raise();
    let clock = Clock::system();
    let beside = options.data.clone().unwrap_or_else(|| PathBuf::from("."));
    let folder = Folder::make(&beside, &clock)?;
    let mut report = Report {
        fsync: machine::measure_fsync(&folder.0)?,
        entries: Vec::new(),
        command: options.command(),
        machine: machine::describe(&folder.0),
    };
    for profile in Profile::EACH {
        let of_all = options.profile == Profile::All && !matches!(profile, Profile::Search | Profile::Cluster);
        let wanted = of_all || options.profile == profile;
        let entry = if wanted { entry(profile, options, &folder.0, &clock).await } else { Entry::NotRun };
        report.entries.push((profile, entry));
    }
    print(&report);
    report.first_failure()
}

async fn entry(profile: Profile, options: &Options, folder: &Path, clock: &Clock) -> Entry {
    let live = match profile {
        // A server that runs already knows nobody whose inbox or conversations could be filled, and asks another provider.
        Profile::Start | Profile::Inbox | Profile::Storm | Profile::Runs | Profile::Search | Profile::Cluster
            if options.url.is_some() =>
        {
            return Entry::NotRun;
        }
        Profile::Start => {
            return profiles::start(options, folder).await.map_or_else(Entry::Failed, Entry::Start);
        }
        Profile::Fanout => fanout::measure(options, folder, clock).await,
        Profile::Idle => idle::measure(options, folder, clock).await,
        Profile::Storm => storm::measure(options, folder, clock).await,
        Profile::Follow => follow::measure(options, folder, clock).await,
        Profile::Search => search::measure(options, folder, clock).await,
        Profile::Runs => runs::measure(options, folder, clock).await,
        Profile::Cluster => cluster::measure(options, folder, clock).await,
        _ => {
            return profiles::http(profile, options, folder, clock)
                .await
                .map_or_else(Entry::Failed, |figures| Entry::Http(Box::new(figures)));
        }
    };
    live.map_or_else(Entry::Failed, Entry::Live)
}

#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
fn print(report: &Report) {
    println!("{report}");
}
