//! The one integration binary: one link instead of many, and every suite can use the same support.

mod chats;
mod guest;
mod store_contract;
mod store_sqlite;
mod support;
