//! The only thing that crosses between threads.

pub mod message;
pub mod spsc;
pub mod wake;
