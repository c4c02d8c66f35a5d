//! The Neptun dialect's errors: the shape that its framework gives them, with zod's issues inside.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::ext::ReasonPhrase;
use serde::Serialize;
use utoipa::ToSchema;

use super::issues::Issue;
use super::wire_shares::ShareInfo;
use crate::api::budget;
use crate::api::events::Refused;
use crate::error::{Conflict, Error, FieldError, Refusal, Rule, Subject};
use crate::http::body::BodyError;
use crate::http::headers;

/// What is said to who registered at a door that mails a code, and has not sent it back. Here, a code is
/// good for a new password, which proves the address as well.
const UNVERIFIED: &str = "The e-mail address is not proved yet: reset the password with a code";

/// A refusal.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    /// The status, once more.
    #[schema(example = 400)]
    status_code: u16,
    /// What is wrong; the answer's reason phrase, too.
    #[schema(value_type = String, example = "Bad Request. Invalid body(message | messages).")]
    status_message: Cow<'static, str>,
    /// Empty.
    stack: Vec<String>,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

/// More about a refusal.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = neptun::ErrorData)]
pub enum Data {
    /// What is wrong with the input, or a sentence about what is not there.
    Issues {
        /// Everything that is wrong.
        issues: Vec<Issue>,
        /// `ZodError` where there are issues.
        #[schema(example = "ZodError")]
        name: &'static str,
        /// A sentence.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'static str>,
    },
    /// What stands in the way of a share.
    Share {
        /// The share.
        #[serde(rename = "shareInfo")]
        share_info: ShareInfo,
    },
    /// A sentence.
    Sentence(&'static str),
}

/// What a handler's work ends with when it does not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The use-case refused.
    Chat(Error),
    /// The same; what is said when a field is wrong.
    Input(&'static str, Error),
    /// The body could not be read.
    Body(BodyError),
    /// The share cannot be opened.
    Share(Error, ShareInfo),
    /// There is a session already.
    SignedIn,
    /// A page on another site sent the cookie along.
    CrossSite,
    /// There is no message to take back.
    NothingSaid,
    /// There is no place for another stream.
    NoStream,
    /// No such route.
    NoRoute,
    /// No such method on this route.
    NoMethod,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoPlace => Self::NoStream,
            Refused::Chat(error) => error.into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Chat(error)
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// Status, message and data of a refusal.
type Shape = (StatusCode, &'static str, Option<Data>);

impl Failure {
    fn shape(&self) -> Shape {
        use StatusCode as S;
        match self {
            Self::Chat(error) => shape_of("Bad Request.", error),
            Self::Input(message, error) => shape_of(message, error),
            Self::Body(BodyError::TooLarge { .. }) => (S::PAYLOAD_TOO_LARGE, "Payload Too Large", None),
            Self::Body(BodyError::TooSlow) => (S::REQUEST_TIMEOUT, "Request Timeout", None),
            Self::Body(BodyError::MediaType(_)) => (S::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type", None),
            Self::Body(_) => (S::BAD_REQUEST, "Bad Request", None),
            Self::Share(error, info) => share_shape(error, *info),
            Self::SignedIn => (S::FORBIDDEN, "Forbidden", said("You are signed in already")),
            Self::CrossSite => (S::FORBIDDEN, "Forbidden", said("Pages on other sites may not do this")),
            Self::NothingSaid => (S::BAD_REQUEST, "Bad Request", Some(Data::Sentence("No messages found, for chat."))),
            Self::NoStream => (S::SERVICE_UNAVAILABLE, "Service Unavailable", said("Too many streams are open")),
            Self::NoRoute => (S::NOT_FOUND, "Not Found", said("There is no such route")),
            Self::NoMethod => (S::METHOD_NOT_ALLOWED, "Method Not Allowed", None),
        }
    }

    fn error(&self) -> Option<&Error> {
        match self {
            Self::Chat(error) | Self::Input(_, error) | Self::Share(error, _) => Some(error),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match (self, self.error()) {
            (_, Some(Error::TooMany(after))) => Some(*after),
            (Self::NoStream, _) | (_, Some(Error::Busy)) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Surprises are logged once, here, with their cause.
    fn log(&self) {
        match self.error() {
            Some(Error::Internal(cause)) => tracing::error!(cause = %cause, "internal error"),
            Some(Error::Upstream(cause)) => tracing::warn!(cause = %cause, "a service is not available"),
            _ => {}
        }
    }

    fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Share(_, info) if info.share_is_private => "Basic realm=\"neptun.shared.chat\"",
            _ => "Cookie realm=\"neptun\", cookie-name=\"neptun-session\"",
        })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.log();
        let (status, message, data) = self.shape();
        let failed = Failed { status_code: status.as_u16(), status_message: message.into(), stack: Vec::new(), data };
        let body = serde_json::to_vec_pretty(&failed).unwrap_or_else(|error| {
            tracing::error!(error = %error, "a refusal could not be serialized");
            b"{}".to_vec()
        });
        let json = HeaderValue::from_static("application/json");
        let mut response = (status, [(header::CONTENT_TYPE, json)], Body::from(body)).into_response();
        if let Ok(reason) = ReasonPhrase::try_from(message.as_bytes()) {
            response.extensions_mut().insert(reason);
        }
        if let Some(after) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(after));
        }
        if let Some(error) = self.error() {
            budget::tell_shortage(&mut response, error);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, self.challenge());
        }
        response
    }
}

/// A sentence, in the form that clients parse.
#[expect(clippy::unnecessary_wraps, reason = "stands where some refusals have nothing to say")]
fn said(message: &'static str) -> Option<Data> {
    Some(Data::Issues { issues: Vec::new(), name: "Error", message: Some(message) })
}

fn shape_of(bad_input: &'static str, error: &Error) -> Shape {
    use StatusCode as S;
    match error {
        Error::Invalid(fields) => invalid(bad_input, fields),
        Error::NotFound(subject) => (S::NOT_FOUND, "Not Found", said(not_found(*subject))),
        Error::Unauthenticated => (S::UNAUTHORIZED, "Unauthorized", None),
        Error::Forbidden(Refusal::AccountUnverified) => (S::FORBIDDEN, "Forbidden", said(UNVERIFIED)),
        Error::Forbidden(Refusal::AccountInactive) => (S::FORBIDDEN, "Forbidden", said("The account is switched off")),
        Error::Forbidden(_) => (S::FORBIDDEN, "Forbidden", None),
        Error::Conflict(Conflict::IdempotencyKeyReused) => {
            (S::CONFLICT, "Conflict", said("This Idempotency-Key was used with another body"))
        }
        Error::TooMany(_) => (S::TOO_MANY_REQUESTS, "Too Many Requests", None),
        Error::OverBudget(_) => (S::TOO_MANY_REQUESTS, "Too Many Requests", said(budget::USED_UP)),
        Error::Busy => (S::SERVICE_UNAVAILABLE, "Service Unavailable", said("The server is busy: try again")),
        Error::StorageFull => (S::INSUFFICIENT_STORAGE, "Insufficient Storage", said("The server's storage is full")),
        Error::StorageReadOnly => {
            (S::SERVICE_UNAVAILABLE, "Service Unavailable", said("The server cannot store anything at the moment"))
        }
        Error::Upstream(_) => {
            (S::SERVICE_UNAVAILABLE, "Service Unavailable", said("A service that is needed is not available"))
        }
        Error::Internal(_) => (S::INTERNAL_SERVER_ERROR, "Internal Server Error", None),
    }
}

/// What is wrong with a field is the client's to mend; what is taken contradicts what is stored.
fn invalid(message: &'static str, fields: &[FieldError]) -> Shape {
    let issues = fields.iter().map(Issue::from).collect();
    let data = Some(Data::Issues { issues, name: "ZodError", message: None });
    if fields.iter().any(|field| field.rule == Rule::Unique) {
        return (StatusCode::CONFLICT, "Conflict", data);
    }
    (StatusCode::BAD_REQUEST, message, data)
}

fn not_found(subject: Subject) -> &'static str {
    match subject {
        Subject::Conversation => "Chat not found",
        Subject::Message => "Message not found",
        Subject::User => "User not found",
        Subject::Share => "Share not found",
        Subject::Page => "Page not found",
        Subject::Attachment => "File not found",
        Subject::Webhook | Subject::Delivery | Subject::Document => "Not found",
    }
}

fn share_shape(error: &Error, share_info: ShareInfo) -> Shape {
    use StatusCode as S;
    let data = Some(Data::Share { share_info });
    match error {
        Error::NotFound(_) => (S::NOT_FOUND, "Not Found (share not found)", data),
        Error::Forbidden(_) if !share_info.share_is_active => (S::NOT_FOUND, "Not Found (share not found)", data),
        Error::Unauthenticated => (S::UNAUTHORIZED, "Unauthorized (incorrect credentials)", data),
        Error::Forbidden(_) => (S::FORBIDDEN, "Forbidden (not on whitelist)", data),
        other => shape_of("Bad Request.", other),
    }
}

/// What a method that a route does not have is answered with.
pub async fn not_allowed() -> Failure {
    Failure::NoMethod
}
