//! What the guest door's handlers know of their request: scope, language, limits, caller.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts as RequestParts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use serde::Serialize;

use super::envelope::Failure;
use super::{Guest, LANGUAGES};
use crate::api::events::Client;
use crate::api::idempotency;
use crate::api::language::negotiate;
use crate::chat::{Channel, Key, SharedChat, TicketFor};
use crate::domain::{Access, Language, UserId};
use crate::error::{Error, Refusal, Result, Rule};
use crate::http::SharedWeb;
use crate::http::fields::Fields;
use crate::http::frame::Scope;
use crate::http::headers;
use crate::limits::{Decision, Limit, LimitKey};
use crate::texts::Texts;

pub use crate::http::request::{Input, Segment};

/// A request at the guest door.
pub struct Ctx {
    door: Guest,
    scope: Scope,
    headers: HeaderMap,
    uri: Uri,
    /// The signed-in user's own language, once the user is known.
    preferred: OnceLock<Language>,
    /// What the limit's headers will say.
    decision: OnceLock<Decision>,
}

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A guest's send.
    Send,
    /// A guest's poll, long poll or stream.
    Poll,
    /// A guest's word of typing.
    Typing,
}

impl FromRequestParts<Guest> for Ctx {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut RequestParts, door: &Guest) -> Result<Self, Infallible> {
        let scope = parts.extensions.get::<Scope>().cloned().unwrap_or_else(|| Scope {
            trace_id: door.web.clock.uuid().to_string().into(),
            address: std::net::Ipv4Addr::UNSPECIFIED.into(),
        });
        Ok(Self {
            door: Arc::clone(door),
            scope,
            headers: take_headers(parts),
            uri: parts.uri.clone(),
            preferred: OnceLock::new(),
            decision: OnceLock::new(),
        })
    }
}

/// The request's headers, moved and not copied: polls are frequent. What the body's reader asks for
/// stays.
fn take_headers(parts: &mut RequestParts) -> HeaderMap {
    let headers = std::mem::take(&mut parts.headers);
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        parts.headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    headers
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

    /// 200 with data.
    pub fn ok(&self, text: &str, data: impl Serialize) -> Response {
        self.success(StatusCode::OK, text, data)
    }

    /// The use-cases.
    pub fn chat(&self) -> &SharedChat {
        &self.door.chat
    }

    /// The plumbing.
    pub fn web(&self) -> &SharedWeb {
        &self.door.web
    }

    /// The door's parts.
    pub fn door(&self) -> &Guest {
        &self.door
    }

    /// What the door says.
    pub fn texts(&self) -> &Texts {
        &self.door.texts
    }

    /// A text in the request's language.
    pub fn text<'t>(&'t self, id: &'t str) -> &'t str {
        self.door.texts.get(self.language(), id)
    }

    /// The request's trace id.
    pub fn trace_id(&self) -> &str {
        &self.scope.trace_id
    }

    /// The client's address.
    pub fn address(&self) -> std::net::IpAddr {
        self.scope.address
    }

    /// Who follows, for the count of streams.
    pub fn client(&self, user: Option<UserId>) -> Client {
        Client { address: self.scope.address, user }
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The present second, as the envelope prints it.
    pub fn timestamp(&self) -> String {
        self.door.second.of(self.door.chat.now())
    }

    /// A header's value, if it is text.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Adds a header to fields that are judged together; one that is no text is a wrong one.
    pub fn add_header(&self, fields: &mut Fields, name: &'static str) {
        let Some(sent) = self.headers.get(name) else { return };
        match std::str::from_utf8(sent.as_bytes()) {
            Ok(text) => fields.add(name, text),
            Err(_) => fields.wrong(name, Rule::String),
        }
    }

    /// The query's fields.
    pub fn query(&self) -> Fields {
        Fields::of_query(self.uri.query())
    }

    /// One of the query's parameters, without a look at the others: polls are frequent. Of one that
    /// comes twice the last counts, as in [`Ctx::query`].
    pub fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        let pairs = form_urlencoded::parse(self.uri.query()?.as_bytes());
        pairs.filter(|(found, _)| found == name).last().map(|(_, value)| value)
    }

    /// The user's own language, else what `Accept-Language` asks for, else `?language=` or
    /// `?locale=`, else English.
    pub fn language(&self) -> Language {
        if let Some(preferred) = self.preferred.get() {
            return *preferred;
        }
        if let Some(language) = self.accepted() {
            return language;
        }
        let asked = self.parameter("language").or_else(|| self.parameter("locale"));
        asked.and_then(|tag| Language::parse(&tag)).unwrap_or_default()
    }

    fn accepted(&self) -> Option<Language> {
        negotiate(self.header(header::ACCEPT_LANGUAGE)?, &LANGUAGES)
    }

    /// The chat that a guest's key opens, counted against its limit. A key that opens nothing is
    /// counted against the address, so that keys cannot be tried out.
    pub async fn session(&self, key: &str, count: Count) -> Result<Arc<Channel>, Failure> {
        match self.door.chat.live_chat(key).await {
            Ok(channel) => {
                let limits = &self.door.limits;
                let limit = match count {
                    Count::Send => &limits.send,
                    Count::Poll => &limits.poll,
                    Count::Typing => &limits.typing,
                };
                self.count(limit.as_ref(), LimitKey::Conversation(channel.id().0, self.scope.address)).await?;
                Ok(channel)
            }
            Err(error) => {
                self.count_address().await?;
                Err(error.into())
            }
        }
    }

    /// Counts the request against its address.
    pub async fn count_address(&self) -> Result<(), Failure> {
        self.count(self.door.limits.address.as_ref(), LimitKey::Address(self.scope.address)).await
    }

    /// Counts the request against its address, as one at the doors of the accounts.
    pub async fn count_auth(&self) -> Result<(), Failure> {
        self.count(self.door.limits.auth.as_ref(), LimitKey::Address(self.scope.address)).await
    }

    /// Counts the request as a word of typing.
    pub async fn count_typing(&self, key: LimitKey) -> Result<(), Failure> {
        self.count(self.door.limits.typing.as_ref(), key).await
    }

    /// Counts the request as a guest's send.
    pub async fn count_send(&self, key: LimitKey) -> Result<(), Failure> {
        self.count(self.door.limits.send.as_ref(), key).await
    }

    async fn count(&self, limit: Option<&Limit>, key: LimitKey) -> Result<(), Failure> {
        let Some(limit) = limit else { return Ok(()) };
        let decision = limit.check(key).await;
        let _ = self.decision.set(decision);
        if decision.retry_after.is_some() { Err(Failure::Limited(decision)) } else { Ok(()) }
    }

    /// The caller, who has to be signed in; counted against the account.
    pub async fn access(&self) -> Result<Access, Failure> {
        let bearer = headers::bearer(&self.headers).ok_or(Error::Unauthenticated);
        let access = match bearer {
            Ok(bearer) => self.door.chat.authenticate(bearer).await,
            Err(error) => Err(error),
        };
        self.counted(access).await
    }

    /// A caller who is known now, counted against their account; who is not is against the address.
    async fn counted(&self, access: Result<Access>) -> Result<Access, Failure> {
        match access {
            Ok(access) => {
                if let Some(language) = access.user.language.filter(|language| LANGUAGES.contains(language)) {
                    let _ = self.preferred.set(language);
                }
                self.count(self.door.limits.staff.as_ref(), LimitKey::User(access.user.id.0)).await?;
                Ok(access)
            }
            Err(error) => {
                self.count_address().await?;
                Err(error.into())
            }
        }
    }

    /// The caller, who has to be staff before anything is looked up: others must not learn what
    /// exists.
    pub async fn staff(&self) -> Result<Access, Failure> {
        let access = self.access().await?;
        if access.is_staff() { Ok(access) } else { Err(Error::Forbidden(Refusal::NotStaff).into()) }
    }

    /// The bearer token that was sent; empty when none was.
    pub fn bearer(&self) -> &str {
        headers::bearer(&self.headers).unwrap_or_default()
    }

    /// The caller as in [`Ctx::staff`], who may have come with a ticket instead; and their token.
    pub async fn staff_or_ticket(&self) -> Result<(String, Access), Failure> {
        let ticket = self.parameter("ticket").filter(|_| headers::bearer(&self.headers).is_none());
        let Some(ticket) = ticket else { return Ok((self.bearer().to_owned(), self.staff().await?)) };
        let (bearer, access) = match self.door.chat.admit(&ticket, TicketFor::Desk).await {
            Ok((bearer, access)) => (bearer, self.counted(Ok(access)).await?),
            Err(error) => (String::new(), self.counted(Err(error)).await?),
        };
        if access.is_staff() { Ok((bearer, access)) } else { Err(Error::Forbidden(Refusal::NotStaff).into()) }
    }

    /// The caller, if a credential was sent; one that is not valid is refused all the same.
    pub async fn optional_access(&self) -> Result<Option<Access>, Failure> {
        match headers::bearer(&self.headers) {
            Some(_) => self.access().await.map(Some),
            None => Ok(None),
        }
    }

    /// The request's idempotency key, if it has one.
    ///
    /// # Errors
    /// `Invalid` when it is not 1 to 255 visible ASCII characters.
    pub fn idempotency_key(&self) -> Result<Option<Key>> {
        idempotency::key(&self.headers)
    }
}
