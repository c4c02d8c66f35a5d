//! The hooks door's envelope: `{"data": …}`, and refusals in plain sentences.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Hooks;
use super::context::Ctx;
use crate::error::{Error, FieldError, Refusal, Rule, Subject};
use crate::http::body::BodyError;
use crate::http::{headers, json};

/// An answer.
#[derive(Serialize, ToSchema)]
#[schema(as = hooks::Shown)]
pub struct Shown<T> {
    /// What was asked for.
    pub data: T,
}

/// A refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = hooks::Failed)]
pub struct Failed {
    /// A sentence.
    #[schema(example = "There is no such endpoint.")]
    message: String,
    /// The sentences for each field that is wrong.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    errors: BTreeMap<String, Vec<String>>,
}

/// What a handler's work ends with when it does not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The use-case refused.
    Chat(Error),
    /// The body could not be read.
    Body(BodyError),
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

impl Failure {
    fn shape(&self) -> (StatusCode, String) {
        use StatusCode as S;
        let (status, message) = match self {
            Self::Chat(error) => shape_of(error),
            Self::Body(BodyError::Malformed(why)) => return (S::BAD_REQUEST, format!("The body is not JSON: {why}.")),
            Self::Body(error) => shape_of_body(error),
            Self::NoRoute => (S::NOT_FOUND, "There is no such route."),
            Self::NoMethod => (S::METHOD_NOT_ALLOWED, "The route does not have that method."),
        };
        (status, message.to_owned())
    }

    fn errors(&self) -> BTreeMap<String, Vec<String>> {
        let mut errors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if let Self::Chat(Error::Invalid(fields)) = self {
            for field in fields {
                errors.entry(field.field.to_string()).or_default().push(sentence(field));
            }
        }
        errors
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Chat(Error::TooMany(after)) => Some(*after),
            Self::Chat(Error::Busy) => Some(Duration::from_secs(1)),
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

fn shape_of(error: &Error) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match error {
        Error::Invalid(_) => (S::UNPROCESSABLE_ENTITY, "The input is not valid."),
        Error::NotFound(Subject::Webhook) => (S::NOT_FOUND, "There is no such endpoint."),
        Error::NotFound(Subject::Delivery) => (S::NOT_FOUND, "There is no such delivery."),
        Error::NotFound(_) => (S::NOT_FOUND, "There is no such thing."),
        Error::Unauthenticated => (S::UNAUTHORIZED, "A bearer token is needed."),
        Error::Forbidden(Refusal::NotAble) => (S::FORBIDDEN, "The token has not the ability events."),
        Error::Forbidden(Refusal::NoPlatform) => (S::FORBIDDEN, "The token's account belongs to no platform."),
        Error::Forbidden(_) => (S::FORBIDDEN, "Not allowed."),
        Error::Conflict(_) => (S::CONFLICT, "The request contradicts an earlier one."),
        Error::TooMany(_) | Error::OverBudget(_) => (S::TOO_MANY_REQUESTS, "Too many requests: try again later."),
        Error::Busy => (S::SERVICE_UNAVAILABLE, "The server is busy: try again shortly."),
        Error::StorageFull => (S::INSUFFICIENT_STORAGE, "The server's storage is full."),
        Error::StorageReadOnly => (S::SERVICE_UNAVAILABLE, "The server cannot write at the moment."),
        Error::Upstream(_) => (S::SERVICE_UNAVAILABLE, "A service is not available: try again later."),
        Error::Internal(_) => (S::INTERNAL_SERVER_ERROR, "Something went wrong on the server."),
    }
}

fn shape_of_body(error: &BodyError) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match error {
        BodyError::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "The body is too large."),
        BodyError::TooSlow => (S::REQUEST_TIMEOUT, "The body did not arrive in time."),
        BodyError::MediaType(_) => (S::UNSUPPORTED_MEDIA_TYPE, "The body is neither JSON nor a form."),
        BodyError::Malformed(_) => (S::BAD_REQUEST, "The body is not JSON."),
        BodyError::NotAnObject(_) => (S::BAD_REQUEST, "The body is not an object."),
        BodyError::Broken => (S::BAD_REQUEST, "The body broke off."),
    }
}

fn sentence(error: &FieldError) -> String {
    match &error.rule {
        Rule::Required | Rule::NotNull | Rule::NotBlank => "It has to be there.".to_owned(),
        Rule::String => "It has to be a string.".to_owned(),
        Rule::Integer => "It has to be a whole number.".to_owned(),
        Rule::Boolean => "It has to be true or false.".to_owned(),
        Rule::Array => "It has to be a list.".to_owned(),
        Rule::Positive => "It may not be negative.".to_owned(),
        Rule::CharsMax(max) => format!("It has at most {max} characters."),
        Rule::CountMax(max) if error.field == "url" => format!("A platform has at most {max} endpoints."),
        Rule::CountMax(max) => format!("There are at most {max}."),
        Rule::OneOf { got, choices } => format!("{got:?} is none of {}.", choices.join(", ")),
        Rule::PublicAddress => "It leads into a private network, which this server does not post to.".to_owned(),
        Rule::Exists if error.field == "after" => {
            "It is beyond the end of the log, so it is from another one: begin anew with 0.".to_owned()
        }
        _ if error.field == "url" => "It has to be an http or https address without a name and password.".to_owned(),
        _ if error.field == "form" => "An endpoint in Pusher's form has no key of its own.".to_owned(),
        _ => "It is not valid.".to_owned(),
    }
}

impl Ctx {
    /// An answer with data.
    pub fn shown(&self, status: StatusCode, data: impl Serialize) -> Response {
        self.answer(status, &Shown { data })
    }

    /// Any answer.
    pub fn answer(&self, status: StatusCode, body: &impl Serialize) -> Response {
        let mut response = json::response(json::bytes(body));
        *response.status_mut() = status;
        response
    }

    /// A refusal.
    pub fn failure(&self, failure: &Failure) -> Response {
        failure.log();
        let (status, message) = failure.shape();
        let mut response = self.answer(status, &Failed { message, errors: failure.errors() });
        if let Some(after) = failure.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(after));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What a method that a route does not have is answered with.
pub async fn not_allowed(State(_): State<Hooks>, ctx: Ctx) -> impl IntoResponse {
    ctx.failure(&Failure::NoMethod)
}
