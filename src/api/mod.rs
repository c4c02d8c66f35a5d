//! The doors. Each translates one dialect into use-cases and back, and decides nothing.

pub mod aisdk;
pub mod budget;
pub mod chats;
pub mod django;
pub mod document;
pub mod events;
pub mod guest;
pub mod health;
pub mod hooks;
pub mod idempotency;
pub mod knowledge;
pub mod language;
pub mod log;
pub mod neptun;
pub mod openai;
pub mod pigeons;
pub mod pusher;
pub mod run;
pub mod sources;
