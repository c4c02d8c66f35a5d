//! What is left of the budget, as it is told with an answer, or instead of one.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

use crate::error::Error;
use crate::http::headers;

/// What is said where there is no answer for want of money or tokens; a budget is one of a day of UTC.
pub const USED_UP: &str = "There is not enough left of the budget for an answer: it is full again at 00:00 UTC.";

/// Says what is left, where something is bounded.
pub fn tell(response: &mut Response, left: Option<String>) {
    if let Some(Ok(left)) = left.map(HeaderValue::try_from) {
        response.headers_mut().insert(HeaderName::from_static("x-budget-remaining"), left);
    }
}

/// Says with a refusal for want of money or tokens what is left, and when there is more.
pub fn tell_shortage(response: &mut Response, error: &Error) {
    let Error::OverBudget(shortage) = error else { return };
    tell(response, shortage.left.clone());
    if let Some(after) = shortage.full_in {
        response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(after));
    }
}
