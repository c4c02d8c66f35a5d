//! The guest door, from the outside.

mod accounts;
mod chatbot;
mod desk;
mod errors;
mod inbox;
mod journey;
mod limits;
mod long_polls;
mod polling;
mod runs;
mod sessions;
mod sign_in;
mod streams;
mod traces;
mod typing;
mod validation;
