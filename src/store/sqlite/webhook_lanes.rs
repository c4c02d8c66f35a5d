//! What is on its way to endpoints: queued in lanes that keep their order, claimed, tried.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::fail::Fail;
use super::webhook_rows::{DELIVERY, HOOK, delivery, hook};
use super::webhooks::all;
use super::writer::Tx;
use crate::domain::{Content, Delivery, HookForm, PlatformId, Timestamp, Webhook, WebhookId};
use crate::error::Error;
use crate::store::content_row::ContentRow;
use crate::store::webhooks::{AfterAttempt, Claim, HookOwner, Taken, Tried};

/// Every endpoint that something is due of, found by leaps through the index and not by its length.
const HOOKS_WITH_DUE: &str = "with recursive due(id) as ( \
       select min(webhook_id) from webhook_deliveries where state = 'due' \
       union all \
       select (select min(webhook_id) from webhook_deliveries where state = 'due' and webhook_id > due.id) \
       from due where due.id is not null) ";

/// Keeps a lane's order: the first that has not ended is due, unless another one of it is being sent.
pub(super) fn settle(conn: &Connection, webhook: WebhookId, lane: &str, now: Timestamp) -> Result<(), Fail> {
    // By this index, which finds a lane's few due ones: with the others each try would walk over all that waits in
    // the lane, or is due in another one.
    const OPEN: &str = "webhook_deliveries indexed by webhook_deliveries_lane";
    const LANE: &str = "webhook_id = ?1 and lane = ?2 and state in ('waiting', 'due')";
    let is_flying: bool = conn
        .prepare_cached(&format!(
            "select exists (select 1 from {OPEN} \
             where {LANE} and state = 'due' and claim is not null and due_at > ?3)"
        ))?
        .query_row(params![webhook.0, lane, now.0], |row| row.get(0))?;
    if is_flying {
        return Ok(());
    }
    let first: Option<i64> = conn
        .prepare_cached(&format!(
            "select min(id) from (select min(id) as id from {OPEN} where {LANE} and state = 'waiting' \
             union all select min(id) from {OPEN} where {LANE} and state = 'due')"
        ))?
        .query_row(params![webhook.0, lane], |row| row.get(0))?;
    let Some(first) = first else { return Ok(()) };
    conn.prepare_cached(&format!(
        "update {OPEN} set state = 'waiting', claim = null where {LANE} and state = 'due' and id <> ?3"
    ))?
    .execute(params![webhook.0, lane, first])?;
    conn.prepare_cached("update webhook_deliveries set state = 'due' where id = ?1 and state = 'waiting'")?
        .execute([first])?;
    Ok(())
}

/// Queues deliveries of one endpoint; how many there are of it.
fn queue(conn: &Connection, id: WebhookId, told: &[(String, Content)], at: Timestamp) -> Result<usize, Fail> {
    let mut insert = conn.prepare_cached(
        "insert or ignore into webhook_deliveries \
         (webhook_id, lane, kind, event_id, conversation_id, content, state, attempts, tries, due_at, created_at) \
         values (?1, ?2, ?3, ?4, ?5, ?6, 'waiting', 0, 0, ?7, ?7)",
    )?;
    let (mut queued, mut lanes) = (0, BTreeSet::new());
    for (kind, content) in told {
        let (event, conversation) = match content {
            Content::Event { id, conversation_id } => (Some(id.0), Some(conversation_id.0)),
            Content::Happening { .. } => (None, None),
        };
        let row = ContentRow::of(content).map(|row| serde_json::to_string(&row)).transpose();
        let row = row.map_err(|error| Fail::Refused(Error::internal(error)))?;
        let lane = content.lane();
        queued += insert.execute(params![id.0, lane, kind, event, conversation, row, at.0])?;
        lanes.insert(lane);
    }
    conn.prepare_cached("update webhooks set open = open + ?2 where id = ?1")?.execute(params![id.0, queued])?;
    lanes.iter().try_for_each(|lane| settle(conn, id, lane, at))?;
    Ok(queued)
}

pub(super) fn take(tx: &Tx<'_>, taken: &[Taken], at: Timestamp) -> Result<usize, Fail> {
    let mut step = tx
        .conn
        .prepare_cached("update webhooks set cursor = ?3 where id = ?1 and cursor = ?2 and disabled_at is null")?;
    let mut queued = 0;
    for one in taken {
        if step.execute(params![one.webhook_id.0, one.from.0, one.to.0])? == 1 {
            queued += queue(tx.conn, one.webhook_id, &one.told, at)?;
        }
    }
    Ok(queued)
}

pub(super) fn happened(tx: &Tx<'_>, happened: &[(PlatformId, Content)], open_max: u64) -> Result<usize, Fail> {
    let mut queued = 0;
    for (platform, content) in happened {
        let Content::Happening { what, at } = content else { continue };
        let kind = what.as_str();
        let hooks = all(tx.conn, HookOwner::Platform(*platform))?.into_iter().filter(|hook| {
            hook.form == HookForm::Pusher && hook.disabled.is_none() && hook.wants(kind) && hook.open < open_max
        });
        for hook in hooks {
            queued += queue(tx.conn, hook.id, &[(kind.to_owned(), content.clone())], *at)?;
        }
    }
    Ok(queued)
}

pub(super) fn claim(tx: &Tx<'_>, claim: &Claim) -> Result<Vec<(Delivery, Webhook)>, Fail> {
    let mut found = Vec::new();
    for hook in due_hooks(tx.conn)? {
        let busy = claim.busy.iter().find(|(id, _)| *id == hook.id).map_or(0, |(_, busy)| *busy);
        let room = claim.per_webhook.saturating_sub(busy).min(claim.limit);
        let due = due_of(tx.conn, hook.id, claim.now, room)?;
        // Endpoints take turns, those with the fewest under way first, so that no slow one starves the others.
        found.extend(due.into_iter().enumerate().map(|(at, delivery)| (busy + at, delivery, hook.clone())));
    }
    found.sort_by_key(|(turn, delivery, _)| (*turn, delivery.due_at, delivery.id));
    found.truncate(claim.limit);
    let mut take = tx.conn.prepare_cached("update webhook_deliveries set claim = ?2, due_at = ?3 where id = ?1")?;
    let mut claimed = Vec::with_capacity(found.len());
    for (_, delivery, hook) in found {
        take.execute(params![delivery.id.0, claim.claimer.as_bytes(), claim.until.0])?;
        claimed.push((delivery, hook));
    }
    Ok(claimed)
}

fn due_hooks(conn: &Connection) -> Result<Vec<Webhook>, Fail> {
    let mut statement = conn.prepare_cached(&format!(
        "{HOOKS_WITH_DUE} select {HOOK} from due join webhooks w on w.id = due.id where w.disabled_at is null"
    ))?;
    let hooks = statement.query_map([], hook)?.collect::<Result<_, _>>()?;
    Ok(hooks)
}

fn due_of(conn: &Connection, id: WebhookId, now: Timestamp, limit: usize) -> Result<Vec<Delivery>, Fail> {
    let mut statement = conn.prepare_cached(&format!(
        "select {DELIVERY} from webhook_deliveries d \
         where d.webhook_id = ?1 and d.state = 'due' and d.due_at <= ?2 order by d.due_at, d.id limit ?3"
    ))?;
    let due = statement.query_map(params![id.0, now.0, limit], delivery)?.collect::<Result<_, _>>()?;
    Ok(due)
}

pub(super) fn note(tx: &Tx<'_>, tried: &Tried) -> Result<bool, Fail> {
    let theirs = tx
        .conn
        .prepare_cached(
            "select webhook_id, lane, attempts from webhook_deliveries where id = ?1 and state = 'due' and claim = ?2",
        )?
        .query_row(params![tried.delivery_id.0, tried.claimer.as_bytes()], |row| {
            Ok((WebhookId(row.get(0)?), row.get::<_, String>(1)?, row.get::<_, u32>(2)?))
        })
        .optional()?;
    let Some((webhook, lane, attempts)) = theirs else { return Ok(false) };
    let attempt = &tried.attempt;
    tx.conn
        .prepare_cached(
            "insert into webhook_attempts (delivery_id, number, at, took_ms, status, error) \
             values (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            tried.delivery_id.0,
            attempts + 1,
            attempt.at.0,
            attempt.took_ms,
            attempt.status,
            attempt.error
        ])?;
    let (state, due, ended) = match tried.then {
        AfterAttempt::Delivered => ("delivered", tried.now, Some(tried.now.0)),
        AfterAttempt::Retry(at) => ("due", at, None),
        AfterAttempt::GiveUp => ("failed", tried.now, Some(tried.now.0)),
    };
    tx.conn
        .prepare_cached(
            "update webhook_deliveries set state = ?2, attempts = attempts + 1, tries = tries + 1, \
             begun_at = coalesce(begun_at, ?3), due_at = ?4, claim = null, last_status = ?5, last_error = ?6, \
             ended_at = ?7 where id = ?1",
        )?
        .execute(params![tried.delivery_id.0, state, attempt.at.0, due.0, attempt.status, attempt.error, ended])?;
    note_of_hook(tx, webhook, tried, u32::from(ended.is_some()))?;
    settle(tx.conn, webhook, &lane, tried.now)?;
    Ok(true)
}

/// What a try says of its endpoint.
fn note_of_hook(tx: &Tx<'_>, webhook: WebhookId, tried: &Tried, ended: u32) -> Result<(), Fail> {
    if tried.then == AfterAttempt::Delivered {
        tx.conn
            .prepare_cached(
                "update webhooks set open = open - ?2, failing_since = null, delivered_at = ?3 where id = ?1",
            )?
            .execute(params![webhook.0, ended, tried.now.0])?;
        return Ok(());
    }
    tx.conn.prepare_cached("update webhooks set open = open - ?2 where id = ?1")?.execute(params![webhook.0, ended])?;
    if let Some((since, why)) = &tried.disable {
        tx.conn
            .prepare_cached("update webhooks set failing_since = coalesce(failing_since, ?2) where id = ?1")?
            .execute(params![webhook.0, tried.attempt.at.0])?;
        tx.conn
            .prepare_cached(
                "update webhooks set disabled_at = ?2, disabled_why = ?4 \
                 where id = ?1 and disabled_at is null and failing_since <= ?3",
            )?
            .execute(params![webhook.0, tried.now.0, since.0, why])?;
    }
    Ok(())
}

/// Everybody's: nobody else lives who could have one.
pub(super) fn release(tx: &Tx<'_>, now: Timestamp) -> Result<usize, Fail> {
    let released = tx
        .conn
        .prepare_cached(
            "update webhook_deliveries set claim = null, due_at = ?1 where state = 'due' and claim is not null",
        )?
        .execute([now.0])?;
    Ok(released)
}

pub(super) fn next_due(conn: &Connection) -> Result<Option<Timestamp>, Fail> {
    let next: Option<i64> = conn
        .prepare_cached(&format!(
            "{HOOKS_WITH_DUE} select min((select min(due_at) from webhook_deliveries d \
               where d.webhook_id = w.id and d.state = 'due')) \
             from due join webhooks w on w.id = due.id where w.disabled_at is null"
        ))?
        .query_row([], |row| row.get(0))?;
    Ok(next.map(Timestamp))
}
