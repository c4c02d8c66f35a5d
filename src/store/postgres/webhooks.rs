//! Endpoints, and the list of what they are told; what is on its way to them is next door.
//!
//! Whatever changes what is on its way to an endpoint locks the endpoint's row first ([`lock`]): how many there are,
//! and that one of a lane is due, is true whichever node writes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use uuid::Uuid;

use super::PostgresStore;
use super::conn::{Conn, Tx};
use super::fail::Fail;
use super::rows;
use super::webhook_lanes::{claim, happened, next_due, note, release, settle, take};
use super::webhook_rows::{DELIVERY, HOOK, attempt, delivery, hook};
use crate::domain::{Attempt, Content, Delivery, DeliveryId, EventId, PlatformId, Timestamp, Webhook, WebhookId};
use crate::error::{Error, Result as Answer, Rule};
use crate::store::webhooks::{
    Claim, DELIVERIES_AT_ONCE, DeliveryFilter, HookEdit, HookOwner, HookReplay, NewWebhook, Taken, Tried, Webhooks,
};

/// Marks the advisory lock under which endpoints are counted and made, which is done seldom.
const ADDING: i64 = 0x52_6F6F_7375;

fn platform(owner: HookOwner) -> Option<i64> {
    match owner {
        HookOwner::Anybody => None,
        HookOwner::Platform(id) => Some(id.0),
    }
}

/// Keeps others from what is on its way to these endpoints until the transaction ends. In one order, so that two who
/// want several wait and do not deadlock.
pub(super) async fn lock(tx: &Tx, ids: &[WebhookId]) -> Result<(), Fail> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    tx.rows("select 1 from webhooks where id = any($1) order by id for no key update", &[&ids]).await?;
    Ok(())
}

async fn add(tx: &Tx, new: &NewWebhook) -> Result<Webhook, Fail> {
    tx.rows("select pg_advisory_xact_lock($1)", &[&ADDING]).await?;
    let platform = new.platform_id.map(|id| id.0);
    let sql = "select count(*) from webhooks where platform_id is not distinct from $1";
    if rows::count(&tx.one(sql, &[&platform]).await?, 0)? >= new.count_max as u64 {
        return Err(Error::field("url", Rule::CountMax(new.count_max)).into());
    }
    let cursor = match new.after {
        Some(after) => after.0,
        // What is not decided yet comes later, and is told to the endpoint.
        None => tx.one("select event_horizon()", &[]).await?.try_get(0)?,
    };
    let sql = format!(
        "insert into webhooks as w (platform_id, url, form, kinds, key, cursor, open, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, 0, $7, $7) returning {HOOK}"
    );
    let (form, kinds, key) = (new.form.as_str(), new.kinds.join(" "), new.key.0.as_slice());
    hook(&tx.one(&sql, &[&platform, &new.url, &form, &kinds, &key, &cursor, &new.at.0]).await?)
}

async fn all(conn: &Conn, owner: HookOwner) -> Result<Vec<Webhook>, Fail> {
    let sql = format!("select {HOOK} from webhooks w where ($1::bigint is null or w.platform_id = $1) order by w.id");
    conn.rows(&sql, &[&platform(owner)]).await?.iter().map(hook).collect()
}

async fn one(conn: &Conn, owner: HookOwner, id: WebhookId) -> Result<Option<Webhook>, Fail> {
    let sql = format!("select {HOOK} from webhooks w where w.id = $2 and ($1::bigint is null or w.platform_id = $1)");
    conn.opt(&sql, &[&platform(owner), &id.0]).await?.as_ref().map(hook).transpose()
}

async fn edit(
    tx: &Tx,
    owner: HookOwner,
    id: WebhookId,
    edit: &HookEdit,
    at: Timestamp,
) -> Result<Option<Webhook>, Fail> {
    lock(tx, &[id]).await?;
    let Some(mut now) = one(tx, owner, id).await? else { return Ok(None) };
    let is_switched_on = matches!(edit.disabled, Some(None));
    now.url = edit.url.clone().unwrap_or(now.url);
    now.kinds = edit.kinds.clone().unwrap_or(now.kinds);
    now.disabled = edit.disabled.clone().unwrap_or(now.disabled);
    if let Some((key, until)) = edit.key {
        now.keys.former = Some((now.keys.current, until));
        now.keys.current = key;
    }
    write(tx, &now, is_switched_on, at).await?;
    if is_switched_on {
        tx.execute(
            "update webhook_deliveries set due_at = $2, tries = 0, begun_at = null \
             where webhook_id = $1 and state = 'due' and claim is null",
            &[&id.0, &at.0],
        )
        .await?;
    }
    one(tx, owner, id).await
}

async fn write(tx: &Tx, now: &Webhook, is_switched_on: bool, at: Timestamp) -> Result<(), Fail> {
    let former = now.keys.former.as_ref();
    tx.execute(
        "update webhooks set url = $2, kinds = $3, key = $4, former_key = $5, former_until = $6, \
         disabled_at = $7, disabled_why = $8, failing_since = case when $9 then null else failing_since end, \
         updated_at = $10 where id = $1",
        &[
            &now.id.0,
            &now.url,
            &now.kinds.join(" "),
            &now.keys.current.0.as_slice(),
            &former.map(|(key, _)| key.0.as_slice()),
            &former.map(|(_, until)| until.0),
            &now.disabled.as_ref().map(|disabled| disabled.at.0),
            &now.disabled.as_ref().map(|disabled| disabled.why.as_str()),
            &is_switched_on,
            &at.0,
        ],
    )
    .await?;
    Ok(())
}

async fn clear(tx: &Tx, owner: HookOwner, id: WebhookId, now: Timestamp) -> Result<usize, Fail> {
    let off = tx
        .execute(
            "update webhooks set disabled_at = coalesce(disabled_at, $3), disabled_why = 'it is being removed' \
             where id = $2 and ($1::bigint is null or platform_id = $1)",
            &[&platform(owner), &id.0, &now.0],
        )
        .await?;
    if off == 0 {
        return Ok(0);
    }
    // The newest first: the first of a lane is the last to go, so that none is left waiting for nothing when this
    // is cut off and the endpoint is switched on again.
    let gone = tx
        .rows(
            "delete from webhook_deliveries where id in ( \
               select id from webhook_deliveries where webhook_id = $1 order by id desc limit $2) \
             returning state in ('waiting', 'due')",
            &[&id.0, &rows::limit(DELIVERIES_AT_ONCE)],
        )
        .await?;
    let open: i64 = gone.iter().map(|row| row.try_get(0).map(i64::from as fn(bool) -> i64)).sum::<Result<_, _>>()?;
    tx.execute("update webhooks set open = open - $2 where id = $1", &[&id.0, &open]).await?;
    Ok(gone.len())
}

async fn remove(tx: &Tx, owner: HookOwner, id: WebhookId) -> Result<bool, Fail> {
    let sql = "delete from webhooks where id = $2 and ($1::bigint is null or platform_id = $1)";
    Ok(tx.execute(sql, &[&platform(owner), &id.0]).await? == 1)
}

async fn page(conn: &Conn, id: WebhookId, filter: DeliveryFilter) -> Result<Vec<Delivery>, Fail> {
    let sql = format!(
        "select {DELIVERY} from webhook_deliveries d \
         where d.webhook_id = $1 and d.id < $2 and ($3::text is null or d.state = $3) order by d.id desc limit $4"
    );
    let before = filter.before.map_or(i64::MAX, |before| before.0);
    let state = filter.state.map(|state| state.as_str());
    let found = conn.rows(&sql, &[&id.0, &before, &state, &rows::limit(filter.limit)]).await?;
    found.iter().map(delivery).collect()
}

async fn attempts(conn: &Conn, id: WebhookId, delivery: DeliveryId) -> Result<Option<Vec<Attempt>>, Fail> {
    let is_there = "select 1 from webhook_deliveries where id = $1 and webhook_id = $2";
    if conn.opt(is_there, &[&delivery.0, &id.0]).await?.is_none() {
        return Ok(None);
    }
    let sql = "select at, took_ms, status, error from webhook_attempts where delivery_id = $1 order by number";
    conn.rows(sql, &[&delivery.0]).await?.iter().map(attempt).collect::<Result<_, _>>().map(Some)
}

async fn replay(tx: &Tx, id: WebhookId, which: HookReplay, now: Timestamp) -> Result<usize, Fail> {
    lock(tx, &[id]).await?;
    let (sql, value) = match which {
        HookReplay::One(delivery) => {
            ("select id, lane from webhook_deliveries where webhook_id = $1 and id = $2 limit $3", delivery.0)
        }
        HookReplay::FailedSince(EventId(after)) => (
            "select id, lane from webhook_deliveries \
             where webhook_id = $1 and state = 'failed' and coalesce(event_id, 1) > $2 order by id limit $3",
            after,
        ),
    };
    let found = tx.rows(sql, &[&id.0, &value, &rows::limit(DELIVERIES_AT_ONCE)]).await?;
    let ids: Vec<i64> = found.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let lanes: BTreeSet<String> = found.iter().map(|row| row.try_get(1)).collect::<Result<_, _>>()?;
    let reopened = tx
        .execute(
            "update webhook_deliveries set state = 'waiting', tries = 0, begun_at = null, due_at = $2, \
             ended_at = null where id = any($1) and state in ('delivered', 'failed')",
            &[&ids, &now.0],
        )
        .await?;
    let at_once = "update webhook_deliveries set due_at = $2 \
         where id = any($1) and state in ('waiting', 'due') and claim is null";
    tx.execute(at_once, &[&ids, &now.0]).await?;
    let open = "update webhooks set open = open + $2 where id = $1";
    tx.execute(open, &[&id.0, &i64::try_from(reopened).unwrap_or(i64::MAX)]).await?;
    settle(tx, id, lanes, now).await?;
    Ok(ids.len())
}

/// Passes by what another node is removing, or queues again.
async fn prune(tx: &Tx, before: Timestamp) -> Result<usize, Fail> {
    let pruned = tx
        .execute(
            "delete from webhook_deliveries where id in ( \
               select id from webhook_deliveries where ended_at is not null and ended_at < $1 \
               limit $2 for update skip locked)",
            &[&before.0, &rows::limit(DELIVERIES_AT_ONCE)],
        )
        .await?;
    Ok(usize::try_from(pruned).unwrap_or(usize::MAX))
}

#[async_trait]
impl Webhooks for PostgresStore {
    async fn add_webhook(&self, new: NewWebhook) -> Answer<Webhook> {
        transact!(self, tx => add(tx, &new))
    }

    async fn webhooks(&self, owner: HookOwner) -> Answer<Vec<Webhook>> {
        fetch!(self, conn => all(conn, owner))
    }

    async fn webhook(&self, owner: HookOwner, id: WebhookId) -> Answer<Option<Webhook>> {
        fetch!(self, conn => one(conn, owner, id))
    }

    async fn edit_webhook(
        &self,
        owner: HookOwner,
        id: WebhookId,
        change: HookEdit,
        at: Timestamp,
    ) -> Answer<Option<Webhook>> {
        transact!(self, tx => edit(tx, owner, id, &change, at))
    }

    async fn clear_webhook(&self, owner: HookOwner, id: WebhookId, now: Timestamp) -> Answer<usize> {
        transact!(self, tx => clear(tx, owner, id, now))
    }

    async fn remove_webhook(&self, owner: HookOwner, id: WebhookId) -> Answer<bool> {
        transact!(self, tx => remove(tx, owner, id))
    }

    async fn take_for_webhooks(&self, taken: Vec<Taken>, at: Timestamp) -> Answer<usize> {
        transact!(self, tx => take(tx, &taken, at))
    }

    async fn queue_happened(&self, what: Vec<(PlatformId, Content)>, open_max: u64) -> Answer<usize> {
        transact!(self, tx => happened(tx, &what, open_max))
    }

    async fn claim_deliveries(&self, wanted: Claim) -> Answer<Vec<(Delivery, Webhook)>> {
        transact!(self, tx => claim(tx, &wanted))
    }

    async fn note_attempt(&self, tried: Tried) -> Answer<bool> {
        transact!(self, tx => note(tx, &tried))
    }

    async fn release_claims(&self, claimer: Uuid, now: Timestamp) -> Answer<usize> {
        transact!(self, tx => release(tx, claimer, now))
    }

    async fn next_due(&self) -> Answer<Option<Timestamp>> {
        fetch!(self, conn => next_due(conn))
    }

    async fn deliveries(&self, id: WebhookId, filter: DeliveryFilter) -> Answer<Vec<Delivery>> {
        fetch!(self, conn => page(conn, id, filter))
    }

    async fn attempts(&self, id: WebhookId, delivery: DeliveryId) -> Answer<Option<Vec<Attempt>>> {
        fetch!(self, conn => attempts(conn, id, delivery))
    }

    async fn replay_deliveries(&self, id: WebhookId, which: HookReplay, now: Timestamp) -> Answer<usize> {
        transact!(self, tx => replay(tx, id, which, now))
    }

    async fn prune_deliveries(&self, before: Timestamp) -> Answer<usize> {
        transact!(self, tx => prune(tx, before))
    }
}
