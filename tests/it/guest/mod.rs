//! The guest door, from the outside.

mod accounts;
mod chatbot;
mod desk;
mod errors;
mod journey;
mod limits;
mod polling;
mod sessions;
mod sign_in;
mod streams;
mod traces;
mod validation;
