//! `roost tail`.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Common, block_on};
use crate::app;
use crate::clock::Clock;
use crate::domain::{Event, EventBody, EventId, Json, Letter, Message, Reach};
use crate::error::{Error, Result};

/// How often a log that is followed is looked at: the writer is another process, which rings no bell
/// here.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    /// The conversation: its number, its identifier, or the key that a client named it by.
    conversation: String,
    /// Only events after this cursor.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: i64,
    /// Go on with what happens, until interrupted.
    #[arg(long, short)]
    follow: bool,
}

pub(super) fn run(options: &Options) -> Result<()> {
    block_on(print(options))
}

async fn print(options: &Options) -> Result<()> {
    let config = options.common.load(None)?;
    let chat = app::open_chat(&config, Clock::system()).await?;
    let found = chat.conversation_named(&options.conversation).await?;
    let conversation =
        found.ok_or_else(|| Error::internal(format!("there is no conversation {:?}", options.conversation)))?;
    let mut cursor = EventId(options.after);
    loop {
        let events = chat.log_page(conversation.id, cursor).await?;
        let is_all = events.is_empty();
        if !print_lines(&events)? || (is_all && !options.follow) {
            return Ok(());
        }
        match events.last() {
            Some(last) => cursor = last.id,
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// One JSON object a line; `false` when nobody reads on, as behind `head`.
fn print_lines(events: &[Event]) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    for event in events {
        match writeln!(out, "{}", line(event)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(false),
            Err(error) => return Err(Error::internal(error)),
        }
    }
    Ok(true)
}

/// An event in its own words, not in a door's.
fn line(event: &Event) -> Value {
    let mut line = Map::from_iter([
        ("id".to_owned(), json!(event.id.0)),
        ("seq".to_owned(), json!(event.seq)),
        ("at".to_owned(), json!(event.at.with_micros())),
    ]);
    let (kind, detail) = match &event.body {
        EventBody::MessageAdded(message) => ("message_added", message_detail(message)),
        EventBody::MessageEdited(message) => ("message_edited", message_detail(message)),
        EventBody::MessageGone => ("message_gone", json!({})),
        EventBody::Void => ("void", json!({})),
        EventBody::RunChanged { state, run } => ("run", json!({"run": run.uuid, "state": state.as_str()})),
        EventBody::RunTold(told) => ("run_text", json!({"run": told.run, "start": told.start, "text": told.text})),
        EventBody::MessageDeleted { message_id, uuid } => {
            ("message_deleted", json!({"message_id": message_id.0, "uuid": uuid}))
        }
        EventBody::Reacted { message_id, reaction, removed } => {
            let kind = if *removed { "reaction_removed" } else { "reaction_added" };
            (kind, json!({"message_id": message_id.0, "user_id": reaction.user_id.0, "emoji": reaction.emoji}))
        }
        EventBody::Received { reader, receipt, reach } => {
            let reach = match reach {
                Reach::One(message) => json!({"user_id": reader.0, "message_id": message.0}),
                Reach::Through(message) => json!({"user_id": reader.0, "through_message_id": message.0}),
            };
            (receipt.as_str(), reach)
        }
        EventBody::StateChanged { change, state } => (
            change.as_str(),
            json!({
                "is_active": state.is_active,
                "assigned_user_id": state.assigned.map(|assigned| assigned.user_id.0),
                "title": state.title,
                "is_archived": state.is_archived,
            }),
        ),
    };
    line.insert("event".to_owned(), json!(kind));
    if let Value::Object(detail) = detail {
        line.extend(detail);
    }
    Value::Object(line)
}

fn message_detail(message: &Message) -> Value {
    let mut detail = json!({
        "message_id": message.id.0,
        "uuid": message.uuid,
        "role": message.role.as_str(),
        "user_id": message.user_id.map(|user| user.0),
        "text": message.text,
        "metadata": message.metadata.as_ref().map(parsed),
    });
    if let (Some(letter), Value::Object(detail)) = (&message.letter, &mut detail) {
        detail.insert("letter".to_owned(), letter_detail(letter));
    }
    detail
}

fn letter_detail(letter: &Letter) -> Value {
    json!({
        "receiver_id": letter.receiver_id.0,
        "kind": letter.kind.as_str(),
        "attachments": parsed(&letter.attachments),
        "delivered_at": letter.delivered_at.map(|at| at.with_micros()),
        "read_at": letter.read_at.map(|at| at.with_micros()),
        "reactions": letter.reactions.len(),
    })
}

/// JSON as it was stored.
fn parsed(json: &Json) -> Value {
    serde_json::from_str(&json.0).unwrap_or(Value::Null)
}
