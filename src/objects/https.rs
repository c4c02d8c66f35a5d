//! How an S3 service is spoken to: the HTTP and the TLS that the rest of Roost has, and waits that end.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use tokio::time::timeout;

use crate::https::{self, CONNECT_WAIT};

/// The longest that a request may take until its answer begins. A part of an upload is sent within it.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// The longest pause within an answer.
const READ_WAIT: Duration = Duration::from_secs(30);

/// Makes the client that `object_store` speaks through.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = Tcp::new();
        tcp.set_connect_timeout(Some(CONNECT_WAIT));
        tcp.set_nodelay(true);
        // The connector for TLS tells the two schemes apart.
        tcp.enforce_http(false);
        let connector = https::connector(tcp);
        let connector =
            connector.map_err(|source| object_store::Error::Generic { store: "S3", source: source.into() })?;
        let client = https::client(connector, usize::MAX);
        Ok(HttpClient::new(Service(client)))
    }
}

#[derive(Debug)]
struct Service(Client<HttpsConnector<Tcp>, HttpRequestBody>);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answered = timeout(ANSWER_WAIT, self.0.request(request)).await;
        let answer = answered.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?;
        let answer = answer.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })?;
        Ok(answer.map(patient))
    }
}

/// An answer's body that breaks off when it pauses for too long.
fn patient(body: Incoming) -> HttpResponseBody {
    let frames = stream::try_unfold(body, |mut body| async move {
        let frame = timeout(READ_WAIT, body.frame()).await;
        let frame = frame.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?.transpose();
        let frame = frame.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))?;
        Ok(frame.map(|frame| (frame, body)))
    });
    HttpResponseBody::new(StreamBody::new(frames))
}
