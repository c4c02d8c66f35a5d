//! What the hooks door's handlers know of their request: limits, caller, query.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts as RequestParts;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::Hooks;
use super::envelope::Failure;
use crate::chat::SharedChat;
use crate::domain::PlatformId;
use crate::error::{Error, Refusal, Result};
use crate::http::fields::Fields;
use crate::http::frame::Scope;
use crate::http::headers;
use crate::limits::{Decision, Limit, LimitKey};

pub use crate::http::request::{Input, Segment};

/// What a token has to be able to do here.
const ABILITY: &str = "events";

/// A request at the hooks door.
pub struct Ctx {
    door: Hooks,
    address: IpAddr,
    headers: HeaderMap,
    uri: Uri,
    /// What the limit's headers will say.
    decision: OnceLock<Decision>,
}

impl FromRequestParts<Hooks> for Ctx {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut RequestParts, door: &Hooks) -> Result<Self, Infallible> {
        let unknown = IpAddr::from([0, 0, 0, 0]);
        Ok(Self {
            door: Arc::clone(door),
            address: parts.extensions.get::<Scope>().map_or(unknown, |scope| scope.address),
            headers: parts.headers.clone(),
            uri: parts.uri.clone(),
            decision: OnceLock::new(),
        })
    }
}

impl Ctx {
    /// Runs a handler's work and makes its answer of it, with the limit's headers.
    pub async fn run(&self, work: impl Future<Output = Result<Response, Failure>>) -> Response {
        let mut response = work.await.unwrap_or_else(|failure| self.failure(&failure));
        if let Some(decision) = self.decision.get() {
            headers::add_limit(response.headers_mut(), decision);
        }
        response
    }

    /// The use-cases.
    pub fn chat(&self) -> &SharedChat {
        &self.door.chat
    }

    /// The query's fields.
    pub fn query(&self) -> Fields {
        Fields::of_query(self.uri.query())
    }

    /// The platform that the caller's token is for. Counted against the account, or against the address when it is
    /// nobody.
    pub async fn platform(&self) -> Result<PlatformId, Failure> {
        let access = match headers::bearer(&self.headers) {
            Some(bearer) => self.door.chat.authenticate(bearer).await,
            None => Err(Error::Unauthenticated),
        };
        let access = match access {
            Ok(access) => access,
            Err(error) => {
                self.count(self.door.limits.address.as_ref(), LimitKey::Address(self.address)).await?;
                return Err(error.into());
            }
        };
        self.count(self.door.limits.events.as_ref(), LimitKey::User(access.user.id.0)).await?;
        if !access.can(ABILITY) {
            return Err(Error::Forbidden(Refusal::NotAble).into());
        }
        access.user.platform_id.ok_or_else(|| Error::Forbidden(Refusal::NoPlatform).into())
    }

    async fn count(&self, limit: Option<&Limit>, key: LimitKey) -> Result<(), Failure> {
        let Some(limit) = limit else { return Ok(()) };
        let decision = limit.check(key).await;
        let _ = self.decision.set(decision);
        decision.retry_after.map_or(Ok(()), |after| Err(Error::TooMany(after).into()))
    }
}
