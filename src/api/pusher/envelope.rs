//! Refusals of the HTTP API: a status by which stock libraries tell them apart, and a sentence.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Pusher;
use super::auth::Unsigned;
use crate::error::{Error, Refusal};
use crate::http::body::BodyError;
use crate::http::json;

/// A refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = pusher::Failed)]
pub struct Failed {
    /// A sentence for people.
    #[schema(example = "channels: at most 100")]
    error: String,
}

/// Why a request of an app's backend is refused.
#[derive(Debug)]
pub enum Failure {
    /// It is not signed by the app.
    Unsigned(Unsigned),
    /// There is no such app.
    NoApp,
    /// What it asks for is not legal; a sentence says why.
    Invalid(String),
    /// An event's data is too long.
    DataTooLong,
    /// The body could not be read.
    Body(BodyError),
    /// The use-case refused.
    Chat(Error),
    /// No such route.
    NoRoute,
    /// No such method on this route.
    NoMethod,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Forbidden(Refusal::UnknownPlatform) => Self::NoApp,
            error => Self::Chat(error),
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<Unsigned> for Failure {
    fn from(why: Unsigned) -> Self {
        Self::Unsigned(why)
    }
}

impl Failure {
    /// What is not legal, in a sentence.
    pub fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    fn status(&self) -> StatusCode {
        use StatusCode as S;
        match self {
            Self::Unsigned(_) => S::UNAUTHORIZED,
            Self::NoApp | Self::NoRoute => S::NOT_FOUND,
            Self::Invalid(_) => S::BAD_REQUEST,
            Self::DataTooLong | Self::Body(BodyError::TooLarge { .. }) => S::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::TooSlow) => S::REQUEST_TIMEOUT,
            Self::Body(_) => S::BAD_REQUEST,
            Self::Chat(Error::Busy) => S::SERVICE_UNAVAILABLE,
            Self::Chat(_) => S::INTERNAL_SERVER_ERROR,
            Self::NoMethod => S::METHOD_NOT_ALLOWED,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Unsigned(Unsigned::Missing(name)) => format!("{name} is missing"),
            Self::Unsigned(Unsigned::Key) => "auth_key is not this app's".to_owned(),
            Self::Unsigned(Unsigned::Version) => "auth_version must be 1.0".to_owned(),
            Self::Unsigned(Unsigned::Timestamp) => "auth_timestamp is no number of seconds".to_owned(),
            Self::Unsigned(Unsigned::Expired) => {
                "auth_timestamp is more than 600 seconds away from the server's time".to_owned()
            }
            Self::Unsigned(Unsigned::Body) => "body_md5 is not the body's".to_owned(),
            Self::Unsigned(Unsigned::Signature) => "auth_signature is not this request's".to_owned(),
            Self::NoApp => "there is no such app".to_owned(),
            Self::Invalid(why) => why.clone(),
            Self::DataTooLong => "data: at most 10 KB".to_owned(),
            Self::Body(BodyError::TooLarge { max }) => format!("the body has more than {max} bytes"),
            Self::Body(BodyError::TooSlow) => "the body did not arrive in time".to_owned(),
            Self::Body(BodyError::Broken) => "the body could not be read".to_owned(),
            Self::Body(_) => "the body is not JSON".to_owned(),
            Self::Chat(Error::Busy) => "busy, try again shortly".to_owned(),
            Self::Chat(_) => "internal error".to_owned(),
            Self::NoRoute => "there is no such route".to_owned(),
            Self::NoMethod => "this route does not have that method".to_owned(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::Chat(error) = &self {
            tracing::error!(cause = %error, "internal error");
        }
        let mut response = answer(&Failed { error: self.sentence() });
        *response.status_mut() = self.status();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Self::Unsigned(_) = self {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Pusher"));
        }
        response
    }
}

/// 200 with JSON.
pub fn answer(body: &impl Serialize) -> Response {
    json::response(json::bytes(body))
}

/// What a method that a route does not have is answered with.
pub async fn not_allowed(State(_): State<Pusher>) -> Response {
    Failure::NoMethod.into_response()
}

/// What a path under the door's prefix that is no route is answered with.
pub async fn not_found() -> Response {
    Failure::NoRoute.into_response()
}
