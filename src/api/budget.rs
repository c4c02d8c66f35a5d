//! What is left of the budget, as it is told with an answer.

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

/// Says what is left, where something is bounded.
pub fn tell(response: &mut Response, left: Option<String>) {
    if let Some(Ok(left)) = left.map(HeaderValue::try_from) {
        response.headers_mut().insert(HeaderName::from_static("x-budget-remaining"), left);
    }
}
