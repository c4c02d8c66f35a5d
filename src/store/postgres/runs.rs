//! Runs: an assistant's answer while it is being made, as the log has it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio_postgres::Row;

use super::conn::{Conn, Tx};
use super::conversations;
use super::fail::Fail;
use super::log::{self, EventRow};
use super::messages;
use super::rows;
use crate::domain::{
    Conversation, ConversationId, Event, EventBody, EventId, Message, MessageId, Money, OpenRun, Run, RunId,
    RunOutcome, RunReason, RunState, RunText, Timestamp, Usage,
};
use crate::error::{Error, Subject};
use crate::store::{NewRun, NewRunText, RunEnd};

/// A run's columns, and the tables that they are in. A question's row outlives its deletion.
const COLUMNS: &str = "r.id, r.uuid, r.conversation_id, r.question_id, q.uuid, r.event_id, r.outcome, \
     r.begun_at is null, r.reason, r.answer_id, r.provider, r.model, r.prompt_tokens, r.completion_tokens, r.cost, \
     r.is_estimated, r.started_at, r.ended_at, a.uuid";
const TABLES: &str = "runs r join messages q on q.conversation_id = r.conversation_id and q.id = r.question_id \
     left join messages a on a.conversation_id = r.conversation_id and a.id = r.answer_id";
/// What others follow from on.
const MORE: usize = 19;

fn from_row(row: &Row) -> Result<Run, Fail> {
    let state = match row.try_get::<_, Option<&str>>(6)? {
        None if row.try_get(7)? => RunState::Queued,
        None => RunState::Running,
        Some(_) => RunState::Ended(rows::word(row, 6, RunOutcome::parse)?),
    };
    let reason = match row.try_get::<_, Option<&str>>(8)? {
        None => None,
        Some(_) => Some(rows::word(row, 8, RunReason::parse)?),
    };
    let name = |at: usize| row.try_get::<_, Option<&str>>(at).map(|name| name.map(Arc::from));
    Ok(Run {
        id: RunId(row.try_get(0)?),
        uuid: row.try_get(1)?,
        conversation_id: ConversationId(row.try_get(2)?),
        question_id: EventId(row.try_get(3)?),
        question_uuid: row.try_get(4)?,
        event_id: EventId(row.try_get(5)?),
        state,
        reason,
        answer_id: row.try_get::<_, Option<i64>>(9)?.map(EventId),
        by: name(10)?.zip(name(11)?),
        usage: Usage {
            prompt_tokens: rows::count(row, 12)?,
            completion_tokens: rows::count(row, 13)?,
            cost: Money(row.try_get(14)?),
            is_estimated: row.try_get(15)?,
        },
        asked_at: Timestamp(row.try_get(16)?),
        ended_at: row.try_get::<_, Option<i64>>(17)?.map(Timestamp),
        answer_uuid: row.try_get(18)?,
    })
}

async fn by_id(conn: &Conn, run: RunId) -> Result<Option<Run>, Fail> {
    let sql = format!("select {COLUMNS} from {TABLES} where r.id = $1");
    conn.opt(&sql, &[&run.0]).await?.as_ref().map(from_row).transpose()
}

pub(super) async fn begin(tx: &mut Tx, new: &NewRun) -> Result<Run, Fail> {
    let refused = |subject| Fail::Refused(Error::NotFound(subject));
    let id = new.conversation_id;
    // Locked, so that nobody removes the conversation meanwhile: the run would stay behind.
    let conversation = conversations::lock(tx, id).await?.ok_or_else(|| refused(Subject::Conversation))?;
    let sql = "select 1 from messages where conversation_id = $1 and id = $2";
    tx.opt(sql, &[&id.0, &new.question.0]).await?.ok_or_else(|| refused(Subject::Message))?;
    let at = new.at.max(conversation.last_activity_at);
    let sql = "insert into runs (conversation_id, question_id, text, started_at, node_id, uuid, begun_at, event_id) \
               values ($1, $2, '', $3, $4, $5, $6, $7) returning id";
    let begun_at = (!new.is_queued).then_some(at.0);
    let last = conversation.head.event_id.0;
    let row = tx.one(sql, &[&id.0, &new.question.0, &at.0, &new.node, &new.uuid, &begun_at, &last]).await?;
    changed(tx, &conversation, RunId(row.try_get(0)?), at).await
}

/// Appends the event that says what a run has become, and returns it.
async fn changed(tx: &mut Tx, conversation: &Conversation, run: RunId, at: Timestamp) -> Result<Run, Fail> {
    let found = by_id(tx, run).await?;
    let run = found.ok_or_else(|| Fail::Refused(Error::internal("a run is missing that was just written")))?;
    let state = run.state;
    let kind = format!("run_{}", state.as_str());
    let row = EventRow { kind: &kind, message: Some(run.question_id), run: Some(run.id), ..EventRow::default() };
    log::record(tx, conversation, at, &row, EventBody::RunChanged { state, run: Arc::new(run.clone()) }).await?;
    Ok(run)
}

/// Locks the conversation of a run, and looks at it again: two nodes may end it, when one takes the other for dead.
async fn locked(tx: &Tx, run: RunId) -> Result<Option<(Conversation, Run)>, Fail> {
    let Some(seen) = by_id(tx, run).await? else { return Ok(None) };
    let conversation = conversations::lock(tx, seen.conversation_id).await?;
    Ok(conversation.zip(by_id(tx, run).await?))
}

pub(super) async fn start(tx: &mut Tx, run: RunId, at: Timestamp) -> Result<Option<Run>, Fail> {
    let found = locked(tx, run).await?.filter(|(_, run)| run.state == RunState::Queued);
    let Some((conversation, _)) = found else { return Ok(None) };
    let at = at.max(conversation.last_activity_at);
    tx.execute(
        "update runs set begun_at = $3 where conversation_id = $1 and id = $2",
        &[&conversation.id.0, &run.0, &at.0],
    )
    .await?;
    changed(tx, &conversation, run, at).await.map(Some)
}

/// What an append of texts knows of a conversation, whose head is locked.
struct End {
    seq: u64,
    event_id: EventId,
    at: Timestamp,
}

/// However many texts there are, of however many runs: four round trips.
pub(super) async fn tell(tx: &mut Tx, texts: &[NewRunText]) -> Result<Vec<bool>, Fail> {
    let mut ends = locked_ends(tx, texts).await?;
    let open = open_of(tx, texts).await?;
    let kept = |text: &NewRunText| ends.contains_key(&text.run.conversation_id) && open.contains(&text.run.id);
    let told: Vec<bool> = texts.iter().map(kept).collect();
    let kept: Vec<&NewRunText> = texts.iter().zip(&told).filter(|(_, told)| **told).map(|(text, _)| text).collect();
    if kept.is_empty() {
        return Ok(told);
    }
    let sql = "select next_event_id() from generate_series(1, $1::bigint)";
    let mut ids = Vec::with_capacity(kept.len());
    for row in tx.rows(sql, &[&rows::limit(kept.len())]).await? {
        ids.push(EventId(row.try_get(0)?));
    }
    ids.sort_unstable();
    let mut events = Vec::with_capacity(kept.len());
    for (new, id) in kept.iter().zip(ids) {
        let conversation_id = new.run.conversation_id;
        let Some(end) = ends.get_mut(&conversation_id) else { continue };
        *end = End { seq: end.seq + 1, event_id: id, at: new.at.max(end.at) };
        let body = EventBody::RunTold(new.told());
        events.push(Event { id, conversation_id, seq: end.seq, at: end.at, body });
    }
    tokio::try_join!(insert_texts(tx, &kept, &events), move_ends(tx, &ends))?;
    events.into_iter().for_each(|event| tx.announce(event));
    Ok(told)
}

/// Locks the heads in the order of their numbers, as everybody does who locks more than one.
async fn locked_ends(tx: &Tx, texts: &[NewRunText]) -> Result<HashMap<ConversationId, End>, Fail> {
    let mut ids: Vec<i64> = texts.iter().map(|text| text.run.conversation_id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let sql = "select conversation_id, seq, event_id, last_activity_at from heads where conversation_id = any($1) \
               order by conversation_id for update";
    let end = |row: &Row| {
        let (event_id, at) = (EventId(row.try_get(2)?), Timestamp(row.try_get(3)?));
        Ok((ConversationId(row.try_get(0)?), End { seq: rows::count(row, 1)?, event_id, at }))
    };
    tx.rows(sql, &[&ids]).await?.iter().map(end).collect()
}

/// Those of the runs that have not ended.
async fn open_of(tx: &Tx, texts: &[NewRunText]) -> Result<HashSet<RunId>, Fail> {
    let runs = texts.iter().map(|text| (text.run.conversation_id.0, text.run.id.0));
    let (conversations, ids): (Vec<i64>, Vec<i64>) = runs.unzip();
    let sql = "select r.id from unnest($1::bigint[], $2::bigint[]) x (conversation_id, id) \
               join runs r on r.conversation_id = x.conversation_id and r.id = x.id where r.outcome is null";
    tx.rows(sql, &[&conversations, &ids]).await?.iter().map(|row| Ok(RunId(row.try_get(0)?))).collect()
}

async fn insert_texts(tx: &Tx, texts: &[&NewRunText], events: &[Event]) -> Result<(), Fail> {
    let of = |pick: fn(&Event) -> i64| events.iter().map(pick).collect::<Vec<i64>>();
    let (ids, conversations) = (of(|event| event.id.0), of(|event| event.conversation_id.0));
    let (seqs, instants) = (of(|event| rows::number(event.seq)), of(|event| event.at.0));
    let questions: Vec<i64> = texts.iter().map(|text| text.run.question_id.0).collect();
    let runs: Vec<i64> = texts.iter().map(|text| text.run.id.0).collect();
    let starts: Vec<i64> = texts.iter().map(|text| rows::number(text.start)).collect();
    let said: Vec<&str> = texts.iter().map(|text| &*text.text).collect();
    tx.execute(
        "insert into events (id, conversation_id, seq, kind, message_id, run_id, start, text, at) \
         select x.id, x.conversation_id, x.seq, 'run_text', x.message_id, x.run_id, x.start, x.said, x.at \
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], \
             $8::bigint[]) x (id, conversation_id, seq, message_id, run_id, start, said, at)",
        &[&ids, &conversations, &seqs, &questions, &runs, &starts, &said, &instants],
    )
    .await?;
    Ok(())
}

async fn move_ends(tx: &Tx, ends: &HashMap<ConversationId, End>) -> Result<(), Fail> {
    let of = |pick: fn(&End) -> i64| ends.values().map(pick).collect::<Vec<i64>>();
    let conversations: Vec<i64> = ends.keys().map(|id| id.0).collect();
    let (seqs, ids, instants) = (of(|end| rows::number(end.seq)), of(|end| end.event_id.0), of(|end| end.at.0));
    tx.execute(
        "update heads h set seq = x.seq, event_id = x.event_id, last_activity_at = x.at, updated_at = x.at \
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) x (conversation_id, seq, event_id, at) \
         where h.conversation_id = x.conversation_id",
        &[&conversations, &seqs, &ids, &instants],
    )
    .await?;
    Ok(())
}

pub(super) async fn end(tx: &mut Tx, run: RunId, end: &RunEnd) -> Result<Option<Arc<Message>>, Fail> {
    let Some((conversation, open)) = locked(tx, run).await? else { return Ok(None) };
    let id = conversation.id;
    if open.outcome().is_some() {
        // Its own answer and not the question's first: a question asked again has several runs.
        return match open.answer_id {
            Some(answer) => messages::visible(tx, id, answer).await,
            None => Ok(None),
        };
    }
    let answer = match &end.answer {
        Some(new) => {
            if let Some(replaced) = end.replaces {
                messages::delete(tx, id, replaced, end.at).await?;
            }
            Some(messages::append(tx, new).await?.message)
        }
        None => None,
    };
    let Some(conversation) = conversations::lock(tx, id).await? else { return Ok(None) };
    let at = end.at.max(conversation.last_activity_at);
    write_end(tx, id, run, (end, answer.as_deref(), at)).await?;
    changed(tx, &conversation, run, at).await?;
    Ok(answer)
}

async fn write_end(
    tx: &Tx,
    id: ConversationId,
    run: RunId,
    (end, answer, at): (&RunEnd, Option<&Message>, Timestamp),
) -> Result<(), Fail> {
    let (provider, model) = end.by.as_ref().map(|(provider, model)| (&**provider, &**model)).unzip();
    let usage = &end.usage;
    let (prompt, completion) = (rows::number(usage.prompt_tokens), rows::number(usage.completion_tokens));
    let (answer, reason) = (answer.map(|message| message.id.0), end.reason.map(RunReason::as_str));
    tx.execute(
        "update runs set text = '', outcome = $3, answer_id = $4, reason = $5, provider = $6, model = $7, \
         prompt_tokens = $8, completion_tokens = $9, cost = $10, is_estimated = $11, ended_at = $12 \
         where conversation_id = $1 and id = $2",
        &[
            &id.0,
            &run.0,
            &end.outcome.as_str(),
            &answer,
            &reason,
            &provider,
            &model,
            &prompt,
            &completion,
            &usage.cost.0,
            &usage.is_estimated,
            &at.0,
        ],
    )
    .await?;
    Ok(())
}

/// What a deleted answer said while it was made is not told any more.
pub(super) async fn forget_texts(tx: &Tx, id: ConversationId, answer: MessageId) -> Result<(), Fail> {
    tx.execute(
        "update events set text = null where kind = 'run_text' and conversation_id = $1 and id < $2 \
         and run_id = (select r.id from messages a \
                       join runs r on r.conversation_id = a.conversation_id and r.question_id = a.reply_to \
                       where a.conversation_id = $1 and a.id = $2 and r.answer_id = $2)",
        &[&id.0, &answer.0],
    )
    .await?;
    Ok(())
}

async fn listed(conn: &Conn, which: &str, value: i64) -> Result<Vec<OpenRun>, Fail> {
    let sql = format!(
        "select {COLUMNS}, r.text || coalesce((select string_agg(e.text, '' order by e.id) from events e \
             where e.conversation_id = r.conversation_id and e.id > r.event_id and e.run_id = r.id \
             and e.kind = 'run_text'), '') \
         from {TABLES} where r.outcome is null and {which} order by r.id"
    );
    let open = |row: &Row| Ok(OpenRun { run: from_row(row)?, text: row.try_get(MORE)? });
    conn.rows(&sql, &[&value]).await?.iter().map(open).collect()
}

pub(super) async fn open(conn: &Conn, seen_before: Timestamp) -> Result<Vec<OpenRun>, Fail> {
    let dead = "not exists (select 1 from nodes n where n.id = r.node_id and n.seen_at >= $1)";
    listed(conn, dead, seen_before.0).await
}

pub(super) async fn under_way(conn: &Conn, id: ConversationId) -> Result<Vec<OpenRun>, Fail> {
    listed(conn, "r.conversation_id = $1", id.0).await
}

pub(super) async fn newest_for(conn: &Conn, id: ConversationId, question: MessageId) -> Result<Option<Run>, Fail> {
    let sql = format!(
        "select {COLUMNS} from {TABLES} where r.conversation_id = $1 and r.question_id = $2 order by r.id desc limit 1"
    );
    conn.opt(&sql, &[&id.0, &question.0]).await?.as_ref().map(from_row).transpose()
}

/// The runs of those conversations and numbers, for the events that are about them.
pub(super) async fn named(conn: &Conn, conversations: &[i64], ids: &[i64]) -> Result<HashMap<i64, Arc<Run>>, Fail> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "select {COLUMNS} from (select distinct * from unnest($1::bigint[], $2::bigint[]) y (conversation_id, id)) x \
         join {TABLES} on true where r.conversation_id = x.conversation_id and r.id = x.id"
    );
    let found = conn.rows(&sql, &[&conversations, &ids]).await?;
    found.iter().map(|row| from_row(row).map(|run| (run.id.0, Arc::new(run)))).collect()
}

/// What an event of a run says, of which there is the kind, the run, and the piece of text.
pub(super) fn body(kind: &str, run: Option<&Arc<Run>>, text: (u64, &str)) -> EventBody {
    // A run goes with its conversation only, and that took the event along.
    let Some(run) = run else { return EventBody::Void };
    match (kind.strip_prefix("run_").and_then(RunState::parse), text) {
        (Some(state), _) => EventBody::RunChanged { state, run: Arc::clone(run) },
        (None, (start, text)) => EventBody::RunTold(RunText { run: run.uuid, start, text: text.into() }),
    }
}
