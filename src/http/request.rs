//! What handlers take out of a request, the same for every door that is asked so.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::SharedWeb;
use super::body::{self, BodyError, Repeated, Sent};
use super::fields::Fields;

/// The pieces of the path. What cannot be decoded is empty, and so names nothing.
pub struct Segment<T = String>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default + Send> FromRequestParts<S> for Segment<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let segment = Path::<T>::from_request_parts(parts, state).await;
        Ok(Self(segment.map_or_else(|_| T::default(), |Path(segment)| segment)))
    }
}

/// A body that nothing was read of yet: the caller and the limits come first, so that who is over a
/// limit costs no memory and waits for nothing.
pub struct Input {
    web: SharedWeb,
    headers: HeaderMap,
    body: Body,
}

impl<D: AsRef<SharedWeb> + Send + Sync> FromRequest<Arc<D>> for Input {
    type Rejection = Infallible;

    async fn from_request(request: Request, door: &Arc<D>) -> Result<Self, Infallible> {
        let (parts, body) = request.into_parts();
        let web: &SharedWeb = door.as_ref().as_ref();
        Ok(Self { web: Arc::clone(web), headers: parts.headers, body })
    }
}

impl Input {
    /// The body's fields, read now.
    ///
    /// # Errors
    /// As [`body::read`] and [`body::parse`].
    pub async fn fields(self) -> Result<Fields, BodyError> {
        let bytes = body::read(self.body, &self.web.config).await?;
        Ok(body::parse(&self.headers, &bytes)?.into())
    }

    /// What was sent, of at most so many bytes, read now.
    ///
    /// # Errors
    /// As [`body::read_at_most`] and [`body::value`].
    pub async fn value(self, bytes_max: usize, repeated: Repeated) -> Result<Sent, BodyError> {
        let bytes = body::read_at_most(bytes_max, self.body, &self.web.config).await?;
        body::value(&self.headers, &bytes, repeated)
    }
}
