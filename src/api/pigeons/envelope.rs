//! The Pigeons dialect's envelope: Laravel's answers, refusals and sentences.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use utoipa::ToSchema;

use super::Pigeons;
use super::context::Ctx;
use crate::api::events::Refused;
use crate::api::idempotency;
use crate::domain::Language;
use crate::error::{Conflict, Error, FieldError, Rule, Subject};
use crate::http::body::BodyError;
use crate::http::{headers, json};
use crate::texts::Texts;

/// An answer with a sentence and data.
#[derive(Serialize, ToSchema)]
pub struct Told<T> {
    /// A sentence for people.
    #[schema(example = "Message sent successfully")]
    pub message: String,
    /// What came of it.
    pub data: T,
}

/// An answer that is only data.
#[derive(Serialize, ToSchema)]
pub struct Shown<T> {
    /// What was asked for.
    pub data: T,
}

/// An answer that is only a sentence.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Note)]
pub struct Note {
    /// A sentence for people.
    #[schema(example = "Message marked as read")]
    pub message: String,
}

/// An answer of the account routes.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Done)]
pub struct Done {
    /// Always true.
    #[schema(example = true)]
    pub success: bool,
    /// A sentence for people.
    #[schema(example = "Token is valid")]
    pub message: String,
}

/// A refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Failed)]
pub struct Failed {
    /// A sentence for people.
    #[schema(example = "The given data was invalid.")]
    message: String,
    /// The sentences for each field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashMap<String, Vec<String>>>)]
    errors: Option<Errors>,
}

/// What stands under `errors`.
enum Errors {
    /// The sentences for each field, in the order in which the fields were read.
    Fields(Vec<(Cow<'static, str>, Vec<String>)>),
    /// Nothing: how a subscription is refused.
    None,
}

impl Serialize for Errors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self::Fields(fields) = self else { return serializer.serialize_none() };
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        fields.iter().try_for_each(|(field, sentences)| map.serialize_entry(field, sentences))?;
        map.end()
    }
}

/// What a handler's work ends with when it does not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The use-case refused.
    Chat(Error),
    /// The same at registration, which answers wrong fields with 400.
    Registration(Error),
    /// The same of a subscription, which has its own shape for 403.
    Subscription(Error),
    /// The server writes what is on the channel, so that it could not be encrypted against it.
    Encrypted,
    /// The name or the password of HTTP Basic is wrong, or missing.
    BadLogin,
    /// The body could not be read.
    Body(BodyError),
    /// The same of a form with a file.
    Form(BodyError),
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

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoPlace => Self::NoStream,
            Refused::Chat(error) => Self::Chat(error),
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl Failure {
    fn error(&self) -> Option<&Error> {
        match self {
            Self::Chat(error) | Self::Registration(error) | Self::Subscription(error) => Some(error),
            _ => None,
        }
    }

    fn shape(&self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::Registration(Error::Invalid(_)) => (S::BAD_REQUEST, "invalid"),
            Self::Chat(error) | Self::Registration(error) | Self::Subscription(error) => shape_of(error),
            Self::Encrypted => (S::FORBIDDEN, "encrypted-channel"),
            Self::BadLogin => (S::UNAUTHORIZED, "unauthenticated"),
            Self::Form(BodyError::MediaType(_)) => (S::UNSUPPORTED_MEDIA_TYPE, "form-media-type"),
            Self::Form(BodyError::Malformed(_)) => (S::BAD_REQUEST, "form-malformed"),
            Self::Body(error) | Self::Form(error) => shape_of_body(error),
            Self::NoStream => (S::SERVICE_UNAVAILABLE, "busy"),
            Self::NoRoute => (S::NOT_FOUND, "endpoint-not-found"),
            Self::NoMethod => (S::METHOD_NOT_ALLOWED, "method-not-allowed"),
        }
    }

    fn errors(&self, texts: &Texts, language: Language) -> Option<Errors> {
        match self {
            Self::Subscription(Error::Forbidden(_)) | Self::Encrypted => Some(Errors::None),
            _ => match self.error()? {
                Error::Invalid(fields) => Some(Errors::Fields(by_field(fields, texts, language))),
                _ => None,
            },
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        if matches!(self, Self::NoStream) {
            return Some(Duration::from_secs(1));
        }
        match self.error()? {
            Error::TooMany(after) => Some(*after),
            Error::Busy => Some(Duration::from_secs(1)),
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
}

fn shape_of(error: &Error) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match error {
        Error::Invalid(_) => (S::UNPROCESSABLE_ENTITY, "invalid"),
        Error::NotFound(Subject::Conversation) => (S::NOT_FOUND, "conversation-not-found"),
        Error::NotFound(Subject::Message) => (S::NOT_FOUND, "message-not-found"),
        Error::NotFound(Subject::User) => (S::NOT_FOUND, "user-not-found"),
        Error::NotFound(Subject::Attachment) => (S::NOT_FOUND, "attachment-not-found"),
        Error::NotFound(_) => (S::NOT_FOUND, "not-found"),
        Error::Unauthenticated => (S::UNAUTHORIZED, "unauthenticated"),
        Error::Forbidden(_) => (S::FORBIDDEN, "unauthorized"),
        Error::Conflict(Conflict::IdempotencyKeyReused) => (S::CONFLICT, "conflict-idempotency"),
        Error::TooMany(_) | Error::OverBudget(_) => (S::TOO_MANY_REQUESTS, "too-many"),
        Error::Busy => (S::SERVICE_UNAVAILABLE, "busy"),
        Error::StorageFull => (S::INSUFFICIENT_STORAGE, "storage-full"),
        Error::StorageReadOnly => (S::SERVICE_UNAVAILABLE, "storage-read-only"),
        Error::Upstream(_) => (S::SERVICE_UNAVAILABLE, "upstream"),
        Error::Internal(_) => (S::INTERNAL_SERVER_ERROR, "internal"),
    }
}

fn shape_of_body(error: &BodyError) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match error {
        BodyError::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "too-large"),
        BodyError::TooSlow => (S::REQUEST_TIMEOUT, "too-slow"),
        BodyError::MediaType(_) => (S::UNSUPPORTED_MEDIA_TYPE, "media-type"),
        BodyError::Malformed(_) => (S::BAD_REQUEST, "body-malformed"),
        BodyError::NotAnObject(_) => (S::BAD_REQUEST, "body-not-an-object"),
        BodyError::Broken => (S::BAD_REQUEST, "body-broken"),
    }
}

fn by_field(errors: &[FieldError], texts: &Texts, language: Language) -> Vec<(Cow<'static, str>, Vec<String>)> {
    let mut fields: Vec<(Cow<'static, str>, Vec<String>)> = Vec::new();
    for error in errors {
        let sentence = sentence(error, texts, language);
        match fields.iter_mut().find(|(field, _)| *field == error.field) {
            Some((_, sentences)) => sentences.push(sentence),
            None => fields.push((error.field.clone(), vec![sentence])),
        }
    }
    fields
}

/// Laravel's sentence. Underscores in a field's name become spaces, dots stay.
fn sentence(error: &FieldError, texts: &Texts, language: Language) -> String {
    if error.field == idempotency::HEADER {
        return texts.get(language, "rule-idempotency-key").to_owned();
    }
    let name = error.field.replace('_', " ");
    let field = ("field", name.as_str());
    let counted = |id, count: usize| texts.with(language, id, &[field, ("count", &count.to_string())]);
    let plain = |id| texts.with(language, id, &[field]);
    match &error.rule {
        Rule::Required | Rule::NotNull | Rule::NotBlank => plain("rule-required"),
        Rule::String => plain("rule-string"),
        Rule::Integer => plain("rule-integer"),
        Rule::Boolean => plain("rule-boolean"),
        Rule::CharsMax(count) => counted("rule-chars-max", *count),
        Rule::CharsMin(count) => counted("rule-chars-min", *count),
        Rule::BytesMax(count) => counted("rule-bytes-max", *count),
        Rule::CountMax(count) => counted("rule-count-max", *count),
        Rule::CountMin(count) => counted("rule-count-min", *count),
        Rule::FileType { got } => texts.with(language, "rule-file-type", &[field, ("type", got)]),
        Rule::FileBytesMax(max) => texts.with(language, "rule-bytes-max", &[field, ("count", &max.to_string())]),
        // PHP has one type for both.
        Rule::Object | Rule::Array => plain("rule-array"),
        Rule::Uuid => plain("rule-uuid"),
        Rule::Positive => plain("rule-positive"),
        Rule::Email => plain("rule-email"),
        Rule::DateTime => plain("rule-date-time"),
        Rule::OneOf { .. } | Rule::Choice { .. } | Rule::Exists => plain("rule-selected"),
        Rule::Confirmed => plain("rule-confirmed"),
        Rule::Unique => plain("rule-unique"),
        Rule::NoNul | Rule::Valid | Rule::Type { .. } | Rule::Mixed | Rule::PublicAddress => plain("rule-format"),
    }
}

impl Ctx {
    /// A sentence and data.
    pub fn told(&self, status: StatusCode, text: &str, data: impl Serialize) -> Response {
        self.answer(status, &Told { message: self.text(text).to_owned(), data })
    }

    /// 200 with data.
    pub fn shown(&self, data: impl Serialize) -> Response {
        self.answer(StatusCode::OK, &Shown { data })
    }

    /// 200 with a sentence.
    pub fn note(&self, text: &str) -> Response {
        self.answer(StatusCode::OK, &Note { message: self.text(text).to_owned() })
    }

    /// 200 as the account routes say it.
    pub fn done(&self, text: &str) -> Response {
        self.answer(StatusCode::OK, &Done { success: true, message: self.text(text).to_owned() })
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
        let (status, text) = failure.shape();
        let (texts, language) = (&self.door().texts, self.language());
        let message = match failure {
            Failure::Body(BodyError::Malformed(reason)) | Failure::Form(BodyError::Malformed(reason)) => {
                texts.with(language, text, &[("reason", reason)])
            }
            _ => texts.get(language, text).to_owned(),
        };
        let errors = failure.errors(texts, language);
        let mut response = self.answer(status, &Failed { message, errors });
        if let Some(after) = failure.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(after));
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = if matches!(failure, Failure::BadLogin) { "Basic realm=\"Roost\"" } else { "Bearer" };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        response
    }
}

/// What a method that a route does not have is answered with.
pub async fn not_allowed(State(_): State<Pigeons>, ctx: Ctx) -> impl IntoResponse {
    ctx.failure(&Failure::NoMethod)
}
