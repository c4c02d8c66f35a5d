//! The AI SDK door's errors: `{"code", "message"}`. The SDK has no form of its own; it takes the whole body for the
//! message of the error that it raises.

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::budget;
use crate::error::{Conflict, Error, FieldError, Kind, Refusal, Rule};
use crate::http::body::BodyError;
use crate::http::{headers, json};

/// A refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = aisdk::Failed)]
pub struct Failed {
    /// A word for programs.
    #[schema(example = "bad_request")]
    code: &'static str,
    /// A sentence.
    #[schema(example = "messages has to be a list.")]
    message: String,
}

/// What a handler's work ends with when it does not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The use-case refused.
    Chat(Error),
    /// The body could not be read.
    Body(BodyError),
    /// There is no place for another stream.
    NoStream,
    /// No such route.
    NoRoute,
    /// No such method on this route.
    NoMethod,
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

/// Status, word and sentence.
type Shape = (StatusCode, &'static str, String);

impl Failure {
    fn shape(&self) -> Shape {
        use StatusCode as S;
        let (status, code, message) = match self {
            Self::Chat(Error::Invalid(fields)) => return (S::BAD_REQUEST, "bad_request", sentences(fields)),
            Self::Chat(error) => shape_of(error),
            Self::Body(error) => return shape_of_body(error),
            Self::NoStream => (S::SERVICE_UNAVAILABLE, "busy", "Too many streams are open: try again in a second."),
            Self::NoRoute => (S::NOT_FOUND, "not_found", "There is no such route."),
            Self::NoMethod => (S::METHOD_NOT_ALLOWED, "method_not_allowed", "The route does not have that method."),
        };
        (status, code, message.to_owned())
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Chat(Error::TooMany(after)) => Some(*after),
            Self::NoStream | Self::Chat(Error::Busy) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Surprises are logged once, here, with their cause.
    fn log(&self) {
        match self {
            Self::Chat(Error::Internal(cause)) => tracing::error!(cause = %cause, "internal error"),
            Self::Chat(Error::Upstream(cause)) => tracing::warn!(cause = %cause, "a service is not available"),
            _ => {}
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.log();
        let (status, code, message) = self.shape();
        let mut response = json::response(json::bytes(&Failed { code, message }));
        *response.status_mut() = status;
        if let Some(after) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(after));
        }
        if let Self::Chat(error) = &self {
            budget::tell_shortage(&mut response, error);
        }
        response
    }
}

fn shape_of(error: &Error) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match error {
        Error::Invalid(_) => (S::BAD_REQUEST, "bad_request", "The request is not valid."),
        Error::NotFound(_) => (S::NOT_FOUND, "not_found", "There is no such chat."),
        Error::Unauthenticated => (S::UNAUTHORIZED, "unauthorized", "You are not signed in."),
        Error::Forbidden(Refusal::Expired) => (S::FORBIDDEN, "expired", "The chat is over: begin a new one."),
        Error::Forbidden(Refusal::Inactive) => (S::FORBIDDEN, "inactive", "The chat is closed: begin a new one."),
        Error::Forbidden(Refusal::Assigned) => (S::FORBIDDEN, "assigned", "A person has this chat."),
        Error::Forbidden(_) => (S::FORBIDDEN, "forbidden", "You are not allowed to do this."),
        Error::Conflict(Conflict::IdempotencyKeyReused) => {
            (S::CONFLICT, "conflict", "This Idempotency-Key was used with another body: use a new key.")
        }
        Error::TooMany(_) => (S::TOO_MANY_REQUESTS, "rate_limit", "Too many messages: try again later."),
        Error::OverBudget(_) => (S::TOO_MANY_REQUESTS, "over_budget", budget::USED_UP),
        Error::Busy => (S::SERVICE_UNAVAILABLE, "busy", "The server is busy: try again in a second."),
        Error::StorageFull => (S::INSUFFICIENT_STORAGE, "storage_full", "The server's storage is full."),
        Error::StorageReadOnly => {
            (S::SERVICE_UNAVAILABLE, "storage", "The server cannot store anything at the moment.")
        }
        Error::Upstream(_) => (S::SERVICE_UNAVAILABLE, "no_assistant", "The assistant is not available at the moment."),
        Error::Internal(_) => (S::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on the server."),
    }
}

fn shape_of_body(error: &BodyError) -> Shape {
    use StatusCode as S;
    match error {
        BodyError::TooLarge { max } => {
            let message =
                format!("The request is larger than {max} bytes: let the transport send the last message only.");
            (S::PAYLOAD_TOO_LARGE, "too_large", message)
        }
        BodyError::TooSlow => (S::REQUEST_TIMEOUT, "too_slow", "The body did not arrive in time.".to_owned()),
        BodyError::MediaType(_) => (S::UNSUPPORTED_MEDIA_TYPE, "media_type", "The body is no JSON.".to_owned()),
        BodyError::Malformed(why) => (S::BAD_REQUEST, "bad_request", format!("The body is no JSON: {why}.")),
        BodyError::NotAnObject(_) => (S::BAD_REQUEST, "bad_request", "The body is no object.".to_owned()),
        BodyError::Broken => (S::BAD_REQUEST, "bad_request", "The body broke off.".to_owned()),
    }
}

fn sentences(fields: &[FieldError]) -> String {
    fields.iter().map(sentence).collect::<Vec<_>>().join(" ")
}

fn sentence(wrong: &FieldError) -> String {
    let field = if wrong.field.is_empty() { "The body" } else { wrong.field.as_ref() };
    match &wrong.rule {
        Rule::Required | Rule::Type { got: Kind::Undefined, .. } => format!("{field} has to be there."),
        Rule::Type { want: Kind::Array, .. } => format!("{field} has to be a list."),
        Rule::Type { want: Kind::Object, .. } => format!("{field} has to be an object."),
        Rule::Type { .. } => format!("{field} has to be a text."),
        Rule::NotBlank | Rule::CharsMin(_) => format!("{field} may not be empty."),
        Rule::CharsMax(_) if field == crate::api::idempotency::HEADER => {
            format!("{field} has to be 1 to 255 visible characters.")
        }
        Rule::CharsMax(max) => format!("{field} may have at most {max} characters."),
        Rule::CountMin(_) => format!("{field} may not be empty."),
        Rule::CountMax(max) => format!("{field} may have at most {max} items."),
        Rule::OneOf { got, choices } => format!("{field} is {got:?}, and has to be one of: {}.", choices.join(", ")),
        _ => format!("{field} is not valid."),
    }
}

/// What a method that a route does not have is answered with.
pub async fn not_allowed() -> Failure {
    Failure::NoMethod
}
