//! The cut-over: the last round, and everything that makes a database full of rows a store.

use std::time::Instant;

use super::source::Source;
use super::target::Target;
use super::{Move, Moved, Sides, Told, check, level, state};
use crate::error::{Error, Result};
use crate::store::sqlite::Marker;

/// With the folder's lock held: nobody writes to the source any more.
pub(super) async fn cut_over(plan: &Move, sides: &Sides<'_>, marker: &Marker, tell: Told<'_>) -> Result<Moved> {
    let (source, target, begun) = (sides.source, sides.target, Instant::now());
    // Before the last look: commands that need no lock (an account, a token) are refused from here on, too.
    marker.put(&named(&plan.to))?;
    tell("the server has stopped: the last round".to_owned());
    let round = level::round(source, target).await?;
    tell(format!("{} conversations had changed, {} rows", round.conversations, round.rows));
    compare(plan, sides, tell).await?;
    target.batch("begin").await?;
    sequences(source, target).await?;
    state::finish(target).await?;
    target.batch("commit").await?;
    if source.replaced() > 0 {
        tell("some texts held NUL characters, which PostgreSQL cannot hold: they are U+FFFD now".to_owned());
    }
    let down = begun.elapsed();
    Ok(Moved { down, ..totals(target).await? })
}

/// Refuses to end while the sides are not the same.
async fn compare(plan: &Move, sides: &Sides<'_>, tell: Told<'_>) -> Result<()> {
    let mut faults = Vec::new();
    if plan.check_all {
        faults.extend(check::conversations(sides.source, sides.target, true, tell).await?.faults);
    }
    // A conversation that failed has lost its head over there, which counts, too.
    faults.extend(check::counts(sides.source, sides.target).await?);
    if faults.is_empty() {
        return Ok(());
    }
    let again =
        if plan.check_all { "run this again: what differs is brought anew" } else { "run this with --check-all" };
    Err(Error::internal(format!("the target is not the same, and not taken into use; {again}:\n{}", faults.join("\n"))))
}

/// Sets every sequence past what the source gave out: no number comes a second time, also none of rows that are gone.
async fn sequences(source: &Source, target: &Target) -> Result<()> {
    let given: Vec<(String, i64)> = source.named("select name, seq from sqlite_sequence").await?;
    let identities = "select table_name::text, column_name::text from information_schema.columns \
                      where table_schema = current_schema() and is_identity = 'YES'";
    for row in target.query(identities).await? {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        let highest = target.number(&format!("select coalesce(max({column}), 0) from {table}")).await?;
        let given = given.iter().find(|(name, _)| *name == table).map_or(0, |(_, value)| *value);
        if given.max(highest) > 0 {
            let sequence = format!("pg_get_serial_sequence('{table}', '{column}')");
            target.query(&format!("select setval({sequence}, {})", given.max(highest))).await?;
        }
    }
    let last = source.last_event().await?;
    if last > 0 {
        target.query(&format!("select setval('event_ids', {last})")).await?;
    }
    Ok(())
}

/// A move that was finished before: says so, and sees to the mark that a crash may have kept from its folder.
pub(super) async fn again(target: &Target, marker: &Marker) -> Result<Moved> {
    if marker.is_there() {
        return totals(target).await;
    }
    Err(Error::internal(
        "this store was moved there before, and was taken into use again since (its mark was removed): name an empty \
         database to move it once more",
    ))
}

async fn totals(target: &Target) -> Result<Moved> {
    Ok(Moved {
        conversations: target.count("conversations").await?,
        messages: target.count("messages").await?,
        events: target.count("events").await?,
        down: std::time::Duration::ZERO,
    })
}

/// Where the target is, without user and password.
fn named(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("PostgreSQL ({})", place.split('?').next().unwrap_or(place))
}
