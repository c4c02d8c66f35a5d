//! The knowledge dialect's errors: Django REST framework's shapes and wordings; of the routes that make something of a
//! document, `{"success": false, …}`.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;

use crate::api::budget;
use crate::api::django::{self, FieldErrors};
use crate::error::{Error, FieldError, Rule, Subject};
use crate::http::body::BodyError;

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
            Self::NoCredential => (S::UNAUTHORIZED, detail(django::NO_CREDENTIAL)),
            Self::NoRoute => (S::NOT_FOUND, detail("Not found.")),
            Self::NoMethod(method) => (S::METHOD_NOT_ALLOWED, detail(django::no_method(method))),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Chat(Error::TooMany(after)) => Some(*after),
            Self::Chat(Error::Busy) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::Chat(error) = &self {
            django::log(error);
        }
        let (status, body) = self.shape();
        django::response(status, &body, self.retry_after())
    }
}

fn detail(sentence: impl Into<String>) -> Failed {
    Failed::Detail { detail: sentence.into() }
}

fn shape_of(error: &Error) -> (StatusCode, Failed) {
    use StatusCode as S;
    match error {
        Error::Invalid(fields) => (S::BAD_REQUEST, Failed::Fields(FieldErrors::of(fields, sentence))),
        Error::NotFound(Subject::Page) => (S::NOT_FOUND, detail("Invalid page.")),
        Error::NotFound(Subject::Document) => (S::NOT_FOUND, detail("No Document matches the given query.")),
        Error::NotFound(_) => (S::NOT_FOUND, detail("Not found.")),
        Error::Unauthenticated => (S::UNAUTHORIZED, detail(django::INVALID_TOKEN)),
        Error::Forbidden(_) => (S::FORBIDDEN, detail(django::NOT_PERMITTED)),
        Error::Conflict(_) => (S::CONFLICT, detail("The request contradicts an earlier one.")),
        Error::TooMany(after) => (S::TOO_MANY_REQUESTS, detail(django::throttled(*after))),
        Error::OverBudget(_) => (S::TOO_MANY_REQUESTS, detail(budget::USED_UP)),
        Error::Busy => (S::SERVICE_UNAVAILABLE, detail(django::BUSY)),
        Error::StorageFull => (S::INSUFFICIENT_STORAGE, detail(django::STORAGE_FULL)),
        Error::StorageReadOnly => (S::SERVICE_UNAVAILABLE, detail(django::STORAGE_READ_ONLY)),
        Error::Upstream(_) => {
            (S::SERVICE_UNAVAILABLE, detail("A service that this leans on is not available: try again later."))
        }
        Error::Internal(_) => (S::INTERNAL_SERVER_ERROR, detail(django::INTERNAL)),
    }
}

fn body_shape(body: &BodyError) -> (StatusCode, Failed) {
    if let BodyError::Malformed(reason) = body {
        // Not JSON's alone: an upload is a form.
        return (StatusCode::BAD_REQUEST, detail(format!("Parse error - {reason}")));
    }
    let (status, said) = django::of_body(body);
    (status, said.map_or_else(Failed::Fields, detail))
}

fn sentence(wrong: &FieldError) -> String {
    match &wrong.rule {
        Rule::Required if wrong.field == "file" => "No file was submitted.".to_owned(),
        Rule::NotBlank if wrong.field == "file" => "The submitted file is empty.".to_owned(),
        Rule::CountMax(max) => format!("There are {max} documents already: remove one first."),
        Rule::FileType { got } => format!(
            "The file's content is {got}: only PDF, DOCX, HTML, Markdown and plain text are taken, under names that say \
             the same."
        ),
        _ => django::sentence(wrong),
    }
}

/// What a method that a route does not have is answered with.
pub async fn not_allowed(method: Method) -> Failure {
    Failure::NoMethod(method)
}
