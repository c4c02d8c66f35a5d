//! Roost: one chat server, many doors.
//!
//! There is one thing in the house: the conversation log. Everything else adds to it or follows
//! it. In reading order:
//!
//! - [`domain`]: types and rules, without I/O;
//! - [`store`]: the persistence contract, and the two engines that keep it;
//! - [`redis`](mod@redis): what nodes share besides the store, and can do without;
//! - [`realtime`]: the conversations in memory, and who waits for them;
//! - [`knowledge`]: documents: their text, chunks, vectors, and how they stand in a prompt;
//! - [`chat`]: the use-cases, the only place with rules;
//! - [`cluster`]: what makes several servers over one store look like one;
//! - [`jobs`]: telling endpoints elsewhere what happened, again and again until they have heard it;
//! - [`api`]: the doors, one dialect each, over [`http`], the plumbing that knows none of them;
//! - [`app`] and [`serve`]: the wired system, and how it runs;
//! - [`cli`]: the command line; [`local`]: services on loopback for measuring and testing;
//!   [`mod@bench`]: what the server does on a machine, in figures.
//!
//! `ARCHITECTURE.md` has the map and the way of a request.

pub mod clock;
pub mod config;
pub mod descriptors;
pub mod domain;
pub mod error;

pub mod store;

pub mod assistant;
pub mod hooks;
pub mod https;
pub mod knowledge;
pub mod limits;
pub mod mail;
pub mod media;
pub mod memory;
pub mod objects;
pub mod plant;
pub mod realtime;
pub mod redis;
pub mod telemetry;
pub mod texts;

pub mod chat;
pub mod cluster;
pub mod jobs;

pub mod api;
pub mod http;

pub mod app;
pub mod bench;
pub mod chaos;
pub mod cli;
pub mod local;
pub mod serve;
