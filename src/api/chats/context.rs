//! What the chats door's handlers know of their request: address, query, limits, caller.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::request::Parts as RequestParts;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::Response;

use super::Chats;
use super::envelope::Failure;
use crate::chat::{Key, Locator, SharedChat};
use crate::config::ListSessions;
use crate::domain::Conversation;
use crate::error::{Error, Refusal, Result};
use crate::http::SharedWeb;
use crate::http::address;
use crate::http::body::{self, BodyError, Object};
use crate::http::fields::Fields;
use crate::http::frame::{Peer, address_of};
use crate::http::headers;
use crate::http::limited::limited;
use crate::http::links;
use crate::http::streams::Place;
use crate::limits::LimitKey;

/// What a token has to be able to do here.
const ABILITY: &str = "chats";

/// A request at the chats door.
pub struct Ctx {
    door: Chats,
    address: IpAddr,
    peer: Option<IpAddr>,
    uri: Uri,
    headers: HeaderMap,
}

impl FromRequestParts<Chats> for Ctx {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut RequestParts, door: &Chats) -> Result<Self, Infallible> {
        Ok(Self {
            door: Arc::clone(door),
            address: address_of(&parts.extensions),
            peer: parts.extensions.get::<Peer>().map(|peer| peer.0),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
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
    pub fn door(&self) -> &Chats {
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

    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The query's fields.
    pub fn query(&self) -> Fields {
        Fields::of_query(self.uri.query())
    }

    /// The address of this request, with these parameters of the query instead (or, where there is
    /// no value, without them). Whole where the request says which host it was sent to.
    pub fn link(&self, changes: &[(&str, Option<String>)]) -> String {
        let peer = self.peer.unwrap_or(self.address);
        let origin = address::origin(peer, &self.uri, &self.headers, &self.door.web.config.trusted_proxies);
        links::changed(origin, &self.uri, changes)
    }

    /// The request's idempotency key, if it has one.
    pub fn idempotency_key(&self) -> Result<Option<Key>> {
        crate::api::idempotency::key(&self.headers)
    }

    /// The session of that name: its `id` or its `session_id`.
    pub async fn session(&self, name: &str) -> Result<Conversation> {
        self.door.chat.session(Locator::Name(name)).await
    }

    /// A place for another stream.
    pub fn stream_place(&self) -> Result<Place, Failure> {
        self.door.web.streams.enter(self.address).ok_or(Failure::NoStream)
    }

    /// Whether the operator lets this caller list sessions, which are other people's.
    pub async fn may_list(&self) -> Result<(), Failure> {
        match self.door.list_sessions {
            ListSessions::Public => Ok(()),
            ListSessions::Auto if address::is_of_this_machine(&self.uri, &self.headers) => Ok(()),
            ListSessions::Key => {
                let token = headers::bearer(&self.headers).or_else(|| self.header("x-api-key"));
                let token = token.ok_or(Failure::NoCredential)?;
                self.door.chat.authorize(token, ABILITY).await?;
                Ok(())
            }
            ListSessions::Auto | ListSessions::Closed => Err(Error::Forbidden(Refusal::ListClosed).into()),
        }
    }
}

/// Counts each request against its address, and says on each answer how many are left.
pub async fn count(State(door): State<Chats>, request: Request, next: Next) -> Response {
    let address = address_of(request.extensions());
    counted(&door, address, async || next.run(request).await).await
}

/// The answer, unless the address has had too many.
pub async fn counted(door: &Chats, address: IpAddr, answer: impl AsyncFnOnce() -> Response) -> Response {
    limited::<Failure>(door.limits.chats.as_ref(), LimitKey::Address(address), answer).await
}

/// One piece of the path. What cannot be decoded names nothing.
pub struct Segment(pub String);

impl FromRequestParts<Chats> for Segment {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut RequestParts, door: &Chats) -> Result<Self, Failure> {
        let segment = Path::<String>::from_request_parts(parts, door).await;
        segment.map(|Path(segment)| Self(segment)).map_err(|_| Failure::NoRoute)
    }
}

/// A body, read but not yet judged: who is named in the path comes first.
pub struct Input(Result<Object, BodyError>);

impl FromRequest<Chats> for Input {
    type Rejection = Infallible;

    async fn from_request(request: Request, door: &Chats) -> Result<Self, Infallible> {
        let (parts, body) = request.into_parts();
        let read = body::read(body, &door.web.config).await;
        Ok(Self(read.and_then(|bytes| body::parse(&parts.headers, &bytes))))
    }
}

impl Input {
    /// The body's fields.
    pub fn fields(self) -> Result<Fields, Failure> {
        Ok(self.0?.into())
    }
}
