//! What only the store on PostgreSQL has to show: how the server carries its statements out.

mod appends;
mod explained;
mod filled;
mod plans;
