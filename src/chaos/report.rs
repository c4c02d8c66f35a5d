//! What a run found: counts, the verdict, and for what is wrong the shortest history that shows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::Plan;
use super::audit::{self, Finding};
use super::faults::Fault;
use super::history::{Record, What};
use super::servers::held;
use super::world::World;

/// How many findings are shown, each by its history; the others are counted.
const SHOWN: usize = 5;

/// How many records and faults of a history are shown.
const LINES: usize = 40;

/// The outcome of a run.
#[derive(Debug)]
pub struct Report {
    /// Whether no rule was broken.
    pub is_green: bool,
    /// For people.
    pub text: String,
}

/// Audits what happened.
pub fn report(plan: &Plan, world: &Arc<World>, faults: &[Fault], findings: Vec<Finding>) -> Report {
    let parts = world.history.by_conversation(world.conversations());
    let faults_at = world.history.faults();
    let mut found: Vec<(Finding, Vec<Record>)> = findings.into_iter().map(|finding| (finding, Vec::new())).collect();
    for records in &parts {
        found.extend(audit::audit(records).into_iter().map(|finding| (finding, records.clone())).take(SHOWN));
    }
    let mut text = String::new();
    let records: usize = parts.iter().map(Vec::len).sum();
    write_counts(&mut text, plan, world, faults, records);
    for (finding, records) in found.iter().take(SHOWN) {
        write_finding(&mut text, finding, records, &faults_at);
    }
    let is_green = found.is_empty();
    let verdict = if is_green { "nothing wrong was found".to_owned() } else { format!("{} findings", found.len()) };
    let _ = writeln!(text, "{}: seed {}, {verdict}", if is_green { "GREEN" } else { "RED" }, plan.seed);
    Report { is_green, text }
}

fn write_counts(text: &mut String, plan: &Plan, world: &World, faults: &[Fault], records: usize) {
    let servers = if plan.nodes == 0 { "one embedded node".to_owned() } else { format!("{} nodes", plan.nodes) };
    let _ = writeln!(text, "seed {}, {:.0} s of faults, {servers}", plan.seed, plan.long.as_secs_f64());
    let mut counts = BTreeMap::<_, u64>::new();
    faults.iter().for_each(|fault| *counts.entry(fault.kind()).or_default() += 1);
    for (what, count) in counts {
        let _ = writeln!(text, "  {count:>7} {what}");
    }
    for (what, count) in held(&world.counts).iter() {
        let _ = writeln!(text, "  {count:>7} {what}");
    }
    let _ = writeln!(text, "  {records:>7} records audited");
}

fn write_finding(text: &mut String, finding: &Finding, records: &[Record], faults: &[(Duration, String)]) {
    let _ = writeln!(text, "BROKEN: {finding}");
    let shortest = audit::shortest(records, finding);
    let told = shortest.iter().filter(|record| !matches!(record.what, What::Listed(_)));
    let times: Vec<_> = told.map(|record| record.at).collect();
    let from = times.iter().min().copied().unwrap_or_default().saturating_sub(Duration::from_secs(2));
    let until = times.iter().max().copied().unwrap_or_default() + Duration::from_secs(2);
    let around = faults.iter().filter(|(at, _)| !times.is_empty() && *at >= from && *at <= until);
    let mut lines: Vec<_> = around.map(|(at, what)| (*at, format!("{:9.3} {what}", at.as_secs_f64()))).collect();
    lines.extend(shortest.iter().map(|record| (record.at, record.to_string())));
    lines.sort_by_key(|(at, _)| *at);
    for (_, line) in lines.iter().take(LINES) {
        let _ = writeln!(text, "    {line}");
    }
    if lines.len() > LINES {
        let _ = writeln!(text, "    and {} more", lines.len() - LINES);
    }
}
