//! The guest dialect's envelope: how answers and errors look.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::Guest;
use super::context::Ctx;
use crate::api::budget;
use crate::api::events::Refused;
use crate::domain::Language;
use crate::error::{Conflict, Error, FieldError, Refusal, Rule};
use crate::http::body::BodyError;
use crate::http::headers;
use crate::http::json;
use crate::limits::Decision;
use crate::texts::Texts;

/// An answer.
#[derive(Serialize, ToSchema)]
pub struct Success<T> {
    /// Always true.
    #[schema(example = true)]
    pub success: bool,
    /// A sentence for people.
    pub message: String,
    /// What was asked for.
    pub data: T,
    /// Reserved; null.
    #[schema(value_type = Option<Object>)]
    pub meta: (),
    /// The request's id, also in the headers `X-Request-Id` and `X-Correlation-Id`.
    pub trace_id: String,
    /// When it was answered.
    #[schema(example = "2026-02-03T08:00:01Z")]
    pub timestamp: String,
}

/// A refusal.
#[derive(Serialize, ToSchema)]
pub struct Failed {
    /// Always false.
    #[schema(example = false)]
    success: bool,
    /// A sentence for people.
    #[schema(example = "Validation failed")]
    message: String,
    /// Null.
    #[schema(value_type = Option<Object>)]
    data: (),
    /// What went wrong, for programs.
    error: ErrorBody,
    /// Reserved; null.
    #[schema(value_type = Option<Object>)]
    meta: (),
    /// The request's id.
    trace_id: String,
    /// When it was answered.
    #[schema(example = "2026-02-03T08:00:01Z")]
    timestamp: String,
}

/// What went wrong, for programs.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// The kind of refusal.
    #[serde(rename = "type")]
    #[schema(example = "ValidationError")]
    kind: &'static str,
    /// Its code.
    #[schema(example = "VALIDATION_FAILED")]
    code: &'static str,
    /// The sentences for each field, where fields are wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"message": ["Message is required"]}))]
    details: Option<Map<String, Value>>,
}

/// What a handler's work ends with when it does not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The use-case refused.
    Chat(Error),
    /// The body could not be read.
    Body(BodyError),
    /// A rate limit refused.
    Limited(Decision),
    /// There is no place for another stream.
    NoStream,
    /// The password or the address is wrong.
    BadLogin,
    /// The assistant could not answer.
    Chatbot,
    /// There is no assistant.
    NoAssistant,
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

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoPlace => Self::NoStream,
            Refused::Chat(error) => Self::Chat(error),
        }
    }
}

/// Status, type, code and text of a refusal.
type Shape = (StatusCode, &'static str, &'static str, &'static str);

impl Failure {
    fn shape(&self) -> Shape {
        use StatusCode as S;
        match self {
            Self::Chat(error) => shape_of(error),
            Self::Body(BodyError::TooLarge { .. }) => {
                (S::PAYLOAD_TOO_LARGE, "PayloadTooLarge", "PAYLOAD_TOO_LARGE", "too-large")
            }
            Self::Body(BodyError::TooSlow) => (S::REQUEST_TIMEOUT, "RequestTimeout", "REQUEST_TIMEOUT", "too-slow"),
            Self::Body(BodyError::MediaType(_)) => {
                (S::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", "UNSUPPORTED_MEDIA_TYPE", "media-type")
            }
            Self::Body(_) => (S::BAD_REQUEST, "ValidationError", "VALIDATION_FAILED", "validation-failed"),
            Self::Limited(_) => (S::TOO_MANY_REQUESTS, "RateLimitExceeded", "RATE_LIMIT_EXCEEDED", "too-many"),
            Self::NoStream => (S::SERVICE_UNAVAILABLE, "ServiceUnavailable", "SERVICE_BUSY", "busy"),
            Self::BadLogin => (S::UNAUTHORIZED, "Unauthorized", "UNAUTHORIZED", "bad-login"),
            Self::Chatbot => (S::INTERNAL_SERVER_ERROR, "InternalServerError", "CHATBOT_ERROR", "chatbot-failed"),
            Self::NoAssistant => (S::INTERNAL_SERVER_ERROR, "InternalServerError", "CHATBOT_ERROR", "chatbot-nobody"),
            Self::NoRoute => (S::NOT_FOUND, "NotFound", "NOT_FOUND", "endpoint-not-found"),
            Self::NoMethod => (S::METHOD_NOT_ALLOWED, "Method Not Allowed", "METHOD_NOT_ALLOWED", "method-not-allowed"),
        }
    }

    fn details(&self, texts: &Texts, language: Language) -> Option<Map<String, Value>> {
        match self {
            Self::Chat(Error::Invalid(fields)) => Some(field_details(fields, texts, language)),
            Self::Body(BodyError::Malformed(reason)) => {
                Some(body_details(texts.with(language, "body-malformed", &[("reason", reason)])))
            }
            Self::Body(BodyError::NotAnObject(_)) => {
                Some(body_details(texts.get(language, "body-not-an-object").to_owned()))
            }
            Self::Body(BodyError::Broken) => Some(body_details(texts.get(language, "body-broken").to_owned())),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited(decision) => decision.retry_after,
            Self::Chat(Error::TooMany(after)) => Some(*after),
            Self::Chat(Error::Busy) | Self::NoStream => Some(Duration::from_secs(1)),
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

fn shape_of(error: &Error) -> Shape {
    use StatusCode as S;
    match error {
        Error::Invalid(_) => (S::BAD_REQUEST, "ValidationError", "VALIDATION_FAILED", "validation-failed"),
        Error::NotFound(_) => (S::NOT_FOUND, "NotFound", "NOT_FOUND", "not-found"),
        Error::Unauthenticated => (S::UNAUTHORIZED, "Unauthorized", "UNAUTHORIZED", "unauthorized"),
        Error::Forbidden(refusal) => (S::FORBIDDEN, "Forbidden", "FORBIDDEN", forbidden(*refusal)),
        Error::Conflict(Conflict::IdempotencyKeyReused) => {
            (S::CONFLICT, "Conflict", "IDEMPOTENCY_KEY_REUSED", "conflict-idempotency")
        }
        Error::TooMany(_) => (S::TOO_MANY_REQUESTS, "RateLimitExceeded", "RATE_LIMIT_EXCEEDED", "too-many"),
        Error::OverBudget(_) => (S::TOO_MANY_REQUESTS, "BudgetExceeded", "BUDGET_EXCEEDED", "over-budget"),
        Error::Busy => (S::SERVICE_UNAVAILABLE, "ServiceUnavailable", "SERVICE_BUSY", "busy"),
        Error::StorageFull => (S::INSUFFICIENT_STORAGE, "InsufficientStorage", "STORAGE_FULL", "storage-full"),
        Error::StorageReadOnly => {
            (S::SERVICE_UNAVAILABLE, "ServiceUnavailable", "STORAGE_READ_ONLY", "storage-read-only")
        }
        Error::Upstream(_) => (S::SERVICE_UNAVAILABLE, "ServiceUnavailable", "UPSTREAM_UNAVAILABLE", "upstream"),
        Error::Internal(_) => (S::INTERNAL_SERVER_ERROR, "InternalServerError", "INTERNAL_ERROR", "internal"),
    }
}

fn forbidden(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotAssigned => "forbidden-not-assigned",
        Refusal::Assigned => "forbidden-assigned",
        Refusal::NotStaff => "forbidden-not-staff",
        Refusal::AccountInactive => "forbidden-account-inactive",
        Refusal::AccountUnverified => "forbidden-account-unverified",
        Refusal::Expired
        | Refusal::Inactive
        | Refusal::ListClosed
        | Refusal::NotAble
        | Refusal::NotMember
        | Refusal::NotTheirs
        | Refusal::NoPlatform
        | Refusal::UnknownPlatform => "forbidden",
    }
}

fn body_details(sentence: String) -> Map<String, Value> {
    Map::from_iter([("body".to_owned(), json!([sentence]))])
}

fn field_details(fields: &[FieldError], texts: &Texts, language: Language) -> Map<String, Value> {
    let mut details = Map::new();
    for error in fields {
        let sentence = Value::String(sentence(error, texts, language));
        match details.get_mut(error.field.as_ref()) {
            Some(Value::Array(sentences)) => sentences.push(sentence),
            _ => {
                details.insert(error.field.clone().into_owned(), Value::Array(vec![sentence]));
            }
        }
    }
    details
}

fn sentence(error: &FieldError, texts: &Texts, language: Language) -> String {
    let label = label(&error.field, texts, language);
    let field = ("field", label.as_str());
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
        Rule::Email => plain("rule-email"),
        Rule::DateTime => plain("rule-date-time"),
        Rule::OneOf { choices, .. } => texts.with(language, "rule-one-of", &[field, ("choices", &choices.join(", "))]),
        Rule::Confirmed => plain("rule-confirmed"),
        Rule::Unique => plain("rule-unique"),
        Rule::NoNul => plain("rule-no-nul"),
        Rule::Choice { choices, .. } => texts.with(language, "rule-one-of", &[field, ("choices", &choices.join(", "))]),
        Rule::Valid | Rule::Exists | Rule::Type { .. } | Rule::Mixed | Rule::PublicAddress => plain("rule-valid"),
        Rule::Object => plain("rule-object"),
        Rule::Array => plain("rule-array"),
        Rule::Uuid => plain("rule-uuid"),
        Rule::Positive => plain("rule-positive"),
        Rule::CountMax(count) => counted("rule-count-max", *count),
        Rule::CountMin(count) => counted("rule-count-min", *count),
        Rule::FileType { got } => texts.with(language, "rule-file-type", &[field, ("type", got)]),
        Rule::FileBytesMax(max) => texts.with(language, "rule-file-bytes-max", &[field, ("count", &max.to_string())]),
    }
}

/// A field's name for people: translated, or its words with a capital.
fn label(field: &str, texts: &Texts, language: Language) -> String {
    if let Some(label) = texts.find(language, &format!("field-{field}")) {
        return label.to_owned();
    }
    let words = field.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl Ctx {
    /// The envelope of a success.
    pub fn success(&self, status: StatusCode, text: &str, data: impl Serialize) -> Response {
        let body = Success {
            success: true,
            message: self.text(text).to_owned(),
            data,
            meta: (),
            trace_id: self.trace_id().to_owned(),
            timestamp: self.timestamp(),
        };
        let mut response = json::response(json::bytes(&body));
        *response.status_mut() = status;
        response
    }

    /// The envelope of a refusal.
    pub fn failure(&self, failure: &Failure) -> Response {
        failure.log();
        let (status, kind, code, text) = failure.shape();
        let details = failure.details(self.texts(), self.language());
        let body = Failed {
            success: false,
            message: self.text(text).to_owned(),
            data: (),
            error: ErrorBody { kind, code, details },
            meta: (),
            trace_id: self.trace_id().to_owned(),
            timestamp: self.timestamp(),
        };
        let mut response = json::response(json::bytes(&body));
        *response.status_mut() = status;
        if let Some(after) = failure.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(after));
        }
        if let Failure::Chat(error) = failure {
            budget::tell_shortage(&mut response, error);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What a path under the door's prefixes that is no route is answered with.
pub async fn not_found(State(_): State<Guest>, ctx: Ctx) -> impl IntoResponse {
    ctx.failure(&Failure::NoRoute)
}

/// What a method that a route does not have is answered with.
pub async fn not_allowed(State(_): State<Guest>, ctx: Ctx) -> impl IntoResponse {
    ctx.failure(&Failure::NoMethod)
}
