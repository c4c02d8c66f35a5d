//! How Roost speaks HTTP to others: rustls over ring, with the roots that Mozilla trusts. One way for every
//! part that does.

use std::io;
use std::time::Duration;

use hyper::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::Connect;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// The longest that a connection may take to come about.
pub const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// How long a connection that nobody uses is kept.
const IDLE_WAIT: Duration = Duration::from_secs(30);
/// What a connection that streams reads at once, in bytes; the head of an answer has to fit, too.
const STREAM_BUFFER: usize = 16 << 10;

/// TLS over what `tcp` connects, and plain HTTP where the address says so.
///
/// # Errors
/// When the cryptographic library does not offer what TLS needs.
pub fn connector<T>(tcp: T) -> io::Result<HttpsConnector<T>> {
    // Named here: the one that a process as a whole has chosen would be something global.
    let builder = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
        .map_err(io::Error::other)?;
    Ok(builder.https_or_http().enable_http1().wrap_connector(tcp))
}

/// A client with a pool of connections, of which at most `idle_max` to one host wait unused.
pub fn client<C, B>(connector: C, idle_max: usize) -> Client<C, B>
where
    C: Connect + Clone,
    B: Body + Send,
    B::Data: Send,
{
    builder(idle_max).build(connector)
}

/// The same for answers that come in many small pieces over a long time, of many at once: its connections have small
/// buffers.
pub fn streaming_client<C, B>(connector: C, idle_max: usize) -> Client<C, B>
where
    C: Connect + Clone,
    B: Body + Send,
    B::Data: Send,
{
    builder(idle_max).http1_max_buf_size(STREAM_BUFFER).build(connector)
}

fn builder(idle_max: usize) -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
    builder.pool_idle_timeout(IDLE_WAIT).pool_max_idle_per_host(idle_max);
    builder
}
