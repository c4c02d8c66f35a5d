//! A store that has been used for a while: rows written straight into its file, before the server
//! starts.

use std::path::Path;
use std::time::Instant;

use crate::clock::Clock;
use crate::domain::{ConversationId, ConversationKind, MessageText, Role};
use crate::error::{Error, Result};
use crate::store::sqlite::{BareStore, DataDir, SqliteOptions};
use crate::store::{NewConversation, NewMessage};
use uuid::Uuid;

/// What every measured message says: about as long as people's lines are.
pub const TEXT: &str = "Good morning, is the room on the third floor free at ten?";

/// Rows in one commit of the preload; a larger one is no faster.
const BATCH: usize = 4096;

/// A fresh conversation of that kind and key.
pub fn new_conversation(clock: &Clock, kind: ConversationKind, key: String) -> NewConversation {
    NewConversation::new(clock.uuid(), kind, key, clock.now())
}

/// A fresh message of its guest or visitor.
pub fn new_message(clock: &Clock, conversation_id: ConversationId) -> NewMessage {
    let at = clock.now();
    NewMessage {
        conversation_id,
        uuid: clock.ordered_uuid(at),
        role: Role::User,
        user_id: None,
        text: MessageText::verbatim(TEXT.to_owned()),
        metadata: None,
        reply_to: None,
        letter: None,
        files: Vec::new(),
        idempotency: None,
        at,
    }
}

/// Creates `count` conversations of a kind; returns their numbers and keys.
///
/// # Errors
/// The store's.
pub fn create(
    store: &mut BareStore,
    clock: &Clock,
    kind: ConversationKind,
    count: usize,
) -> Result<Vec<(ConversationId, String)>> {
    let new: Vec<_> = (0..count).map(|_| new_conversation(clock, kind, clock.uuid().to_string())).collect();
    let mut ids = Vec::with_capacity(count);
    for batch in new.chunks(BATCH) {
        ids.extend(store.create_batch(batch)?);
    }
    Ok(ids.into_iter().zip(new).map(|(id, new)| (id, new.key)).collect())
}

/// What a preload left.
#[derive(Clone, Debug, Default)]
pub struct Preloaded {
    /// The key of the first conversation.
    pub key: String,
    /// Messages out of the middle half of it all, spread evenly.
    pub middle: Vec<Uuid>,
    /// Rows a second.
    pub rate: f64,
}

/// Fills the store in `folder` with `rows` messages, one after another in each of `conversations`
/// conversations in turn.
///
/// # Errors
/// The store's.
pub fn fill(
    folder: &Path,
    clock: &Clock,
    kind: ConversationKind,
    conversations: usize,
    rows: usize,
) -> Result<Preloaded> {
    const CURSORS: usize = 10_000;
    let dir = DataDir::prepare(folder)?;
    // Nothing is promised to anybody yet, so nothing has to be on disk before the end.
    let mut store = BareStore::open(&dir, &SqliteOptions { fsync: false, ..SqliteOptions::default() }, clock.now())?;
    let into = create(&mut store, clock, kind, conversations)?;
    let start = Instant::now();
    let mut middle = Vec::new();
    let step = (rows / 2 / CURSORS).max(1);
    for first in (0..rows).step_by(BATCH) {
        let numbers = first..(first + BATCH).min(rows);
        let batch: Vec<_> = numbers.clone().map(|number| new_message(clock, into[number % into.len()].0)).collect();
        let cursors = numbers.zip(&batch).filter(|(number, _)| number % step == 0);
        let cursors = cursors.filter(|(number, _)| (rows / 4..rows - rows / 4).contains(number));
        middle.extend(cursors.map(|(_, message)| message.uuid));
        store.append_batch(&batch)?;
    }
    let rate = rows as f64 / start.elapsed().as_secs_f64();
    store.close()?;
    flush(&dir)?;
    let key = into.into_iter().next().map(|(_, key)| key).unwrap_or_default();
    Ok(Preloaded { key, middle, rate })
}

/// Waits until the store's file is on disk, so that writing it back does not fall into what is
/// measured next.
///
/// # Errors
/// The disk's.
pub fn flush(dir: &DataDir) -> Result<()> {
    std::fs::File::open(dir.database()).and_then(|file| file.sync_all()).map_err(Error::internal)
}
