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

/// A value as a client sent it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The value; nothing at all is an empty object.
    pub value: Value,
    /// Whether it came as a form, in which everything is a string.
    pub is_form: bool,
}

/// Reads a body whole, of at most `http.body_bytes_max`.
///
/// # Errors
/// `TooLarge`, `TooSlow`, `Broken`.
pub async fn read(body: Body, config: &config::Http) -> Result<Bytes, BodyError> {
    read_at_most(config.body_bytes_max, body, config).await
}

/// Reads a body whole, of at most `max` bytes.
///
/// # Errors
/// `TooLarge`, `TooSlow`, `Broken`.
pub async fn read_at_most(max: usize, body: Body, config: &config::Http) -> Result<Bytes, BodyError> {
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
/// JSON. Of a form's name that comes twice the last one counts.
///
/// # Errors
/// `MediaType`, `Malformed`, `NotAnObject`.
pub fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Object, BodyError> {
    let sent = value(headers, body, Repeated::Last)?;
    match sent.value {
        Value::Object(members) => Ok(Object { members, is_form: sent.is_form }),
        other => Err(BodyError::NotAnObject(kind(&other))),
    }
}

/// What a form's name means that comes more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// The last one counts.
    Last,
    /// Together they are a list.
    List,
}

/// Makes a value of a body: as [`parse`], and it need not be an object.
///
/// # Errors
/// `MediaType`, `Malformed`.
pub fn value(headers: &HeaderMap, body: &[u8], repeated: Repeated) -> Result<Sent, BodyError> {
    let declared = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("(unreadable)"));
    let essence = declared.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match essence.as_deref() {
        None | Some("" | "application/json") => json(body),
        Some("application/x-www-form-urlencoded") => form(body, repeated),
        Some(subtype) if subtype.starts_with("application/") && subtype.ends_with("+json") => json(body),
        // Some clients declare a type though they send nothing.
        Some(_) if body.is_empty() => json(body),
        Some(_) => Err(BodyError::MediaType(declared.unwrap_or_default().to_owned())),
    }
}

/// At most so many values in a body. Each takes some tens of bytes of memory and can be sent in two, so
/// that a long body of nothing but values would weigh twenty times what it says. As many as this fit
/// into the usual longest body.
const VALUES_MAX: usize = 128 << 10;

/// Refuses a body with more than [`VALUES_MAX`] values.
fn must_be_few(values: impl FnOnce() -> usize, body: &[u8]) -> Result<(), BodyError> {
    // A shorter one has no room for more.
    if body.len() > 2 * VALUES_MAX && values() > VALUES_MAX {
        return Err(BodyError::Malformed(format!("more than {VALUES_MAX} values")));
    }
    Ok(())
}

/// The commas of JSON that stand in no string.
fn commas(body: &[u8]) -> usize {
    let (mut count, mut is_inside, mut is_escaped) = (0, false, false);
    for byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_inside => is_escaped = true,
            b'"' => is_inside = !is_inside,
            b',' if !is_inside => count += 1,
            _ => {}
        }
    }
    count
}

fn json(body: &[u8]) -> Result<Sent, BodyError> {
    must_be_few(|| commas(body), body)?;
    let value = if body.is_empty() { Ok(Value::Object(Map::new())) } else { serde_json::from_slice(body) };
    value.map(|value| Sent { value, is_form: false }).map_err(|error| BodyError::Malformed(error.to_string()))
}

fn form(body: &[u8], repeated: Repeated) -> Result<Sent, BodyError> {
    must_be_few(|| memchr::memchr_iter(b'&', body).count(), body)?;
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_bytes(body).map_err(|error| BodyError::Malformed(error.to_string()))?;
    Ok(Sent { value: Value::Object(forms::nested(pairs, repeated)), is_form: true })
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
    fn a_body_of_nothing_but_values_is_refused() {
        let list = |item: &str, count: usize| format!("{{\"a\":[{}]}}", vec![item; count].join(","));
        assert!(parsed(None, &list("1", VALUES_MAX)).is_ok());
        assert!(matches!(parsed(None, &list("1", VALUES_MAX + 2)), Err(BodyError::Malformed(_))));
        let text = serde_json::to_string(r#","\,"#).unwrap();
        assert!(parsed(None, &list(&text, VALUES_MAX)).is_ok(), "commas in strings are text");
        let form = Some("application/x-www-form-urlencoded");
        assert!(parsed(form, &"a=1&".repeat(VALUES_MAX)).is_ok());
        assert!(matches!(parsed(form, &"a=1&".repeat(VALUES_MAX + 1)), Err(BodyError::Malformed(_))));
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
