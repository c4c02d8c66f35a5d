//! The Pusher door: its protocol over real connections, and the HTTP API.

mod connecting;
