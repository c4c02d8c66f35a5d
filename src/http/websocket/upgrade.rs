//! The handshake (RFC 6455, section 4.2), and the way from hyper's connection to ours.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::connection::{Entered, run};
use super::{Limits, Session};
use crate::realtime::sockets::{Place, Socket, Sockets};

/// What is appended to a client's key (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that asks for a WebSocket connection, rightly.
#[derive(Debug)]
pub struct Handshake {
    accept: HeaderValue,
    upgrade: OnUpgrade,
}

/// Why a request is no handshake. As an answer: 400, or where the client can do better 426 with the
/// version that is spoken (sections 4.2.1 and 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHandshake {
    /// It asks for no upgrade, or another.
    NotAsked,
    /// It speaks another version than 13.
    Version,
    /// Its key is missing or is not 16 bytes in base64.
    Key,
    /// The connection cannot be upgraded: it speaks HTTP/2, or HTTP/1.0.
    Connection,
}

impl NoHandshake {
    /// One sentence for the developer of a client.
    pub fn why(self) -> &'static str {
        match self {
            Self::NotAsked => "this address speaks WebSocket: ask with Connection: Upgrade and Upgrade: websocket\n",
            Self::Version => "only version 13 of WebSocket is spoken\n",
            Self::Key => "Sec-WebSocket-Key has to be 16 bytes in base64\n",
            Self::Connection => "WebSocket needs an HTTP/1.1 connection\n",
        }
    }
}

impl IntoResponse for NoHandshake {
    fn into_response(self) -> Response {
        let upgrade = [
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        ];
        match self {
            Self::NotAsked | Self::Version => (StatusCode::UPGRADE_REQUIRED, upgrade, self.why()).into_response(),
            Self::Key | Self::Connection => (StatusCode::BAD_REQUEST, self.why()).into_response(),
        }
    }
}

impl Handshake {
    /// Reads the handshake out of a request.
    ///
    /// # Errors
    /// Why it is none.
    pub fn of(request: &mut Request) -> Result<Self, NoHandshake> {
        let headers = request.headers();
        let is_asked = request.method() == Method::GET
            && has_token(headers, &header::CONNECTION, "upgrade")
            && has_token(headers, &header::UPGRADE, "websocket");
        // HTTP/2 has neither header; whoever comes by it is told what is wrong, not to ask again.
        if request.version() != Version::HTTP_11 {
            return Err(NoHandshake::Connection);
        }
        if !is_asked {
            return Err(NoHandshake::NotAsked);
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version.as_bytes() != b"13") {
            return Err(NoHandshake::Version);
        }
        let accept = accept(headers).ok_or(NoHandshake::Key)?;
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(NoHandshake::Connection)?;
        Ok(Self { accept, upgrade })
    }

    /// Accepts: answers 101, and when the connection has been handed over, runs a session on it.
    pub fn accept<S: Session>(
        self,
        sockets: &Arc<Sockets>,
        place: Place,
        limits: Limits,
        session: impl FnOnce(Socket) -> S + Send + 'static,
    ) -> Response {
        let (sockets, upgrade) = (Arc::clone(sockets), self.upgrade);
        tokio::spawn(async move {
            let Some((stream, ahead)) = upgrade.await.ok().and_then(taken_over) else { return };
            let socket = sockets.enter(&place, stream);
            let session = session(socket.clone());
            // A task of its own: this one still has what the handing over took.
            tokio::spawn(run(Entered::new(sockets, socket, place), session, limits, ahead));
        });
        let headers = [
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::SEC_WEBSOCKET_ACCEPT, self.accept),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
    }
}

/// Our stream out of hyper's hands, with what was read of it already.
fn taken_over(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::warn!("a connection that is no TCP stream cannot be upgraded");
        return None;
    };
    let stream = parts.io.into_inner();
    let keep_alive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive) {
        tracing::debug!(error = %error, "a connection could not be tuned");
    }
    Some((stream, parts.read_buf.into()))
}

/// Whether a header of comma-separated words has that one.
fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}

/// The answer to the client's key (section 4.2.2).
fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.to_str().ok()?.trim();
    STANDARD.decode(key).ok().filter(|key| key.len() == 16)?;
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    HeaderValue::try_from(STANDARD.encode(digest)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_answered_as_there() {
        let mut headers = HeaderMap::new();
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(accept(&headers).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("c2hvcnQ="));
        assert_eq!(accept(&headers), None);
    }

    #[test]
    fn words_of_a_header_are_found() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        assert!(has_token(&headers, &header::CONNECTION, "upgrade"));
        assert!(!has_token(&headers, &header::CONNECTION, "up"));
        assert!(!has_token(&headers, &header::UPGRADE, "websocket"));
    }
}
