//! Whether the target is the source: a count and a checksum a conversation, over every row of it in order, the same way
//! on both sides; and the number of rows a table.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::future;
use ring::digest::{Context, SHA256};

use super::Told;
use super::pace::Pace;
use super::rows::{Rows, numbers};
use super::source::{Part, Source};
use super::state::{self, Progress};
use super::tables::{self, HEADS, Table, of_conversations};
use super::target::{Held, Target};
use crate::error::{Error, Result};

/// Under which name the walk's place is noted.
const NAME: &str = "check";

/// Faults that are named before a check gives up.
const FAULTS_MAX: usize = 20;

/// What a conversation comes to on one side.
struct Sum {
    messages: u64,
    events: u64,
    rows: u64,
    digest: Context,
}

impl Default for Sum {
    fn default() -> Self {
        Self { messages: 0, events: 0, rows: 0, digest: Context::new(&SHA256) }
    }
}

impl Sum {
    fn add(&mut self, table: &Table, row: &[u8]) {
        self.rows += 1;
        match table.name {
            "messages" => self.messages += 1,
            "events" => self.events += 1,
            _ => {}
        }
        self.digest.update(table.name.as_bytes());
        self.digest.update(row);
    }

    fn end(self) -> Checksum {
        let mut checksum = Checksum { messages: self.messages, events: self.events, rows: self.rows, digest: [0; 32] };
        checksum.digest.copy_from_slice(self.digest.finish().as_ref());
        checksum
    }
}

/// A conversation's counts and the hash of its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Checksum {
    messages: u64,
    events: u64,
    rows: u64,
    digest: [u8; 32],
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages, {} other events, {} rows in all, ", self.messages, self.events, self.rows)?;
        self.digest[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

type Sums = BTreeMap<i64, Checksum>;

/// What a walk over all conversations found.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    pub conversations: i64,
    /// One sentence each, the first of them.
    pub faults: Vec<String>,
}

/// Compares every conversation whose head is the same on both sides: those whose heads differ have changed since, and
/// are compared by the round that brings them. A conversation that is not the same loses its head in the target, so that
/// the next round brings it anew. Goes on where an earlier walk was cut off, unless that is to be forgotten.
pub(super) async fn conversations(source: &Source, target: &Target, again: bool, tell: Told<'_>) -> Result<Checked> {
    let mut progress = if again { Progress::default() } else { state::progress(target, NAME).await? };
    let (mut checked, mut pace) = (Checked::default(), Pace::new(tell));
    while !progress.is_done {
        let after = progress.place.first().copied().unwrap_or(0);
        source.hold().await?;
        let piece = source.piece(&HEADS, &Part::All, &progress.place).await?;
        let through = piece.end.as_ref().map_or(i64::MAX, |end| end[0]);
        let part = Part::Between(after, through);
        let faults = compare(source, target, &part, &piece.rows).await?;
        source.release().await?;
        target.batch("begin").await?;
        forget(target, faults.keys().copied()).await?;
        let count = i64::try_from(piece.rows.len()).map_err(Error::internal)?;
        progress = Progress {
            is_done: piece.end.is_none(),
            place: piece.end.unwrap_or_default(),
            rows: progress.rows + count,
        };
        state::note(target, NAME, &progress).await?;
        target.batch("commit").await?;
        pace.step("conversations compared", count, progress.rows);
        let room = FAULTS_MAX.saturating_sub(checked.faults.len());
        checked.faults.extend(faults.into_values().take(room));
    }
    pace.end("conversations compared", 0, progress.rows);
    checked.conversations = progress.rows;
    Ok(checked)
}

/// What is wrong with the conversations of a part, each in a sentence.
async fn compare(source: &Source, target: &Target, part: &Part, now: &Rows) -> Result<BTreeMap<i64, String>> {
    let (ours, theirs) = future::try_join(sums_of_source(source, part), sums_of_target(target, part)).await?;
    let held = target.rows(&Held::all(&HEADS, part)).await?;
    let changed: Vec<_> = {
        let difference = now.differing(&held);
        difference.insert.into_iter().map(|n| numbers(now.row(n), 1)[0]).collect()
    };
    let mut faults = BTreeMap::new();
    for n in 0..now.len() {
        let id = numbers(now.row(n), 1)[0];
        let (ours, theirs) = (ours.get(&id), theirs.get(&id));
        if ours != theirs && !changed.contains(&id) {
            let say = |sum: Option<&Checksum>| sum.map_or_else(|| "nothing".to_owned(), Checksum::to_string);
            faults.insert(id, format!("conversation {id}: here {}; there {}", say(ours), say(theirs)));
        }
    }
    Ok(faults)
}

async fn sums_of_source(source: &Source, part: &Part) -> Result<Sums> {
    let mut sums: BTreeMap<i64, Sum> = BTreeMap::new();
    for table in of_conversations() {
        let mut after = Vec::new();
        loop {
            let piece = source.piece(table, part, &after).await?;
            for n in 0..piece.rows.len() {
                let row = piece.rows.row(n);
                sums.entry(numbers(row, 1)[0]).or_default().add(table, row);
            }
            match piece.end {
                Some(end) => after = end,
                None => break,
            }
        }
    }
    Ok(sums.into_iter().map(|(id, sum)| (id, sum.end())).collect())
}

async fn sums_of_target(target: &Target, part: &Part) -> Result<Sums> {
    let mut sums: BTreeMap<i64, Sum> = BTreeMap::new();
    for table in of_conversations() {
        let add = |row: &[u8]| sums.entry(numbers(row, 1)[0]).or_default().add(table, row);
        target.each(&Held::all(table, part), add).await?;
    }
    Ok(sums.into_iter().map(|(id, sum)| (id, sum.end())).collect())
}

/// Takes the heads of conversations away, so that they count as changed.
async fn forget(target: &Target, ids: impl Iterator<Item = i64>) -> Result<()> {
    let ids: Vec<_> = ids.collect();
    target.execute("delete from heads where conversation_id = any ($1)", &[&ids]).await?;
    Ok(())
}

/// Tables that have not as many rows on both sides, and what is made from conversations and is not what they give.
pub(super) async fn counts(source: &Source, target: &Target) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    // Whole tables are counted: no walk along a key any more.
    target.batch("set enable_seqscan = on").await?;
    for table in tables::all() {
        let (here, there) = future::try_join(source.count(table), target.count(table.name)).await?;
        if here != there {
            faults.push(format!("{}: {here} rows here, {there} there", table.name));
        }
    }
    let keys = "select count(*) from conversations c full join conversation_keys k \
                on k.kind = c.kind and k.key = c.key and k.conversation_id = c.id \
                where c.id is null or k.conversation_id is null";
    let keys = target.number(keys).await?;
    if keys > 0 {
        faults.push(format!("conversation_keys: {keys} are not the conversations'"));
        let again = "insert into conversation_keys select kind, key, id from conversations";
        target.batch(&format!("begin; delete from conversation_keys; {again}; commit")).await?;
    }
    Ok(faults)
}
