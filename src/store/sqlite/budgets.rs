//! What answers cost, and what they may cost.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::SqliteStore;
use super::fail::Fail;
use super::rows;
use super::writer::Tx;
use crate::domain::{Day, Money, Purse, Spend, Timestamp};
use crate::error::Result as Answer;
use crate::store::budgets::{BUDGETS_AT_ONCE, Budgets, Held, Reservation, Reserved, Spent};

/// Two columns that hold an amount.
fn amount(row: &Row<'_>, column: usize) -> rusqlite::Result<Spend> {
    let tokens: i64 = row.get(column)?;
    Ok(Spend { tokens: u64::try_from(tokens).unwrap_or(0), money: Money(row.get(column + 1)?) })
}

/// A count, as a value of a statement.
fn number(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

fn spent(conn: &Connection, purse: &str, day: Day) -> Result<Spent, Fail> {
    let found = conn
        .prepare_cached(
            "select tokens, money, reserved_tokens, reserved_money from budgets where day = ?1 and purse = ?2",
        )?
        .query_row(params![day.0, purse], |row| Ok(Spent { spent: amount(row, 0)?, reserved: amount(row, 2)? }))
        .optional()?;
    Ok(found.unwrap_or_default())
}

fn write(conn: &Connection, purse: &str, day: Day, now: Spent) -> Result<(), Fail> {
    conn.prepare_cached(
        "insert into budgets (day, purse, tokens, money, reserved_tokens, reserved_money) \
         values (?1, ?2, ?3, ?4, ?5, ?6) on conflict (day, purse) do update set tokens = excluded.tokens, \
         money = excluded.money, reserved_tokens = excluded.reserved_tokens, reserved_money = excluded.reserved_money",
    )?
    .execute(params![
        day.0,
        purse,
        number(now.spent.tokens),
        now.spent.money.0,
        number(now.reserved.tokens),
        now.reserved.money.0
    ])?;
    Ok(())
}

fn held(conn: &Connection, run: Uuid) -> Result<Option<Held>, Fail> {
    let held = |row: &Row<'_>| {
        Ok(Held {
            day: Day(row.get(0)?),
            purses: Held::purses(row.get_ref(1)?.as_str()?),
            amount: amount(row, 2)?,
            has_lapsed: row.get::<_, Option<i64>>(4)?.is_none(),
        })
    };
    let found = conn
        .prepare_cached("select day, purses, tokens, money, lapses_at from budget_reservations where run = ?1")?
        .query_row([run.as_bytes()], held)
        .optional()?;
    Ok(found)
}

fn reserve(tx: &Tx<'_>, wanted: &Reservation) -> Result<Reserved, Fail> {
    let each = wanted.purses.iter().map(|(purse, _)| spent(tx.conn, &purse.to_string(), wanted.day));
    let given = each.collect::<Result<Vec<_>, _>>()?;
    if held(tx.conn, wanted.run)?.is_some() {
        return Ok(Reserved::Granted(wanted.left(&given)));
    }
    let (outcome, after) = wanted.decide(&given);
    if matches!(outcome, Reserved::Over(_)) {
        return Ok(outcome);
    }
    tx.conn
        .prepare_cached(
            "insert into budget_reservations (run, day, purses, tokens, money, lapses_at) \
             values (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            wanted.run.as_bytes(),
            wanted.day.0,
            wanted.names(),
            number(wanted.amount.tokens),
            wanted.amount.money.0,
            wanted.lapses_at.0
        ])?;
    for ((purse, _), now) in wanted.purses.iter().zip(after) {
        write(tx.conn, &purse.to_string(), wanted.day, now)?;
    }
    Ok(outcome)
}

fn spend(tx: &Tx<'_>, held: &Held, actual: Spend) -> Result<(), Fail> {
    for purse in &held.purses {
        let now = spent(tx.conn, purse, held.day)?.settled(held, actual);
        write(tx.conn, purse, held.day, now)?;
    }
    Ok(())
}

fn settle(tx: &Tx<'_>, run: Uuid, actual: Spend) -> Result<bool, Fail> {
    let Some(held) = held(tx.conn, run)? else { return Ok(false) };
    spend(tx, &held, actual)?;
    tx.conn.prepare_cached("delete from budget_reservations where run = ?1")?.execute([run.as_bytes()])?;
    Ok(true)
}

fn lapse(tx: &Tx<'_>, before: Timestamp) -> Result<usize, Fail> {
    let mut due = tx
        .conn
        .prepare_cached("select run from budget_reservations where lapses_at < ?1 order by lapses_at, run limit ?2")?;
    let due = due
        .query_map(params![before.0, BUDGETS_AT_ONCE], |row| rows::uuid(row, 0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for run in &due {
        let Some(held) = held(tx.conn, *run)? else { continue };
        spend(tx, &held, held.amount)?;
        tx.conn
            .prepare_cached("update budget_reservations set lapses_at = null where run = ?1")?
            .execute([run.as_bytes()])?;
    }
    Ok(due.len())
}

fn prune(tx: &Tx<'_>, before: Day) -> Result<usize, Fail> {
    let purses = tx
        .conn
        .prepare_cached(
            "delete from budgets where (day, purse) in \
             (select day, purse from budgets where day < ?1 order by day, purse limit ?2)",
        )?
        .execute(params![before.0, BUDGETS_AT_ONCE])?;
    let lapsed = tx
        .conn
        .prepare_cached(
            "delete from budget_reservations where run in \
             (select run from budget_reservations where lapses_at is null and day < ?1 limit ?2)",
        )?
        .execute(params![before.0, BUDGETS_AT_ONCE])?;
    Ok(purses + lapsed)
}

#[async_trait]
impl Budgets for SqliteStore {
    async fn reserve_budget(&self, reservation: Reservation) -> Answer<Reserved> {
        self.writer.call_guarded(move |tx| reserve(tx, &reservation)).await
    }

    async fn settle_budget(&self, run: Uuid, actual: Spend) -> Answer<bool> {
        self.writer.call_guarded(move |tx| settle(tx, run, actual)).await
    }

    async fn lapse_budgets(&self, before: Timestamp) -> Answer<usize> {
        self.writer.call_guarded(move |tx| lapse(tx, before)).await
    }

    async fn budget_spent(&self, purse: Purse, day: Day) -> Answer<Spent> {
        self.readers.read(move |conn| spent(conn, &purse.to_string(), day)).await
    }

    async fn prune_budgets(&self, before: Day) -> Answer<usize> {
        self.writer.call_guarded(move |tx| prune(tx, before)).await
    }
}
