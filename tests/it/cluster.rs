//! Several nodes over one Redis: whatever connection a client has, it is told the same, whatever befalls the others.
//! Those of a test share an embedded store, too: what is in the log is not the matter here.

pub mod node;
mod online;
mod outages;
mod presence;
mod rest;
mod runs;
mod whispers;
