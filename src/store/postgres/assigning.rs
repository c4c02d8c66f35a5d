//! Giving a live chat to somebody who is free.

use uuid::Uuid;

use super::accounts;
use super::conn::Tx;
use super::conversations::{change, lock};
use super::fail::Fail;
use super::messages::{insert_message, next_number};
use crate::domain::{ConversationId, MessageText, Role, Timestamp, User};
use crate::error::{Error, Subject};
use crate::store::{Greeting, NewMessage, StateChange};

/// Marks the advisory lock under which somebody free is chosen: "transfer" in ASCII.
const TRANSFERS: i64 = 0x7472_616E_7366_6572;

pub(super) async fn transfer(
    tx: &mut Tx,
    id: ConversationId,
    dice: u64,
    greeting: Greeting,
    line: Uuid,
    at: Timestamp,
) -> Result<Option<User>, Fail> {
    let old = lock(tx, id).await?.ok_or(Fail::Refused(Error::NotFound(Subject::Conversation)))?;
    if !old.state.is_active {
        return Ok(None);
    }
    if let Some(assigned) = old.state.assigned {
        return accounts::by_id(tx, assigned.user_id).await;
    }
    // One transfer at a time, over all nodes: two that look at once would find the same person free. To lock the
    // person is not enough: whoever waited for that would not see the chat that they got meanwhile.
    tx.rows("select pg_advisory_xact_lock($1)", &[&TRANSFERS]).await?;
    let free = accounts::free_staff(tx).await?;
    let count = free.len() as u64;
    let Some(chosen) = dice.checked_rem(count).and_then(|nth| free.into_iter().nth(nth as usize)) else {
        return Ok(None);
    };
    let at = at.max(old.last_activity_at);
    change(tx, id, &StateChange::Assign(chosen.id), at).await?;
    let line = NewMessage {
        conversation_id: id,
        uuid: line,
        role: Role::Staff,
        user_id: Some(chosen.id),
        text: MessageText::verbatim(greeting(&chosen.name)),
        metadata: None,
        reply_to: None,
        letter: None,
        files: Vec::new(),
        idempotency: None,
        at,
    };
    let number = next_number(tx, id).await?.ok_or(Fail::Refused(Error::NotFound(Subject::Conversation)))?;
    insert_message(tx, &line, &number).await?;
    Ok(Some(chosen))
}
