//! Runs: an assistant's answer while it is being made, as the log has it.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::conversations;
use super::fail::Fail;
use super::log::{self, EventRow};
use super::messages;
use super::rows;
use super::writer::Tx;
use crate::domain::{
    Conversation, ConversationId, Event, EventBody, EventId, Message, MessageId, Money, OpenRun, Run, RunId,
    RunOutcome, RunReason, RunState, RunText, Timestamp, Usage,
};
use crate::error::{Error, Subject};
use crate::store::{NewRun, NewRunText, RunEnd};

/// A run's columns, and the tables that they are in. A question's row outlives its deletion.
const COLUMNS: &str = "r.id, r.uuid, r.conversation_id, r.question_id, q.uuid, r.event_id, r.outcome, \
     r.begun_at is null, r.reason, r.answer_id, r.provider, r.model, r.prompt_tokens, r.completion_tokens, r.cost, \
     r.is_estimated, r.started_at, r.ended_at, a.uuid, r.text";
const TABLES: &str = "runs r join messages q on q.id = r.question_id left join messages a on a.id = r.answer_id";
/// What a run from before there were events of runs had.
const TEXT: usize = 19;

fn from_row(row: &Row<'_>) -> rusqlite::Result<Run> {
    let state = match row.get_ref(6)? {
        ValueRef::Null if row.get(7)? => RunState::Queued,
        ValueRef::Null => RunState::Running,
        _ => RunState::Ended(rows::word(row, 6, RunOutcome::parse)?),
    };
    let reason = match row.get_ref(8)? {
        ValueRef::Null => None,
        _ => Some(rows::word(row, 8, RunReason::parse)?),
    };
    let name = |at| row.get::<_, Option<String>>(at).map(|name| name.map(Arc::from));
    Ok(Run {
        id: RunId(row.get(0)?),
        uuid: rows::uuid(row, 1)?,
        conversation_id: ConversationId(row.get(2)?),
        question_id: EventId(row.get(3)?),
        question_uuid: rows::uuid(row, 4)?,
        event_id: EventId(row.get(5)?),
        state,
        reason,
        answer_id: row.get::<_, Option<i64>>(9)?.map(EventId),
        by: name(10)?.zip(name(11)?),
        usage: Usage {
            prompt_tokens: row.get(12)?,
            completion_tokens: row.get(13)?,
            cost: Money(row.get(14)?),
            is_estimated: row.get(15)?,
        },
        asked_at: Timestamp(row.get(16)?),
        ended_at: row.get::<_, Option<i64>>(17)?.map(Timestamp),
        answer_uuid: row.get::<_, Option<[u8; 16]>>(18)?.map(Uuid::from_bytes),
    })
}

fn by_id(conn: &Connection, run: RunId) -> rusqlite::Result<Option<Run>> {
    let sql = format!("select {COLUMNS} from {TABLES} where r.id = ?1");
    conn.prepare_cached(&sql)?.query_row([run.0], from_row).optional()
}

pub(super) fn begin(tx: &mut Tx<'_>, new: &NewRun) -> Result<Run, Fail> {
    let refused = |subject| Fail::Refused(Error::NotFound(subject));
    let id = new.conversation_id;
    let conversation = conversations::by_id(tx.conn, id)?.ok_or_else(|| refused(Subject::Conversation))?;
    let asked: bool = tx
        .conn
        .prepare_cached("select exists (select 1 from messages where id = ?1 and conversation_id = ?2)")?
        .query_row(params![new.question.0, id.0], |row| row.get(0))?;
    if !asked {
        return Err(refused(Subject::Message));
    }
    let at = new.at.max(conversation.last_activity_at);
    tx.conn
        .prepare_cached(
            "insert into runs (conversation_id, question_id, text, started_at, node_id, uuid, begun_at, event_id) \
             values (?1, ?2, '', ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            id.0,
            new.question.0,
            at.0,
            new.node.as_bytes(),
            new.uuid.as_bytes(),
            (!new.is_queued).then_some(at.0),
            conversation.head.event_id.0,
        ])?;
    let run = RunId(tx.conn.last_insert_rowid());
    changed(tx, &conversation, run, at)
}

/// Appends the event that says what a run has become, and returns it.
fn changed(tx: &mut Tx<'_>, conversation: &Conversation, run: RunId, at: Timestamp) -> Result<Run, Fail> {
    let found = by_id(tx.conn, run)?;
    let run = found.ok_or_else(|| Fail::Refused(Error::internal("a run is missing that was just written")))?;
    let state = run.state;
    let kind = format!("run_{}", state.as_str());
    let row = EventRow { kind: &kind, message: Some(run.question_id), run: Some(run.id), ..EventRow::default() };
    log::record(tx, conversation, at, &row, EventBody::RunChanged { state, run: Arc::new(run.clone()) })?;
    Ok(run)
}

pub(super) fn start(tx: &mut Tx<'_>, run: RunId, at: Timestamp) -> Result<Option<Run>, Fail> {
    let Some(waiting) = by_id(tx.conn, run)?.filter(|run| run.state == RunState::Queued) else { return Ok(None) };
    let Some(conversation) = conversations::by_id(tx.conn, waiting.conversation_id)? else { return Ok(None) };
    let at = at.max(conversation.last_activity_at);
    tx.conn.prepare_cached("update runs set begun_at = ?2 where id = ?1")?.execute([run.0, at.0])?;
    changed(tx, &conversation, run, at).map(Some)
}

pub(super) fn tell(tx: &mut Tx<'_>, texts: &[NewRunText]) -> Result<Vec<bool>, Fail> {
    texts.iter().map(|text| tell_one(tx, text)).collect()
}

fn tell_one(tx: &mut Tx<'_>, new: &NewRunText) -> Result<bool, Fail> {
    let run = &new.run;
    let found = tx
        .conn
        .prepare_cached(
            "select h.seq, h.last_activity_at from runs r join heads h on h.conversation_id = r.conversation_id \
             where r.id = ?1 and r.outcome is null",
        )?
        .query_row([run.id.0], |row| Ok((row.get::<_, u64>(0)?, Timestamp(row.get(1)?))))
        .optional()?;
    let Some((seq, last_at)) = found else { return Ok(false) };
    let (id, seq, at) = (tx.next_event_id(), seq + 1, new.at.max(last_at));
    tx.conn
        .prepare_cached(
            "insert into events (id, conversation_id, seq, kind, message_id, run_id, start, text, at) \
             values (?1, ?2, ?3, 'run_text', ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![id.0, run.conversation_id.0, seq, run.question_id.0, run.id.0, new.start, new.text, at.0])?;
    tx.conn
        .prepare_cached(
            "update heads set seq = ?2, event_id = ?3, last_activity_at = ?4, updated_at = ?4 \
             where conversation_id = ?1",
        )?
        .execute(params![run.conversation_id.0, seq, id.0, at.0])?;
    let body = EventBody::RunTold(new.told());
    tx.announce(Event { id, conversation_id: run.conversation_id, seq, at, body });
    Ok(true)
}

pub(super) fn end(tx: &mut Tx<'_>, run: RunId, end: &RunEnd) -> Result<Option<Arc<Message>>, Fail> {
    let Some(open) = by_id(tx.conn, run)? else { return Ok(None) };
    let id = open.conversation_id;
    if open.outcome().is_some() {
        // Its own answer and not the question's first: a question asked again has several runs.
        return match open.answer_id {
            Some(answer) => messages::visible(tx.conn, id, answer),
            None => Ok(None),
        };
    }
    let answer = match &end.answer {
        Some(new) => {
            if let Some(replaced) = end.replaces {
                messages::delete(tx, id, replaced, end.at)?;
            }
            Some(messages::append(tx, new)?.message)
        }
        None => None,
    };
    let Some(conversation) = conversations::by_id(tx.conn, id)? else { return Ok(None) };
    let at = end.at.max(conversation.last_activity_at);
    let (provider, model) = end.by.as_ref().map(|(provider, model)| (&**provider, &**model)).unzip();
    tx.conn
        .prepare_cached(
            "update runs set text = '', outcome = ?2, answer_id = ?3, reason = ?4, provider = ?5, model = ?6, \
             prompt_tokens = ?7, completion_tokens = ?8, cost = ?9, is_estimated = ?10, ended_at = ?11 where id = ?1",
        )?
        .execute(params![
            run.0,
            end.outcome.as_str(),
            answer.as_ref().map(|message| message.id.0),
            end.reason.map(RunReason::as_str),
            provider,
            model,
            end.usage.prompt_tokens,
            end.usage.completion_tokens,
            end.usage.cost.0,
            end.usage.is_estimated,
            at.0,
        ])?;
    changed(tx, &conversation, run, at)?;
    Ok(answer)
}

/// What a deleted answer said while it was made is not told any more.
pub(super) fn forget_texts(tx: &Tx<'_>, id: ConversationId, answer: MessageId) -> Result<(), Fail> {
    tx.conn
        .prepare_cached(
            "update events set text = null where kind = 'run_text' and conversation_id = ?1 and id < ?2 \
             and run_id = (select r.id from runs r join messages a on a.reply_to = r.question_id \
                           where a.id = ?2 and r.answer_id = ?2)",
        )?
        .execute([id.0, answer.0])?;
    Ok(())
}

fn listed(conn: &Connection, which: &str, value: i64) -> Result<Vec<OpenRun>, Fail> {
    let sql = format!("select {COLUMNS} from {TABLES} where r.outcome is null and {which} order by r.id");
    let found: Vec<(Run, String)> = conn
        .prepare_cached(&sql)?
        .query_map([value], |row| Ok((from_row(row)?, row.get(TEXT)?)))?
        .collect::<rusqlite::Result<_>>()?;
    found.into_iter().map(|(run, before)| open_run(conn, run, before)).collect()
}

/// A run with what has been told of its answer.
fn open_run(conn: &Connection, run: Run, before: String) -> Result<OpenRun, Fail> {
    let mut statement = conn.prepare_cached(
        "select coalesce(text, '') from events where conversation_id = ?1 and id > ?2 and run_id = ?3 \
         and kind = 'run_text' order by id",
    )?;
    let mut texts = statement.query(params![run.conversation_id.0, run.event_id.0, run.id.0])?;
    let mut text = before;
    while let Some(row) = texts.next()? {
        text.push_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?);
    }
    Ok(OpenRun { run, text })
}

pub(super) fn open(conn: &Connection, seen_before: Timestamp) -> Result<Vec<OpenRun>, Fail> {
    listed(conn, "not exists (select 1 from nodes n where n.id = r.node_id and n.seen_at >= ?1)", seen_before.0)
}

pub(super) fn under_way(conn: &Connection, id: ConversationId) -> Result<Vec<OpenRun>, Fail> {
    listed(conn, "r.conversation_id = ?1", id.0)
}

pub(super) fn newest_for(conn: &Connection, id: ConversationId, question: MessageId) -> Result<Option<Run>, Fail> {
    let found = conn
        .prepare_cached(&format!(
            "select {COLUMNS} from {TABLES} where r.question_id = ?2 and r.conversation_id = ?1 \
             order by r.id desc limit 1"
        ))?
        .query_row(params![id.0, question.0], from_row)
        .optional()?;
    Ok(found)
}

/// What an event of a run says, of which there is the kind, the run, and the piece of text.
pub(super) fn body(conn: &Connection, kind: &str, run: RunId, text: (u64, &str)) -> rusqlite::Result<EventBody> {
    // A run goes with its conversation only, and that took the event along.
    let Some(run) = by_id(conn, run)? else { return Ok(EventBody::Void) };
    let state = kind.strip_prefix("run_").and_then(RunState::parse);
    Ok(match (state, text) {
        (Some(state), _) => EventBody::RunChanged { state, run: Arc::new(run) },
        (None, (start, text)) => EventBody::RunTold(RunText { run: run.uuid, start, text: text.into() }),
    })
}
