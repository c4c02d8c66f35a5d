//! Reading a request's body: bounded in size and time, JSON or a form, an object in the end.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::forms;
use crate::config;

/// Why there is no object. Each door words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than the limit.
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// The client did not send it in time.
    TooSlow,
    /// The connection broke in its middle.
    Broken,
    /// Neither JSON nor a form.
    MediaType(String),
    /// Not JSON; the text says where and why.
    Malformed(String),
    /// JSON, but not an object; names what it is instead.
    NotAnObject(&'static str),
}

/// An object as a client sent it.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// Its members. Of a key that comes twice the last one counts.
    pub members: Map<String, Value>,
    /// Whether it came as a form, in which everything is a string.
    pub is_form: bool,
}

/// Reads a body whole.
///
/// # Errors
/// `TooLarge`, `TooSlow`, `Broken`.
pub async fn read(body: Body, config: &config::Http) -> Result<Bytes, BodyError> {
    let max = config.body_bytes_max;
    // Said before anything is read, so that who asks first (`Expect: 100-continue`) sends nothing.
    if body.size_hint().lower() > max as u64 {
        return Err(BodyError::TooLarge { max });
    }
    let whole = Limited::new(body, max).collect();
    match tokio::time::timeout(Duration::from_secs(config.body_timeout_s), whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge { max }),
        Ok(Err(_)) => Err(BodyError::Broken),
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// Makes an object of a body. An empty body is an empty object. A missing content type is read as
/// JSON.
///
/// # Errors
/// `MediaType`, `Malformed`, `NotAnObject`.
pub fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Object, BodyError> {
    parse_with(headers, body, form)
}

/// As [`parse`]; in a form, `a[b]` is the member `b` of the object `a`, and `a[]` an item of the list `a`.
///
/// # Errors
/// As [`parse`].
pub fn parse_nested(headers: &HeaderMap, body: &[u8]) -> Result<Object, BodyError> {
    parse_with(headers, body, nested_form)
}

fn parse_with(
    headers: &HeaderMap,
    body: &[u8],
    form: fn(&[u8]) -> Result<Object, BodyError>,
) -> Result<Object, BodyError> {
    let declared = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("(unreadable)"));
    let essence = declared.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match essence.as_deref() {
        None | Some("" | "application/json") => object(body),
        Some("application/x-www-form-urlencoded") => form(body),
        Some(json) if json.starts_with("application/") && json.ends_with("+json") => object(body),
        // Some clients declare a type though they send nothing.
        Some(_) if body.is_empty() => Ok(Object::default()),
        Some(_) => Err(BodyError::MediaType(declared.unwrap_or_default().to_owned())),
    }
}

fn object(body: &[u8]) -> Result<Object, BodyError> {
    if body.is_empty() {
        return Ok(Object::default());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(Object { members, is_form: false }),
        Ok(other) => Err(BodyError::NotAnObject(kind(&other))),
        Err(error) => Err(BodyError::Malformed(error.to_string())),
    }
}

fn pairs(body: &[u8]) -> Result<Vec<(String, String)>, BodyError> {
    serde_urlencoded::from_bytes(body).map_err(|error| BodyError::Malformed(error.to_string()))
}

fn nested_form(body: &[u8]) -> Result<Object, BodyError> {
    Ok(Object { members: forms::nested(pairs(body)?), is_form: true })
}

fn form(body: &[u8]) -> Result<Object, BodyError> {
    let members = pairs(body)?.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    Ok(Object { members, is_form: true })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(content_type: Option<&str>, body: &str) -> Result<Object, BodyError> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        parse(&headers, body.as_bytes())
    }

    #[test]
    fn json_and_forms_become_objects() {
        for (content_type, body) in [
            (Some("application/json"), r#"{"a":"1"}"#),
            (Some("Application/JSON; charset=utf-8"), r#"{"a":"1"}"#),
            (Some("application/vnd.api+json"), r#"{"a":"1"}"#),
            (None, r#"{"a":"1"}"#),
            (Some("application/x-www-form-urlencoded"), "a=1"),
        ] {
            assert_eq!(parsed(content_type, body).unwrap().members["a"], "1", "{content_type:?}");
        }
        assert!(parsed(None, "").unwrap().members.is_empty());
    }

    #[test]
    fn everything_else_is_named() {
        assert!(matches!(parsed(Some("text/plain"), "x"), Err(BodyError::MediaType(_))));
        assert_eq!(parsed(None, "[1]").unwrap_err(), BodyError::NotAnObject("list"));
        for wrong in ["{", "{\"a\":\"\\ud800\"}", &"[".repeat(200), "\u{feff}{}", "{\"a\":1}}"] {
            assert!(matches!(parsed(None, wrong), Err(BodyError::Malformed(_))), "{wrong:?}");
        }
    }
}
