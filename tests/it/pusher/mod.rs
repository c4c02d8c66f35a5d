//! The Pusher door: its protocol over real connections, and the HTTP API.

mod channels;
mod connecting;
mod hostile;
mod presence;
mod rest;
mod since;
mod users;
mod whispers;
