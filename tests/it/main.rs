//! The one integration binary: one link instead of many, and every suite can use the same support.
#![allow(clippy::disallowed_methods, reason = "tests make up identifiers; only the program takes them as inputs")]

mod accounts;
mod attachments;
mod bench;
mod browser;
mod chaos;
mod chats;
mod cluster;
mod cors;
mod doors;
mod errors;
mod fuzz_corpus;
mod guest;
mod hostile;
mod knowledge;
mod local;
mod many_connections;
mod migrations;
mod neptun;
mod pigeons;
mod process;
mod promises;
mod pusher;
mod redis;
mod schema;
mod seam;
mod stock;
mod store_contract;
mod store_postgres;
mod store_sqlite;
mod strangers;
mod support;
mod tidy;
mod transfer;
mod webhooks;
mod websocket;
