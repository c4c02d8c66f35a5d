//! The one integration binary.
mod bench;
