//! The chats dialect's errors: Django REST framework's shapes and wordings, which clients compare.
//!
//! There are three shapes. `{"detail": …}` is what the framework itself says; `{"error": …}` is
//! what the original's own code says, in the chat routes and about sessions that a body or a query
//! names; and a field's sentences stand under its name.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::ToSchema;

use crate::api::events::Refused;
use crate::api::run::no_answer;
use crate::api::{budget, idempotency};
use crate::domain::{RunOutcome, RunReason};
use crate::error::{Conflict, Error, FieldError, Refusal, Rule, Subject};
use crate::http::body::BodyError;
use crate::http::{headers, json};

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

/// The sentences for each field, in the order in which the fields were read.
#[derive(ToSchema)]
#[schema(value_type = std::collections::HashMap<String, Vec<String>>)]
pub struct FieldErrors(Vec<(Cow<'static, str>, Vec<String>)>);

impl Serialize for FieldErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(field, sentences)| map.serialize_entry(field, sentences))?;
        map.end()
    }
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
            Self::NoCredential => (S::UNAUTHORIZED, detail("Authentication credentials were not provided.")),
            Self::NoAnswer(outcome, why) => (S::SERVICE_UNAVAILABLE, error(no_answer(*outcome, *why))),
            Self::NotAsked => (S::NOT_FOUND, detail("The assistant was not asked to answer this message.")),
            Self::NoRoute => (S::NOT_FOUND, detail("Not found.")),
            Self::NoMethod(method) => (S::METHOD_NOT_ALLOWED, detail(format!("Method \"{method}\" not allowed."))),
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

    /// Surprises are logged once, here, with their cause.
    fn log(&self) {
        match self.error() {
            Some(Error::Internal(cause)) => tracing::error!(cause = %cause, "internal error"),
            Some(Error::Upstream(cause)) => tracing::warn!(cause = %cause, "a service is not available"),
            _ => {}
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.log();
        let (status, body) = self.shape();
        let mut response = json::response(json::bytes(&body));
        *response.status_mut() = status;
        if let Some(after) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(after));
        }
        if let Some(error) = self.error() {
            budget::tell_shortage(&mut response, error);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
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
        Error::Unauthenticated => (S::UNAUTHORIZED, detail("Invalid token.")),
        Error::Forbidden(refusal) => (S::FORBIDDEN, forbidden(*refusal)),
        Error::Conflict(Conflict::IdempotencyKeyReused) => {
            (S::CONFLICT, error("This Idempotency-Key was used with another body: use a new key."))
        }
        Error::TooMany(after) => {
            let seconds = headers::seconds(*after);
            (S::TOO_MANY_REQUESTS, detail(format!("Request was throttled. Expected available in {seconds} seconds.")))
        }
        Error::OverBudget(_) => (S::TOO_MANY_REQUESTS, error(budget::USED_UP)),
        Error::Busy => (S::SERVICE_UNAVAILABLE, error("The server is busy: try again in a second.")),
        Error::StorageFull => {
            (S::INSUFFICIENT_STORAGE, error("The server's storage is full: reading works, writing does not."))
        }
        Error::StorageReadOnly => {
            (S::SERVICE_UNAVAILABLE, error("The server cannot store anything at the moment: try again later."))
        }
        Error::Upstream(_) => {
            (S::SERVICE_UNAVAILABLE, error("The assistant is not available at the moment: try again later."))
        }
        Error::Internal(_) => (
            S::INTERNAL_SERVER_ERROR,
            detail("A server error occurred: the header X-Request-Id finds it in the server's log."),
        ),
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
        | Refusal::NoPlatform => detail("You do not have permission to perform this action."),
    }
}

fn body_shape(body: &BodyError) -> (StatusCode, Failed) {
    use StatusCode as S;
    match body {
        BodyError::TooLarge { max } => {
            (S::PAYLOAD_TOO_LARGE, detail(format!("The body is larger than {max} bytes: send less.")))
        }
        BodyError::TooSlow => (S::REQUEST_TIMEOUT, detail("The body did not arrive in time: send it again.")),
        BodyError::Broken => (S::BAD_REQUEST, detail("The body ended early: send it again.")),
        BodyError::MediaType(declared) => {
            (S::UNSUPPORTED_MEDIA_TYPE, detail(format!("Unsupported media type \"{declared}\" in request.")))
        }
        BodyError::Malformed(reason) => (S::BAD_REQUEST, detail(format!("JSON parse error - {reason}"))),
        BodyError::NotAnObject(kind) => {
            let sentence = format!("Invalid data. Expected a dictionary, but got {kind}.");
            (S::BAD_REQUEST, Failed::Fields(FieldErrors(vec![("non_field_errors".into(), vec![sentence])])))
        }
    }
}

fn by_field(fields: &[FieldError], sentence: fn(&FieldError) -> String) -> Failed {
    let mut errors: Vec<(Cow<'static, str>, Vec<String>)> = Vec::new();
    for wrong in fields {
        match errors.iter_mut().find(|(field, _)| *field == wrong.field) {
            Some((_, sentences)) => sentences.push(sentence(wrong)),
            None => errors.push((wrong.field.clone(), vec![sentence(wrong)])),
        }
    }
    Failed::Fields(FieldErrors(errors))
}

fn sentence(wrong: &FieldError) -> String {
    let fixed = match &wrong.rule {
        Rule::Required => "This field is required.",
        Rule::NotNull => "This field may not be null.",
        Rule::NotBlank => "This field may not be blank.",
        Rule::String => "Not a valid string.",
        Rule::Integer => "A valid integer is required.",
        Rule::Boolean => "Must be a valid boolean.",
        Rule::Email => "Enter a valid email address.",
        Rule::DateTime => {
            "Datetime has wrong format. Use one of these formats instead: \
             YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
        }
        Rule::Confirmed => "The two fields do not match.",
        Rule::NoNul => "Null characters are not allowed.",
        Rule::Valid | Rule::Type { .. } | Rule::Mixed | Rule::PublicAddress => "Enter a valid value.",
        Rule::Object => "Expected a dictionary of items.",
        Rule::Array => "Expected a list of items.",
        Rule::Uuid => "Must be a valid UUID.",
        Rule::Positive => "Ensure this value is greater than 0.",
        Rule::Exists => "Object does not exist.",
        Rule::CountMax(max) => return format!("Ensure this field has no more than {max} elements."),
        Rule::CountMin(min) => return format!("Ensure this field has at least {min} elements."),
        Rule::CharsMax(_) if wrong.field == idempotency::HEADER => "Must be 1 to 255 visible ASCII characters.",
        Rule::CharsMax(max) => return format!("Ensure this field has no more than {max} characters."),
        Rule::CharsMin(min) => return format!("Ensure this field has at least {min} characters."),
        Rule::BytesMax(max) => return format!("Ensure this field has no more than {max} bytes of JSON."),
        Rule::OneOf { got, .. } | Rule::Choice { word: got, .. } => {
            return format!("\"{got}\" is not a valid choice.");
        }
        Rule::FileType { got } => return format!("Files of the type {got} are not allowed."),
        Rule::FileBytesMax(max) => return format!("Ensure this file has no more than {max} bytes."),
        Rule::Unique => return format!("Session with this {} already exists.", wrong.field.replace('_', " ")),
    };
    fixed.to_owned()
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
