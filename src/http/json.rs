//! Answers that are too long to hold: JSON arrays that are read and sent page by page.

use std::convert::Infallible;
use std::future::Future;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;

/// An answer that is already JSON.
pub fn response(body: Vec<u8>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], Body::from(body)).into_response()
}

/// Serializes; the types here cannot fail to.
pub fn bytes(value: &impl Serialize) -> Vec<u8> {
    let mut body = Vec::with_capacity(512);
    match serde_json::to_writer(&mut body, value) {
        Ok(()) => body,
        Err(error) => {
            tracing::error!(error = %error, "an answer could not be serialized");
            b"null".to_vec()
        }
    }
}

/// Streams `before`, then every item of every page with commas between, then `after`. `next` makes
/// the page after the cursor that the page before it ended with, or `None` at the end; memory
/// holds one page, whatever the whole is. A page that cannot be read breaks the answer off, which
/// a client notices as an incomplete one.
pub fn paged<C, F, P>(before: Vec<u8>, first: C, next: F, after: Vec<u8>) -> Response
where
    C: Send + 'static,
    F: Fn(C) -> P + Send + 'static,
    P: Future<Output = crate::error::Result<Option<(Vec<Vec<u8>>, C)>>> + Send + 'static,
{
    enum At<C> {
        Page(C),
        Done,
    }
    let state = (At::Page(first), next, true, Some(before), after);
    let pages = stream::unfold(state, |(at, next, mut is_first, before, after)| async move {
        let At::Page(cursor) = at else { return None };
        let mut chunk = before.unwrap_or_default();
        let at = match next(cursor).await {
            Ok(Some((items, cursor))) => {
                for item in items {
                    if !is_first {
                        chunk.push(b',');
                    }
                    is_first = false;
                    chunk.extend_from_slice(&item);
                }
                At::Page(cursor)
            }
            Ok(None) => {
                chunk.extend_from_slice(&after);
                At::Done
            }
            Err(error) => {
                tracing::error!(error = %error, "an answer was broken off");
                return Some((Err(std::io::Error::other("broken off")), (At::Done, next, is_first, None, after)));
            }
        };
        Some((Ok::<_, std::io::Error>(Bytes::from(chunk)), (at, next, is_first, None, after)))
    });
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], Body::from_stream(pages)).into_response()
}

/// The outcome of something that cannot fail, for streams that never do.
pub type Never<T> = Result<T, Infallible>;
