//! Connecting to where an endpoint's address leads, and never into the private network: the check is made on the very
//! addresses that are connected to, after the name was resolved, so that a name that leads elsewhere the second time
//! gains nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower::Service;

use super::address::is_public;
use crate::https::CONNECT_WAIT;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Connects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outward {
    pub allow_private: bool,
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

impl Service<Uri> for Outward {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let outward = *self;
        Box::pin(async move {
            let connected = timeout(CONNECT_WAIT, outward.connect(&uri)).await;
            connected.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the connection took too long")))
        })
    }
}

impl Outward {
    async fn connect(self, uri: &Uri) -> io::Result<TokioIo<TcpStream>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name leads to no address");
        for address in self.addresses(uri).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(TokioIo::new(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where the name leads, without what may not be connected to.
    async fn addresses(self, uri: &Uri) -> io::Result<Vec<SocketAddr>> {
        let host = uri.host().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the address has no host"))?;
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<_> = lookup_host((bare, port)).await?.take(ADDRESSES_MAX).collect();
        let allowed: Vec<_> =
            found.iter().copied().filter(|address| self.allow_private || is_public(address.ip())).collect();
        if allowed.is_empty() && !found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the address leads into a private network"));
        }
        Ok(allowed)
    }
}
