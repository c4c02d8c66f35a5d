//! What the Pigeons door's handlers know of their request: scope, language, limits, caller.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts as RequestParts;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use uuid::Uuid;

use super::envelope::Failure;
use super::{LANGUAGES, Pigeons};
use crate::api::idempotency;
use crate::api::language::negotiate;
use crate::chat::{Deed, Key, SharedChat, TicketFor};
use crate::domain::{Access, Language, Platform};
use crate::error::{Error, Refusal, Result};
use crate::http::fields::Fields;
use crate::http::frame::{Peer, Scope};
use crate::http::{address, headers, links};
use crate::limits::{Decision, Limit, LimitKey};
use crate::realtime::sockets::SocketId;

/// The header with the platform's key; the query parameter is for who cannot send headers.
const PUBLIC_KEY: &str = "x-public-key";
const PUBLIC_KEY_PARAMETER: &str = "pbk";

/// What a token has to be able to do here.
pub const ABILITY: &str = "backoffice";

/// Whether a request names a platform, and so speaks this dialect.
pub fn names_platform(request: &Request) -> bool {
    sent_key(request.headers(), request.uri()).is_some()
}

fn sent_key(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers.get(PUBLIC_KEY).map(|value| value.to_str().unwrap_or("(unreadable)").to_owned());
    header.or_else(|| {
        let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
        pairs.find(|(name, _)| name == PUBLIC_KEY_PARAMETER).map(|(_, value)| value.into_owned())
    })
}

pub use crate::http::request::{Input, Segment};

/// A request at the Pigeons door.
pub struct Ctx {
    door: Pigeons,
    address: IpAddr,
    peer: IpAddr,
    headers: HeaderMap,
    uri: Uri,
    /// What the limit's headers will say.
    decision: OnceLock<Decision>,
}

/// Who calls, and on which platform.
pub struct Caller {
    /// Who, with which token.
    pub access: Access,
    /// The platform that the request names, which is theirs.
    pub platform: Platform,
}

impl FromRequestParts<Pigeons> for Ctx {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut RequestParts, door: &Pigeons) -> Result<Self, Infallible> {
        let unknown = IpAddr::from([0, 0, 0, 0]);
        let address = parts.extensions.get::<Scope>().map_or(unknown, |scope| scope.address);
        Ok(Self {
            door: Arc::clone(door),
            address,
            peer: parts.extensions.get::<Peer>().map_or(address, |peer| peer.0),
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

    /// The door's parts.
    pub fn door(&self) -> &Pigeons {
        &self.door
    }

    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// What `Accept-Language` asks for most, else English.
    pub fn language(&self) -> Language {
        // The header may come more than once; together they are one list.
        let asked = self.headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
        negotiate(&asked.collect::<Vec<_>>().join(","), &LANGUAGES).unwrap_or_default()
    }

    /// A text in the request's language.
    pub fn text<'t>(&'t self, id: &'t str) -> &'t str {
        self.door.texts.get(self.language(), id)
    }

    /// The query's fields.
    pub fn query(&self) -> Fields {
        Fields::of_query(self.uri.query())
    }

    /// The server's scheme and host as the client sees them.
    pub fn origin(&self) -> Option<String> {
        address::origin(self.peer, &self.uri, &self.headers, &self.door.web.config.trusted_proxies)
    }

    /// The address of this request, with these parameters of the query instead, or without them.
    pub fn link(&self, changes: &[(&str, Option<String>)]) -> String {
        links::changed(self.origin(), &self.uri, changes)
    }

    /// The address of this request without its query.
    pub fn path(&self) -> String {
        format!("{}{}", self.origin().unwrap_or_default(), self.uri.path())
    }

    /// The name and password of HTTP Basic.
    pub fn basic(&self) -> Option<(String, String)> {
        headers::basic(&self.headers)
    }
    /// The connection that is spared the echo of what the request does, if the client names one.
    pub fn socket(&self) -> Option<SocketId> {
        self.headers.get("x-socket-id")?.to_str().ok()?.parse().ok()
    }

    /// Notes that the named connection, if any, is about to do that.
    pub fn spare(&self, deed: Deed) {
        self.chat().note_origin(deed, self.socket());
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The bearer token that was sent; empty when none was.
    pub fn bearer(&self) -> &str {
        headers::bearer(&self.headers).unwrap_or_default()
    }

    /// The request's idempotency key, if it has one.
    ///
    /// # Errors
    /// `Invalid` when it is not 1 to 255 visible ASCII characters.
    pub fn idempotency_key(&self) -> Result<Option<Key>> {
        idempotency::key(&self.headers)
    }

    /// The platform that the request names; who names none is refused like who has no credential.
    pub async fn platform(&self) -> Result<Platform> {
        let sent = sent_key(&self.headers, &self.uri).filter(|sent| !sent.trim().is_empty());
        let sent = sent.ok_or(Error::Unauthenticated)?;
        let key = Uuid::try_parse(sent.trim()).map_err(|_| Error::Forbidden(Refusal::UnknownPlatform))?;
        self.door.chat.platform(key).await
    }

    /// The caller, who has to be signed in, on their own platform, with a token for this door.
    pub async fn caller(&self) -> Result<Caller, Failure> {
        let caller = self.member().await?;
        if caller.access.can(ABILITY) { Ok(caller) } else { Err(Error::Forbidden(Refusal::NotAble).into()) }
    }

    /// As [`Ctx::caller`], whatever the token is for.
    pub async fn member(&self) -> Result<Caller, Failure> {
        let access = self.access().await?;
        let platform = self.platform().await?;
        if access.belongs_to(&platform) {
            Ok(Caller { access, platform })
        } else {
            Err(Error::Forbidden(Refusal::NoPlatform).into())
        }
    }

    /// The caller at the one route where the platform's key may be left out; it is their own then.
    pub async fn subscriber(&self) -> Result<Caller, Failure> {
        if sent_key(&self.headers, &self.uri).is_some() {
            return self.caller().await;
        }
        let access = self.access().await?;
        self.on_own_platform(access).await
    }

    /// The caller as in [`Ctx::caller`], who may have come with a ticket instead; and their token. Who has a
    /// ticket need not name the platform: it is that of the token.
    pub async fn caller_or_ticket(&self) -> Result<(String, Caller), Failure> {
        let ticket = self.query().value("ticket").filter(|_| headers::bearer(&self.headers).is_none());
        let Some(ticket) = ticket else { return Ok((self.bearer().to_owned(), self.caller().await?)) };
        let admitted = self.door.chat.admit(ticket.as_str().unwrap_or_default(), TicketFor::Letters).await;
        let (bearer, access) = admitted.map_or_else(|error| (String::new(), Err(error)), |(b, access)| (b, Ok(access)));
        let caller = self.on_own_platform(self.counted(access).await?).await?;
        if sent_key(&self.headers, &self.uri).is_some() && self.platform().await?.id != caller.platform.id {
            return Err(Error::Forbidden(Refusal::NoPlatform).into());
        }
        Ok((bearer, caller))
    }

    async fn on_own_platform(&self, access: Access) -> Result<Caller, Failure> {
        let platform = match access.user.platform_id {
            Some(id) => self.door.chat.platform_numbered(id).await?,
            None => None,
        };
        let platform = platform.filter(|_| access.can(ABILITY)).ok_or(Error::Forbidden(Refusal::NoPlatform))?;
        Ok(Caller { access, platform })
    }

    /// Who has that token; counted against the account, or against the address when it is nobody.
    async fn access(&self) -> Result<Access, Failure> {
        let access = match headers::bearer(&self.headers) {
            Some(bearer) => self.door.chat.authenticate(bearer).await,
            None => Err(Error::Unauthenticated),
        };
        self.counted(access).await
    }

    async fn counted(&self, access: Result<Access>) -> Result<Access, Failure> {
        match access {
            Ok(access) => {
                self.count(self.door.limits.pigeons.as_ref(), LimitKey::User(access.user.id.0)).await?;
                Ok(access)
            }
            Err(error) => {
                self.count_address().await?;
                Err(error.into())
            }
        }
    }

    /// Counts the request against its address.
    pub async fn count_address(&self) -> Result<(), Failure> {
        self.count(self.door.limits.address.as_ref(), LimitKey::Address(self.address)).await
    }

    /// Counts the request against its address, as one at the doors of the accounts.
    pub async fn count_auth(&self) -> Result<(), Failure> {
        self.count(self.door.limits.auth.as_ref(), LimitKey::Address(self.address)).await
    }

    async fn count(&self, limit: Option<&Limit>, key: LimitKey) -> Result<(), Failure> {
        let Some(limit) = limit else { return Ok(()) };
        let decision = limit.check(key).await;
        let _ = self.decision.set(decision);
        decision.retry_after.map_or(Ok(()), |after| Err(Error::TooMany(after).into()))
    }
}
