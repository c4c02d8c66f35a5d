//! Vectors of texts, made elsewhere: `POST <address>/embeddings`, in the form that OpenAI's API has and many servers
//! speak.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde::{Deserialize, Serialize};

use crate::error::{Cause, Error, Result};
use crate::https;

/// Texts of one request.
pub const TEXTS_AT_ONCE: usize = 32;
/// The longest vector that is taken.
const WIDTH_MAX: usize = 8192;
/// A number of a vector takes at most so many bytes in JSON.
const NUMBER_BYTES_MAX: usize = 32;
/// Connections that wait unused.
const IDLE_MAX: usize = 4;
/// How often a request is made in all.
const TRIES: u32 = 3;
/// The wait after the first failure; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// Somebody who makes vectors.
pub struct Embeddings {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    to: Uri,
    key: Option<HeaderValue>,
    model: Arc<str>,
    time: Duration,
}

/// Without the key.
impl fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embeddings").field("to", &self.to).field("model", &self.model).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Asked<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'static str,
}

#[derive(Deserialize)]
struct Answered {
    data: Vec<Made>,
}

#[derive(Deserialize)]
struct Made {
    index: Option<usize>,
    embedding: Vec<f32>,
}

/// Why one try gave nothing.
struct Failed {
    cause: Cause,
    /// Whether another try may do better.
    may_pass: bool,
}

impl Embeddings {
    /// `address` is what `/embeddings` is added to, like `https://api.openai.com/v1`; `key` may be empty. `time` is what
    /// one request may take.
    ///
    /// # Errors
    /// `Internal` with a sentence for the operator.
    pub fn new(address: &str, key: &str, model: &str, time: Duration) -> Result<Self> {
        let wrong = |what: String| Error::internal(what);
        let to = format!("{}/embeddings", address.trim_end_matches('/'));
        let to: Uri = to.parse().map_err(|error| wrong(format!("knowledge.embeddings_url: {error}")))?;
        if !matches!(to.scheme_str(), Some("http" | "https")) {
            return Err(wrong("knowledge.embeddings_url must be an address like https://api.openai.com/v1".to_owned()));
        }
        let key = match key {
            "" => None,
            key => {
                let value = HeaderValue::from_str(&format!("Bearer {key}"));
                let mut value = value.map_err(|_| wrong("knowledge.embeddings_key is no credential".to_owned()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(https::CONNECT_WAIT));
        let client = https::client(https::connector(tcp).map_err(Error::internal)?, IDLE_MAX);
        Ok(Self { client, to, key, model: model.into(), time })
    }

    /// What makes the vectors: those of two models cannot be compared.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// A vector for each text, at most [`TEXTS_AT_ONCE`], in their order; all of them are equally long. Tried again
    /// after failures that may pass.
    ///
    /// # Errors
    /// `Upstream`.
    pub async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.once(texts).await {
                Err(failed) if failed.may_pass => tokio::time::sleep(pause).await,
                done => return done.map_err(|failed| Error::Upstream(failed.cause)),
            }
            pause *= 2;
        }
        self.once(texts).await.map_err(|failed| Error::Upstream(failed.cause))
    }

    /// The same for one text and without another try: somebody waits.
    ///
    /// # Errors
    /// `Upstream`.
    pub async fn embed_one(&self, text: &str) -> Result<Vec<f32>> {
        let vectors = self.once(&[text]).await.map_err(|failed| Error::Upstream(failed.cause))?;
        vectors.into_iter().next().ok_or_else(|| Error::Upstream("no vector was sent".into()))
    }

    async fn once(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Failed> {
        let fails = |cause: Cause| Failed { cause, may_pass: true };
        match tokio::time::timeout(self.time, self.ask(texts)).await {
            Ok(answered) => answered,
            Err(_) => Err(fails("the embeddings were not made in time".into())),
        }
    }

    async fn ask(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Failed> {
        let passing = |cause: Cause| Failed { cause, may_pass: true };
        let asked = Asked { model: &self.model, input: texts, encoding_format: "float" };
        let body = serde_json::to_vec(&asked).map_err(|error| Failed { cause: error.into(), may_pass: false })?;
        let mut request = Request::builder().method(Method::POST).uri(&self.to);
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key);
        }
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| Failed { cause: error.into(), may_pass: false })?;
        let response = self.client.request(request).await.map_err(|error| passing(error.into()))?;
        let status = response.status();
        if !status.is_success() {
            let may_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(Failed { cause: format!("the embeddings were refused: {status}").into(), may_pass });
        }
        let max = (texts.len() + 1) * WIDTH_MAX * NUMBER_BYTES_MAX;
        let body = Limited::new(response.into_body(), max).collect().await.map_err(passing)?.to_bytes();
        vectors(&body, texts.len()).map_err(|cause| Failed { cause, may_pass: false })
    }
}

/// The vectors of an answer, in the order of what was asked.
fn vectors(body: &[u8], count: usize) -> Result<Vec<Vec<f32>>, Cause> {
    let answered: Answered = serde_json::from_slice(body).map_err(|error| {
        // What was sent may be anything, also what was asked: only where it went wrong is told.
        format!("what was sent is no list of embeddings: line {}, column {}", error.line(), error.column())
    })?;
    let mut slots: Vec<Option<Vec<f32>>> = vec![None; count];
    for (at, made) in answered.data.into_iter().enumerate() {
        let slot = slots.get_mut(made.index.unwrap_or(at)).ok_or("there are more embeddings than texts")?;
        *slot = Some(made.embedding);
    }
    let vectors: Vec<Vec<f32>> =
        slots.into_iter().collect::<Option<_>>().ok_or("there are fewer embeddings than texts")?;
    let width = vectors.first().map_or(0, Vec::len);
    if width == 0 || width > WIDTH_MAX || vectors.iter().any(|vector| vector.len() != width) {
        return Err("the embeddings are not equally long, empty, or too long".into());
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let body = br#"{"data": [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2.5]}], "x": 1}"#;
        assert_eq!(vectors(body, 2).unwrap(), [vec![1.0, 2.5], vec![3.0, 4.0]]);
        assert_eq!(vectors(br#"{"data": [{"embedding": [1]}]}"#, 1).unwrap(), [vec![1.0]]);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in [
            &b"no"[..],
            br#"{"data": []}"#,
            br#"{"data": [{"index": 0, "embedding": []}]}"#,
            br#"{"data": [{"index": 7, "embedding": [1]}]}"#,
            br#"{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}"#,
        ] {
            let count = if body.len() > 60 { 2 } else { 1 };
            assert!(vectors(body, count).is_err(), "{}", String::from_utf8_lossy(body));
        }
        let uneven = br#"{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]}"#;
        assert!(vectors(uneven, 2).is_err());
    }
}
