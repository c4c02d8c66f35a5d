//! What the AI SDK door's handlers know of their request: address, limits, body.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts as RequestParts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::AiSdk;
use super::envelope::Failure;
use crate::chat::{Key, Locator, SharedChat};
use crate::domain::Conversation;
use crate::error::{Error, Result, Subject};
use crate::http::body::{self, Repeated};
use crate::http::frame::Scope;
use crate::http::streams::Place;
use crate::http::values::Values;
use crate::http::{SharedWeb, headers};
use crate::limits::LimitKey;

/// A request at the AI SDK door.
pub struct Ctx {
    door: AiSdk,
    address: IpAddr,
    headers: HeaderMap,
}

impl FromRequestParts<AiSdk> for Ctx {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut RequestParts, door: &AiSdk) -> Result<Self, Infallible> {
        let address = address_of(parts.extensions.get());
        Ok(Self { door: Arc::clone(door), address, headers: parts.headers.clone() })
    }
}

fn address_of(scope: Option<&Scope>) -> IpAddr {
    scope.map_or(Ipv4Addr::UNSPECIFIED.into(), |scope| scope.address)
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
    pub fn door(&self) -> &AiSdk {
        &self.door
    }

    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The request's idempotency key, if it has one.
    pub fn idempotency_key(&self) -> Result<Option<Key>> {
        crate::api::idempotency::key(&self.headers)
    }

    /// The session of that name, if anybody has used it.
    pub async fn session(&self, name: &str) -> Result<Option<Conversation>> {
        match self.door.chat.session(Locator::Name(name)).await {
            Ok(session) => Ok(Some(session)),
            Err(Error::NotFound(Subject::Conversation)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A place for another stream.
    pub fn stream_place(&self) -> Result<Place, Failure> {
        self.door.web.streams.enter(self.address).ok_or(Failure::NoStream)
    }
}

/// Counts each request against its address.
pub async fn count(State(door): State<AiSdk>, request: Request, next: Next) -> Response {
    let scope = request.extensions().get().cloned();
    counted(&door, scope.as_ref(), async || next.run(request).await).await
}

/// The answer, unless the address has had too many.
pub async fn counted(door: &AiSdk, scope: Option<&Scope>, answer: impl AsyncFnOnce() -> Response) -> Response {
    let Some(limit) = &door.limits.aisdk else { return answer().await };
    let decision = limit.check(LimitKey::Address(address_of(scope))).await;
    let mut response = match decision.retry_after {
        Some(after) => Failure::from(Error::TooMany(after)).into_response(),
        None => answer().await,
    };
    headers::add_limit(response.headers_mut(), &decision);
    response
}

/// The chat that a path names. What cannot be decoded, or is too long, names nothing.
pub struct Named(pub String);

impl FromRequestParts<AiSdk> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut RequestParts, door: &AiSdk) -> Result<Self, Failure> {
        let named = Path::<String>::from_request_parts(parts, door).await;
        let fits = |name: &String| name.chars().count() <= super::chat::NAME_CHARS_MAX && !name.contains('\0');
        let named = named.ok().map(|Path(name)| name).filter(fits);
        named.map(Self).ok_or(Failure::NoRoute)
    }
}

/// A body that nothing was read of yet.
pub struct Input {
    headers: HeaderMap,
    body: Body,
}

impl FromRequest<AiSdk> for Input {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &AiSdk) -> Result<Self, Infallible> {
        let (parts, body) = request.into_parts();
        Ok(Self { headers: parts.headers, body })
    }
}

impl Input {
    /// The body's values, read now.
    pub async fn values(self, ctx: &Ctx) -> Result<Values, Failure> {
        let door = ctx.door();
        let bytes = body::read_at_most(door.body_bytes_max, self.body, &door.web.config).await?;
        Ok(body::value(&self.headers, &bytes, Repeated::Last)?.into())
    }
}
