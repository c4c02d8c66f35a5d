//! Connections: a bounded number, each with bounds on what it may send and how slowly, and an
//! orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::SharedWeb;
use super::frame::Peer;

/// Requests that one HTTP/2 connection may have under way.
const STREAMS_PER_CONNECTION_MAX: u32 = 128;

/// Accepts connections until `stop`, then lets each finish its request; returns when the last
/// connection is gone or, at the latest, when `abandon` resolves.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    web: SharedWeb,
    stop: CancellationToken,
    abandon: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(web.config.connections_max));
    let connections = TaskTracker::new();
    loop {
        // The place comes first: who has none waits in the kernel's queue and costs nothing here.
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, router.clone(), Arc::clone(&web), stop.clone());
                let abandon = abandon.clone();
                connections.spawn(async move {
                    tokio::select! {
                        () = connection => {}
                        () = abandon.cancelled() => {}
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, or the peer is gone already: neither is helped by haste.
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Drives a connection to its end; after `stop`, to the end of its request.
macro_rules! run {
    ($connection:ident, $stop:ident) => {{
        let mut connection = std::pin::pin!($connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = $stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // The client's doing as a rule: gone, too slow, or not speaking HTTP.
            tracing::debug!(error = %error, "a connection ended early");
        }
    }};
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, web: SharedWeb, stop: CancellationToken) {
    let _counted = web.metrics.connection();
    if let Err(error) = tune(&stream, Duration::from_secs(web.config.write_timeout_s)) {
        tracing::debug!(error = %error, "a connection could not be tuned");
    }
    let head_timeout = Duration::from_secs(web.config.head_timeout_s);
    let is_http2 = tokio::select! {
        () = stop.cancelled() => return,
        first = tokio::time::timeout(head_timeout, begins_as_http2(&stream)) => match first {
            Ok(Ok(is_http2)) => is_http2,
            Ok(Err(_)) | Err(_) => return,
        },
    };
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        // A router is always ready, and cheap to clone: it is one shared pointer.
        router.clone().call(request.map(Body::new))
    });
    let io = TokioIo::new(stream);
    if is_http2 {
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .max_header_list_size(u32::try_from(web.config.head_bytes_max).unwrap_or(u32::MAX))
            .keep_alive_interval(head_timeout)
            .keep_alive_timeout(head_timeout)
            .serve_connection(io, service);
        // Elsewhere: it is large, and would make the task of every connection so.
        Box::pin(async move { run!(connection, stop) }).await;
    } else {
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_buf_size(web.config.head_bytes_max)
            .serve_connection(io, service)
            // An upgraded connection ends here: from then on it is counted and ended where it went.
            .with_upgrades();
        run!(connection, stop);
    }
}

/// No delay for small answers; and a peer that leaves sent bytes unacknowledged (gone, or not
/// reading) is given up after a while, so that a stuck reader cannot hold a connection for ever.
fn tune(stream: &TcpStream, write_timeout: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(write_timeout))
}

/// Whether the connection begins with HTTP/2's preface (RFC 9113, section 3.4). It is looked at, not
/// taken, and waited for whole: once HTTP/2 has the connection nothing bounds how long the rest of
/// it may take.
async fn begins_as_http2(stream: &TcpStream) -> std::io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut seen = [0; PREFACE.len()];
    // A peek answers at once while there is anything, so waiting for more is looking again. Each wait
    // is twice the one before: who sends one byte and stops must not keep a core busy.
    let mut wait = Duration::from_millis(1);
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if seen[..count] != PREFACE[..count] {
            return Ok(false);
        }
        if count == PREFACE.len() {
            return Ok(true);
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(1));
    }
}
