//! Endpoints, and the list of what they are told; what is on its way to them is next door.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::SqliteStore;
use super::fail::Fail;
use super::webhook_lanes::{claim, happened, next_due, note, release, settle, take};
use super::webhook_rows::{DELIVERY, HOOK, attempt, delivery, hook};
use super::writer::Tx;
use crate::domain::{Attempt, Content, Delivery, DeliveryId, EventId, PlatformId, Timestamp, Webhook, WebhookId};
use crate::error::{Error, Result as Answer, Rule};
use crate::store::webhooks::{
    Claim, DELIVERIES_AT_ONCE, DeliveryFilter, HookEdit, HookOwner, HookReplay, NewWebhook, Taken, Tried, Webhooks,
};

fn platform(owner: HookOwner) -> Option<i64> {
    match owner {
        HookOwner::Anybody => None,
        HookOwner::Platform(id) => Some(id.0),
    }
}

fn add(tx: &Tx<'_>, new: &NewWebhook) -> Result<Webhook, Fail> {
    let platform = new.platform_id.map(|id| id.0);
    let there: usize = tx
        .conn
        .prepare_cached("select count(*) from webhooks where platform_id is ?1")?
        .query_row([platform], |row| row.get(0))?;
    if there >= new.count_max {
        return Err(Error::field("url", Rule::CountMax(new.count_max)).into());
    }
    let cursor = match new.after {
        Some(after) => after.0,
        // What the running transaction gave out is taken back unless it commits, and is told to the endpoint if so.
        None => tx
            .conn
            .prepare_cached("select value from sequences where name = 'event'")?
            .query_row([], |row| row.get(0))?,
    };
    tx.conn
        .prepare_cached(
            "insert into webhooks (platform_id, url, form, kinds, key, cursor, open, created_at, updated_at) \
             values (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?7)",
        )?
        .execute(params![platform, new.url, new.form.as_str(), new.kinds.join(" "), new.key.0, cursor, new.at.0])?;
    let id = WebhookId(tx.conn.last_insert_rowid());
    one(tx.conn, HookOwner::Anybody, id)?.ok_or_else(|| Error::internal("a new endpoint is not there").into())
}

pub(super) fn all(conn: &Connection, owner: HookOwner) -> Result<Vec<Webhook>, Fail> {
    let mut statement = conn.prepare_cached(&format!(
        "select {HOOK} from webhooks w where ?1 is null or w.platform_id = ?1 order by w.id"
    ))?;
    let found = statement.query_map([platform(owner)], hook)?.collect::<Result<_, _>>()?;
    Ok(found)
}

fn one(conn: &Connection, owner: HookOwner, id: WebhookId) -> Result<Option<Webhook>, Fail> {
    let found = conn
        .prepare_cached(&format!(
            "select {HOOK} from webhooks w where w.id = ?2 and (?1 is null or w.platform_id = ?1)"
        ))?
        .query_row(params![platform(owner), id.0], hook)
        .optional()?;
    Ok(found)
}

fn edit(tx: &Tx<'_>, owner: HookOwner, id: WebhookId, edit: &HookEdit, at: Timestamp) -> Result<Option<Webhook>, Fail> {
    let Some(mut now) = one(tx.conn, owner, id)? else { return Ok(None) };
    let is_switched_on = matches!(edit.disabled, Some(None));
    now.url = edit.url.clone().unwrap_or(now.url);
    now.kinds = edit.kinds.clone().unwrap_or(now.kinds);
    now.disabled = edit.disabled.clone().unwrap_or(now.disabled);
    if let Some((key, until)) = edit.key {
        now.keys.former = Some((now.keys.current, until));
        now.keys.current = key;
    }
    let former = now.keys.former;
    tx.conn
        .prepare_cached(
            "update webhooks set url = ?2, kinds = ?3, key = ?4, former_key = ?5, former_until = ?6, \
             disabled_at = ?7, disabled_why = ?8, failing_since = iif(?9, null, failing_since), updated_at = ?10 \
             where id = ?1",
        )?
        .execute(params![
            id.0,
            now.url,
            now.kinds.join(" "),
            now.keys.current.0,
            former.map(|(key, _)| key.0),
            former.map(|(_, until)| until.0),
            now.disabled.as_ref().map(|disabled| disabled.at.0),
            now.disabled.as_ref().map(|disabled| disabled.why.as_str()),
            is_switched_on,
            at.0,
        ])?;
    if is_switched_on {
        tx.conn
            .prepare_cached(
                "update webhook_deliveries set due_at = ?2, tries = 0, begun_at = null \
                 where webhook_id = ?1 and state = 'due' and claim is null",
            )?
            .execute(params![id.0, at.0])?;
    }
    one(tx.conn, owner, id)
}

fn clear(tx: &Tx<'_>, owner: HookOwner, id: WebhookId, now: Timestamp) -> Result<usize, Fail> {
    let off = tx
        .conn
        .prepare_cached(
            "update webhooks set disabled_at = coalesce(disabled_at, ?3), disabled_why = 'it is being removed' \
             where id = ?2 and (?1 is null or platform_id = ?1)",
        )?
        .execute(params![platform(owner), id.0, now.0])?;
    if off == 0 {
        return Ok(0);
    }
    // The newest first: the first of a lane is the last to go, so that none is left waiting for nothing when this
    // is cut off and the endpoint is switched on again.
    let gone: Vec<bool> = tx
        .conn
        .prepare_cached(
            "delete from webhook_deliveries where id in ( \
               select id from webhook_deliveries where webhook_id = ?1 order by id desc limit ?2) \
             returning state in ('waiting', 'due')",
        )?
        .query_map(params![id.0, DELIVERIES_AT_ONCE], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let open = gone.iter().filter(|is_open| **is_open).count();
    tx.conn.prepare_cached("update webhooks set open = open - ?2 where id = ?1")?.execute(params![id.0, open])?;
    Ok(gone.len())
}

fn remove(tx: &Tx<'_>, owner: HookOwner, id: WebhookId) -> Result<bool, Fail> {
    let gone = tx
        .conn
        .prepare_cached("delete from webhooks where id = ?2 and (?1 is null or platform_id = ?1)")?
        .execute(params![platform(owner), id.0])?;
    Ok(gone == 1)
}

fn page(conn: &Connection, id: WebhookId, filter: DeliveryFilter) -> Result<Vec<Delivery>, Fail> {
    let mut statement = conn.prepare_cached(&format!(
        "select {DELIVERY} from webhook_deliveries d \
         where d.webhook_id = ?1 and d.id < ?2 and (?3 is null or d.state = ?3) order by d.id desc limit ?4"
    ))?;
    let before = filter.before.map_or(i64::MAX, |before| before.0);
    let state = filter.state.map(|state| state.as_str());
    let found = statement.query_map(params![id.0, before, state, filter.limit], delivery)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn attempts(conn: &Connection, id: WebhookId, delivery: DeliveryId) -> Result<Option<Vec<Attempt>>, Fail> {
    let is_there: bool = conn
        .prepare_cached("select exists (select 1 from webhook_deliveries where id = ?1 and webhook_id = ?2)")?
        .query_row(params![delivery.0, id.0], |row| row.get(0))?;
    if !is_there {
        return Ok(None);
    }
    let mut statement = conn.prepare_cached(
        "select at, took_ms, status, error from webhook_attempts where delivery_id = ?1 order by number",
    )?;
    let found = statement.query_map([delivery.0], attempt)?.collect::<Result<_, _>>()?;
    Ok(Some(found))
}

fn replay(tx: &Tx<'_>, id: WebhookId, which: HookReplay, now: Timestamp) -> Result<usize, Fail> {
    let (sql, value) = match which {
        HookReplay::One(delivery) => {
            ("select id, lane, state from webhook_deliveries where webhook_id = ?1 and id = ?2 limit ?3", delivery.0)
        }
        HookReplay::FailedSince(EventId(after)) => (
            "select id, lane, state from webhook_deliveries \
             where webhook_id = ?1 and state = 'failed' and coalesce(event_id, 1) > ?2 order by id limit ?3",
            after,
        ),
    };
    let mut statement = tx.conn.prepare_cached(sql)?;
    let found = statement
        .query_map(params![id.0, value, DELIVERIES_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<(i64, String, String)>, _>>()?;
    let mut again = tx.conn.prepare_cached(
        "update webhook_deliveries set state = 'waiting', tries = 0, begun_at = null, due_at = ?2, ended_at = null \
         where id = ?1 and state in ('delivered', 'failed')",
    )?;
    let mut at_once = tx.conn.prepare_cached(
        "update webhook_deliveries set due_at = ?2 where id = ?1 and state in ('waiting', 'due') and claim is null",
    )?;
    let mut reopened = 0;
    for (delivery, ..) in &found {
        let opened = again.execute(params![delivery, now.0])?;
        if opened == 0 {
            at_once.execute(params![delivery, now.0])?;
        }
        reopened += opened;
    }
    tx.conn.prepare_cached("update webhooks set open = open + ?2 where id = ?1")?.execute(params![id.0, reopened])?;
    let lanes: BTreeSet<_> = found.iter().map(|(_, lane, _)| lane.as_str()).collect();
    lanes.into_iter().try_for_each(|lane| settle(tx.conn, id, lane, now))?;
    Ok(found.len())
}

fn prune(tx: &Tx<'_>, before: Timestamp) -> Result<usize, Fail> {
    let pruned = tx
        .conn
        .prepare_cached(
            "delete from webhook_deliveries where id in ( \
               select id from webhook_deliveries where ended_at is not null and ended_at < ?1 limit ?2)",
        )?
        .execute(params![before.0, DELIVERIES_AT_ONCE])?;
    Ok(pruned)
}

#[async_trait]
impl Webhooks for SqliteStore {
    async fn add_webhook(&self, new: NewWebhook) -> Answer<Webhook> {
        self.writer.call_guarded(move |tx| add(tx, &new)).await
    }

    async fn webhooks(&self, owner: HookOwner) -> Answer<Vec<Webhook>> {
        self.readers.read(move |conn| all(conn, owner)).await
    }

    async fn webhook(&self, owner: HookOwner, id: WebhookId) -> Answer<Option<Webhook>> {
        self.readers.read(move |conn| one(conn, owner, id)).await
    }

    async fn edit_webhook(
        &self,
        owner: HookOwner,
        id: WebhookId,
        change: HookEdit,
        at: Timestamp,
    ) -> Answer<Option<Webhook>> {
        self.writer.call_guarded(move |tx| edit(tx, owner, id, &change, at)).await
    }

    async fn clear_webhook(&self, owner: HookOwner, id: WebhookId, now: Timestamp) -> Answer<usize> {
        self.writer.call_guarded(move |tx| clear(tx, owner, id, now)).await
    }

    async fn remove_webhook(&self, owner: HookOwner, id: WebhookId) -> Answer<bool> {
        self.writer.call_guarded(move |tx| remove(tx, owner, id)).await
    }

    async fn take_for_webhooks(&self, taken: Vec<Taken>, at: Timestamp) -> Answer<usize> {
        self.writer.call_guarded(move |tx| take(tx, &taken, at)).await
    }

    async fn queue_happened(&self, what: Vec<(PlatformId, Content)>, open_max: u64) -> Answer<usize> {
        self.writer.call_guarded(move |tx| happened(tx, &what, open_max)).await
    }

    async fn claim_deliveries(&self, wanted: Claim) -> Answer<Vec<(Delivery, Webhook)>> {
        self.writer.call_guarded(move |tx| claim(tx, &wanted)).await
    }

    async fn note_attempt(&self, tried: Tried) -> Answer<bool> {
        self.writer.call_guarded(move |tx| note(tx, &tried)).await
    }

    async fn release_claims(&self, _: Uuid, now: Timestamp) -> Answer<usize> {
        self.writer.call_guarded(move |tx| release(tx, now)).await
    }

    async fn next_due(&self) -> Answer<Option<Timestamp>> {
        self.readers.read(next_due).await
    }

    async fn deliveries(&self, id: WebhookId, filter: DeliveryFilter) -> Answer<Vec<Delivery>> {
        self.readers.read(move |conn| page(conn, id, filter)).await
    }

    async fn attempts(&self, id: WebhookId, delivery: DeliveryId) -> Answer<Option<Vec<Attempt>>> {
        self.readers.read(move |conn| attempts(conn, id, delivery)).await
    }

    async fn replay_deliveries(&self, id: WebhookId, which: HookReplay, now: Timestamp) -> Answer<usize> {
        self.writer.call_guarded(move |tx| replay(tx, id, which, now)).await
    }

    async fn prune_deliveries(&self, before: Timestamp) -> Answer<usize> {
        self.writer.call_guarded(move |tx| prune(tx, before)).await
    }
}
