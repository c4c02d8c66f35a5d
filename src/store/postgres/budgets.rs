//! What answers cost, and what they may cost.
//!
//! The rows of purses are locked by day and name, the same order for everybody, so that nobody waits for somebody who
//! waits for them. What a purse becomes is decided under its lock.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::conn::{Conn, Tx};
use super::fail::Fail;
use super::rows;
use crate::domain::{Day, Money, Purse, Spend, Timestamp};
use crate::error::Result as Answer;
use crate::store::budgets::{BUDGETS_AT_ONCE, Budgets, Held, Reservation, Reserved, Spent};

/// What purses of one day have given, by their names.
type Purses = BTreeMap<String, Spent>;

/// Two columns that hold an amount.
fn amount(row: &Row, column: usize) -> Result<Spend, Fail> {
    Ok(Spend { tokens: rows::count(row, column)?, money: Money(row.try_get(column + 1)?) })
}

fn given(row: &Row, column: usize) -> Result<Spent, Fail> {
    Ok(Spent { spent: amount(row, column)?, reserved: amount(row, column + 2)? })
}

/// Sees to it that the purses have rows, and locks them.
async fn lock(tx: &Tx, day: Day, names: &[String]) -> Result<Purses, Fail> {
    // Also this in order: whoever inserts a row makes others wait who want the same one.
    let make = "insert into budgets (day, purse) select $1, purse from unnest($2::text[]) as wanted (purse) \
                order by purse on conflict do nothing";
    tx.execute(make, &[&day.0, &names]).await?;
    let take = "select purse, tokens, money, reserved_tokens, reserved_money from budgets \
                where day = $1 and purse = any ($2) order by purse for update";
    let found = tx.rows(take, &[&day.0, &names]).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, given(row, 1)?))).collect()
}

/// Writes what locked purses have become.
async fn write(tx: &Tx, day: Day, purses: &Purses) -> Result<(), Fail> {
    let each = |what: fn(&Spent) -> i64| purses.values().map(what).collect::<Vec<_>>();
    let names: Vec<_> = purses.keys().collect();
    tx.execute(
        "update budgets b set tokens = now.tokens, money = now.money, \
           reserved_tokens = now.reserved_tokens, reserved_money = now.reserved_money \
         from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
           as now (purse, tokens, money, reserved_tokens, reserved_money) \
         where b.day = $1 and b.purse = now.purse",
        &[
            &day.0,
            &names,
            &each(|spent| rows::number(spent.spent.tokens)),
            &each(|spent| spent.spent.money.0),
            &each(|spent| rows::number(spent.reserved.tokens)),
            &each(|spent| spent.reserved.money.0),
        ],
    )
    .await?;
    Ok(())
}

/// `day, purses, tokens, money`.
fn held(row: &Row, has_lapsed: bool) -> Result<Held, Fail> {
    let purses = Held::purses(row.try_get(1)?);
    Ok(Held { day: Day(row.try_get(0)?), purses, amount: amount(row, 2)?, has_lapsed })
}

async fn reserve(tx: &Tx, wanted: &Reservation) -> Result<Reserved, Fail> {
    let names: Vec<_> = wanted.purses.iter().map(|(purse, _)| purse.to_string()).collect();
    let locked = lock(tx, wanted.day, &names).await?;
    let before: Vec<_> = names.iter().map(|name| locked.get(name).copied().unwrap_or_default()).collect();
    let known = "select 1 from budget_reservations where run = $1";
    let (outcome, after) = wanted.decide(&before);
    if matches!(outcome, Reserved::Over(_)) {
        let is_known = tx.opt(known, &[&wanted.run]).await?.is_some();
        return Ok(if is_known { Reserved::Granted(wanted.left(&before)) } else { outcome });
    }
    let made = tx
        .execute(
            "insert into budget_reservations (run, day, purses, tokens, money, lapses_at) \
             values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            &[
                &wanted.run,
                &wanted.day.0,
                &wanted.names(),
                &rows::number(wanted.amount.tokens),
                &wanted.amount.money.0,
                &wanted.lapses_at.0,
            ],
        )
        .await?;
    if made == 0 {
        return Ok(Reserved::Granted(wanted.left(&before)));
    }
    write(tx, wanted.day, &names.into_iter().zip(after).collect()).await?;
    Ok(outcome)
}

/// Ends reservations, each with what it took.
async fn spend(tx: &Tx, ended: &[(Held, Spend)]) -> Result<(), Fail> {
    let mut by_day: BTreeMap<Day, Vec<&(Held, Spend)>> = BTreeMap::new();
    for one in ended {
        by_day.entry(one.0.day).or_default().push(one);
    }
    for (day, ended) in by_day {
        let mut names: Vec<_> = ended.iter().flat_map(|(held, _)| held.purses.iter().cloned()).collect();
        names.sort();
        names.dedup();
        let mut purses = lock(tx, day, &names).await?;
        for (held, actual) in ended {
            for name in &held.purses {
                let purse = purses.entry(name.clone()).or_default();
                *purse = purse.settled(held, *actual);
            }
        }
        write(tx, day, &purses).await?;
    }
    Ok(())
}

async fn settle(tx: &Tx, run: Uuid, actual: Spend) -> Result<bool, Fail> {
    let sql = "delete from budget_reservations where run = $1 returning day, purses, tokens, money, lapses_at is null";
    let Some(row) = tx.opt(sql, &[&run]).await? else { return Ok(false) };
    spend(tx, &[(held(&row, row.try_get(4)?)?, actual)]).await?;
    Ok(true)
}

async fn lapse(tx: &Tx, before: Timestamp) -> Result<usize, Fail> {
    // Those that another node is ending at this moment are left to it.
    let sql = "update budget_reservations r set lapses_at = null from \
                 (select run from budget_reservations where lapses_at < $1 order by lapses_at, run limit $2 \
                  for update skip locked) as due \
               where r.run = due.run returning r.day, r.purses, r.tokens, r.money";
    let due = tx.rows(sql, &[&before.0, &rows::limit(BUDGETS_AT_ONCE)]).await?;
    let whole = |row: &Row| held(row, false).map(|held| (held.amount, held)).map(|(amount, held)| (held, amount));
    let ended = due.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
    spend(tx, &ended).await?;
    Ok(ended.len())
}

async fn prune(tx: &Tx, before: Day) -> Result<usize, Fail> {
    let limit = rows::limit(BUDGETS_AT_ONCE);
    let sql = "delete from budgets where (day, purse) in \
               (select day, purse from budgets where day < $1 order by day, purse limit $2)";
    let purses = tx.execute(sql, &[&before.0, &limit]).await?;
    let sql = "delete from budget_reservations where run in \
               (select run from budget_reservations where lapses_at is null and day < $1 limit $2)";
    let lapsed = tx.execute(sql, &[&before.0, &limit]).await?;
    Ok(usize::try_from(purses + lapsed).unwrap_or(usize::MAX))
}

async fn spent(conn: &Conn, purse: &str, day: Day) -> Result<Spent, Fail> {
    let sql = "select tokens, money, reserved_tokens, reserved_money from budgets where day = $1 and purse = $2";
    let found = conn.opt(sql, &[&day.0, &purse]).await?;
    found.map_or(Ok(Spent::default()), |row| given(&row, 0))
}

#[async_trait]
impl Budgets for PostgresStore {
    async fn reserve_budget(&self, reservation: Reservation) -> Answer<Reserved> {
        transact!(self, tx => reserve(tx, &reservation))
    }

    async fn settle_budget(&self, run: Uuid, actual: Spend) -> Answer<bool> {
        transact!(self, tx => settle(tx, run, actual))
    }

    async fn lapse_budgets(&self, before: Timestamp) -> Answer<usize> {
        transact!(self, tx => lapse(tx, before))
    }

    async fn budget_spent(&self, purse: Purse, day: Day) -> Answer<Spent> {
        fetch!(self, conn => spent(conn, &purse.to_string(), day))
    }

    async fn prune_budgets(&self, before: Day) -> Answer<usize> {
        transact!(self, tx => prune(tx, before))
    }
}
