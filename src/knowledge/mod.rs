//! What is done with documents, without a store: their text is taken out of their files in a process of its own, cut
//! into chunks, compared, ranked, and fenced for a prompt.

pub mod chunk;
pub mod extract;
pub mod fuse;
pub mod kind;
pub mod prompt;
pub mod vectors;
pub mod worker;
