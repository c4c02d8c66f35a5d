//! What users are told of what happens in their conversations, whatever carries it: the names and payloads
//! of events.
//!
//! Each carries a `cursor` in its data, a number that grows over everything one client hears: who comes back
//! with the largest that it has seen misses nothing. A conversation's own news is told before the event that
//! moved it, under the cursor *before* that event, so that this also holds for who is cut off between the
//! two: the state comes again, which is harmless, and the event comes.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::wire::{ConversationResource, MessageResource, Showing, instant};
use crate::chat::{Direct, SharedChat};
use crate::domain::{
    ConversationId, ConversationKind, Event, EventBody, EventId, Logged, Message, MessageId, PlatformId, Reach,
    Receipt, User, UserId,
};
use crate::error::{Error, Result};
use crate::http::json;

/// Whom something is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Who follows the conversation.
    Conversation(Uuid),
    /// Those who follow one of the users.
    Users(Vec<Uuid>),
}

/// Something that clients are told.
#[derive(Clone, Debug)]
pub struct News {
    /// Its name on the wire.
    pub event: &'static str,
    /// Its JSON, in one line.
    pub data: String,
    /// Whom.
    pub to: To,
    /// The event in the log behind it.
    pub id: EventId,
    /// The tenant.
    pub platform: PlatformId,
    /// The letter that was sent, if it is about that, and to whom: it is delivered once they got this.
    pub sent: Option<(ConversationId, MessageId, UserId)>,
}

/// A payload with its cursor.
#[derive(Serialize)]
struct With<T> {
    #[serde(flatten)]
    what: T,
    cursor: i64,
}

#[derive(Serialize)]
struct Deleted {
    message_id: String,
    conversation_uuid: Uuid,
}

#[derive(Serialize)]
struct Reacted<'a> {
    message_id: String,
    conversation_uuid: Uuid,
    user_uuid: Option<Uuid>,
    emoji: &'a str,
    created_at: String,
    removed: bool,
}

#[derive(Serialize)]
struct Read {
    message_id: String,
    conversation_uuid: Uuid,
    reader_uuid: Option<Uuid>,
    read_at: String,
    /// Whether every letter before it is meant, too.
    up_to: bool,
}

#[derive(Serialize)]
struct Delivered {
    message_id: String,
    conversation_uuid: Uuid,
    receiver_uuid: Option<Uuid>,
    delivered_at: String,
    up_to: bool,
}

/// Tells what clients are told of some events, which follow each other in the log; where `shows` says so of a
/// conversation, also how it stands. Of that only the last is told of each: it says what is.
///
/// # Errors
/// What the store answers; nothing of the events was told then.
pub async fn of(chat: &SharedChat, events: &[Logged], shows: impl Fn(&Direct) -> bool) -> Result<Vec<News>> {
    let views = View::all(chat, events, shows).await?;
    let mut news = Vec::with_capacity(events.len() * 2);
    for (at, logged) in events.iter().enumerate() {
        // Removed since: nobody has to know any more.
        let Some(view) = views.get(&logged.place.conversation_id) else { continue };
        let moves_again =
            |later: &Logged| later.place.conversation_id == logged.place.conversation_id && moves(&later.event);
        if view.is_shown && moves(&logged.event) && !events[at + 1..].iter().any(moves_again) {
            news.push(view.conversation(logged.event.id));
        }
        news.extend(view.event(&logged.event));
    }
    Ok(news)
}

/// Whether an event changes what an inbox shows of its conversation.
fn moves(event: &Event) -> bool {
    match &event.body {
        EventBody::MessageAdded(_)
        | EventBody::MessageEdited(_)
        | EventBody::MessageDeleted { .. }
        | EventBody::StateChanged { .. }
        | EventBody::Received { receipt: Receipt::Read, .. } => true,
        EventBody::MessageGone
        | EventBody::Void
        | EventBody::Reacted { .. }
        | EventBody::Received { .. }
        | EventBody::RunChanged { .. }
        | EventBody::RunTold(_) => false,
    }
}

/// What it takes to show a conversation.
struct View {
    direct: Direct,
    platform: PlatformId,
    pbk: Uuid,
    /// Whether it is told how the conversation stands.
    is_shown: bool,
    /// Its last visible letter, if that is told.
    last: Option<Arc<Message>>,
}

impl View {
    /// All that it takes to show some events, in as few reads.
    async fn all(
        chat: &SharedChat,
        events: &[Logged],
        shows: impl Fn(&Direct) -> bool,
    ) -> Result<HashMap<ConversationId, Self>> {
        let is_direct = |logged: &&Logged| logged.place.kind == ConversationKind::Direct;
        let platform = |logged: &Logged| Some((logged.place.conversation_id, logged.place.platform_id?));
        let platforms: HashMap<_, _> = events.iter().filter(is_direct).filter_map(platform).collect();
        let mut views = HashMap::with_capacity(platforms.len());
        if platforms.is_empty() {
            return Ok(views);
        }
        for direct in chat.directs(platforms.keys().copied().collect()).await? {
            let id = direct.conversation.id;
            let Some(platform) = platforms.get(&id) else { continue };
            let pbk = match chat.app_numbered(*platform).await {
                Ok(platform) => platform.key,
                // Gone: so are its users.
                Err(Error::Forbidden(_)) => continue,
                Err(error) => return Err(error),
            };
            views.insert(id, Self { is_shown: shows(&direct), direct, platform: *platform, pbk, last: None });
        }
        let moved = |id: &ConversationId| {
            events.iter().any(|logged| logged.place.conversation_id == *id && moves(&logged.event))
        };
        let shown = views.iter().filter(|(id, view)| view.is_shown && moved(id)).map(|(id, _)| *id).collect();
        for last in chat.last_letters(shown).await? {
            if let Some(view) = views.get_mut(&last.conversation_id) {
                view.last = Some(last);
            }
        }
        Ok(views)
    }

    /// The conversation as it is now, for its users.
    fn conversation(&self, id: EventId) -> News {
        let whole = ConversationResource::whole(&self.direct, self.last.as_deref());
        let users = self.direct.members.iter().map(|member| member.user.uuid).collect();
        let data = told(whole, EventId(id.0 - 1));
        News { event: "conversation.updated", data, to: To::Users(users), id, platform: self.platform, sent: None }
    }

    fn event(&self, event: &Event) -> Option<News> {
        let uuid = self.direct.conversation.uuid;
        let user = |id| self.direct.user(id).map(|member| &member.user).map(|user: &User| user.uuid);
        let (name, data) = match &event.body {
            EventBody::MessageAdded(message) => ("message.sent", self.message(message, event.id)),
            EventBody::MessageEdited(message) => ("message.updated", self.message(message, event.id)),
            EventBody::MessageDeleted { message_id, .. } => {
                let deleted = Deleted { message_id: name_of(*message_id), conversation_uuid: uuid };
                ("message.deleted", told(deleted, event.id))
            }
            EventBody::Reacted { message_id, reaction, removed } => {
                let reacted = Reacted {
                    message_id: name_of(*message_id),
                    conversation_uuid: uuid,
                    user_uuid: user(reaction.user_id),
                    emoji: &reaction.emoji,
                    created_at: instant(reaction.at),
                    removed: *removed,
                };
                ("message.reaction", told(reacted, event.id))
            }
            EventBody::Received { reader, receipt, reach } => {
                let (reader, at, up_to) = (user(*reader), instant(event.at), matches!(reach, Reach::Through(_)));
                received(name_of(reach.end()), uuid, *receipt, (reader, at, up_to), event.id)
            }
            EventBody::MessageGone
            | EventBody::Void
            | EventBody::StateChanged { .. }
            | EventBody::RunChanged { .. }
            | EventBody::RunTold(_) => return None,
        };
        let to = To::Conversation(uuid);
        Some(News { event: name, data, to, id: event.id, platform: self.platform, sent: sent(event) })
    }

    fn message(&self, message: &Message, id: EventId) -> String {
        told(MessageResource::new(message, &self.direct, self.pbk, Showing::Now), id)
    }
}

fn received(
    message_id: String,
    conversation_uuid: Uuid,
    receipt: Receipt,
    (who, at, up_to): (Option<Uuid>, String, bool),
    id: EventId,
) -> (&'static str, String) {
    match receipt {
        Receipt::Read => {
            let read = Read { message_id, conversation_uuid, reader_uuid: who, read_at: at, up_to };
            ("message.read", told(read, id))
        }
        Receipt::Delivered => {
            let delivered = Delivered { message_id, conversation_uuid, receiver_uuid: who, delivered_at: at, up_to };
            ("message.delivered", told(delivered, id))
        }
    }
}

fn sent(event: &Event) -> Option<(ConversationId, MessageId, UserId)> {
    let EventBody::MessageAdded(message) = &event.body else { return None };
    let letter = message.letter.as_ref().filter(|letter| letter.delivered_at.is_none())?;
    Some((event.conversation_id, message.id, letter.receiver_id))
}

fn told(what: impl Serialize, cursor: EventId) -> String {
    String::from_utf8(json::bytes(&With { what, cursor: cursor.0 })).unwrap_or_default()
}

fn name_of(message: MessageId) -> String {
    format!("msg_{message}")
}
