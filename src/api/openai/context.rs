//! What the OpenAI door's handlers know of their request: caller, limits, query, body.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts as RequestParts;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::OpenAi;
use super::envelope::Failure;
use crate::chat::{Key, SharedChat};
use crate::domain::Access;
use crate::error::{Error, Refusal, Result};
use crate::http::body::Repeated;
use crate::http::frame::address_of;
use crate::http::limited::limited;
use crate::http::streams::Place;
use crate::http::values::Values;
use crate::http::{SharedWeb, cors, headers};
use crate::limits::LimitKey;

pub use crate::http::request::{Input, Segment};

/// What a token has to be able to do here.
const ABILITY: &str = "assistant";

/// A request at the OpenAI door, of somebody who may ask the assistant.
pub struct Ctx {
    door: OpenAi,
    address: IpAddr,
    uri: Uri,
    headers: HeaderMap,
    access: Access,
}

impl FromRequestParts<OpenAi> for Ctx {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut RequestParts, door: &OpenAi) -> Result<Self, Failure> {
        let access = parts.extensions.get::<Access>().cloned().ok_or(Failure::NoKey)?;
        Ok(Self {
            door: Arc::clone(door),
            address: address_of(&parts.extensions),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            access,
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
    pub fn door(&self) -> &OpenAi {
        &self.door
    }

    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Who asks.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The query's values.
    pub fn query(&self) -> Values {
        Values::of_query(self.uri.query())
    }

    /// The request's idempotency key, if it has one.
    pub fn idempotency_key(&self) -> Result<Option<Key>> {
        crate::api::idempotency::key(&self.headers)
    }

    /// The body's values, read now.
    pub async fn values(&self, input: Input) -> Result<Values, Failure> {
        Ok(input.value(self.door.body_bytes_max, Repeated::Last).await?.into())
    }

    /// A place for another stream.
    pub fn stream_place(&self) -> Result<Place, Failure> {
        let user = Some(self.access.user.id);
        self.door.web.streams.enter_as(self.address, user).ok_or(Failure::NoStream)
    }
}

/// Lets a page on another origin call: the door stands outside of `/api/`, to which the frame sees.
pub async fn from_pages(State(door): State<OpenAi>, request: Request, next: Next) -> Response {
    cors::answer_page(&door.web.cors, request, next).await
}

/// Finds out who calls, and counts the request against their account, or against the address when it is nobody's.
pub async fn enter(State(door): State<OpenAi>, mut request: Request, next: Next) -> Response {
    let key = headers::bearer(request.headers()).ok_or(Failure::NoKey);
    let access = match key {
        Ok(key) => door.chat.authenticate(key).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match access {
        Ok(access) => {
            let user = LimitKey::User(access.user.id.0);
            limited::<Failure>(door.limits.openai.as_ref(), user, async || {
                if !access.can(ABILITY) {
                    return Failure::from(Error::Forbidden(Refusal::NotAble)).into_response();
                }
                request.extensions_mut().insert(access);
                next.run(request).await
            })
            .await
        }
        Err(failure) => {
            let address = LimitKey::Address(address_of(request.extensions()));
            limited::<Failure>(door.limits.address.as_ref(), address, async || failure.into_response()).await
        }
    }
}

/// A path that is no route, counted against the address.
pub async fn nowhere(door: &OpenAi, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let address = LimitKey::Address(address_of(&parts.extensions));
    let failure = Failure::NoRoute(parts.method, parts.uri.path().to_owned());
    limited::<Failure>(door.limits.address.as_ref(), address, async || failure.into_response()).await
}
