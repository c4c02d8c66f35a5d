//! What the AI SDK door's handlers know of their request: address, limits, body.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts as RequestParts;
use axum::middleware::Next;
use axum::response::Response;

use super::AiSdk;
use super::envelope::Failure;
use crate::chat::{Key, Locator, SharedChat};
use crate::domain::Conversation;
use crate::error::{Error, Result, Subject};
use crate::http::SharedWeb;
use crate::http::body::Repeated;
use crate::http::frame::address_of;
use crate::http::limited::limited;
use crate::http::streams::Place;
use crate::http::values::Values;
use crate::limits::LimitKey;

pub use crate::http::request::Input;

/// A request at the AI SDK door.
pub struct Ctx {
    door: AiSdk,
    address: IpAddr,
    headers: HeaderMap,
}

impl FromRequestParts<AiSdk> for Ctx {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut RequestParts, door: &AiSdk) -> Result<Self, Infallible> {
        let address = address_of(&parts.extensions);
        Ok(Self { door: Arc::clone(door), address, headers: parts.headers.clone() })
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

    /// The body's values, read now.
    pub async fn values(&self, input: Input) -> Result<Values, Failure> {
        Ok(input.value(self.door.body_bytes_max, Repeated::Last).await?.into())
    }

    /// A place for another stream.
    pub fn stream_place(&self) -> Result<Place, Failure> {
        self.door.web.streams.enter(self.address).ok_or(Failure::NoStream)
    }
}

/// Counts each request against its address.
pub async fn count(State(door): State<AiSdk>, request: Request, next: Next) -> Response {
    let address = address_of(request.extensions());
    counted(&door, address, async || next.run(request).await).await
}

/// The answer, unless the address has had too many.
pub async fn counted(door: &AiSdk, address: IpAddr, answer: impl AsyncFnOnce() -> Response) -> Response {
    limited::<Failure>(door.limits.aisdk.as_ref(), LimitKey::Address(address), answer).await
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
