//! What changed since it was copied: rows of both sides are compared, and the target's made the source's.

use std::collections::BTreeSet;

use super::copy::{add_keys, remove_keys};
use super::rows::{Difference, Rows, numbers};
use super::source::{Part, Source};
use super::tables::{HEADS, Table, of_conversations, of_no_head};
use super::target::{Held, Target, Written};
use crate::error::{Error, Result};

/// Conversations that are made level in one transaction.
const AT_ONCE: usize = 200;

/// What a round found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// Conversations in which something had happened.
    pub conversations: u64,
    /// Rows that were written, or removed.
    pub rows: u64,
}

/// Makes everything level with the source as it is now. What changes meanwhile is the next round's.
pub(super) async fn round(source: &Source, target: &Target) -> Result<Round> {
    let mut found = Round::default();
    for table in of_no_head() {
        found.rows += whole_table(source, target, table).await?;
    }
    let mut after = Vec::new();
    loop {
        let piece = source.piece(&HEADS, &Part::All, &after).await?;
        let held = Held { table: &HEADS, part: &Part::All, after: &after, through: piece.end.as_deref() };
        let changed = moved(&piece.rows, &target.rows(&held).await?);
        for ids in changed.chunks(AT_ONCE) {
            found.rows += conversations(source, target, ids.to_vec()).await?;
            found.conversations += ids.len() as u64;
        }
        match piece.end {
            Some(end) => after = end,
            None => return Ok(found),
        }
    }
}

/// The conversations whose heads are not the same.
fn moved(now: &Rows, held: &Rows) -> Vec<i64> {
    let Difference { insert, delete } = now.differing(held);
    let id = |rows: &Rows, n: usize| numbers(rows.row(n), 1)[0];
    let ids: BTreeSet<_> =
        insert.into_iter().map(|n| id(now, n)).chain(delete.into_iter().map(|n| id(held, n))).collect();
    ids.into_iter().collect()
}

/// All that belongs to some conversations, as of one commit of the source and in one transaction: a head in the target
/// says what its log holds.
async fn conversations(source: &Source, target: &Target, ids: Vec<i64>) -> Result<u64> {
    let part = Part::Of(ids);
    source.hold().await?;
    target.batch("begin").await?;
    let mut changed = 0;
    for table in of_conversations().chain([&HEADS]) {
        match level(source, target, table, &part, false).await? {
            Some(rows) => changed += rows,
            None => return Err(in_the_way(table)),
        }
    }
    target.batch("commit").await?;
    source.release().await?;
    Ok(changed)
}

/// A table whose changes nothing tells of. When a row is in the way that is gone from the source, and would have been
/// looked at later, the table is emptied and copied anew.
async fn whole_table(source: &Source, target: &Target, table: &'static Table) -> Result<u64> {
    if let Some(rows) = level(source, target, table, &Part::All, true).await? {
        return Ok(rows);
    }
    target.batch("rollback").await?;
    source.hold().await?;
    target.batch(&format!("begin; delete from {}", table.name)).await?;
    let rows = level(source, target, table, &Part::All, false).await?.ok_or_else(|| in_the_way(table))?;
    target.batch("commit").await?;
    source.release().await?;
    Ok(rows)
}

fn in_the_way(table: &Table) -> Error {
    Error::internal(format!("{}: rows of the store cannot stand beside each other in the target", table.name))
}

/// Makes a part of a table level, each piece in a transaction of its own or all in the open one. Says how many rows
/// differed; `None` when one is in another's way.
async fn level(
    source: &Source,
    target: &Target,
    table: &'static Table,
    part: &Part,
    is_alone: bool,
) -> Result<Option<u64>> {
    let (mut after, mut changed) = (Vec::new(), 0);
    loop {
        let piece = source.piece(table, part, &after).await?;
        let ask = Held { table, part, after: &after, through: piece.end.as_deref() };
        let held = target.rows(&ask).await?;
        if held.bytes() != piece.rows.bytes() {
            let difference = piece.rows.differing(&held);
            if is_alone {
                target.batch("begin").await?;
            }
            if write(target, table, &Both { now: &piece.rows, held: &held }, &difference).await? == Written::InTheWay {
                return Ok(None);
            }
            // What was written is not trusted until it was read.
            if target.rows(&ask).await?.bytes() != piece.rows.bytes() {
                return Err(Error::internal(format!(
                    "{}: the target does not give back what it was given",
                    table.name
                )));
            }
            if is_alone {
                target.batch("commit").await?;
            }
            changed += (difference.insert.len().max(difference.delete.len())) as u64;
        }
        match piece.end {
            Some(end) => after = end,
            None => return Ok(Some(changed)),
        }
    }
}

struct Both<'a> {
    now: &'a Rows,
    held: &'a Rows,
}

async fn write(target: &Target, table: &Table, rows: &Both<'_>, difference: &Difference) -> Result<Written> {
    if difference.is_empty() {
        return Ok(Written::Done);
    }
    let gone: Vec<_> = difference.delete.iter().map(|n| rows.held.key(*n)).collect();
    let is_conversations = table.name == "conversations";
    if is_conversations {
        let ids: Vec<_> = difference.delete.iter().map(|n| numbers(rows.held.row(*n), 1)[0]).collect();
        remove_keys(target, &ids).await?;
    }
    target.delete(table, &gone).await?;
    let written = target.insert(table, difference.insert.iter().map(|n| rows.now.row(*n))).await?;
    if is_conversations && written == Written::Done {
        let ids: Vec<_> = difference.insert.iter().map(|n| numbers(rows.now.row(*n), 1)[0]).collect();
        add_keys(target, &ids).await?;
    }
    Ok(written)
}
