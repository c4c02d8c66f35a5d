//! The chats dialect's errors: Django REST framework's shapes and wordings, which clients compare.
//!
//! There are three shapes. `{"detail": …}` is what the framework itself says; `{"error": …}` is
//! what the original's own code says, in the chat routes and about sessions that a body or a query
//! names; and a field's sentences stand under its name.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;

use crate::api::django::{self, FieldErrors};
use crate::api::events::Refused;
use crate::api::run::no_answer;
use crate::api::{budget, idempotency};
use crate::domain::{RunOutcome, RunReason};
use crate::error::{Conflict, Error, FieldError, Refusal, Rule, Subject};
use crate::http::body::BodyError;

/// A refusal.
#[derive(serde::Serialize, ToSchema)]
#[serde(untagged)]
pub enum Failed {
    /// About the request as a whole.
    Detail {
        /// A sentence.
        #[schema(example = "Not found.")]
        detail: String,
    },
    /// About the chat.
    Error {
        /// A sentence.
        #[schema(example = "Session not found")]
        error: String,
    },
    /// About fields: the sentences for each that is wrong.
    Fields(FieldErrors),
}

/// What a handler's work ends with when it does not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The use-case refused.
    Chat(Error),
    /// The same, in the chat routes: of fields that are wrong only the first is told.
    Plain(Error),
    /// A filter of a list is not valid.
    Filter(Error),
    /// The body could not be read.
    Body(BodyError),
    /// There is no such object of that kind.
    NoMatch(&'static str),
    /// There is no place for another stream.
    NoStream,
    /// A credential is needed and there is none.
    NoCredential,
    /// The assistant's answer ended like this and is not there.
    NoAnswer(RunOutcome, Option<RunReason>),
    /// Nobody asked the assistant to answer this message.
    NotAsked,
    /// No such route.
    NoRoute,
    /// No such method on this route.
    NoMethod(Method),
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

impl Failure {
    fn shape(&self) -> (StatusCode, Failed) {
        use StatusCode as S;
        match self {
            Self::Chat(Error::Invalid(fields)) => (S::BAD_REQUEST, by_field(fields, sentence)),
            Self::Filter(Error::Invalid(fields)) => (S::BAD_REQUEST, by_field(fields, filter_sentence)),
            Self::Plain(Error::Invalid(fields)) => (S::BAD_REQUEST, error(first_sentence(fields))),
            Self::Plain(Error::NotFound(Subject::Message)) => (S::NOT_FOUND, error("Message not found")),
            Self::Chat(other) | Self::Plain(other) | Self::Filter(other) => shape_of(other),
            Self::Body(body) => body_shape(body),
            Self::NoMatch(kind) => (S::NOT_FOUND, detail(format!("No {kind} matches the given query."))),
            Self::NoStream => (S::SERVICE_UNAVAILABLE, error("Too many streams are open: try again in a second.")),
            Self::NoCredential => (S::UNAUTHORIZED, detail(django::NO_CREDENTIAL)),
            Self::NoAnswer(outcome, why) => (S::SERVICE_UNAVAILABLE, error(no_answer(*outcome, *why))),
            Self::NotAsked => (S::NOT_FOUND, detail("The assistant was not asked to answer this message.")),
            Self::NoRoute => (S::NOT_FOUND, detail("Not found.")),
            Self::NoMethod(method) => (S::METHOD_NOT_ALLOWED, detail(django::no_method(method))),
        }
    }

    fn error(&self) -> Option<&Error> {
        match self {
            Self::Chat(error) | Self::Plain(error) | Self::Filter(error) => Some(error),
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
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Some(error) = self.error() {
            django::log(error);
        }
        let (status, body) = self.shape();
        let mut response = django::response(status, &body, self.retry_after());
        if let Some(error) = self.error() {
            budget::tell_shortage(&mut response, error);
        }
        response
    }
}

fn detail(sentence: impl Into<String>) -> Failed {
    Failed::Detail { detail: sentence.into() }
}

fn error(sentence: impl Into<String>) -> Failed {
    Failed::Error { error: sentence.into() }
}

fn shape_of(failed: &Error) -> (StatusCode, Failed) {
    use StatusCode as S;
    match failed {
        Error::Invalid(fields) => (S::BAD_REQUEST, by_field(fields, sentence)),
        Error::NotFound(Subject::Page) => (S::NOT_FOUND, detail("Invalid page.")),
        Error::NotFound(Subject::Message) => (S::NOT_FOUND, detail("No ChatMessage matches the given query.")),
        Error::NotFound(Subject::Conversation) => (S::NOT_FOUND, error("Session not found")),
        Error::NotFound(_) => (S::NOT_FOUND, detail("Not found.")),
        Error::Unauthenticated => (S::UNAUTHORIZED, detail(django::INVALID_TOKEN)),
        Error::Forbidden(refusal) => (S::FORBIDDEN, forbidden(*refusal)),
        Error::Conflict(Conflict::IdempotencyKeyReused) => {
            (S::CONFLICT, error("This Idempotency-Key was used with another body: use a new key."))
        }
        Error::TooMany(after) => (S::TOO_MANY_REQUESTS, detail(django::throttled(*after))),
        Error::OverBudget(_) => (S::TOO_MANY_REQUESTS, error(budget::USED_UP)),
        Error::Busy => (S::SERVICE_UNAVAILABLE, error(django::BUSY)),
        Error::StorageFull => (S::INSUFFICIENT_STORAGE, error(django::STORAGE_FULL)),
        Error::StorageReadOnly => (S::SERVICE_UNAVAILABLE, error(django::STORAGE_READ_ONLY)),
        Error::Upstream(_) => {
            (S::SERVICE_UNAVAILABLE, error("The assistant is not available at the moment: try again later."))
        }
        Error::Internal(_) => (S::INTERNAL_SERVER_ERROR, detail(django::INTERNAL)),
    }
}

fn forbidden(refusal: Refusal) -> Failed {
    match refusal {
        Refusal::Expired => error("Session is expired"),
        Refusal::Inactive => error("Session is not active"),
        Refusal::ListClosed => {
            detail("The list of sessions is closed: its operator opens it with chats.list_sessions.")
        }
        Refusal::NotStaff
        | Refusal::NotAssigned
        | Refusal::Assigned
        | Refusal::NotAble
        | Refusal::UnknownPlatform
        | Refusal::AccountInactive
        | Refusal::AccountUnverified
        | Refusal::NotMember
        | Refusal::NotTheirs
        | Refusal::NoPlatform => detail(django::NOT_PERMITTED),
    }
}

fn body_shape(body: &BodyError) -> (StatusCode, Failed) {
    let (status, said) = django::of_body(body);
    (status, said.map_or_else(Failed::Fields, detail))
}

fn by_field(fields: &[FieldError], sentence: fn(&FieldError) -> String) -> Failed {
    Failed::Fields(FieldErrors::of(fields, sentence))
}

fn sentence(wrong: &FieldError) -> String {
    match &wrong.rule {
        Rule::CharsMax(_) if wrong.field == idempotency::HEADER => {
            "Must be 1 to 255 visible ASCII characters.".to_owned()
        }
        Rule::Unique => format!("Session with this {} already exists.", wrong.field.replace('_', " ")),
        _ => django::sentence(wrong),
    }
}

/// Filters are checked by another library in the original, with other words for one rule.
fn filter_sentence(wrong: &FieldError) -> String {
    match &wrong.rule {
        Rule::OneOf { got, .. } => format!("Select a valid choice. {got} is not one of the available choices."),
        _ => sentence(wrong),
    }
}

fn first_sentence(fields: &[FieldError]) -> String {
    let Some(wrong) = fields.first() else { return "The request is not valid".to_owned() };
    let field = wrong.field.as_ref();
    match &wrong.rule {
        Rule::Required | Rule::NotNull | Rule::NotBlank => format!("{field} is required"),
        Rule::String => format!("{field} must be a string"),
        Rule::CharsMax(_) if field == idempotency::HEADER => format!("{field} must be 1 to 255 visible characters"),
        Rule::CharsMax(max) => format!("{field} must have at most {max} characters"),
        Rule::NoNul => format!("{field} must not contain NUL"),
        _ => format!("{field} is not valid"),
    }
}

/// What a method that a route does not have is answered with.
pub async fn not_allowed(method: Method) -> Failure {
    Failure::NoMethod(method)
}
