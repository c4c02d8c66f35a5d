//! Endpoints, and what is on its way to them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteStore;
use super::fail::Fail;
use super::webhook_rows::{ContentRow, DELIVERY, HOOK, attempt, delivery, hook};
use super::writer::Tx;
use crate::domain::{
    Attempt, Content, Delivery, DeliveryId, EventId, HookForm, PlatformId, Timestamp, Webhook, WebhookId,
};
use crate::error::{Error, Result as Answer, Rule};
use crate::store::webhooks::{
    AfterAttempt, Claim, DELIVERIES_AT_ONCE, DeliveryFilter, HookEdit, HookOwner, HookReplay, NewWebhook, Taken, Tried,
    Webhooks,
};

/// Every endpoint that something is due of, found by leaps through the index and not by its length.
const HOOKS_WITH_DUE: &str = "with recursive due(id) as ( \
       select min(webhook_id) from webhook_deliveries where state = 'due' \
       union all \
       select (select min(webhook_id) from webhook_deliveries where state = 'due' and webhook_id > due.id) \
       from due where due.id is not null) ";

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

fn all(conn: &Connection, owner: HookOwner) -> Result<Vec<Webhook>, Fail> {
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

/// Keeps a lane's order: the first that has not ended is due, unless another one of it is being sent.
fn settle(conn: &Connection, webhook: WebhookId, lane: &str, now: Timestamp) -> Result<(), Fail> {
    const OPEN: &str = "webhook_id = ?1 and lane = ?2 and state in ('waiting', 'due')";
    let is_flying: bool = conn
        .prepare_cached(&format!(
            "select exists (select 1 from webhook_deliveries \
             where {OPEN} and state = 'due' and claim is not null and due_at > ?3)"
        ))?
        .query_row(params![webhook.0, lane, now.0], |row| row.get(0))?;
    if is_flying {
        return Ok(());
    }
    let first: Option<i64> = conn
        .prepare_cached(&format!("select min(id) from webhook_deliveries where {OPEN}"))?
        .query_row(params![webhook.0, lane], |row| row.get(0))?;
    let Some(first) = first else { return Ok(()) };
    conn.prepare_cached(&format!(
        "update webhook_deliveries set state = 'waiting', claim = null where {OPEN} and state = 'due' and id <> ?3"
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

fn take(tx: &Tx<'_>, taken: &[Taken], at: Timestamp) -> Result<usize, Fail> {
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

fn happened(tx: &Tx<'_>, happened: &[(PlatformId, Content)], open_max: u64) -> Result<usize, Fail> {
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

fn claim(tx: &Tx<'_>, claim: &Claim) -> Result<Vec<(Delivery, Webhook)>, Fail> {
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

fn note(tx: &Tx<'_>, tried: &Tried) -> Result<bool, Fail> {
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

fn release(tx: &Tx<'_>, now: Timestamp) -> Result<usize, Fail> {
    let released = tx
        .conn
        .prepare_cached(
            "update webhook_deliveries set claim = null, due_at = ?1 where state = 'due' and claim is not null",
        )?
        .execute([now.0])?;
    Ok(released)
}

fn next_due(conn: &Connection) -> Result<Option<Timestamp>, Fail> {
    let next: Option<i64> = conn
        .prepare_cached(&format!(
            "{HOOKS_WITH_DUE} select min((select min(due_at) from webhook_deliveries d \
               where d.webhook_id = w.id and d.state = 'due')) \
             from due join webhooks w on w.id = due.id where w.disabled_at is null"
        ))?
        .query_row([], |row| row.get(0))?;
    Ok(next.map(Timestamp))
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

    async fn release_claims(&self, now: Timestamp) -> Answer<usize> {
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
