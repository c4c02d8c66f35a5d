//! The table: what was measured, what it stands beside, and whether the goals are met.

use std::fmt;
use std::time::Duration;

use super::Profile;
use super::live::Live;
use super::load::{Latencies, median};
use super::profiles::{HttpFigures, StartFigures, Track};
use crate::error::{Error, Result};

/// What came of one profile.
#[derive(Debug)]
pub enum Entry {
    /// It was not asked for.
    NotRun,
    /// It went wrong, so it has no figures.
    Failed(Error),
    /// Requests.
    Http(Box<HttpFigures>),
    /// Starts.
    Start(StartFigures),
    /// Connections that stay.
    Live(Live),
}

/// Everything a run has to say.
#[derive(Debug)]
pub struct Report {
    /// The disk's own.
    pub fsync: Latencies,
    /// Every profile, also those that were not run.
    pub entries: Vec<(Profile, Entry)>,
    /// The command line that does it again.
    pub command: String,
    /// Where it was done.
    pub machine: String,
}

impl Report {
    /// `Err` when a profile failed.
    pub fn first_failure(&self) -> Result<()> {
        let failed = self.entries.iter().find_map(|(profile, entry)| match entry {
            Entry::Failed(error) => Some(format!("{} failed, so it has no figures: {error}", profile.name())),
            _ => None,
        });
        failed.map_or(Ok(()), |why| Err(Error::internal(why)))
    }
}

impl Report {
    /// Profiles with tables of their own.
    fn live(&self) -> impl Iterator<Item = &Live> {
        self.entries.iter().filter_map(|(_, entry)| match entry {
            Entry::Live(live) => Some(live),
            _ => None,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut figures = vec![HEADINGS.map(str::to_owned).to_vec()];
        let mut goals = vec![["goal", "measured", "beside", "wanted", "met"].map(str::to_owned).to_vec()];
        for (profile, entry) in &self.entries {
            figures.extend(rows(*profile, entry));
            goals.extend(judged(*profile, entry, &self.fsync));
        }
        write_table(f, &figures, Align::Numbers)?;
        writeln!(f)?;
        for live in self.live() {
            write_table(f, &live.table, Align::Numbers)?;
            writeln!(f)?;
        }
        write_table(f, &goals, Align::Words)?;
        let fsync = |quantile| millis(&self.fsync, quantile);
        writeln!(f, "\nfsync of 64 KiB on this disk: p50 {} ms, p99 {} ms", fsync(0.5), fsync(0.99))?;
        for (profile, entry) in &self.entries {
            match entry {
                Entry::Http(figures) => {
                    let (rows, rate) = figures.preload;
                    if rows > 0 {
                        writeln!(f, "{}: {rows} messages were stored before, {rate:.0} a second", profile.name())?;
                    }
                    if let Some(share) = figures.elsewhere() {
                        writeln!(f, "{}: others took {:.0} % of the processors", profile.name(), share * 100.0)?;
                    }
                }
                Entry::Live(live) => live.notes.iter().try_for_each(|note| writeln!(f, "{note}"))?,
                Entry::Failed(error) => writeln!(f, "{} failed: {error}", profile.name())?,
                _ => {}
            }
        }
        writeln!(f, "{}", self.machine)?;
        write!(f, "repeat: {}", self.command)
    }
}

const HEADINGS: [&str; 8] =
    ["profile", "rate/s", "p50 ms", "p99 ms", "server CPU us/request", "RSS MB", "peak MB", "generator CPU us/request"];

fn rows(profile: Profile, entry: &Entry) -> Vec<Vec<String>> {
    let name = profile.name();
    match entry {
        Entry::NotRun => vec![vec![name.to_owned(), "not run".to_owned()]],
        Entry::Failed(_) => vec![vec![name.to_owned(), "failed".to_owned()]],
        Entry::Live(_) => vec![vec![name.to_owned(), "below".to_owned()]],
        Entry::Http(figures) => {
            let memory = figures.memory.map(|memory| [megabytes(memory.resident), megabytes(memory.peak)]);
            let memory = memory.unwrap_or_else(|| [NOT_MEASURED, NOT_MEASURED].map(str::to_owned));
            let mut rows = vec![track(name, &figures.own, memory), track("  /livez", &figures.livez, blank())];
            rows.extend(figures.store.as_ref().map(|store| {
                let mut row = track("  bare store, by 64", store, blank());
                row[4].clear();
                row[7].clear();
                row
            }));
            rows
        }
        Entry::Start(figures) => {
            let at = |quantile: f64| {
                let last = figures.taken.len().saturating_sub(1);
                let taken = figures.taken.get((last as f64 * quantile).ceil() as usize);
                taken.map_or_else(String::new, |taken| format!("{:.1}", taken.as_secs_f64() * 1e3))
            };
            let memory = [figures.memory.resident, figures.memory.peak].map(megabytes);
            let [resident, peak] = memory;
            vec![vec![name.to_owned(), String::new(), at(0.5), at(1.0), String::new(), resident, peak]]
        }
    }
}

const NOT_MEASURED: &str = "not measured";

fn blank() -> [String; 2] {
    [String::new(), String::new()]
}

fn track(name: &str, track: &Track, memory: [String; 2]) -> Vec<String> {
    let each = |cpu: Duration| format!("{:.1}", micros_each(cpu, track.done));
    let [resident, peak] = memory;
    vec![
        name.to_owned(),
        format!("{:.0}", median(&track.rates)),
        millis(&track.latencies, 0.5),
        millis(&track.latencies, 0.99),
        track.server_cpu.map_or_else(|| NOT_MEASURED.to_owned(), each),
        resident,
        peak,
        each(track.own_cpu),
    ]
}

/// A profile's goals: what, measured, beside, wanted, met.
fn judged(profile: Profile, entry: &Entry, fsync: &Latencies) -> Vec<Vec<String>> {
    let name = profile.name();
    match entry {
        Entry::Http(figures) => match profile {
            Profile::Send => {
                let disk = fsync.value_at_quantile(0.99) as f64 / 1e3;
                let p99 = p99(&figures.own);
                let mut goals: Vec<_> =
                    figures.store.iter().map(|store| ratio(name, "bare store", &figures.own, store, 0.9)).collect();
                if goals.is_empty() {
                    goals.push(line(name, "not run", "bare store", "ratio >= 0.90", ""));
                }
                let beside = format!("the disk's fsync p99 {disk:.1} ms");
                goals.push(line(name, &format!("p99 {p99:.1} ms"), &beside, "<= 50 ms more", met(p99 - disk <= 50.0)));
                goals
            }
            Profile::PollEmpty => {
                let cpu = figures.own.server_cpu.map(|cpu| micros_each(cpu, figures.own.done));
                let measured = cpu.map_or_else(|| NOT_MEASURED.to_owned(), |cpu| format!("{cpu:.1} us of server CPU"));
                let judged = cpu.map_or("", |cpu| met(cpu <= 50.0));
                vec![
                    ratio(name, "/livez", &figures.own, &figures.livez, 0.85),
                    line(name, &measured, "", "<= 50 us", judged),
                ]
            }
            Profile::Poll20 => vec![ratio(name, "/livez", &figures.own, &figures.livez, 0.4)],
            _ => {
                let p99 = p99(&figures.own);
                vec![line(name, &format!("p99 {p99:.1} ms"), "", "<= 5 ms", met(p99 <= 5.0))]
            }
        },
        Entry::Start(figures) => {
            let longest = figures.taken.last().map_or(f64::INFINITY, |taken| taken.as_secs_f64() * 1e3);
            let [resident, size] = [figures.memory.resident, figures.size].map(|bytes| bytes as f64 / 1e6);
            let limit = |measured: f64, unit: &str, max: f64| {
                line(name, &format!("{measured:.1} {unit}"), "", &format!("<= {max:.0}"), met(measured <= max))
            };
            vec![
                limit(longest, "ms to the first answer", 100.0),
                limit(resident, "MB resident", 30.0),
                limit(size, "MB of program", 30.0),
            ]
        }
        Entry::Live(live) => live.goals.iter().map(|goal| goal.to_vec()).collect(),
        Entry::NotRun | Entry::Failed(_) => Vec::new(),
    }
}

fn ratio(name: &str, beside: &str, own: &Track, other: &Track, wanted: f64) -> Vec<String> {
    let pairs: Vec<_> = own.rates.iter().zip(&other.rates).map(|(own, other)| own / other).collect();
    let ratio = median(&pairs);
    let beside = format!("{beside} {:.0}/s", median(&other.rates));
    line(name, &format!("ratio {ratio:.2}"), &beside, &format!(">= {wanted:.2}"), met(ratio >= wanted))
}

fn line(name: &str, measured: &str, beside: &str, wanted: &str, met: &str) -> Vec<String> {
    [name, measured, beside, wanted, met].map(str::to_owned).to_vec()
}

fn met(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn p99(track: &Track) -> f64 {
    track.latencies.value_at_quantile(0.99) as f64 / 1e3
}

fn millis(latencies: &Latencies, quantile: f64) -> String {
    format!("{:.2}", latencies.value_at_quantile(quantile) as f64 / 1e3)
}

fn micros_each(cpu: Duration, done: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / done.max(1) as f64
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// How a table's columns stand, the first apart, which holds names.
#[derive(Clone, Copy, PartialEq)]
enum Align {
    /// To the right.
    Numbers,
    /// To the left.
    Words,
}

/// Columns as wide as their widest cell.
fn write_table(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>], align: Align) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match align {
            Align::Numbers if column > 0 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::load::latencies;
    use super::super::server::Memory;
    use super::*;

    fn measured(rates: &[f64], micros: u64) -> Track {
        let mut latencies = latencies();
        latencies.record_n(micros, 1000).unwrap();
        Track {
            rates: rates.to_vec(),
            latencies,
            done: 1000,
            server_cpu: Some(Duration::from_millis(40)),
            own_cpu: Duration::from_millis(20),
            machine: Duration::from_millis(200),
            elsewhere: Duration::from_millis(10),
        }
    }

    fn report() -> Report {
        let figures = HttpFigures {
            own: measured(&[900.0, 950.0, 1000.0], 2000),
            livez: measured(&[1000.0, 1000.0, 1000.0], 1000),
            store: Some(measured(&[1000.0, 1000.0, 1000.0], 64)),
            memory: Some(Memory { resident: 20_000_000, peak: 21_000_000 }),
            preload: (1_000_000, 123_456.7),
        };
        let start = StartFigures {
            taken: vec![Duration::from_millis(20), Duration::from_millis(30)],
            memory: Memory { resident: 20_000_000, peak: 21_000_000 },
            size: 40_000_000,
        };
        Report {
            fsync: measured(&[], 500).latencies,
            entries: vec![
                (Profile::Send, Entry::Http(Box::new(figures))),
                (Profile::PollEmpty, Entry::NotRun),
                (Profile::Poll20, Entry::Failed(Error::internal("an answer was wrong"))),
                (Profile::Start, Entry::Start(start)),
            ],
            command: "roost bench --profile all".to_owned(),
            machine: "2 cores".to_owned(),
        }
    }

    #[test]
    fn the_table_is_aligned_and_says_what_was_not_run() {
        insta::assert_snapshot!(report().to_string(), @r"
        profile               rate/s  p50 ms  p99 ms  server CPU us/request  RSS MB  peak MB  generator CPU us/request
        send                     950    2.00    2.00                   40.0    20.0     21.0                      20.0
          /livez                1000    1.00    1.00                   40.0                                       20.0
          bare store, by 64     1000    0.06    0.06
        poll-empty           not run
        poll-20               failed
        start                           30.0    30.0                           20.0     21.0

        goal   measured                     beside                       wanted         met
        send   ratio 0.95                   bare store 1000/s            >= 0.90        yes
        send   p99 2.0 ms                   the disk's fsync p99 0.5 ms  <= 50 ms more  yes
        start  30.0 ms to the first answer                               <= 100         yes
        start  20.0 MB resident                                          <= 30          yes
        start  40.0 MB of program                                        <= 30          no

        fsync of 64 KiB on this disk: p50 0.50 ms, p99 0.50 ms
        send: 1000000 messages were stored before, 123457 a second
        send: others took 5 % of the processors
        poll-20 failed: an answer was wrong
        2 cores
        repeat: roost bench --profile all
        ");
    }

    #[test]
    fn a_failed_profile_fails_the_run() {
        let error = report().first_failure().unwrap_err().to_string();
        assert_eq!(error, "poll-20 failed, so it has no figures: an answer was wrong");
    }
}
