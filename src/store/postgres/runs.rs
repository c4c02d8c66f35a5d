//! Runs: an assistant's answer while it is being made, kept so that a crash does not lose it.

use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use super::conn::{Conn, Tx};
use super::conversations;
use super::fail::Fail;
use super::messages;
use super::rows;
use crate::domain::{ConversationId, EventId, Message, MessageId, Run, RunId, RunOutcome, Timestamp};
use crate::error::{Error, Subject};
use crate::store::NewMessage;

const COLUMNS: &str = "id, conversation_id, question_id, text, outcome, answer_id";

fn from_row(row: &Row) -> Result<Run, Fail> {
    let outcome = match row.try_get::<_, Option<&str>>(4)? {
        Some(_) => Some(rows::word(row, 4, RunOutcome::parse)?),
        None => None,
    };
    Ok(Run {
        id: RunId(row.try_get(0)?),
        conversation_id: ConversationId(row.try_get(1)?),
        question_id: EventId(row.try_get(2)?),
        text: row.try_get(3)?,
        outcome,
        answer_id: row.try_get::<_, Option<i64>>(5)?.map(EventId),
    })
}

async fn by_id(conn: &Conn, run: RunId) -> Result<Option<Run>, Fail> {
    let sql = format!("select {COLUMNS} from runs where id = $1");
    conn.opt(&sql, &[&run.0]).await?.as_ref().map(from_row).transpose()
}

pub(super) async fn begin(
    tx: &Tx,
    id: ConversationId,
    question: MessageId,
    node: Uuid,
    at: Timestamp,
) -> Result<RunId, Fail> {
    // Locked, so that nobody removes the conversation meanwhile: the run would stay behind.
    conversations::lock(tx, id).await?.ok_or(Fail::Refused(Error::NotFound(Subject::Conversation)))?;
    let sql = "insert into runs (conversation_id, question_id, text, started_at, node_id) \
               values ($1, $2, '', $3, $4) returning id";
    Ok(RunId(tx.one(sql, &[&id.0, &question.0, &at.0, &node]).await?.try_get(0)?))
}

pub(super) async fn checkpoint(tx: &Tx, run: RunId, more: &str) -> Result<(), Fail> {
    tx.execute("update runs set text = text || $2 where id = $1 and outcome is null", &[&run.0, &more]).await?;
    Ok(())
}

pub(super) async fn end(
    tx: &mut Tx,
    run: RunId,
    outcome: RunOutcome,
    answer: Option<&NewMessage>,
) -> Result<Option<Arc<Message>>, Fail> {
    let Some(seen) = by_id(tx, run).await? else { return Ok(None) };
    // Two nodes may end it, when one takes the other for dead: the lock is the conversation's, which the answer's
    // message needs anyway, and whoever waited for it looks again.
    conversations::lock(tx, seen.conversation_id).await?;
    let Some(open) = by_id(tx, run).await? else { return Ok(None) };
    if open.outcome.is_some() {
        // Its own answer and not the question's first: a question asked again has several runs.
        return match open.answer_id {
            Some(id) => messages::visible(tx, open.conversation_id, id).await,
            None => Ok(None),
        };
    }
    let answer = match answer {
        Some(new) => Some(messages::append(tx, new).await?.message),
        None => None,
    };
    tx.execute(
        "update runs set text = '', outcome = $3, answer_id = $4 where conversation_id = $1 and id = $2",
        &[&open.conversation_id.0, &run.0, &outcome.as_str(), &answer.as_ref().map(|message| message.id.0)],
    )
    .await?;
    Ok(answer)
}

pub(super) async fn open(conn: &Conn, seen_before: Timestamp) -> Result<Vec<Run>, Fail> {
    let sql = format!(
        "select {COLUMNS} from runs where outcome is null \
         and not exists (select 1 from nodes n where n.id = runs.node_id and n.seen_at >= $1) order by id"
    );
    conn.rows(&sql, &[&seen_before.0]).await?.iter().map(from_row).collect()
}

pub(super) async fn newest_for(conn: &Conn, id: ConversationId, question: MessageId) -> Result<Option<Run>, Fail> {
    let sql =
        format!("select {COLUMNS} from runs where conversation_id = $1 and question_id = $2 order by id desc limit 1");
    conn.opt(&sql, &[&id.0, &question.0]).await?.as_ref().map(from_row).transpose()
}
