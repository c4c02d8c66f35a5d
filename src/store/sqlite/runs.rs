//! Runs: an assistant's answer while it is being made, kept so that a crash does not lose it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::fail::Fail;
use super::messages;
use super::rows;
use super::writer::Tx;
use crate::domain::{ConversationId, EventId, Message, MessageId, Run, RunId, RunOutcome, Timestamp};
use crate::error::{Error, Subject};
use crate::store::NewMessage;

const COLUMNS: &str = "id, conversation_id, question_id, text, outcome, answer_id";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Run> {
    let outcome = match row.get_ref(4)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(rows::word(row, 4, RunOutcome::parse)?),
    };
    Ok(Run {
        id: RunId(row.get(0)?),
        conversation_id: ConversationId(row.get(1)?),
        question_id: EventId(row.get(2)?),
        text: row.get(3)?,
        outcome,
        answer_id: row.get::<_, Option<i64>>(5)?.map(EventId),
    })
}

pub(super) fn begin(
    tx: &Tx<'_>,
    id: ConversationId,
    question: MessageId,
    node: Uuid,
    at: Timestamp,
) -> Result<RunId, Fail> {
    let there: bool = tx
        .conn
        .prepare_cached("select exists (select 1 from conversations where id = ?1)")?
        .query_row([id.0], |row| row.get(0))?;
    if !there {
        return Err(Fail::Refused(Error::NotFound(Subject::Conversation)));
    }
    tx.conn
        .prepare_cached(
            "insert into runs (conversation_id, question_id, text, started_at, node_id) values (?1, ?2, '', ?3, ?4)",
        )?
        .execute(params![id.0, question.0, at.0, node.as_bytes()])?;
    Ok(RunId(tx.conn.last_insert_rowid()))
}

pub(super) fn checkpoint(tx: &Tx<'_>, run: RunId, more: &str) -> Result<(), Fail> {
    tx.conn
        .prepare_cached("update runs set text = text || ?2 where id = ?1 and outcome is null")?
        .execute(params![run.0, more])?;
    Ok(())
}

pub(super) fn end(
    tx: &mut Tx<'_>,
    run: RunId,
    outcome: RunOutcome,
    answer: Option<&NewMessage>,
) -> Result<Option<Arc<Message>>, Fail> {
    let open = tx
        .conn
        .prepare_cached(&format!("select {COLUMNS} from runs where id = ?1"))?
        .query_row([run.0], from_row)
        .optional()?;
    let Some(open) = open else { return Ok(None) };
    if open.outcome.is_some() {
        // Its own answer and not the question's first: a question asked again has several runs.
        return match open.answer_id {
            Some(id) => messages::visible(tx.conn, open.conversation_id, id),
            None => Ok(None),
        };
    }
    let answer = match answer {
        Some(new) => Some(messages::append(tx, new)?.message),
        None => None,
    };
    tx.conn
        .prepare_cached("update runs set text = '', outcome = ?2, answer_id = ?3 where id = ?1")?
        .execute(params![run.0, outcome.as_str(), answer.as_ref().map(|message| message.id.0)])?;
    Ok(answer)
}

pub(super) fn open(conn: &Connection, seen_before: Timestamp) -> Result<Vec<Run>, Fail> {
    let mut statement = conn.prepare_cached(&format!(
        "select {COLUMNS} from runs where outcome is null \
         and not exists (select 1 from nodes n where n.id = runs.node_id and n.seen_at >= ?1) order by id"
    ))?;
    let found = statement.query_map([seen_before.0], from_row)?.collect::<Result<_, _>>()?;
    Ok(found)
}

pub(super) fn newest_for(conn: &Connection, id: ConversationId, question: MessageId) -> Result<Option<Run>, Fail> {
    let found = conn
        .prepare_cached(&format!(
            "select {COLUMNS} from runs where question_id = ?2 and conversation_id = ?1 order by id desc limit 1"
        ))?
        .query_row(params![id.0, question.0], from_row)
        .optional()?;
    Ok(found)
}
