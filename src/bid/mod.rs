//! A bid core.

pub mod net;
pub mod server;
pub mod budget;
pub mod ids;
