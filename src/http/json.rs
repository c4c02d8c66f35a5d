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

/// A piece of a long list. Its items are rendered one at a time, when there is room for them on the
/// way to the client: how long an item becomes is nothing that a bound on a page knows.
pub struct Page<C> {
    items: Box<dyn Iterator<Item = Vec<u8>> + Send>,
    next: Option<C>,
}

impl<C> Page<C> {
    /// What `render` makes of each item, and where the next page begins; `None` when this is the last.
    pub fn new<T: Send + 'static>(
        items: Vec<T>,
        render: impl Fn(&T) -> Vec<u8> + Send + 'static,
        next: Option<C>,
    ) -> Self {
        Self { items: Box::new(items.into_iter().map(move |item| render(&item))), next }
    }
}

/// Streams `before`, then every item of every page with commas between, then `after`. `next` reads
/// the page at a cursor; memory holds one page and one chunk, whatever the whole is. The first page
/// comes already read, so that one that cannot be is still answered as the failure that it is; a
/// later one breaks the answer off, which a client notices as an incomplete one.
pub fn paged<C, F, P>(before: Vec<u8>, first: Page<C>, next: F, after: Vec<u8>) -> Response
where
    C: Send + 'static,
    F: Fn(C) -> P + Send + 'static,
    P: Future<Output = crate::error::Result<Page<C>>> + Send + 'static,
{
    let pages = Pages { before, is_first: true, page: first, next, after };
    let chunks = stream::unfold(Some(pages), |pages| async move {
        let mut pages = pages?;
        match pages.chunk().await {
            Ok((chunk, is_last)) => Some((Ok(Bytes::from(chunk)), (!is_last).then_some(pages))),
            Err(error) => {
                tracing::error!(error = %error, "an answer was broken off");
                Some((Err(std::io::Error::other("broken off")), None))
            }
        }
    });
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], Body::from_stream(chunks)).into_response()
}

/// [`paged`] of a list that is one page.
pub fn one_page(first: Page<Infallible>) -> Response {
    paged(b"[".to_vec(), first, |never| async move { match never {} }, b"]".to_vec())
}

/// A chunk is sent as soon as it holds this much.
const CHUNK_BYTES: usize = 64 << 10;

/// What is left of a list on its way.
struct Pages<C, F> {
    before: Vec<u8>,
    is_first: bool,
    page: Page<C>,
    next: F,
    after: Vec<u8>,
}

impl<C, F, P> Pages<C, F>
where
    F: Fn(C) -> P,
    P: Future<Output = crate::error::Result<Page<C>>>,
{
    /// The next chunk, and whether it is the last.
    async fn chunk(&mut self) -> crate::error::Result<(Vec<u8>, bool)> {
        let mut chunk = std::mem::take(&mut self.before);
        while chunk.len() < CHUNK_BYTES {
            if let Some(item) = self.page.items.next() {
                if !std::mem::take(&mut self.is_first) {
                    chunk.push(b',');
                }
                chunk.extend_from_slice(&item);
            } else if let Some(cursor) = self.page.next.take() {
                self.page = (self.next)(cursor).await?;
            } else {
                chunk.append(&mut self.after);
                return Ok((chunk, true));
            }
        }
        Ok((chunk, false))
    }
}

/// The outcome of something that cannot fail, for streams that never do.
pub type Never<T> = Result<T, Infallible>;
