//! One client's session: what each of its frames means, what it may do, and what it is told. No I/O and no
//! clock: a frame and the present instant go in, at most one action comes out.
//!
//! A refusal never ends the connection. Close codes from 4000 to 4099 make stock clients give up until
//! their page is loaded again, so that one channel that may not be had would take all the others along.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::auth;
use super::frame::{self, ChannelData, Sent, SignIn, Subscribe, Unsubscribe, UserData};
use super::names::{self, Door, Kind};
use crate::domain::Platform;
use crate::realtime::sockets::{Expected, Frame, JoinRefused, Member};

/// Largest data of an event, in bytes.
pub const DATA_BYTES_MAX: usize = 10 << 10;
/// Largest description of a presence channel's member, in bytes.
pub const MEMBER_BYTES_MAX: usize = 1 << 10;
/// Users that one may watch.
pub const WATCHED_MAX: usize = 100;
/// Stands for a refused client event.
const CLIENT_EVENT_REFUSED: u16 = 4301;
/// Stands for a watchlist that is too long.
const WATCHLIST_TOO_LONG: u16 = 4302;
/// Stands for a sign-in that is not authorised.
const UNAUTHORISED: u16 = 4009;
/// Stands for what has no code of its own.
const GENERIC: u16 = 4200;

/// What an operator can set of a session's rules.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whether clients may send events to each other.
    pub client_events: bool,
    /// How many of them a connection may send in a second.
    pub client_events_per_second: u32,
    /// Channels that a connection may be subscribed to at once.
    pub channels_max: usize,
}

/// What has to be done.
#[derive(Debug)]
pub enum Action {
    /// Tell the client something.
    Tell(Frame),
    /// Subscribe it; how that went comes back to [`Session::entered`] or [`Session::shut_out`].
    Subscribe(Entry),
    /// It leaves a channel.
    Unsubscribe(String),
    /// Tell a channel's other subscribers something.
    Whisper(Whisper),
    /// It is a user, if there is room for one more connection of theirs: [`Session::signed_in`].
    SignIn(Identity),
}

/// A subscription that is authorised.
#[derive(Debug)]
pub struct Entry {
    /// Where to.
    pub channel: String,
    /// What the name says of the channel.
    pub kind: Kind,
    /// Who subscribes, on a presence channel.
    pub member: Option<Member>,
    /// What the node said that authorised it, where that is another.
    pub expected: Option<Expected>,
}

/// A client's event for the others.
#[derive(Debug)]
pub struct Whisper {
    /// The channel.
    pub channel: String,
    /// The event's name.
    pub event: String,
    /// What it carries.
    pub data: Option<String>,
    /// Who sends it, on a presence channel.
    pub user: Option<String>,
}

/// Who a connection is.
#[derive(Debug)]
pub struct Identity {
    /// The user's id.
    pub user: String,
    /// Of whom they want to hear.
    pub watched: Vec<String>,
    /// What the client signed in with.
    pub user_data: String,
    /// The user's own channel, and what another node said of it that authorised the sign-in.
    pub expected: Option<(String, Expected)>,
}

/// A channel that the session is subscribed to.
#[derive(Debug)]
struct Held {
    channel: Box<str>,
    /// Who the client is there, on a presence channel.
    user: Option<Box<str>>,
}

/// A client's session. Small: there is one for each connection.
#[derive(Debug)]
pub struct Session {
    app: Arc<Platform>,
    rules: Arc<Rules>,
    socket: Box<str>,
    /// By name, in order.
    held: Vec<Held>,
    user: Option<Box<str>>,
    /// When all of the client events that were let in would have been due, had they come evenly.
    whispered: Option<Instant>,
}

impl Session {
    /// The session of a socket that was just established.
    pub fn new(app: Arc<Platform>, rules: Arc<Rules>, socket: &str) -> Self {
        Self { app, rules, socket: socket.into(), held: Vec::new(), user: None, whispered: None }
    }

    /// The app.
    pub fn app(&self) -> &Arc<Platform> {
        &self.app
    }

    /// What a frame of the client wants.
    pub fn receive(&mut self, text: &str, now: Instant) -> Option<Action> {
        let Some(sent) = Sent::read(text) else { return tell(frame::error(Some(GENERIC), "Invalid message format")) };
        match &*sent.event {
            "pusher:ping" => tell(frame::pong()),
            "pusher:subscribe" => Some(self.subscribe(&sent)),
            "pusher:unsubscribe" => self.unsubscribe(&sent),
            "pusher:signin" => Some(self.sign_in(&sent)),
            name if names::is_client_event(name) => Some(self.whisper(&sent, now)),
            // A pong is life, which the connection has noted; what else there may be of the protocol's own is
            // of a later version.
            name if frame::is_protocols(name) => None,
            _ => tell(refused_event("Client events have names that begin with client-")),
        }
    }

    fn subscribe(&self, sent: &Sent<'_>) -> Action {
        let Some(wish) = sent.data::<Subscribe>() else {
            return Action::Tell(frame::error(Some(GENERIC), "pusher:subscribe wants a channel"));
        };
        match self.admit(&wish) {
            Ok(Admitted::Entry(entry)) => Action::Subscribe(entry),
            Ok(Admitted::Already) => {
                let channel = frame::shortened(&wish.channel);
                Action::Tell(frame::error(None, &format!("Existing subscription to channel {channel}")))
            }
            Err(refusal) => Action::Tell(refusal.frame(&wish.channel)),
        }
    }

    fn admit(&self, wish: &Subscribe) -> Result<Admitted, Refusal> {
        if !names::is_channel(&wish.channel) {
            return Err(Refusal::NAME);
        }
        if self.find(&wish.channel).is_ok() {
            return Ok(Admitted::Already);
        }
        if self.held.len() >= self.rules.channels_max {
            return Err(Refusal::CHANNELS);
        }
        let kind = Kind::of(&wish.channel);
        if kind.door == Door::User && self.user.as_deref() != names::user_of(&wish.channel) {
            return Err(Refusal::NOT_THEIRS);
        }
        let data = wish.channel_data.as_deref();
        if kind.wants_signature() {
            let auth = wish.auth.as_deref().unwrap_or_default();
            let is_signed = |data| auth::is_subscription(&self.app, auth, &self.socket, &wish.channel, data);
            // Where it says nothing, channel_data may be signed along or not: backends differ.
            if !is_signed(data) && (kind.is_presence() || data.is_none() || !is_signed(None)) {
                return Err(Refusal::SIGNATURE);
            }
        }
        let member = if kind.is_presence() { Some(member(data)?) } else { None };
        let auth = wish.auth.as_deref().unwrap_or_default();
        let expected = auth::expected(&self.app, auth, &self.socket, &wish.channel);
        Ok(Admitted::Entry(Entry { channel: wish.channel.clone(), kind, member, expected }))
    }

    /// The client is subscribed to a channel.
    pub fn entered(&mut self, channel: &str, user: Option<&str>) {
        if let Err(at) = self.find(channel) {
            self.held.insert(at, Held { channel: channel.into(), user: user.map(Into::into) });
        }
    }

    /// The client could not be subscribed; what it is told.
    pub fn shut_out(&self, channel: &str, refused: &JoinRefused) -> Option<Frame> {
        let refusal = match refused {
            JoinRefused::TooManyChannels => Refusal::CHANNELS,
            JoinRefused::TooManyMembers => Refusal::MEMBERS,
            JoinRefused::Already | JoinRefused::Closing => return None,
        };
        Some(refusal.frame(channel))
    }

    fn unsubscribe(&mut self, sent: &Sent<'_>) -> Option<Action> {
        let Some(wish) = sent.data::<Unsubscribe>() else {
            return tell(frame::error(Some(GENERIC), "pusher:unsubscribe wants a channel"));
        };
        let at = self.find(&wish.channel).ok()?;
        self.held.remove(at);
        if self.held.is_empty() {
            self.held.shrink_to_fit();
        }
        Some(Action::Unsubscribe(wish.channel))
    }

    fn whisper(&mut self, sent: &Sent<'_>, now: Instant) -> Action {
        match self.try_whisper(sent, now) {
            Ok(whisper) => Action::Whisper(whisper),
            Err(why) => Action::Tell(refused_event(why)),
        }
    }

    fn try_whisper(&mut self, sent: &Sent<'_>, now: Instant) -> Result<Whisper, &'static str> {
        if !self.rules.client_events {
            return Err("Client events are not enabled");
        }
        if sent.event.chars().take(names::EVENT_CHARS_MAX + 1).count() > names::EVENT_CHARS_MAX {
            return Err("The name of a client event has at most 200 characters");
        }
        let channel = sent.channel.as_deref().unwrap_or_default();
        if !Kind::of(channel).takes_client_events() {
            return Err("Client events are for private and presence channels");
        }
        if names::is_announcing(channel) {
            return Err("On this channel only the server tells something");
        }
        let at = self.find(channel).map_err(|_| "Client events are for channels that the client is subscribed to")?;
        let user = self.held[at].user.as_deref().map(str::to_owned);
        let data = sent.text();
        if data.as_ref().is_some_and(|data| data.len() > DATA_BYTES_MAX) {
            return Err("The data of a client event has at most 10 KB");
        }
        if !self.takes_turn(now) {
            return Err("The rate limit of client events is exceeded");
        }
        Ok(Whisper {
            channel: channel.to_owned(),
            event: sent.event.clone().into_owned(),
            data: data.map(std::borrow::Cow::into_owned),
            user,
        })
    }

    /// Whether one more client event is within the rate: as many at once as a second may have, and then
    /// one whenever the time of one has passed.
    fn takes_turn(&mut self, now: Instant) -> bool {
        let step = Duration::from_secs(1) / self.rules.client_events_per_second.max(1);
        let due = self.whispered.map_or(now, |due| due.max(now));
        let is_within = due.duration_since(now) + step <= Duration::from_secs(1);
        if is_within {
            self.whispered = Some(due + step);
        }
        is_within
    }

    fn sign_in(&self, sent: &Sent<'_>) -> Action {
        match self.try_sign_in(sent) {
            Ok(identity) => Action::SignIn(identity),
            Err((code, why)) => Action::Tell(frame::error(Some(code), why)),
        }
    }

    fn try_sign_in(&self, sent: &Sent<'_>) -> Result<Identity, (u16, &'static str)> {
        let wish: SignIn = sent.data().ok_or((GENERIC, "pusher:signin wants auth and user_data"))?;
        if !auth::is_sign_in(&self.app, &wish.auth, &self.socket, &wish.user_data) {
            return Err((UNAUTHORISED, "The sign-in is not authorised"));
        }
        let read = UserData::read(&wish.user_data).filter(|(user, _)| names::is_user(user));
        let (user, watched) = read.ok_or((UNAUTHORISED, "user_data wants an id of 1 to 128 characters"))?;
        if watched.len() > WATCHED_MAX {
            return Err((WATCHLIST_TOO_LONG, "A watchlist has at most 100 users"));
        }
        if !watched.iter().all(|id| names::is_user(id)) {
            return Err((WATCHLIST_TOO_LONG, "A watchlist has ids of 1 to 128 characters"));
        }
        if self.user.as_deref().is_some_and(|held| held != user) {
            return Err((UNAUTHORISED, "The connection is signed in as somebody else"));
        }
        let own = names::own_channel(&user);
        let expected = auth::expected(&self.app, &wish.auth, &self.socket, &own).map(|expected| (own, expected));
        Ok(Identity { user, watched, user_data: wish.user_data, expected })
    }

    /// The client is that user from now on.
    pub fn signed_in(&mut self, user: &str) {
        self.user = Some(user.into());
    }

    fn find(&self, channel: &str) -> Result<usize, usize> {
        self.held.binary_search_by(|held| (*held.channel).cmp(channel))
    }
}

/// The user is signed in on as many connections as one may be.
pub fn too_many_sign_ins() -> Frame {
    frame::error(Some(UNAUTHORISED), "The user is signed in on as many connections as one may be")
}

/// What became of a wish to subscribe.
enum Admitted {
    Entry(Entry),
    Already,
}

fn tell(frame: Frame) -> Option<Action> {
    Some(Action::Tell(frame))
}

fn refused_event(why: &str) -> Frame {
    frame::error(Some(CLIENT_EVENT_REFUSED), why)
}

fn member(data: Option<&str>) -> Result<Member, Refusal> {
    let (user_id, info) = data.and_then(ChannelData::read).ok_or(Refusal::DATA)?;
    if !names::is_user(&user_id) {
        return Err(Refusal::USER);
    }
    if info.as_ref().is_some_and(|info| info.len() > MEMBER_BYTES_MAX) {
        return Err(Refusal::INFO);
    }
    Ok(Member { user_id, info })
}

/// Why a subscription is refused.
struct Refusal {
    kind: &'static str,
    why: &'static str,
    status: u16,
}

impl Refusal {
    const NAME: Self = Self::new("InvalidChannel", "This is no name of a channel", 400);
    const DATA: Self = Self::new("InvalidChannelData", "channel_data wants a user_id", 400);
    const SIGNATURE: Self = Self::new("AuthError", "The signature is not valid for this channel and socket", 401);
    const NOT_THEIRS: Self = Self::new("AuthError", "The channel is of another user", 401);
    const CHANNELS: Self = Self::new("LimitReached", "The connection has as many channels as it may", 403);
    const MEMBERS: Self = Self::new("LimitReached", "The channel has as many members as it may", 403);
    const USER: Self = Self::new("LimitReached", "A user_id has 1 to 128 characters", 413);
    const INFO: Self = Self::new("LimitReached", "user_info has at most 1 KB", 413);

    const fn new(kind: &'static str, why: &'static str, status: u16) -> Self {
        Self { kind, why, status }
    }

    fn frame(&self, channel: &str) -> Frame {
        frame::refused(frame::shortened(channel), self.kind, self.why, self.status)
    }
}
