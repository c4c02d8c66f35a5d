//! What is on its way to endpoints: queued in lanes that keep their order, claimed, tried. Each write to it locks the
//! endpoint first.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row;
use uuid::Uuid;

use super::conn::{Conn, Tx};
use super::fail::Fail;
use super::rows;
use super::webhook_rows::{DELIVERY, HOOK, delivery, hook};
use super::webhooks::lock;
use crate::domain::{Content, Delivery, PlatformId, Timestamp, Webhook, WebhookId};
use crate::error::Error;
use crate::store::content_row::ContentRow;
use crate::store::webhooks::{AfterAttempt, Claim, Taken, Tried};

/// Every endpoint that something is due of, found by leaps through the index and not by its length.
const HOOKS_WITH_DUE: &str = "with recursive due(id) as ( \
       select min(webhook_id) from webhook_deliveries where state = 'due' \
       union all \
       select (select min(webhook_id) from webhook_deliveries where state = 'due' and webhook_id > due.id) \
       from due where due.id is not null) ";

/// What one endpoint is told: the kind, the content, and when.
type Told<'a> = (&'a str, &'a Content, Timestamp);

/// Keeps the lanes' order: of each the first that has not ended is due, unless another one of it is being sent.
pub(super) async fn settle(tx: &Tx, webhook: WebhookId, lanes: BTreeSet<String>, now: Timestamp) -> Result<(), Fail> {
    // Everything by the index that finds a lane's few due ones: a lane may be long.
    const SETTLE: &str = "with firsts as materialized ( \
           select l.lane, least( \
             (select min(id) from webhook_deliveries d \
              where d.webhook_id = $1 and d.lane = l.lane and d.state = 'waiting'), \
             (select min(id) from webhook_deliveries d \
              where d.webhook_id = $1 and d.lane = l.lane and d.state = 'due')) as id \
           from unnest($2::text[]) as l (lane) \
           where not exists (select 1 from webhook_deliveries d \
             where d.webhook_id = $1 and d.lane = l.lane and d.state = 'due' \
               and d.claim is not null and d.due_at > $3)), \
         back as ( \
           update webhook_deliveries d set state = 'waiting', claim = null from firsts f \
           where d.webhook_id = $1 and d.lane = f.lane and d.state = 'due' and d.id <> f.id) \
         update webhook_deliveries d set state = 'due' from firsts f where d.id = f.id and d.state = 'waiting'";
    let lanes: Vec<String> = lanes.into_iter().collect();
    tx.execute(SETTLE, &[&webhook.0, &lanes, &now.0]).await?;
    Ok(())
}

/// Queues deliveries of one endpoint, which is locked; how many there are of it.
async fn queue(tx: &Tx, id: WebhookId, told: &[Told<'_>], now: Timestamp) -> Result<usize, Fail> {
    let (mut lanes, mut kinds, mut events, mut conversations, mut contents, mut instants) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (kind, content, at) in told {
        let (event, conversation) = match content {
            Content::Event { id, conversation_id } => (Some(id.0), Some(conversation_id.0)),
            Content::Happening { .. } => (None, None),
        };
        let row = ContentRow::of(content).map(|row| serde_json::to_string(&row)).transpose();
        contents.push(row.map_err(|error| Fail::Refused(Error::internal(error)))?);
        lanes.push(content.lane());
        kinds.push(*kind);
        events.push(event);
        conversations.push(conversation);
        instants.push(at.0);
    }
    let queued = tx
        .execute(
            "insert into webhook_deliveries \
             (webhook_id, lane, kind, event_id, conversation_id, content, state, attempts, tries, due_at, created_at) \
             select $1, x.lane, x.kind, x.event, x.conversation, x.content, 'waiting', 0, 0, x.at, x.at \
             from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[]) \
               with ordinality as x (lane, kind, event, conversation, content, at, n) order by x.n \
             on conflict do nothing",
            &[&id.0, &lanes, &kinds, &events, &conversations, &contents, &instants],
        )
        .await?;
    let open = i64::try_from(queued).unwrap_or(i64::MAX);
    tx.execute("update webhooks set open = open + $2 where id = $1", &[&id.0, &open]).await?;
    settle(tx, id, lanes.into_iter().collect(), now).await?;
    Ok(usize::try_from(queued).unwrap_or(usize::MAX))
}

pub(super) async fn take(tx: &Tx, taken: &[Taken], at: Timestamp) -> Result<usize, Fail> {
    let ids: Vec<_> = taken.iter().map(|one| one.webhook_id).collect();
    lock(tx, &ids).await?;
    let step = "update webhooks set cursor = $3 where id = $1 and cursor = $2 and disabled_at is null";
    let mut queued = 0;
    for one in taken {
        if tx.execute(step, &[&one.webhook_id.0, &one.from.0, &one.to.0]).await? == 1 && !one.told.is_empty() {
            let told: Vec<_> = one.told.iter().map(|(kind, content)| (kind.as_str(), content, at)).collect();
            queued += queue(tx, one.webhook_id, &told, at).await?;
        }
    }
    Ok(queued)
}

pub(super) async fn happened(tx: &Tx, happened: &[(PlatformId, Content)], open_max: u64) -> Result<usize, Fail> {
    let platforms: BTreeSet<i64> = happened.iter().map(|(platform, _)| platform.0).collect();
    let sql = format!(
        "select {HOOK} from webhooks w where w.platform_id = any($1) and w.form = 'pusher' and w.disabled_at is null \
         order by w.id for no key update"
    );
    let found = tx.rows(&sql, &[&platforms.into_iter().collect::<Vec<_>>()]).await?;
    let mut queued = 0;
    for row in &found {
        let hook = hook(row)?;
        let wanted = happened.iter().filter_map(|(platform, content)| match content {
            Content::Happening { what, at } if hook.platform_id == Some(*platform) && hook.wants(what.as_str()) => {
                Some((what.as_str(), content, *at))
            }
            _ => None,
        });
        let room = usize::try_from(open_max.saturating_sub(hook.open)).unwrap_or(usize::MAX);
        let told: Vec<Told<'_>> = wanted.take(room).collect();
        if let Some((.., last)) = told.last() {
            queued += queue(tx, hook.id, &told, *last).await?;
        }
    }
    Ok(queued)
}

pub(super) async fn claim(tx: &Tx, claim: &Claim) -> Result<Vec<(Delivery, Webhook)>, Fail> {
    let busy: BTreeMap<i64, usize> = claim.busy.iter().map(|(id, busy)| (id.0, *busy)).collect();
    let full: Vec<i64> = busy.iter().filter(|(_, busy)| **busy >= claim.per_webhook).map(|(id, _)| *id).collect();
    // Another node's endpoints of this moment are passed by, unless there are no others: a node that is frozen while it
    // has one locked holds up nobody's posts but that one's.
    let mut hooks = due_hooks(tx, claim.now, &full, "skip locked").await?;
    if hooks.is_empty() {
        hooks = due_hooks(tx, claim.now, &full, "").await?;
    }
    let busy_of = |id: WebhookId| busy.get(&id.0).copied().unwrap_or(0);
    let rooms: Vec<_> =
        hooks.keys().map(|id| claim.per_webhook.saturating_sub(busy_of(*id)).min(claim.limit)).collect();
    let due = due_of(tx, &hooks, &rooms, claim.now).await?;
    // Endpoints take turns, those with the fewest under way first, so that no slow one starves the others.
    let mut turns: BTreeMap<WebhookId, usize> = BTreeMap::new();
    let mut found = Vec::with_capacity(due.len());
    for delivery in due {
        let turn = turns.entry(delivery.webhook_id).or_insert_with(|| busy_of(delivery.webhook_id));
        found.push((*turn, delivery));
        *turn += 1;
    }
    found.sort_by_key(|(turn, delivery)| (*turn, delivery.due_at, delivery.id));
    found.truncate(claim.limit);
    let ids: Vec<i64> = found.iter().map(|(_, delivery)| delivery.id.0).collect();
    let take = "update webhook_deliveries set claim = $2, due_at = $3 where id = any($1)";
    tx.execute(take, &[&ids, &claim.claimer, &claim.until.0]).await?;
    let with_hook = |(_, delivery): (usize, Delivery)| hooks.get(&delivery.webhook_id).cloned().map(|h| (delivery, h));
    Ok(found.into_iter().filter_map(with_hook).collect())
}

/// The endpoints that are on and of which something is due, but for those that are `full`; locked.
async fn due_hooks(tx: &Tx, now: Timestamp, full: &[i64], waiting: &str) -> Result<BTreeMap<WebhookId, Webhook>, Fail> {
    let sql = format!(
        "{HOOKS_WITH_DUE} select {HOOK} from webhooks w \
         where w.id = any(array(select due.id from due)) and w.disabled_at is null and w.id <> all($2) \
           and exists (select 1 from webhook_deliveries d \
             where d.webhook_id = w.id and d.state = 'due' and d.due_at <= $1) \
         order by w.id for no key update of w {waiting}"
    );
    let found = tx.rows(&sql, &[&now.0, &full]).await?;
    let hooks = found.iter().map(|row| hook(row).map(|hook| (hook.id, hook)));
    hooks.collect()
}

/// What is due of these endpoints, of each as many as there is room for, in the order of becoming due.
async fn due_of(
    tx: &Tx,
    hooks: &BTreeMap<WebhookId, Webhook>,
    rooms: &[usize],
    now: Timestamp,
) -> Result<Vec<Delivery>, Fail> {
    let ids: Vec<i64> = hooks.keys().map(|id| id.0).collect();
    let rooms: Vec<i64> = rooms.iter().map(|room| rows::limit(*room)).collect();
    let sql = format!(
        "select {DELIVERY} from unnest($1::bigint[], $2::bigint[]) as h (id, room) \
         cross join lateral (select * from webhook_deliveries x \
           where x.webhook_id = h.id and x.state = 'due' and x.due_at <= $3 order by x.due_at, x.id limit h.room) d \
         order by d.due_at, d.id"
    );
    tx.rows(&sql, &[&ids, &rooms, &now.0]).await?.iter().map(delivery).collect()
}

pub(super) async fn note(tx: &Tx, tried: &Tried) -> Result<bool, Fail> {
    let whose = "select webhook_id from webhook_deliveries where id = $1 and state = 'due' and claim = $2";
    let Some(theirs) = tx.opt(whose, &[&tried.delivery_id.0, &tried.claimer]).await? else { return Ok(false) };
    let webhook = WebhookId(theirs.try_get(0)?);
    lock(tx, &[webhook]).await?;
    let attempt = &tried.attempt;
    let (status, error) = (attempt.status.map(i64::from), attempt.error.as_deref().map(without_nul));
    let (state, due, ended) = match tried.then {
        AfterAttempt::Delivered => ("delivered", tried.now, Some(tried.now.0)),
        AfterAttempt::Retry(at) => ("due", at, None),
        AfterAttempt::GiveUp => ("failed", tried.now, Some(tried.now.0)),
    };
    let noted = tx
        .opt(
            "update webhook_deliveries set state = $3, attempts = attempts + 1, tries = tries + 1, \
             begun_at = coalesce(begun_at, $4), due_at = $5, claim = null, last_status = $6, last_error = $7, \
             ended_at = $8 where id = $1 and state = 'due' and claim = $2 returning lane, attempts",
            &[&tried.delivery_id.0, &tried.claimer, &state, &attempt.at.0, &due.0, &status, &error, &ended],
        )
        .await?;
    // Somebody else had it before the lock was had.
    let Some(noted) = noted else { return Ok(false) };
    list(tx, tried, &noted, (status, error.as_deref())).await?;
    note_of_hook(tx, webhook, tried, i64::from(ended.is_some())).await?;
    settle(tx, webhook, BTreeSet::from([noted.try_get(0)?]), tried.now).await?;
    Ok(true)
}

/// Lists a try with the others of its delivery.
async fn list(tx: &Tx, tried: &Tried, noted: &Row, answer: (Option<i64>, Option<&str>)) -> Result<(), Fail> {
    let number: i64 = noted.try_get(1)?;
    let took_ms = i64::try_from(tried.attempt.took_ms).unwrap_or(i64::MAX);
    tx.execute(
        "insert into webhook_attempts (delivery_id, number, at, took_ms, status, error) \
         values ($1, $2, $3, $4, $5, $6)",
        &[&tried.delivery_id.0, &number, &tried.attempt.at.0, &took_ms, &answer.0, &answer.1],
    )
    .await?;
    Ok(())
}

/// PostgreSQL's text cannot hold it, and what an endpoint answers is no reason to lose a try.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// What a try says of its endpoint.
async fn note_of_hook(tx: &Tx, webhook: WebhookId, tried: &Tried, ended: i64) -> Result<(), Fail> {
    if tried.then == AfterAttempt::Delivered {
        let sql = "update webhooks set open = open - $2, failing_since = null, delivered_at = $3 where id = $1";
        tx.execute(sql, &[&webhook.0, &ended, &tried.now.0]).await?;
        return Ok(());
    }
    tx.execute("update webhooks set open = open - $2 where id = $1", &[&webhook.0, &ended]).await?;
    if let Some((since, why)) = &tried.disable {
        let sql = "update webhooks set failing_since = coalesce(failing_since, $2) where id = $1";
        tx.execute(sql, &[&webhook.0, &tried.attempt.at.0]).await?;
        let sql = "update webhooks set disabled_at = $2, disabled_why = $4 \
             where id = $1 and disabled_at is null and failing_since <= $3";
        tx.execute(sql, &[&webhook.0, &tried.now.0, &since.0, &without_nul(why)]).await?;
    }
    Ok(())
}

/// The claimer's only: another one's may be of a node that lives.
pub(super) async fn release(tx: &Tx, claimer: Uuid, now: Timestamp) -> Result<usize, Fail> {
    let whose = "select distinct webhook_id from webhook_deliveries where state = 'due' and claim = $1";
    let found = tx.rows(whose, &[&claimer]).await?;
    let hooks: Vec<_> = found.iter().map(|row| row.try_get(0).map(WebhookId)).collect::<Result<_, _>>()?;
    lock(tx, &hooks).await?;
    let sql = "update webhook_deliveries set claim = null, due_at = $2 where state = 'due' and claim = $1";
    let released = tx.execute(sql, &[&claimer, &now.0]).await?;
    Ok(usize::try_from(released).unwrap_or(usize::MAX))
}

pub(super) async fn next_due(conn: &Conn) -> Result<Option<Timestamp>, Fail> {
    let sql = format!(
        "{HOOKS_WITH_DUE} select min((select min(due_at) from webhook_deliveries d \
           where d.webhook_id = w.id and d.state = 'due')) \
         from due join webhooks w on w.id = due.id where w.disabled_at is null"
    );
    Ok(conn.one(&sql, &[]).await?.try_get::<_, Option<i64>>(0)?.map(Timestamp))
}
