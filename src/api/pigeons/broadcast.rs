//! Tells the subscribers of sockets what happens in conversations.
//!
//! One follower of the log publishes everything in the order of commits, so that whoever is connected hears
//! cursors that only grow. It reads nothing for conversations to which nobody subscribes. What a subscriber
//! missed is told in `catch_up.rs`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::catch_up::CatchUp;
use super::news::{self, News, To};
use super::presence;
use crate::chat::{Batch, Direct, Follower, Resume, SharedChat};
use crate::domain::{ConversationId, ConversationKind, EventId, Logged, Scope, UserId};
use crate::http::json;
use crate::realtime::sockets::{App, Frame, Published, Socket, SocketId, Sockets};

/// How an event is written for subscribers: its name, its channel, its data.
pub type Encode = fn(&str, &str, &str) -> Frame;

/// How long it waits before it asks a store again that did not answer.
const AGAIN: Duration = Duration::from_millis(250);
/// How often it asks, half a minute in all, before it goes on without what cannot be shown.
const TRIES: usize = 120;
/// Conversations whose users are known without looking; some dozen bytes each.
const KNOWN_MAX: usize = 16_384;

/// The channel of those who look after a platform.
pub(super) const BACKOFFICE: &str = "private-backoffice";

/// What the back office is told of a letter.
#[derive(Serialize)]
struct Activity {
    conversation_uuid: Uuid,
    cursor: i64,
}

/// Publishes what happens, and tells who comes back what they missed.
pub struct Broadcast {
    pub(super) chat: SharedChat,
    pub(super) encode: Encode,
    catch_up: Arc<CatchUp>,
    /// Everything up to this cursor has been told; negative until it is known where to begin.
    through: AtomicI64,
    /// Who takes part in a conversation: never changes.
    users: Mutex<HashMap<ConversationId, Vec<Uuid>>>,
}

impl Broadcast {
    /// Begins to publish, among those tasks, until `stop`; and to look, every `recheck`, whether what authorised
    /// connections still does.
    pub fn start(
        chat: &SharedChat,
        encode: Encode,
        recheck: Duration,
        tasks: TaskTracker,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let broadcast = Arc::new(Self {
            chat: Arc::clone(chat),
            encode,
            catch_up: Arc::new(CatchUp::new(tasks.clone(), stop.clone())),
            through: AtomicI64::new(-1),
            users: Mutex::default(),
        });
        let following = Arc::clone(&broadcast);
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move { following.run().await }));
        tasks.spawn(stop.clone().run_until_cancelled_owned(end_refused(Arc::clone(chat), recheck)));
        tasks.spawn(presence::tell(Arc::clone(chat), encode, stop.clone()));
        broadcast
    }

    async fn run(&self) {
        let from = loop {
            match self.chat.log_end().await {
                Ok(end) => break end,
                Err(error) => tracing::warn!(error = %error, "sockets are told nothing yet"),
            }
            tokio::time::sleep(AGAIN).await;
        };
        let mut follower = self.chat.follow_scope(Scope::Kind(ConversationKind::Direct), from);
        loop {
            self.through.store(follower.cursor().0, Ordering::Release);
            let events = next(&mut follower).await;
            let wanted: Vec<_> = events.into_iter().filter(|logged| self.is_wanted(logged)).collect();
            if !wanted.is_empty() {
                self.publish(&wanted).await;
            }
        }
    }

    /// Whether somebody subscribes to what an event is told on; unless it is known that nobody does.
    fn is_wanted(&self, logged: &Logged) -> bool {
        let place = &logged.place;
        let Some(app) = place.platform_id.filter(|app| self.sockets().connections(*app) > 0) else { return false };
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner).get(&place.conversation_id).cloned();
        let Some(users) = users else { return true };
        let sockets = self.sockets();
        sockets.has_subscribers(app, BACKOFFICE)
            || channels_of(&To::Conversation(place.uuid)).iter().any(|channel| sockets.has_subscribers(app, channel))
            || channels_of(&To::Users(users)).iter().any(|channel| sockets.has_subscribers(app, channel))
    }

    async fn publish(&self, events: &[Logged]) {
        for _ in 0..TRIES {
            match news::of(&self.chat, events, |direct| self.is_shown(direct)).await {
                Ok(news) => return self.tell_all(&news, events),
                Err(error) => tracing::warn!(error = %error, "sockets are told later what happened"),
            }
            tokio::time::sleep(AGAIN).await;
        }
        // One that can never be shown must not silence all others.
        for event in events.chunks(1) {
            match news::of(&self.chat, event, |direct| self.is_shown(direct)).await {
                Ok(news) => self.tell_all(&news, event),
                Err(error) => tracing::error!(error = %error, event = %event[0].event.id, "sockets are not told"),
            }
        }
    }

    fn tell_all(&self, news: &[News], events: &[Logged]) {
        for told in news {
            let event = events.iter().find(|logged| logged.event.id == told.id);
            let origin = event.and_then(|logged| self.chat.origin_of(&logged.event));
            self.tell(told, origin.filter(|_| matches!(told.to, To::Conversation(_))));
            self.tell_backoffice(told);
        }
    }

    /// Whether somebody hears how a conversation stands: on a channel of one of its users, who are known from here on.
    fn is_shown(&self, direct: &Direct) -> bool {
        let users: Vec<_> = direct.members.iter().map(|member| member.user.uuid).collect();
        self.know(direct.conversation.id, &users);
        let Some(app) = direct.conversation.platform_id else { return false };
        channels_of(&To::Users(users)).iter().any(|channel| self.sockets().has_subscribers(app, channel))
    }

    fn know(&self, id: ConversationId, users: &[Uuid]) {
        let mut known = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(id, users.to_vec());
    }

    fn tell(&self, news: &News, except: Option<SocketId>) {
        for channel in channels_of(&news.to) {
            if !self.sockets().has_subscribers(news.platform, &channel) {
                continue;
            }
            let frame = (self.encode)(news.event, &channel, &news.data);
            let published = Published { frame, cursor: Some(news.id), except, keep: None };
            self.sockets().publish(news.platform, &channel, published);
            self.note_reached(news, |receiver| self.sockets().has_owner(news.platform, &channel, receiver));
        }
    }

    /// The back office hears that somebody wrote in a conversation, and not what.
    fn tell_backoffice(&self, news: &News) {
        if news.sent.is_none() || !self.sockets().has_subscribers(news.platform, BACKOFFICE) {
            return;
        }
        if let To::Conversation(uuid) = news.to {
            let activity = Activity { conversation_uuid: uuid, cursor: news.id.0 };
            let data = String::from_utf8(json::bytes(&activity)).unwrap_or_default();
            let frame = (self.encode)("conversation.activity", BACKOFFICE, &data);
            self.sockets().publish(news.platform, BACKOFFICE, Published { frame, ..Published::default() });
        }
    }

    /// A letter that its receiver's own connection was sent is delivered.
    pub(super) fn note_reached(&self, news: &News, was_sent: impl FnOnce(UserId) -> bool) {
        if let Some((conversation, message, receiver)) = news.sent
            && was_sent(receiver)
        {
            self.chat.reached_soon(conversation, receiver, message);
        }
    }

    pub(super) fn sockets(&self) -> &Arc<Sockets> {
        self.chat.sockets()
    }
}

impl Resume for Arc<Broadcast> {
    fn resume(&self, socket: &Socket, channel: String, since: EventId, owner: UserId) {
        self.catch_up.begin(self, socket, channel, since, owner);
    }

    fn told_through(&self, channel: &str) -> Option<EventId> {
        let through = self.through.load(Ordering::Acquire);
        (is_told(channel) && through >= 0).then_some(EventId(through))
    }
}

/// The next events. What the store does not answer now it is asked again.
async fn next(follower: &mut Follower) -> Vec<Logged> {
    loop {
        match follower.next().await {
            Ok(Batch::Events(events)) => return events,
            Ok(Batch::Signal(_) | Batch::Reset(_) | Batch::Gone) => {}
            Err(error) => {
                tracing::warn!(error = %error, "sockets are told later what happened");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Closes connections that are authorised no longer. That a store cannot say so at the moment is no reason to.
async fn end_refused(chat: SharedChat, recheck: Duration) {
    loop {
        tokio::time::sleep(recheck).await;
        if let Err(error) = chat.end_refused_connections().await {
            tracing::warn!(error = %error, "who may stay connected is looked at later");
        }
    }
}

/// The channels on which something is told.
pub(super) fn channels_of(to: &To) -> Vec<String> {
    match to {
        To::Conversation(uuid) => {
            vec![format!("private-conversation.{uuid}"), format!("presence-conversation.{uuid}")]
        }
        To::Users(users) => users.iter().map(|uuid| format!("private-users.{uuid}")).collect(),
    }
}

/// The conversation of whose events a channel tells, if it is a conversation's.
pub(super) fn conversation_of(channel: &str) -> Option<Uuid> {
    let (_, uuid) = channel.split_once("-conversation.")?;
    Uuid::try_parse(uuid).ok()
}

/// Whether the log tells anything on a channel of that name.
pub(super) fn is_told(channel: &str) -> bool {
    ["private-conversation.", "presence-conversation.", "private-users."].iter().any(|kind| channel.starts_with(kind))
}

/// Of which tenant the news of a connection are.
pub(super) fn is_of(app: App, news: &News) -> bool {
    news.platform == app
}
