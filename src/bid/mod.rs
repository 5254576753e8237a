//! A bid core.

pub mod net;
pub mod server;
pub mod comply;
pub mod profile;
pub mod frequency;
pub mod budget;
