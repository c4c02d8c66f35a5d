//! `Idempotency-Key`: the same at every door.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use utoipa::ToSchema;

use crate::chat::Key;
use crate::error::{Error, Result, Rule};

/// The header's name, also as the field that its errors name.
pub const HEADER: &str = "Idempotency-Key";

/// The header's value, for the documents.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
#[expect(dead_code, reason = "describes what is read as a header")]
pub struct IdempotencyKey(String);

/// The request's key, if it has one.
///
/// # Errors
/// `Invalid` when it is not 1 to 255 visible ASCII characters.
pub fn key(headers: &HeaderMap) -> Result<Option<Key>> {
    let Some(sent) = headers.get(HEADER) else { return Ok(None) };
    let key = sent.to_str().ok().and_then(Key::parse);
    key.map(Some).ok_or_else(|| Error::field(HEADER, Rule::CharsMax(Key::CHARS_MAX)))
}

/// Says that this answer repeats an earlier one.
pub fn mark_replayed(response: &mut Response) {
    let replayed = HeaderName::from_static("idempotent-replayed");
    response.headers_mut().insert(replayed, HeaderValue::from_static("true"));
}
