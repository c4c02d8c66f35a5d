//! The OpenAI dialect's errors: `{"error": {"message", "type", "param", "code"}}`, in the wordings of its own server.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::param;
use crate::api::budget;
use crate::api::run::no_answer as why;
use crate::domain::{RunOutcome, RunReason};
use crate::error::{Conflict, Error, FieldError, Kind, Refusal, Rule, Subject};
use crate::http::body::BodyError;
use crate::http::{headers, json};

/// A refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = openai::Failed)]
pub struct Failed {
    /// What is wrong.
    error: Wrong,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = openai::Wrong)]
pub struct Wrong {
    /// A sentence.
    #[schema(example = "Missing required parameter: 'messages'.")]
    message: String,
    /// Whose doing it is.
    #[serde(rename = "type")]
    #[schema(example = "invalid_request_error")]
    kind: &'static str,
    /// The field that is wrong.
    #[schema(required = true, example = "messages")]
    param: Option<String>,
    /// A word for programs.
    #[schema(required = true, example = "missing_required_parameter")]
    code: Option<&'static str>,
}

/// The client's doing.
const REQUEST: &str = "invalid_request_error";
/// What may be spent is spent.
const QUOTA: &str = "insufficient_quota";
/// Ours.
const SERVER: &str = "server_error";

/// What a handler's work ends with when it does not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The use-case refused.
    Chat(Error),
    /// The body could not be read.
    Body(BodyError),
    /// No token came with the request.
    NoKey,
    /// There is no such model.
    NoModel(String),
    /// No response has that identifier.
    NoResponse(String),
    /// Two fields exclude each other.
    Contradiction(&'static str, &'static str),
    /// The assistant's answer ended like this and is not whole; whether asking again would store the question twice.
    NoAnswer(RunOutcome, Option<RunReason>, bool),
    /// There is no place for another stream.
    NoStream,
    /// No such route.
    NoRoute(Method, String),
    /// No such method on this route.
    NoMethod(Method, String),
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

fn wrong(kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Wrong {
    Wrong { message: message.into(), kind, param: None, code }
}

impl Failure {
    fn shape(&self) -> (StatusCode, Wrong) {
        use StatusCode as S;
        match self {
            Self::Chat(error) => shape_of(error),
            Self::Body(error) => shape_of_body(error),
            Self::NoKey => (
                S::UNAUTHORIZED,
                wrong(REQUEST, None, "You didn't provide an API key: send a token as `Authorization: Bearer TOKEN`."),
            ),
            Self::NoModel(model) => {
                let message = format!("The model `{model}` does not exist or you do not have access to it.");
                let wrong = wrong(REQUEST, Some("model_not_found"), message);
                (S::NOT_FOUND, Wrong { param: Some("model".to_owned()), ..wrong })
            }
            Self::NoResponse(id) => (S::NOT_FOUND, wrong(REQUEST, None, format!("Response with id '{id}' not found."))),
            Self::Contradiction(field, message) => {
                let wrong = wrong(REQUEST, Some("mutually_exclusive_parameters"), *message);
                (S::BAD_REQUEST, Wrong { param: Some((*field).to_owned()), ..wrong })
            }
            Self::NoAnswer(outcome, reason, _) => (S::SERVICE_UNAVAILABLE, no_answer(*outcome, *reason)),
            Self::NoStream => (S::SERVICE_UNAVAILABLE, wrong(SERVER, None, "Too many streams are open: try again.")),
            Self::NoRoute(method, path) => {
                (S::NOT_FOUND, wrong(REQUEST, Some("unknown_url"), format!("Unknown request URL: {method} {path}.")))
            }
            Self::NoMethod(method, path) => {
                let message = format!("Not allowed to {method} on {path}.");
                (S::METHOD_NOT_ALLOWED, wrong(REQUEST, Some("method_not_supported"), message))
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Chat(Error::TooMany(after)) => Some(*after),
            Self::NoStream | Self::Chat(Error::Busy) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The libraries try again by themselves after 409 and 5xx. Where that cannot help, or would store a question
    /// twice, this header keeps them from it.
    fn keeps_from_retrying(&self) -> bool {
        matches!(
            self,
            Self::NoAnswer(_, _, true) | Self::Chat(Error::Conflict(_) | Error::OverBudget(_) | Error::StorageFull)
        )
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
        let (status, error) = self.shape();
        let mut response = json::response(json::bytes(&Failed { error }));
        *response.status_mut() = status;
        if let Some(after) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(after));
        }
        if let Self::Chat(error) = &self {
            budget::tell_shortage(&mut response, error);
        }
        if self.keeps_from_retrying() {
            let never = (HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
            response.headers_mut().insert(never.0, never.1);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What is said where a stream of completions breaks off.
pub fn broken_off(outcome: RunOutcome, reason: Option<RunReason>) -> Failed {
    Failed { error: no_answer(outcome, reason) }
}

fn no_answer(outcome: RunOutcome, reason: Option<RunReason>) -> Wrong {
    match (outcome, reason) {
        (RunOutcome::Failed, Some(RunReason::Budget)) => used_up(),
        _ => wrong(SERVER, Some(outcome.as_str()), why(outcome, reason)),
    }
}

fn used_up() -> Wrong {
    wrong(QUOTA, Some(QUOTA), budget::USED_UP)
}

fn shape_of(error: &Error) -> (StatusCode, Wrong) {
    use StatusCode as S;
    match error {
        Error::Invalid(fields) => (S::BAD_REQUEST, of_fields(fields)),
        Error::NotFound(Subject::Message) => (S::NOT_FOUND, wrong(REQUEST, None, "There is no such response.")),
        Error::NotFound(_) => (S::NOT_FOUND, wrong(REQUEST, None, "There is no such thing.")),
        Error::Unauthenticated => {
            (S::UNAUTHORIZED, wrong(REQUEST, Some("invalid_api_key"), "Incorrect API key provided."))
        }
        Error::Forbidden(refusal) => (S::FORBIDDEN, forbidden(*refusal)),
        Error::Conflict(Conflict::IdempotencyKeyReused) => {
            let message = "This Idempotency-Key was used with another body: use a new key.";
            (S::CONFLICT, wrong(REQUEST, Some("idempotency_key_reused"), message))
        }
        Error::TooMany(after) => {
            let message = format!("Rate limit reached. Please try again in {} s.", headers::seconds(*after));
            (S::TOO_MANY_REQUESTS, wrong("requests", Some("rate_limit_exceeded"), message))
        }
        Error::OverBudget(_) => (S::TOO_MANY_REQUESTS, used_up()),
        Error::Busy => {
            (S::SERVICE_UNAVAILABLE, wrong(SERVER, Some("overloaded"), "The server is busy: try again in a second."))
        }
        Error::StorageFull => {
            (S::INSUFFICIENT_STORAGE, wrong(SERVER, Some("storage_full"), "The server's storage is full."))
        }
        Error::StorageReadOnly => {
            (S::SERVICE_UNAVAILABLE, wrong(SERVER, None, "The server cannot store anything at the moment."))
        }
        Error::Upstream(_) => {
            (S::SERVICE_UNAVAILABLE, wrong(SERVER, Some("no_assistant"), "The assistant is not available."))
        }
        Error::Internal(_) => {
            let message = "The server had an error: the header X-Request-Id finds it in the server's log.";
            (S::INTERNAL_SERVER_ERROR, wrong(SERVER, None, message))
        }
    }
}

fn forbidden(refusal: Refusal) -> Wrong {
    let message = match refusal {
        Refusal::NotAble => "The token has not the ability assistant.",
        Refusal::Assigned => "A person has this conversation.",
        _ => "You are not allowed to do this.",
    };
    wrong(REQUEST, Some("insufficient_permissions"), message)
}

fn shape_of_body(error: &BodyError) -> (StatusCode, Wrong) {
    use StatusCode as S;
    let (status, message) = match error {
        BodyError::TooLarge { max } => (S::PAYLOAD_TOO_LARGE, format!("The body is larger than {max} bytes.")),
        BodyError::TooSlow => (S::REQUEST_TIMEOUT, "The body did not arrive in time: send it again.".to_owned()),
        BodyError::Broken => (S::BAD_REQUEST, "The body ended early: send it again.".to_owned()),
        BodyError::MediaType(declared) => {
            let message = format!("Unsupported 'Content-Type' header: '{declared}'. Send 'application/json'.");
            (S::UNSUPPORTED_MEDIA_TYPE, message)
        }
        BodyError::Malformed(why) => {
            (S::BAD_REQUEST, format!("We could not parse the JSON body of your request: {why}."))
        }
        BodyError::NotAnObject(kind) => (S::BAD_REQUEST, format!("The body has to be an object, and is a {kind}.")),
    };
    (status, wrong(REQUEST, None, message))
}

/// OpenAI names one field.
fn of_fields(fields: &[FieldError]) -> Wrong {
    let Some(first) = fields.first() else { return wrong(REQUEST, None, "The request is not valid.") };
    let name = param(&first.field);
    let (code, message) = worded(&name, &first.rule);
    Wrong { param: Some(name), ..wrong(REQUEST, Some(code), message) }
}

fn worded(name: &str, rule: &Rule) -> (&'static str, String) {
    let invalid = |why: &str| ("invalid_value", format!("Invalid value for '{name}': {why}."));
    match rule {
        Rule::Required | Rule::Type { got: Kind::Undefined, .. } | Rule::Choice { got: Kind::Undefined, .. } => {
            ("missing_required_parameter", format!("Missing required parameter: '{name}'."))
        }
        Rule::Type { want, got } => {
            let message = format!("Invalid type for '{name}': expected {}, but got {} instead.", a(*want), a(*got));
            ("invalid_type", message)
        }
        Rule::NotNull | Rule::NotBlank | Rule::CharsMin(_) => invalid("it may not be empty"),
        Rule::CharsMax(_) if name == crate::api::idempotency::HEADER => {
            invalid("it has to be 1 to 255 visible ASCII characters")
        }
        Rule::CharsMax(max) => (
            "string_above_max_length",
            format!("Invalid '{name}': string too long. Expected a string with maximum length {max}."),
        ),
        Rule::CountMin(min) => {
            let message = format!("Invalid '{name}': empty array. Expected an array with minimum length {min}.");
            ("empty_array", message)
        }
        Rule::CountMax(max) => (
            "array_above_max_length",
            format!("Invalid '{name}': array too long. Expected an array with maximum length {max}."),
        ),
        Rule::BytesMax(max) => invalid(&format!("it may have at most {max} bytes of JSON")),
        Rule::Choice { word, choices, .. } => ("invalid_value", unlisted(name, word, &choices.join("', '"))),
        Rule::OneOf { got, choices } => ("invalid_value", unlisted(name, got, &choices.join("', '"))),
        Rule::Positive => invalid("it has to be greater than zero"),
        Rule::NoNul => invalid("it may not contain NUL"),
        _ => invalid("it is not valid"),
    }
}

fn unlisted(name: &str, got: &str, choices: &str) -> String {
    format!("Invalid value for '{name}': '{got}'. Supported values are: '{choices}'.")
}

fn a(kind: Kind) -> &'static str {
    match kind {
        Kind::Undefined => "nothing",
        Kind::Null => "null",
        Kind::Boolean => "a boolean",
        Kind::Number => "a number",
        Kind::Integer => "an integer",
        Kind::Float => "a decimal number",
        Kind::Nan => "something that is no number",
        Kind::String => "a string",
        Kind::Array => "an array",
        Kind::Object => "an object",
    }
}

/// What a method that a route does not have is answered with.
pub async fn not_allowed(method: Method, uri: Uri) -> Failure {
    Failure::NoMethod(method, uri.path().to_owned())
}
