//! What the Neptun door's handlers know of their request: path, query, limits, caller.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts as RequestParts;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Neptun;
use super::envelope::Failure;
use super::session::{self, Caller};
use crate::chat::{Key, SharedChat};
use crate::domain::{Access, ConversationId};
use crate::error::{Error, Refusal, Result, Subject};
use crate::http::body::{Repeated, Sent};
use crate::http::frame::{Peer, address_of};
use crate::http::limited::limited;
use crate::http::streams::Place;
use crate::http::values::Values;
use crate::http::{SharedWeb, address, cors};
use crate::limits::LimitKey;

pub use crate::http::request::Input;

/// What an account has to be able to do here.
pub const ABILITY: &str = "assistant";

/// A request at the Neptun door.
pub struct Ctx {
    door: Neptun,
    address: IpAddr,
    peer: IpAddr,
    uri: Uri,
    headers: HeaderMap,
    path: Vec<(String, String)>,
    caller: Option<Caller>,
}

impl FromRequestParts<Neptun> for Ctx {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut RequestParts, door: &Neptun) -> Result<Self, Failure> {
        // What cannot be decoded names nothing.
        let path = RawPathParams::from_request_parts(parts, door).await.map_err(|_| Failure::NoRoute)?;
        let address = address_of(&parts.extensions);
        Ok(Self {
            door: Arc::clone(door),
            address,
            peer: parts.extensions.get::<Peer>().map_or(address, |peer| peer.0),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            path: path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            caller: parts.extensions.get().cloned(),
        })
    }
}

impl Ctx {
    /// The use-cases.
    pub fn chat(&self) -> &SharedChat {
        &self.door.chat
    }

    /// The plumbing.
    pub fn web(&self) -> &SharedWeb {
        &self.door.web
    }

    /// The door's parts.
    pub fn door(&self) -> &Neptun {
        &self.door
    }

    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether the client came by TLS.
    pub fn is_secure(&self) -> bool {
        address::is_secure(self.peer, &self.headers, &self.door.web.config.trusted_proxies)
    }

    /// The server's scheme and host as the client sees them; empty when the request does not say.
    pub fn origin(&self) -> String {
        let trusted = &self.door.web.config.trusted_proxies;
        address::origin(self.peer, &self.uri, &self.headers, trusted).unwrap_or_default()
    }

    /// The query as it came.
    pub fn query_text(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The query's values.
    pub fn query(&self) -> Values {
        Values::of_query(self.uri.query())
    }

    /// The request's idempotency key, if it has one.
    pub fn idempotency_key(&self) -> Result<Option<Key>> {
        crate::api::idempotency::key(&self.headers)
    }

    /// A piece of the path.
    pub fn segment(&self, name: &str) -> &str {
        self.path.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Refuses pages elsewhere what gives a browser a session: their forms would sign visitors in as
    /// somebody who then reads along.
    pub fn must_be_from_here(&self) -> Result<(), Failure> {
        let is_from_elsewhere = self.door.web.cors.refuses_with_cookie(&Method::POST, &self.headers);
        if is_from_elsewhere { Err(Failure::CrossSite) } else { Ok(()) }
    }

    /// The caller, if they are signed in.
    pub fn maybe_caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// The caller, who has to be signed in, and whom the operator lets chat with the assistant.
    pub fn caller(&self) -> Result<&Caller> {
        let caller = self.caller.as_ref().ok_or(Error::Unauthenticated)?;
        if caller.access.can(ABILITY) { Ok(caller) } else { Err(Error::Forbidden(Refusal::NotAble)) }
    }

    /// The caller, who has to be the user that the path names: what is another one's is not there.
    pub fn owner(&self) -> Result<&Access, Failure> {
        self.owner_with([]).map(|(access, [])| access)
    }

    /// The caller as in [`Ctx::owner`], and the chat that the path names.
    pub fn owner_of_chat(&self) -> Result<(&Access, ConversationId), Failure> {
        self.owner_with(["chat_id"]).map(|(access, [chat])| (access, ConversationId(chat)))
    }

    /// The caller as in [`Ctx::owner`], and the numbers in those pieces of the path.
    pub fn owner_with<const N: usize>(&self, names: [&'static str; N]) -> Result<(&Access, [i64; N]), Failure> {
        let access = &self.caller()?.access;
        let mut numbers = Values::of_query(None);
        let user = numbers.id("user_id", self.segment("user_id"));
        let found = names.map(|name| numbers.id(name, self.segment(name)));
        numbers.finish()?;
        if user == access.user.id.0 { Ok((access, found)) } else { Err(Error::NotFound(Subject::User).into()) }
    }

    /// What was sent, read now. Only who is signed in may send the long ones that a batch needs.
    pub async fn sent(&self, input: Input) -> Result<Sent, Failure> {
        let max = if self.caller.is_some() { self.door.body_bytes_max } else { self.door.web.config.body_bytes_max };
        Ok(input.value(max, Repeated::List).await?)
    }

    /// The body's values, read now.
    pub async fn values(&self, input: Input) -> Result<Values, Failure> {
        Ok(self.sent(input).await?.into())
    }

    /// A place for another stream.
    pub fn stream_place(&self) -> Result<Place, Failure> {
        self.door.web.streams.enter(self.address).ok_or(Failure::NoStream)
    }
}

/// Lets a page on another origin call a route outside of `/api/`, too.
pub async fn from_pages(State(door): State<Neptun>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/api/") {
        // The frame has seen to it.
        return next.run(request).await;
    }
    cors::answer_page(&door.web.cors, request, next).await
}

/// Finds out who calls, and counts the request against their account; without one against the address.
pub async fn enter(State(door): State<Neptun>, request: Request, next: Next) -> Response {
    counted(&door, request, async |request| next.run(request).await).await
}

/// As [`enter`], but counted against the address, as at every door where sessions begin.
pub async fn enter_to_sign_in(State(door): State<Neptun>, mut request: Request, next: Next) -> Response {
    let key = LimitKey::Address(address_of(request.extensions()));
    if let Err(failure) = identify(&door, &mut request).await {
        return failure.into_response();
    }
    limited::<Failure>(door.limits.auth.as_ref(), key, async || next.run(request).await).await
}

/// Answers as [`enter`] does before any handler is reached.
pub async fn counted(door: &Neptun, mut request: Request, answer: impl AsyncFnOnce(Request) -> Response) -> Response {
    if let Err(failure) = identify(door, &mut request).await {
        return failure.into_response();
    }
    let key = match request.extensions().get::<Caller>() {
        Some(caller) => LimitKey::User(caller.access.user.id.0),
        None => LimitKey::Address(address_of(request.extensions())),
    };
    limited::<Failure>(door.limits.neptun.as_ref(), key, async || answer(request).await).await
}

/// Puts the caller into the request, if a session came with it. A session that is over is none: whoever
/// wants one says so.
async fn identify(door: &Neptun, request: &mut Request) -> Result<(), Failure> {
    let Some(sealed) = session::sent(request.headers()).filter(|sealed| !sealed.is_empty()) else { return Ok(()) };
    if door.web.cors.refuses_with_cookie(request.method(), request.headers()) {
        return Err(Failure::CrossSite);
    }
    match door.chat.authenticate_session(sealed).await {
        Ok(access) => {
            let caller = Caller { access, sealed: sealed.to_owned() };
            request.extensions_mut().insert(caller);
            Ok(())
        }
        Err(Error::Unauthenticated) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
