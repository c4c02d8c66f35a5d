//! The connections of clients: who is let in, and the glue between a session, which decides, and the
//! connections, which carry.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::frame;
use super::session::{self, Action, Entry, Identity, Session, Whisper};
use super::{Parts, Pusher, channels};
use crate::domain::{Happened, Platform, UserId};
use crate::error::{Error, Refusal};
use crate::http::frame::Scope;
use crate::http::request::Segment;
use crate::http::websocket::{self, Handshake};
use crate::limits::network;
use crate::realtime::nodes::Room;
use crate::realtime::sockets::{Appearance, Join, Published, SignInRefused, Socket};

/// Bytes that a client may say while it waits for other nodes.
const LATER_BYTES_MAX: usize = 256 << 10;
/// More than that. 4100 is the code at which stock clients pause before they come back.
const HASTY: (u16, &str) = (4100, "too many messages");

/// Versions of the protocol that are spoken; they differ in nothing that a server does.
const PROTOCOLS: std::ops::RangeInclusive<u32> = 5..=7;

/// Connect
///
/// The WebSocket of the Pusher Channels protocol, version 7. What goes over it is told in the protocol's own
/// documents; a refusal comes as a `pusher:error` and as the close code.
#[utoipa::path(get, path = "/app/{key}", operation_id = "pusher_connect", tag = "pusher",
    params(
        ("key" = String, Path, description = "The app's key: the platform's public key"),
        ("protocol" = u32, Query, description = "The version of the protocol", example = 7),
    ),
    responses(
        (status = 101, description = "The connection is open"),
        (status = 400, description = "The request is no handshake of a WebSocket", body = String, content_type = "text/plain"),
        (status = 403, description = "Pages of that origin may not connect", body = String, content_type = "text/plain"),
        (status = 426, description = "The request is no handshake of a WebSocket, or of another version", body = String, content_type = "text/plain"),
    ))]
pub async fn connect(State(door): State<Pusher>, Segment(key): Segment, mut request: Request) -> Response {
    if !door.allows_origin(request.headers()) {
        return (StatusCode::FORBIDDEN, "pages of this origin may not connect\n").into_response();
    }
    let handshake = match Handshake::of(&mut request) {
        Ok(handshake) => handshake,
        Err(refused) => return refused.into_response(),
    };
    let address = address(&request);
    let app = match door.welcome(&key, request.uri().query()).await {
        Ok(app) => app,
        Err(Turned::Away(why)) => return turn_away(&door, handshake, address, why),
        Err(Turned::Later) => return later(),
    };
    match door.sockets().admit(app.id, address) {
        Ok(place) => {
            let sockets = Arc::clone(door.sockets());
            let limits = door.limits;
            handshake.accept(&sockets, place, limits, move |socket| Client::new(door, app, socket))
        }
        Err(_) => turn_away(&door, handshake, address, (4100, "Over capacity")),
    }
}

/// What every path under `/app` that is no app's is answered with.
pub async fn nowhere(State(door): State<Pusher>, mut request: Request) -> Response {
    match Handshake::of(&mut request) {
        Ok(handshake) => turn_away(&door, handshake, address(&request), (4005, "Path not found")),
        Err(refused) => refused.into_response(),
    }
}

/// Why somebody does not get a session.
enum Turned {
    /// With a code of the protocol.
    Away((u16, &'static str)),
    /// The store does not answer: they are to come back.
    Later,
}

impl Parts {
    /// The app of a key, for a client that speaks the protocol.
    async fn welcome(&self, key: &str, query: Option<&str>) -> Result<Arc<Platform>, Turned> {
        let unknown = || Turned::Away((4001, "Application does not exist"));
        let key = Uuid::try_parse(key).map_err(|_| unknown())?;
        let app = match self.chat.app(key).await {
            Ok(app) => app,
            Err(Error::Forbidden(Refusal::UnknownPlatform)) => return Err(unknown()),
            Err(error) => {
                tracing::error!(cause = %error, "an app could not be looked up");
                return Err(Turned::Later);
            }
        };
        check_protocol(query).map_err(Turned::Away)?;
        Ok(app)
    }

    /// Whether pages of that origin may connect. Who is no browser does not say where from.
    fn allows_origin(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        self.origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    }
}

fn check_protocol(query: Option<&str>) -> Result<(), (u16, &'static str)> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let sent = pairs.find(|(name, _)| name == "protocol").map(|(_, value)| value);
    let sent = sent.ok_or((4008, "No protocol version supplied"))?;
    let version: u32 = sent.parse().map_err(|_| (4006, "Invalid version string format"))?;
    if PROTOCOLS.contains(&version) { Ok(()) } else { Err((4007, "Unsupported protocol version")) }
}

fn address(request: &Request) -> IpAddr {
    let unknown = IpAddr::from([0, 0, 0, 0]);
    network(request.extensions().get::<Scope>().map_or(unknown, |scope| scope.address))
}

/// Opens the connection to say why it is closed: a refused handshake has no code that a page could read.
fn turn_away(door: &Pusher, handshake: Handshake, address: IpAddr, why: (u16, &'static str)) -> Response {
    let Some(place) = door.sockets().admit_briefly(address) else { return later() };
    handshake.accept(door.sockets(), place, door.limits, move |socket| Stranger { socket, why })
}

fn later() -> Response {
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, "try again shortly\n").into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// A connection that is told why it is closed.
struct Stranger {
    socket: Socket,
    why: (u16, &'static str),
}

impl websocket::Session for Stranger {
    fn opened(&mut self) {
        let (code, why) = self.why;
        self.socket.send(frame::error(Some(code), why));
        self.socket.close(code, why);
    }

    fn text(&mut self, _: &str) {}

    fn quiet(&mut self) {}

    fn closed(self) {}
}

/// A client's connection.
struct Client {
    door: Pusher,
    socket: Socket,
    session: Session,
    /// The accounts that it is a connection of, as the auth endpoint knows them.
    owners: Vec<UserId>,
    /// What is done when it is known what other nodes have.
    waiting: Option<Box<Waiting>>,
}

/// A client's wish that waits, and everything that it said since: what a client says is done in its order.
struct Waiting {
    wish: Action,
    later: VecDeque<Box<str>>,
    bytes: usize,
}

impl websocket::Session for Client {
    fn opened(&mut self) {
        let id = self.socket.id().to_string();
        self.socket.send(frame::established(&id, self.door.activity_timeout_s));
    }

    fn text(&mut self, text: &str) {
        if self.waiting.is_some() {
            self.say_later(text);
        } else if let Some(action) = self.session.receive(text, Instant::now()) {
            self.act_when_ready(action);
        }
    }

    fn ready(&mut self) {
        let Some(waiting) = self.waiting.take() else { return };
        let Waiting { wish, mut later, bytes } = *waiting;
        self.door.sockets().drop_inbound(bytes);
        self.act(wish);
        while let Some(text) = later.pop_front().filter(|_| !self.socket.is_closing()) {
            self.text(&text);
        }
    }

    fn quiet(&mut self) {
        self.socket.send(self.door.ping.clone());
    }

    fn closed(self) {
        if let Some(waiting) = &self.waiting {
            self.door.sockets().drop_inbound(waiting.bytes);
        }
        let app = self.socket.app();
        let tell = |channel: &str, left: &_| channels::left(&self.door, app, channel, left);
        let gone = self.door.sockets().leave(&self.socket, tell);
        self.owners.iter().for_each(|owner| {
            self.door.chat.online().leave(*owner);
        });
        if let Some(gone) = gone {
            tell_watchers(&gone, false);
        }
    }
}

impl Client {
    fn new(door: Pusher, app: Arc<Platform>, socket: Socket) -> Self {
        let session = Session::new(app, Arc::clone(&door.rules), &socket.id().to_string());
        Self { door, socket, session, owners: Vec::new(), waiting: None }
    }

    /// Does what a client wants as soon as it is known what other nodes have of it: at once, where there are none.
    fn act_when_ready(&mut self, action: Action) {
        let sockets = self.door.sockets();
        let is_ready = match (sockets.nodes(), &action) {
            (None, _) => true,
            (Some(nodes), Action::Subscribe(entry)) => {
                nodes.prepare(&self.socket, [Room::Channel(self.socket.app(), entry.channel.as_str().into())])
            }
            (Some(nodes), Action::SignIn(identity)) => {
                let users = identity.watched.iter().chain([&identity.user]);
                let app = self.socket.app();
                nodes.prepare(&self.socket, users.map(|user| Room::User(app, user.as_str().into())))
            }
            (Some(_), _) => true,
        };
        if is_ready {
            self.act(action);
        } else {
            self.waiting = Some(Box::new(Waiting { wish: action, later: VecDeque::new(), bytes: 0 }));
        }
    }

    fn say_later(&mut self, text: &str) {
        let Some(waiting) = &mut self.waiting else { return };
        let has_room = self.door.sockets().keep_inbound(text.len());
        waiting.bytes += text.len();
        if !has_room || waiting.bytes > LATER_BYTES_MAX {
            return self.socket.close(HASTY.0, HASTY.1);
        }
        waiting.later.push_back(text.into());
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Tell(frame) => self.socket.send(frame),
            Action::Subscribe(entry) => self.subscribe(entry),
            Action::Unsubscribe(channel) => self.unsubscribe(&channel),
            Action::Whisper(whisper) => self.whisper(whisper),
            Action::SignIn(identity) => self.sign_in(&identity),
        }
    }

    fn subscribe(&mut self, entry: Entry) {
        let sockets = self.door.sockets();
        // Said to this node, or to another.
        let expected = sockets
            .expected(&self.socket, &entry.channel)
            .or_else(|| entry.expected.and_then(|expected| sockets.vouched(&self.socket, expected)));
        let owner = expected.map(|expected| expected.owner);
        let since = expected.and_then(|expected| expected.since.zip(owner));
        let user = entry.member.as_ref().map(|member| member.user_id.clone());
        let join = Join { channel: &entry.channel, member: entry.member.clone(), owner, hold: since.is_some() };
        // Looked at before anything can be told to it, so that it does not promise too much.
        let from = since.map(|(since, _)| since).or_else(|| self.door.resume.told_through(&entry.channel));
        let answer = |joined: &_| channels::joined(&self.door, self.socket.app(), &entry, joined, from);
        match sockets.subscribe(&self.socket, join, answer) {
            Ok(()) => {
                self.session.entered(&entry.channel, user.as_deref());
                self.belongs_to(owner);
                if let Some((since, owner)) = since {
                    self.door.resume.resume(&self.socket, entry.channel, since, owner);
                }
            }
            Err(refused) => {
                if let Some(frame) = self.session.shut_out(&entry.channel, &refused) {
                    self.socket.send(frame);
                }
            }
        }
    }

    fn belongs_to(&mut self, owner: Option<UserId>) {
        if let Some(owner) = owner.filter(|owner| !self.owners.contains(owner)) {
            self.owners.push(owner);
            self.door.chat.online().enter(owner);
        }
    }

    fn unsubscribe(&self, channel: &str) {
        let tell = |left: &_| channels::left(&self.door, self.socket.app(), channel, left);
        self.door.sockets().unsubscribe(&self.socket, channel, tell);
    }

    fn whisper(&self, whisper: Whisper) {
        let (app, Whisper { channel, event, data, user }) = (self.socket.app(), whisper);
        let frame = frame::client_event(&event, &channel, data.as_deref(), user.as_deref());
        let published = Published { frame, except: Some(self.socket.id()), ..Published::default() };
        self.door.sockets().publish_everywhere(app, &channel, published);
        if self.door.happenings.wanted(app) {
            let socket_id = self.socket.id().to_string();
            let happened = Happened::ClientEvent { channel, event, data, socket_id, user_id: user };
            self.door.happenings.note(app, happened);
        }
    }

    fn sign_in(&mut self, identity: &Identity) {
        let sockets = self.door.sockets();
        match sockets.sign_in(&self.socket, &identity.user) {
            Ok(appeared) => tell_watchers(&appeared, true),
            // Stock clients sign in again when they are told to; only the watchlist may be another.
            Err(SignInRefused::Already) => {}
            Err(SignInRefused::TooMany) => return self.socket.send(session::too_many_sign_ins()),
            Err(SignInRefused::Closing) => return,
        }
        if let Some((channel, expected)) = &identity.expected {
            sockets.expect(self.socket.app(), self.socket.id(), channel, *expected);
        }
        self.session.signed_in(&identity.user);
        self.socket.send(frame::signed_in(&identity.user_data));
        let online = sockets.watch(&self.socket, &identity.watched);
        if !online.is_empty() {
            self.socket.send(frame::watched(true, &online));
        }
    }
}

/// Tells those who watch a user that they came or left.
fn tell_watchers(appearance: &Appearance, is_online: bool) {
    if appearance.is_change && !appearance.watchers.is_empty() {
        let frame = frame::watched(is_online, std::slice::from_ref(&appearance.user_id));
        appearance.watchers.iter().for_each(|watcher| watcher.send(frame.clone()));
    }
}
