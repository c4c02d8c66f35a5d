//! What the knowledge door's handlers know of their request: limits, caller, query.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts as RequestParts;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::Knowledge;
use super::envelope::Failure;
use crate::chat::SharedChat;
use crate::domain::{Access, Document};
use crate::error::{Error, Refusal, Result, Subject};
use crate::http::fields::Fields;
use crate::http::frame::{Peer, Scope};
use crate::http::{address, headers, links};
use crate::limits::{Decision, Limit, LimitKey};

pub use crate::http::request::{Input, Segment};

/// What a token has to be able to do here.
const ABILITY: &str = "knowledge";

/// A request at the knowledge door.
pub struct Ctx {
    door: Knowledge,
    address: IpAddr,
    peer: Option<IpAddr>,
    headers: HeaderMap,
    uri: Uri,
    /// What the limit's headers will say.
    decision: OnceLock<Decision>,
}

impl FromRequestParts<Knowledge> for Ctx {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut RequestParts, door: &Knowledge) -> Result<Self, Infallible> {
        let unknown = IpAddr::from([0, 0, 0, 0]);
        Ok(Self {
            door: Arc::clone(door),
            address: parts.extensions.get::<Scope>().map_or(unknown, |scope| scope.address),
            peer: parts.extensions.get::<Peer>().map(|peer| peer.0),
            headers: parts.headers.clone(),
            uri: parts.uri.clone(),
            decision: OnceLock::new(),
        })
    }
}

impl Ctx {
    /// Runs a handler's work and makes its answer of it, with the limit's headers.
    pub async fn run(&self, work: impl Future<Output = Result<Response, Failure>>) -> Response {
        let mut response = work.await.unwrap_or_else(IntoResponse::into_response);
        if let Some(decision) = self.decision.get() {
            headers::add_limit(response.headers_mut(), decision);
        }
        response
    }

    /// The use-cases.
    pub fn chat(&self) -> &SharedChat {
        &self.door.chat
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The query's fields.
    pub fn query(&self) -> Fields {
        Fields::of_query(self.uri.query())
    }

    /// The server's scheme and host, where the request says which host it was sent to.
    pub fn origin(&self) -> Option<String> {
        let peer = self.peer.unwrap_or(self.address);
        address::origin(peer, &self.uri, &self.headers, &self.door.web.config.trusted_proxies)
    }

    /// The address of this request, with these parameters of the query instead.
    pub fn link(&self, changes: &[(&str, Option<String>)]) -> String {
        links::changed(self.origin(), &self.uri, changes)
    }

    /// Who calls. Counted against the account, or against the address when it is nobody.
    pub async fn caller(&self) -> Result<Access, Failure> {
        let access = match headers::bearer(&self.headers) {
            Some(bearer) => self.door.chat.authenticate(bearer).await.map_err(Failure::from),
            None => Err(Failure::NoCredential),
        };
        let access = match access {
            Ok(access) => access,
            Err(failure) => {
                self.count(self.door.limits.address.as_ref(), LimitKey::Address(self.address)).await?;
                return Err(failure);
            }
        };
        self.count(self.door.limits.knowledge.as_ref(), LimitKey::User(access.user.id.0)).await?;
        if access.can(ABILITY) { Ok(access) } else { Err(Error::Forbidden(Refusal::NotAble).into()) }
    }

    /// The document that a path names, if the caller may see it.
    pub async fn document(&self, access: &Access, id: &str) -> Result<Document, Failure> {
        let uuid = uuid(id)?;
        Ok(self.door.chat.document(access, uuid).await?)
    }

    async fn count(&self, limit: Option<&Limit>, key: LimitKey) -> Result<(), Failure> {
        let Some(limit) = limit else { return Ok(()) };
        let decision = limit.check(key).await;
        let _ = self.decision.set(decision);
        decision.retry_after.map_or(Ok(()), |after| Err(Error::TooMany(after).into()))
    }
}

/// A document's identifier as a path names it.
pub fn uuid(id: &str) -> Result<Uuid, Failure> {
    Uuid::try_parse(id).map_err(|_| Error::NotFound(Subject::Document).into())
}
