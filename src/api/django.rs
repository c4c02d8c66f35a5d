//! What doors in Django REST framework's manner say alike: the framework's own shapes and wordings, which clients compare.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::ToSchema;

use crate::error::{Error, FieldError, Rule};
use crate::http::body::BodyError;
use crate::http::{headers, json};

/// The sentence for a request that nobody with that credential may make.
pub const NOT_PERMITTED: &str = "You do not have permission to perform this action.";
/// The sentence for a request without a credential that needs one.
pub const NO_CREDENTIAL: &str = "Authentication credentials were not provided.";
/// The sentence for a credential that is none.
pub const INVALID_TOKEN: &str = "Invalid token.";
/// The sentence for a server at its limits.
pub const BUSY: &str = "The server is busy: try again in a second.";
/// The sentence for a full disk.
pub const STORAGE_FULL: &str = "The server's storage is full: reading works, writing does not.";
/// The sentence for a disk that takes nothing.
pub const STORAGE_READ_ONLY: &str = "The server cannot store anything at the moment: try again later.";
/// The sentence for a mistake of ours.
pub const INTERNAL: &str = "A server error occurred: the header X-Request-Id finds it in the server's log.";

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

impl FieldErrors {
    /// Each field that is wrong, in a door's words.
    pub fn of(fields: &[FieldError], sentence: fn(&FieldError) -> String) -> Self {
        let mut errors: Vec<(Cow<'static, str>, Vec<String>)> = Vec::new();
        for wrong in fields {
            match errors.iter_mut().find(|(field, _)| *field == wrong.field) {
                Some((_, sentences)) => sentences.push(sentence(wrong)),
                None => errors.push((wrong.field.clone(), vec![sentence(wrong)])),
            }
        }
        Self(errors)
    }
}

/// What is said of a body that could not be read: a `detail`, or what is wrong with its fields.
pub fn of_body(body: &BodyError) -> (StatusCode, Result<String, FieldErrors>) {
    use StatusCode as S;
    match body {
        BodyError::TooLarge { max } => {
            (S::PAYLOAD_TOO_LARGE, Ok(format!("The body is larger than {max} bytes: send less.")))
        }
        BodyError::TooSlow => (S::REQUEST_TIMEOUT, Ok("The body did not arrive in time: send it again.".to_owned())),
        BodyError::Broken => (S::BAD_REQUEST, Ok("The body ended early: send it again.".to_owned())),
        BodyError::MediaType(declared) => {
            (S::UNSUPPORTED_MEDIA_TYPE, Ok(format!("Unsupported media type \"{declared}\" in request.")))
        }
        BodyError::Malformed(reason) => (S::BAD_REQUEST, Ok(format!("JSON parse error - {reason}"))),
        BodyError::NotAnObject(kind) => {
            let sentence = format!("Invalid data. Expected a dictionary, but got {kind}.");
            (S::BAD_REQUEST, Err(FieldErrors(vec![("non_field_errors".into(), vec![sentence])])))
        }
    }
}

/// The sentence for a caller who has to wait.
pub fn throttled(after: Duration) -> String {
    format!("Request was throttled. Expected available in {} seconds.", headers::seconds(after))
}

/// The sentence for a method that a route does not have.
pub fn no_method(method: &axum::http::Method) -> String {
    format!("Method \"{method}\" not allowed.")
}

/// The sentence for a field, where a door has no other.
pub fn sentence(wrong: &FieldError) -> String {
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
        Rule::Unique => "This field must be unique.",
        Rule::CountMax(max) => return format!("Ensure this field has no more than {max} elements."),
        Rule::CountMin(min) => return format!("Ensure this field has at least {min} elements."),
        Rule::CharsMax(max) => return format!("Ensure this field has no more than {max} characters."),
        Rule::CharsMin(min) => return format!("Ensure this field has at least {min} characters."),
        Rule::BytesMax(max) => return format!("Ensure this field has no more than {max} bytes of JSON."),
        Rule::OneOf { got, .. } | Rule::Choice { word: got, .. } => {
            return format!("\"{got}\" is not a valid choice.");
        }
        Rule::FileType { got } => return format!("Files of the type {got} are not allowed."),
        Rule::FileBytesMax(max) => return format!("Ensure this file has no more than {max} bytes."),
    };
    fixed.to_owned()
}

/// Notes a surprise, with its cause. Called once, where it is answered.
pub fn log(error: &Error) {
    match error {
        Error::Internal(cause) => tracing::error!(cause = %cause, "internal error"),
        Error::Upstream(cause) => tracing::warn!(cause = %cause, "a service is not available"),
        _ => {}
    }
}

/// A refusal as it goes out.
pub fn response(status: StatusCode, body: &impl Serialize, retry_after: Option<Duration>) -> Response {
    let mut response = json::response(json::bytes(body));
    *response.status_mut() = status;
    if let Some(after) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(after));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
