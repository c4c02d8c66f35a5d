//! Requests that are counted against a limit.

use axum::response::{IntoResponse, Response};

use super::headers;
use crate::error::Error;
use crate::limits::{Limit, LimitKey};

/// The answer, unless there were too many of that key; with what is left of the limit in either case. `Failure` is how
/// the door refuses.
pub async fn limited<Failure: From<Error> + IntoResponse>(
    limit: Option<&Limit>,
    key: LimitKey,
    answer: impl AsyncFnOnce() -> Response,
) -> Response {
    let Some(limit) = limit else { return answer().await };
    let decision = limit.check(key).await;
    let mut response = match decision.retry_after {
        Some(after) => Failure::from(Error::TooMany(after)).into_response(),
        None => answer().await,
    };
    headers::add_limit(response.headers_mut(), &decision);
    response
}
