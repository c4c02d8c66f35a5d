//! The knowledge dialect's errors: Django REST framework's shapes and wordings; of the routes that make something of a
//! document, `{"success": false, …}`.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::ToSchema;

use crate::api::budget;
use crate::error::{Error, FieldError, Rule, Subject};
use crate::http::body::BodyError;
use crate::http::{headers, json};

/// A refusal.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = knowledge::Failed)]
#[serde(untagged)]
pub enum Failed {
    /// About the request as a whole.
    Detail {
        /// A sentence.
        #[schema(example = "Not found.")]
        detail: String,
    },
    /// About what was to be made of a document.
    Step {
        /// Always false.
        success: bool,
        /// A sentence.
        message: String,
    },
    /// About a search.
    Search {
        /// Always false.
        success: bool,
        /// A sentence.
        error: String,
    },
    /// About fields: the sentences for each that is wrong.
    Fields(FieldErrors),
}

/// The sentences for each field, in the order in which the fields were read.
#[derive(ToSchema)]
#[schema(as = knowledge::FieldErrors, value_type = std::collections::HashMap<String, Vec<String>>)]
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
    /// The body could not be read.
    Body(BodyError),
    /// A step cannot be taken: the sentence says why.
    Step(String),
    /// A search without a query.
    NoQuery,
    /// A document that is live, or is being worked on, is not removed.
    NotRemoved,
    /// A credential is needed and there is none.
    NoCredential,
    /// No such route.
    NoRoute,
    /// No such method on this route.
    NoMethod(Method),
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
            Self::Chat(error) => shape_of(error),
            Self::Body(body) => body_shape(body),
            Self::Step(message) => (S::BAD_REQUEST, Failed::Step { success: false, message: message.clone() }),
            Self::NoQuery => (S::BAD_REQUEST, Failed::Search { success: false, error: "Query is required".to_owned() }),
            Self::NotRemoved => (
                S::FORBIDDEN,
                detail(
                    "A document that is live or being processed cannot be deleted: remove it from the vector database first.",
                ),
            ),
            Self::NoCredential => (S::UNAUTHORIZED, detail("Authentication credentials were not provided.")),
            Self::NoRoute => (S::NOT_FOUND, detail("Not found.")),
            Self::NoMethod(method) => (S::METHOD_NOT_ALLOWED, detail(format!("Method \"{method}\" not allowed."))),
        }
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

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.log();
        let (status, body) = self.shape();
        let mut response = json::response(json::bytes(&body));
        *response.status_mut() = status;
        if let Some(after) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(after));
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

fn shape_of(error: &Error) -> (StatusCode, Failed) {
    use StatusCode as S;
    match error {
        Error::Invalid(fields) => (S::BAD_REQUEST, by_field(fields)),
        Error::NotFound(Subject::Page) => (S::NOT_FOUND, detail("Invalid page.")),
        Error::NotFound(Subject::Document) => (S::NOT_FOUND, detail("No Document matches the given query.")),
        Error::NotFound(_) => (S::NOT_FOUND, detail("Not found.")),
        Error::Unauthenticated => (S::UNAUTHORIZED, detail("Invalid token.")),
        Error::Forbidden(_) => (S::FORBIDDEN, detail("You do not have permission to perform this action.")),
        Error::Conflict(_) => (S::CONFLICT, detail("The request contradicts an earlier one.")),
        Error::TooMany(after) => {
            let seconds = headers::seconds(*after);
            (S::TOO_MANY_REQUESTS, detail(format!("Request was throttled. Expected available in {seconds} seconds.")))
        }
        Error::OverBudget(_) => (S::TOO_MANY_REQUESTS, detail(budget::USED_UP)),
        Error::Busy => (S::SERVICE_UNAVAILABLE, detail("The server is busy: try again in a second.")),
        Error::StorageFull => {
            (S::INSUFFICIENT_STORAGE, detail("The server's storage is full: reading works, writing does not."))
        }
        Error::StorageReadOnly => {
            (S::SERVICE_UNAVAILABLE, detail("The server cannot store anything at the moment: try again later."))
        }
        Error::Upstream(_) => {
            (S::SERVICE_UNAVAILABLE, detail("A service that this leans on is not available: try again later."))
        }
        Error::Internal(_) => (
            S::INTERNAL_SERVER_ERROR,
            detail("A server error occurred: the header X-Request-Id finds it in the server's log."),
        ),
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
        BodyError::Malformed(reason) => (S::BAD_REQUEST, detail(format!("Parse error - {reason}"))),
        BodyError::NotAnObject(kind) => {
            let sentence = format!("Invalid data. Expected a dictionary, but got {kind}.");
            (S::BAD_REQUEST, Failed::Fields(FieldErrors(vec![("non_field_errors".into(), vec![sentence])])))
        }
    }
}

fn by_field(fields: &[FieldError]) -> Failed {
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
        Rule::Required if wrong.field == "file" => "No file was submitted.",
        Rule::NotBlank if wrong.field == "file" => "The submitted file is empty.",
        Rule::Required => "This field is required.",
        Rule::NotNull => "This field may not be null.",
        Rule::NotBlank => "This field may not be blank.",
        Rule::String => "Not a valid string.",
        Rule::Integer => "A valid integer is required.",
        Rule::Boolean => "Must be a valid boolean.",
        Rule::NoNul => "Null characters are not allowed.",
        Rule::Uuid => "Must be a valid UUID.",
        Rule::Positive => "Ensure this value is greater than 0.",
        Rule::CountMax(max) => return format!("There are {max} documents already: remove one first."),
        Rule::CharsMax(max) => return format!("Ensure this field has no more than {max} characters."),
        Rule::OneOf { got, .. } => return format!("\"{got}\" is not a valid choice."),
        Rule::FileType { got } => {
            return format!(
                "The file's content is {got}: only PDF, DOCX, HTML, Markdown and plain text are taken, under names that \
                 say the same."
            );
        }
        Rule::FileBytesMax(max) => return format!("Ensure this file has no more than {max} bytes."),
        _ => "Enter a valid value.",
    };
    fixed.to_owned()
}

/// What a method that a route does not have is answered with.
pub async fn not_allowed(method: Method) -> Failure {
    Failure::NoMethod(method)
}
