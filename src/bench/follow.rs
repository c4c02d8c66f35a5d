//! `follow`: a message to one conversation costs the same however many others are followed.

use std::path::Path;
use std::time::Duration;

use super::Options;
use super::crowd::Crowd;
use super::live::{self, Cost, Live, Wanted, cell, goal, row, say};
use super::load::median;
use super::publish::{Pace, Press, Run, Way};
use super::pusher::App;
use super::server::Server;
use super::stamp::Tally;
use super::tenant::Tenant;
use crate::clock::Clock;
use crate::error::Result;

const NAME: &str = "follow";

/// Others that are followed: few, and many unless it is said otherwise.
const FEW: usize = 10;
const MANY: usize = 10_000;

/// Users whose the conversations are.
const USERS: usize = 100;

/// Publishers at once.
const LANES: usize = 16;

/// Runs with as many others.
struct Side {
    others: usize,
    rates: Vec<f64>,
    published: u64,
    cost: Cost,
}

/// Measures.
///
/// # Errors
/// The first thing that goes wrong.
pub async fn measure(options: &Options, folder: &Path, clock: &Clock) -> Result<Live> {
    let many = options.connections.map_or(MANY, |count| count as usize);
    if let Some(url) = &options.url {
        let (server, app) = live::stranger(options, url)?;
        let channel = |number| format!("private-bench-{number}");
        let sides =
            rounds(options, (&server, &app), many, channel, |channel| Way::Events(&app, clock, channel)).await?;
        return Ok(report(&sides));
    }
    let data = folder.join(NAME);
    say(&format!("{NAME}: opening {} conversations", many + 1));
    let tenant = Tenant::fill(&data, clock, many + 1, USERS).await?;
    let server = live::spawn(options, &data)?;
    let app = tenant.app(&server);
    let channel = |number: usize| tenant.talks[number].channel();
    let letters = |_| Way::Letters(&tenant, &server.host, tenant.talks[0]);
    let sides = rounds(options, (&server, &app), many, channel, letters).await?;
    server.stop()?;
    Ok(report(&sides))
}

async fn rounds<'a>(
    options: &Options,
    (server, app): (&Server, &App),
    many: usize,
    channel: impl Fn(usize) -> String,
    way: impl FnOnce(String) -> Way<'a>,
) -> Result<[Side; 2]> {
    const WARM_UP: Duration = Duration::from_secs(2);
    let span = Duration::from_secs(options.seconds.into());
    let tally = Tally::new();
    let mut subscriber = Crowd::gather(app, 1, |_| channel(0), |_| tally.ear()).await?;
    let mut press = Press::open(way(channel(0)), (server.address, server.process), LANES, 1, &tally).await?;
    let mut sides = [FEW, many].map(Side::new);
    press.run(&mut subscriber, PACE, WARM_UP.min(span)).await?;
    for round in 1..=options.rounds {
        for side in &mut sides {
            say(&format!("{NAME}: round {round}, {} others followed", side.others));
            let mut others =
                Crowd::gather(app, side.others, |number| channel(1 + number), |_| |_: &[u8], _| Ok(false)).await?;
            tokio::time::sleep(SETTLE).await;
            side.add(&press.run(&mut subscriber, PACE, span).await?);
            others.check()?;
            others.leave().await;
            tokio::time::sleep(SETTLE).await;
        }
    }
    subscriber.leave().await;
    Ok(sides)
}

/// As fast as they arrive.
const PACE: Pace = Pace::Window(4 * LANES as u64);

/// While the server ends what it does for who came or went.
const SETTLE: Duration = Duration::from_secs(1);

impl Side {
    fn new(others: usize) -> Self {
        Self { others, rates: Vec::new(), published: 0, cost: Cost::default() }
    }

    fn add(&mut self, run: &Run) {
        self.rates.push(run.rate());
        self.published += run.published;
        self.cost = self.cost.and(run.cost);
    }

    fn server_micros(&self) -> Option<f64> {
        self.cost.server_micros(self.published as f64)
    }
}

fn report(sides: &[Side; 2]) -> Live {
    let mut live = Live::default();
    live.table.push(row([NAME, "messages/s", "server CPU us/message", "in the kernel", "generator CPU us/message"]));
    for side in sides {
        live.table.push(row([
            &format!("  {} others", side.others),
            &format!("{:.0}", median(&side.rates)),
            &cell(side.server_micros(), 1),
            &side.cost.kernel_cell(),
            &format!("{:.1}", side.cost.own_micros(side.published as f64)),
        ]));
    }
    let [few, many] = sides;
    let ratios: Vec<_> = many.rates.iter().zip(&few.rates).map(|(many, few)| many / few).collect();
    let beside = format!("x the rate with {} others, with {}", few.others, many.others);
    live.goals.push(goal(NAME, &beside, Some(median(&ratios)), Wanted::AtLeast(0.9)));
    let cost = many.server_micros().zip(few.server_micros()).map(|(many, few)| many / few);
    let beside = format!("x the cost with {} others, with {}", few.others, many.others);
    live.goals.push(goal(NAME, &beside, cost, Wanted::AtMost(1.1)));
    live.notes.extend(few.cost.and(many.cost).elsewhere_note(NAME));
    live
}
