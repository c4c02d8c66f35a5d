//! A user with very many conversations, one of them very long: what lists have to stay fast with.

use std::path::Path;

use uuid::Uuid;

use super::client::get_as;
use super::load::{Expect, Script};
use super::preload::{self, TEXT};
use super::server::Server;
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{
    Ability, ConversationId, ConversationKind, Device, DeviceKind, Email, Json, LetterKind, MessageText, Platform,
    Role, User, UserId,
};
use crate::error::{Error, Result};
use crate::store::sqlite::{BareStore, DataDir, SqliteOptions};
use crate::store::{NewConversation, NewLetter, NewMessage};

/// Conversations of the user.
pub const CONVERSATIONS: usize = 10_000;

/// Rows in one commit.
const BATCH: usize = 4096;

/// What was filled.
#[derive(Clone)]
pub struct Inbox {
    /// The user's bearer token.
    token: String,
    /// The platform's key.
    key: Uuid,
    /// The long conversation.
    long: Uuid,
    /// Letters a second, while they were stored.
    pub rate: f64,
}

/// Fills the store in `folder`: a user with [`CONVERSATIONS`] conversations of one letter each, and
/// `rows` more in the first of them, which nobody has read.
///
/// # Errors
/// The store's.
pub async fn fill(folder: &Path, clock: &Clock, rows: usize) -> Result<Inbox> {
    let config = Config { data: folder.to_owned(), ..Config::default() };
    let chat = app::open_chat(&config, clock.clone()).await?;
    let platform = chat.add_platform("Bench").await?;
    let user = async |name: String| {
        let email = Email::parse(&format!("{name}@example.com")).ok_or_else(|| Error::internal("no address"))?;
        chat.add_user(Some(&platform), email, name, None, false, vec![Ability::any()]).await
    };
    let me = user("me".to_owned()).await?;
    let mut peers = Vec::with_capacity(CONVERSATIONS);
    for number in 0..CONVERSATIONS {
        peers.push(user(format!("peer-{number}")).await?.id);
    }
    let token = chat.make_token(me.clone(), "bench".to_owned(), vec![Ability::any()], None).await?.token;
    drop(chat);
    let (long, rate) = fill_letters(folder, clock, &platform, &me, &peers, rows)?;
    Ok(Inbox { token, key: platform.key, long, rate })
}

fn fill_letters(
    folder: &Path,
    clock: &Clock,
    platform: &Platform,
    me: &User,
    peers: &[UserId],
    rows: usize,
) -> Result<(Uuid, f64)> {
    let dir = DataDir::prepare(folder)?;
    let options = SqliteOptions { fsync: false, ..SqliteOptions::default() };
    let mut store = BareStore::open(&dir, &options, clock.now())?;
    let new: Vec<_> = peers.iter().map(|peer| conversation(clock, platform, me, *peer)).collect();
    let mut ids = Vec::with_capacity(new.len());
    for batch in new.chunks(BATCH) {
        ids.extend(store.create_batch(batch)?);
    }
    // The long conversation first, so that it is not at the top of the list for being the newest.
    let long = std::iter::repeat_n(0, rows).chain(0..ids.len());
    let start = std::time::Instant::now();
    let mut batch = Vec::with_capacity(BATCH);
    for at in long {
        batch.push(letter(clock, ids[at], peers[at], me.id));
        if batch.len() == BATCH {
            store.append_batch(&batch)?;
            batch.clear();
        }
    }
    store.append_batch(&batch)?;
    let rate = (rows + ids.len()) as f64 / start.elapsed().as_secs_f64();
    store.close()?;
    preload::flush(&dir)?;
    let long = new.first().map(|first| first.uuid).ok_or_else(|| Error::internal("no conversation"))?;
    Ok((long, rate))
}

fn conversation(clock: &Clock, platform: &Platform, me: &User, peer: UserId) -> NewConversation {
    let uuid = clock.uuid();
    NewConversation {
        platform_id: Some(platform.id),
        user_id: Some(me.id),
        peer_id: Some(peer),
        ..NewConversation::new(uuid, ConversationKind::Direct, uuid.to_string(), clock.now())
    }
}

fn letter(clock: &Clock, id: ConversationId, from: UserId, to: UserId) -> NewMessage {
    let device = Device { kind: DeviceKind::Web, details: Json(r#"{"type":"web","os":"Linux"}"#.to_owned()) };
    let letter = NewLetter {
        receiver_id: to,
        kind: LetterKind::Text,
        attachments: Json("[]".to_owned()),
        uploads: Vec::new(),
        device,
    };
    NewMessage {
        role: Role::User,
        user_id: Some(from),
        text: MessageText::verbatim(TEXT.to_owned()),
        letter: Some(letter),
        ..preload::new_message(clock, id)
    }
}

/// The first page of the inbox, and of its longest conversation.
pub fn pages(server: &Server, inbox: &Inbox) -> Script {
    const ENTRIES: usize = 20;
    const LETTERS: usize = 50;
    let ask = |path: String| get_as(&server.host, &path, &inbox.token, &inbox.key.to_string());
    let base = "/api/v1/pigeons/chat/conversations";
    let expect = |needle, times| Expect { status: 200, needle, times };
    Script {
        requests: vec![
            ask(format!("{base}?limit={ENTRIES}")),
            ask(format!("{base}/{}/messages?limit={LETTERS}", inbox.long)),
        ],
        expect: vec![expect(br#""last_message_text":"#, ENTRIES), expect(br#""message_id":"#, LETTERS)],
    }
}
