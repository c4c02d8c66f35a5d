//! The one integration binary: one link instead of many, and every suite can use the same support.

mod guest;
mod promises;
mod store_contract;
mod store_sqlite;
mod support;
