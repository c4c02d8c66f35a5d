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
use tokio::time::{Instant, timeout, timeout_at};
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
        let addresses = self.addresses(uri).await?;
        let stream = first_of(&addresses, Instant::now() + CONNECT_WAIT).await?;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(stream))
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

/// Connects to the first that answers. Each has its share of the time that is left: where one network is a dead end,
/// as IPv6 often is, the other's addresses have their turn.
async fn first_of(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name leads to no address");
    for (at, address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let others = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        let share = now + until.saturating_duration_since(now) / others;
        match timeout_at(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "the connection took too long"),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_address_that_is_silent_leaves_time_for_the_next() {
        // Whoever comes when nobody is taken in any more is not answered.
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(came) = timeout(Duration::from_millis(200), TcpStream::connect(silent)).await {
            queued.push(came.unwrap());
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let good = listener.local_addr().unwrap();
        let soon = || Instant::now() + Duration::from_secs(1);
        let came = first_of(&[silent, silent, good], soon()).await.unwrap();
        assert_eq!(came.peer_addr().unwrap(), good);
        assert_eq!(first_of(&[silent], soon()).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(first_of(&[], soon()).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
