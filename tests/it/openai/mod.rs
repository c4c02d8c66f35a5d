//! The OpenAI door, from the outside.

mod completions;
mod refusals;
mod responses;
