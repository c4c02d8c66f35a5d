//! The HTTP API: what an app's backend asks and tells, each request signed with the app's secret.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::envelope::{Failure, answer};
use super::names::{self, Kind};
use super::session::DATA_BYTES_MAX;
use super::wire::{
    Batch, BatchTriggered, Cache, Channel, Channels, Connections, Counts, Done, Trigger, Triggered, UserName, Users,
};
use super::{Pusher, auth, channels, frame};
use crate::domain::{Platform, PlatformId};
use crate::http::body;
use crate::http::request::Segment;
use crate::realtime::sockets::{ChannelFigures, Frame, Published, Socket, SocketId};

/// Channels of one event.
const CHANNELS_MAX: usize = 100;
/// Events of one batch.
const BATCH_MAX: usize = 10;
/// What terminated connections are closed with: their clients do not come back by themselves.
const TERMINATED: (u16, &str) = (4009, "You got disconnected by the app");

/// A request whose signature is not looked at yet.
pub struct Asked {
    door: Pusher,
    request: Request,
}

impl FromRequest<Pusher> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, door: &Pusher) -> Result<Self, Self::Rejection> {
        Ok(Self { door: door.clone(), request })
    }
}

/// A request of an app's own backend.
struct Backend {
    door: Pusher,
    app: std::sync::Arc<Platform>,
    query: Vec<(String, String)>,
    body: axum::body::Bytes,
}

impl Asked {
    /// Looks whether the app's backend sent it.
    async fn of(self, app: &str) -> Result<Backend, Failure> {
        let Self { door, request } = self;
        let app = find(&door, app).await?;
        let (parts, body) = request.into_parts();
        let body = body::read(body, &door.web.config).await?;
        let (path, query) = (parts.uri.path(), parts.uri.query());
        let signed = auth::Signed { method: &parts.method, path, query, body: &body };
        signed.check(&app, door.chat.now())?;
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let query = pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Ok(Backend { door, app, query, body })
    }
}

/// The app of a path: by its public key, or by its number.
async fn find(door: &Pusher, name: &str) -> Result<std::sync::Arc<Platform>, Failure> {
    if let Ok(key) = Uuid::try_parse(name) {
        return Ok(door.chat.app(key).await?);
    }
    let number = name.parse().map_err(|_| Failure::NoApp)?;
    Ok(door.chat.app_numbered(PlatformId(number)).await?)
}

impl Backend {
    fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| Failure::invalid(format!("the body: {error}")))
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn info(&self) -> Info {
        Info::read(self.parameter("info"))
    }

    async fn channel(&self, name: &str) -> Option<ChannelFigures> {
        match self.door.sockets().nodes() {
            Some(nodes) => nodes.channel(self.app.id, name).await,
            None => self.door.sockets().channel(self.app.id, name),
        }
    }

    async fn channels(&self, prefix: &str, info: Info) -> Vec<ChannelFigures> {
        match self.door.sockets().nodes() {
            Some(nodes) => nodes.channels(self.app.id, prefix, info.is_any()).await,
            None => self.door.sockets().channels(self.app.id, prefix),
        }
    }

    async fn kept(&self, name: &str) -> Option<Frame> {
        match self.door.sockets().nodes() {
            Some(nodes) => nodes.kept(self.app.id, name).await,
            None => self.door.sockets().kept(self.app.id, name),
        }
    }

    async fn members(&self, name: &str) -> Vec<String> {
        match self.door.sockets().nodes() {
            Some(nodes) => nodes.members(self.app.id, name).await,
            None => self.door.sockets().members(self.app.id, name),
        }
    }

    /// What was asked of an event's channels, in their order.
    async fn counts(&self, event: &Event) -> Vec<Counts> {
        let mut counts = Vec::with_capacity(event.channels.len());
        for name in &event.channels {
            counts.push(event.info.counts(name, self.channel(name).await.as_ref()));
        }
        counts
    }

    /// Tells an event, which was checked, to its channels. Each channel's frame is encoded once.
    async fn publish(&self, event: &Event) {
        let sockets = self.door.sockets();
        for channel in &event.channels {
            let keep = Kind::of(channel).keeps.then_some(channels::KEPT_FOR);
            let frame = frame::event(&event.name, channel, &event.data);
            if let (Some(nodes), Some(until)) = (sockets.nodes(), keep) {
                // First, so that who subscribes elsewhere meanwhile is told it in one way or the other.
                nodes.keep(self.app.id, channel, frame.clone(), until).await;
            }
            let published = Published { frame, cursor: None, except: event.except, keep };
            sockets.publish_everywhere(self.app.id, channel, published);
        }
    }
}

/// What is asked of channels.
#[derive(Clone, Copy, Debug, Default)]
struct Info {
    users: bool,
    subscriptions: bool,
    cache: bool,
}

impl Info {
    fn read(sent: Option<&str>) -> Self {
        let mut info = Self::default();
        for word in sent.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "user_count" => info.users = true,
                "subscription_count" => info.subscriptions = true,
                "cache" => info.cache = true,
                // What later versions ask for is no reason to refuse the rest.
                _ => {}
            }
        }
        info
    }

    fn is_any(self) -> bool {
        self.users || self.subscriptions
    }

    /// What was asked of a channel; only presence channels know users.
    fn counts(self, channel: &str, figures: Option<&ChannelFigures>) -> Counts {
        let (users, subscriptions) = figures.map_or((0, 0), |figures| (figures.users, figures.subscriptions));
        Counts {
            user_count: (self.users && Kind::of(channel).is_presence()).then_some(users),
            subscription_count: self.subscriptions.then_some(subscriptions),
        }
    }
}

/// An event that was checked.
struct Event {
    name: String,
    data: String,
    channels: Vec<String>,
    except: Option<SocketId>,
    info: Info,
}

impl Event {
    fn check(sent: Trigger) -> Result<Self, Failure> {
        if !names::is_event(&sent.name) {
            return Err(Failure::invalid("name: 1 to 200 characters"));
        }
        let data = match sent.data {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        if data.len() > DATA_BYTES_MAX {
            return Err(Failure::DataTooLong);
        }
        let channels = match (sent.channels, sent.channel) {
            (Some(channels), None) => channels,
            (None, Some(channel)) => vec![channel],
            (Some(_), Some(_)) => return Err(Failure::invalid("either channels or channel, not both")),
            (None, None) => return Err(Failure::invalid("channels: at least one")),
        };
        if channels.is_empty() || channels.len() > CHANNELS_MAX {
            return Err(Failure::invalid("channels: 1 to 100"));
        }
        if let Some(at) = channels.iter().position(|channel| !names::is_channel(channel)) {
            return Err(Failure::invalid(format!("channels: number {at} is no name of a channel")));
        }
        let except = sent.socket_id.map(|id| id.parse()).transpose();
        let except = except.map_err(|_| Failure::invalid("socket_id: two numbers with a dot between"))?;
        Ok(Self { name: sent.name, data, channels, except, info: Info::read(sent.info.as_deref()) })
    }
}

/// Publish an event
#[utoipa::path(post, path = "/apps/{app_id}/events", operation_id = "pusher_trigger", tag = "pusher",
    security(("pusher" = [])), request_body = Trigger,
    params(("app_id" = String, Path, description = "The platform's public key, or its number")),
    responses((status = 200, description = "It was told to who subscribes", body = Triggered)))]
pub async fn trigger(Segment(app): Segment, asked: Asked) -> Result<Response, Failure> {
    let backend = asked.of(&app).await?;
    let event = Event::check(backend.json()?)?;
    backend.publish(&event).await;
    let counts = if event.info.is_any() { Some(backend.counts(&event).await) } else { None };
    let channels = counts.map(|counts| event.channels.into_iter().zip(counts).collect());
    Ok(answer(&Triggered { channels }))
}

/// Publish events at once
#[utoipa::path(post, path = "/apps/{app_id}/batch_events", operation_id = "pusher_trigger_batch", tag = "pusher",
    security(("pusher" = [])), request_body = Batch,
    params(("app_id" = String, Path, description = "The platform's public key, or its number")),
    responses((status = 200, description = "All of them were told, in their order", body = BatchTriggered)))]
pub async fn trigger_batch(Segment(app): Segment, asked: Asked) -> Result<Response, Failure> {
    let backend = asked.of(&app).await?;
    let Batch { batch } = backend.json()?;
    if batch.len() > BATCH_MAX {
        return Err(Failure::invalid("batch: at most 10 events"));
    }
    // All of them are looked at before the first is told.
    let events = batch.into_iter().map(Event::check).collect::<Result<Vec<_>, _>>()?;
    if events.iter().any(|event| event.channels.len() > 1) {
        return Err(Failure::invalid("batch: each event to one channel"));
    }
    let mut batch = Vec::with_capacity(events.len());
    for event in &events {
        backend.publish(event).await;
    }
    for event in &events {
        let counts = if event.info.is_any() { backend.counts(event).await.pop() } else { None };
        batch.push(counts.unwrap_or_default());
    }
    Ok(answer(&BatchTriggered { batch }))
}

/// List the channels that somebody subscribes to
#[utoipa::path(get, path = "/apps/{app_id}/channels", operation_id = "pusher_channels", tag = "pusher",
    security(("pusher" = [])),
    params(
        ("app_id" = String, Path, description = "The platform's public key, or its number"),
        ("filter_by_prefix" = Option<String>, Query, description = "Only names that begin so", example = "presence-"),
        ("info" = Option<String>, Query, description = "`user_count` (presence channels only), `subscription_count`"),
    ),
    responses((status = 200, description = "The channels", body = Channels)))]
pub async fn list(Segment(app): Segment, asked: Asked) -> Result<Response, Failure> {
    let backend = asked.of(&app).await?;
    let info = backend.info();
    let prefix = backend.parameter("filter_by_prefix").unwrap_or_default();
    if info.users && !prefix.starts_with("presence-") {
        return Err(Failure::invalid("info: user_count is for channels that begin with presence-"));
    }
    let figures = backend.channels(prefix, info).await;
    let channels: BTreeMap<_, _> =
        figures.iter().map(|figures| (figures.name.to_string(), info.counts(&figures.name, Some(figures)))).collect();
    Ok(answer(&Channels { channels }))
}

/// Read a channel
#[utoipa::path(get, path = "/apps/{app_id}/channels/{channel}", operation_id = "pusher_channel", tag = "pusher",
    security(("pusher" = [])),
    params(
        ("app_id" = String, Path, description = "The platform's public key, or its number"),
        ("channel" = String, Path, description = "The channel's name"),
        ("info" = Option<String>, Query,
            description = "`user_count` (presence channels only), `subscription_count`, `cache`"),
    ),
    responses((status = 200, description = "The channel", body = Channel)))]
pub async fn read(Segment((app, name)): Segment<(String, String)>, asked: Asked) -> Result<Response, Failure> {
    let backend = asked.of(&app).await?;
    let (info, kind) = (backend.info(), must_be_channel(&name)?);
    if info.users && !kind.is_presence() {
        return Err(Failure::invalid("info: user_count is for presence channels"));
    }
    if info.cache && !kind.keeps {
        return Err(Failure::invalid("info: cache is for cache channels"));
    }
    let figures = backend.channel(&name).await;
    let kept = if info.cache { backend.kept(&name).await } else { None };
    let cache = kept.as_ref().and_then(frame::data_of).map(|data| Cache { data });
    let counts = info.counts(&name, figures.as_ref());
    Ok(answer(&Channel { occupied: figures.is_some_and(|figures| figures.subscriptions > 0), counts, cache }))
}

fn must_be_channel(name: &str) -> Result<Kind, Failure> {
    if names::is_channel(name) { Ok(Kind::of(name)) } else { Err(Failure::invalid("this is no name of a channel")) }
}

/// List who is on a presence channel
#[utoipa::path(get, path = "/apps/{app_id}/channels/{channel}/users", operation_id = "pusher_users", tag = "pusher",
    security(("pusher" = [])),
    params(
        ("app_id" = String, Path, description = "The platform's public key, or its number"),
        ("channel" = String, Path, description = "The channel's name"),
    ),
    responses((status = 200, description = "The users", body = Users)))]
pub async fn users(Segment((app, name)): Segment<(String, String)>, asked: Asked) -> Result<Response, Failure> {
    let backend = asked.of(&app).await?;
    if !must_be_channel(&name)?.is_presence() {
        return Err(Failure::invalid("users are known of presence channels only"));
    }
    let ids = backend.members(&name).await;
    Ok(answer(&Users { users: ids.into_iter().map(|id| UserName { id }).collect() }))
}

/// End a user's connections
///
/// All connections that are signed in as that user are closed, in a way after which their clients do not
/// come back by themselves.
#[utoipa::path(post, path = "/apps/{app_id}/users/{user_id}/terminate_connections",
    operation_id = "pusher_terminate", tag = "pusher", security(("pusher" = [])),
    params(
        ("app_id" = String, Path, description = "The platform's public key, or its number"),
        ("user_id" = String, Path, description = "The user's id in the app"),
    ),
    responses((status = 200, description = "The connections are being closed", body = Done)))]
pub async fn terminate(Segment((app, user)): Segment<(String, String)>, asked: Asked) -> Result<Response, Failure> {
    end_connections(&asked.of(&app).await?, &user)
}

/// The same without an app in its path, as pusher-http-python 3.3.4 asks: the key in the signature says whose
/// user is meant.
pub async fn terminate_by_key(Segment(user): Segment, asked: Asked) -> Result<Response, Failure> {
    let query = asked.request.uri().query().unwrap_or_default().as_bytes();
    let key = form_urlencoded::parse(query).find(|(name, _)| name == "auth_key");
    let key = key.map(|(_, key)| key.into_owned()).ok_or(Failure::NoApp)?;
    end_connections(&asked.of(&key).await?, &user)
}

fn end_connections(backend: &Backend, user: &str) -> Result<Response, Failure> {
    if !names::is_user(user) {
        return Err(Failure::invalid("user_id: 1 to 128 characters"));
    }
    let sockets = backend.door.sockets();
    sockets.sockets_of(backend.app.id, user).iter().for_each(terminate_one);
    if let Some(nodes) = sockets.nodes() {
        nodes.terminate(backend.app.id, user);
    }
    Ok(answer(&Done {}))
}

/// Ends a connection because the app wants it.
pub(super) fn terminate_one(socket: &Socket) {
    let (code, why) = TERMINATED;
    socket.send(frame::error(Some(code), why));
    socket.close(code, why);
}

/// Count the app's connections
#[utoipa::path(get, path = "/apps/{app_id}/connections", operation_id = "pusher_connections", tag = "pusher",
    security(("pusher" = [])),
    params(("app_id" = String, Path, description = "The platform's public key, or its number")),
    responses((status = 200, description = "How many there are", body = Connections)))]
pub async fn connections(Segment(app): Segment, asked: Asked) -> Result<Response, Failure> {
    let backend = asked.of(&app).await?;
    let sockets = backend.door.sockets();
    let connections = match sockets.nodes() {
        Some(nodes) => nodes.connections(backend.app.id).await,
        None => sockets.connections(backend.app.id),
    };
    Ok(answer(&Connections { connections }))
}
