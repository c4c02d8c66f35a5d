//! The guest door, from the outside.

mod journey;
